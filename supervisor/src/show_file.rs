//! Reads show files for this program: with the options of the backends that it has.

use crate::backends::BACKENDS;
use crate::instances::options;
use mm_config::options::BackendSpec;
use mm_config::{FileCopies, LoadedShowFile, Overrides};
use std::path::Path;

/// What a show file can say about each backend, workers included.
#[must_use]
pub fn specs() -> Vec<BackendSpec> {
    BACKENDS.iter().map(|kind| kind.spec()).chain([options::SPEC]).collect()
}

/// Reads the show file at `path` and all that it includes. A show without an instance is valid, but
/// a warning.
#[must_use]
pub fn load(path: &Path, overrides: &Overrides) -> LoadedShowFile {
    let mut loaded = mm_config::load(path, overrides, &specs());
    if loaded.show.instances.is_empty() && !loaded.diagnostics.has_errors() {
        let warning = loaded.diagnostics.warning(None, "the show declares no instance, so it does nothing");
        warning.hint("if the file should declare some, it was probably not saved completely");
    }
    loaded
}

/// Reads the show file at `path` and all that it includes from copies of them.
#[must_use]
pub fn load_copies(path: &Path, copies: &FileCopies, overrides: &Overrides) -> LoadedShowFile {
    mm_config::load_copies(path, copies, overrides, &specs())
}

/// Reads `text` as if it stood in a show file at `path`.
#[must_use]
pub fn load_text(path: &Path, text: &str) -> LoadedShowFile {
    mm_config::load_text(path, text, &Overrides::default(), &specs())
}

#[cfg(test)]
mod tests;
