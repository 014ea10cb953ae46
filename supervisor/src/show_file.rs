//! Reads show files for this program: with the options of the backends that it has.

use crate::backends::BACKENDS;
use crate::instances::options;
use mm_config::options::BackendSpec;
use mm_config::{LoadedShowFile, Overrides};
use std::path::Path;

/// What a show file can say about each backend, workers included.
#[must_use]
pub fn specs() -> Vec<BackendSpec> {
    BACKENDS.iter().map(|kind| kind.spec()).chain([options::SPEC]).collect()
}

/// Reads the show file at `path` and all that it includes.
#[must_use]
pub fn load(path: &Path, overrides: &Overrides) -> LoadedShowFile {
    mm_config::load(path, overrides, &specs())
}

/// Reads `text` as if it stood in a show file at `path`.
#[must_use]
pub fn load_text(path: &Path, text: &str) -> LoadedShowFile {
    mm_config::load_text(path, text, &Overrides::default(), &specs())
}

#[cfg(test)]
mod tests;
