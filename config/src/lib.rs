//! The show file: from text to a [`Show`] that the supervisor runs, and to
//! [`Diagnostics`] that tell a user what is wrong with it.
//!
//! Nothing here fails and nothing here panics: [`load`] always returns a show
//! (what could be understood) beside all that was found wrong. The modules
//! stand in the order in which a show passes through them. Which backends there
//! are, and what options they have, is handed to [`load`] as data. No backend's code, no
//! Python, and no I/O beyond reading show files belongs in this crate.

#![forbid(unsafe_code)]

mod read;
mod source;

mod lexer;

mod section_names;

mod ast;
mod parser;

mod overrides;

mod ranges;
mod resolve;
mod suggest;

mod model;

pub mod options;

mod supervisor;

mod diagnostic;
mod render;

use std::path::Path;

use ast::Written;
use options::BackendSpec;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use model::{Channel, Endpoint, Instance, Mapping, Section, Setting, Show, Spanned};
pub use source::{FileId, Source, Sources, Span};
pub use suggest::did_you_mean;
pub use supervisor::{Priority, SUPERVISOR_OPTIONS, SupervisorOptions};

/// A show file with everything that was found wrong with it.
#[derive(Debug)]
pub struct LoadedShowFile {
    /// What could be understood; only to be run when `diagnostics` has no errors.
    pub show: Show,
    pub diagnostics: Diagnostics,
}

/// Options given on the command line, as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `BACKEND.OPTION=VALUE`, from `-b`.
    pub backend: Vec<String>,
    /// `INSTANCE.OPTION=VALUE`, from `-i`.
    pub instance: Vec<String>,
}

/// Reads the show file at `path` and all that it includes, for a program that has these backends.
pub fn load(path: &Path, overrides: &Overrides, backends: &[BackendSpec]) -> LoadedShowFile {
    let mut diagnostics = Diagnostics::default();
    let written = parser::parse(path, backends, &mut diagnostics);
    understand(path, written, overrides, backends, diagnostics)
}

/// Reads `text` as if it stood in a file at `path`; includes are read from the disk.
pub fn load_text(path: &Path, text: &str, overrides: &Overrides, backends: &[BackendSpec]) -> LoadedShowFile {
    let mut diagnostics = Diagnostics::default();
    let written = parser::parse_text(path, text, backends, &mut diagnostics);
    understand(path, written, overrides, backends, diagnostics)
}

fn understand(
    path: &Path,
    written: Written,
    overrides: &Overrides,
    backends: &[BackendSpec],
    mut diagnostics: Diagnostics,
) -> LoadedShowFile {
    let mut show = Show::empty(path);
    let overrides = overrides::parse(overrides, &show.directory, &mut diagnostics);
    // If the show cannot be read, that overrides were not applied is not worth an error.
    if !written.files.is_empty() {
        resolve::resolve(&written, overrides, backends, &mut show, &mut diagnostics);
    }
    show.files = written.files;
    LoadedShowFile { show, diagnostics }
}
