//! The show file: turns its text into a [`Show`] that the supervisor runs, and into [`Diagnostics`]
//! for the user.
//!
//! Nothing in this crate fails or panics: [`load`] always returns the show as far as it was
//! understood, beside all errors. A show passes through the modules in the order below. The caller
//! passes the backends and their options to [`load`] as data. This crate contains no code of a
//! backend, no Python, and no I/O except that it reads show files.

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

use ast::ParsedShow;
use options::BackendSpec;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use model::{Channel, Endpoint, Instance, Mapping, Section, Setting, Show, Spanned};
pub use source::{FileId, Source, Sources, Span};
pub use suggest::did_you_mean;
pub use supervisor::{Priority, SUPERVISOR_OPTIONS, SupervisorOptions};

/// A show with all errors and warnings about it.
#[derive(Debug)]
pub struct LoadedShowFile {
    /// The show as far as it was understood. It must not run if `diagnostics` has errors.
    pub show: Show,
    pub diagnostics: Diagnostics,
}

/// Options from the command line, as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `BACKEND.OPTION=VALUE`, from `-b`.
    pub backend: Vec<String>,
    /// `INSTANCE.OPTION=VALUE`, from `-i`.
    pub instance: Vec<String>,
}

/// Reads the show file at `path` and its includes, for a program that has these backends.
pub fn load(path: &Path, overrides: &Overrides, backends: &[BackendSpec]) -> LoadedShowFile {
    let mut diagnostics = Diagnostics::default();
    let written = parser::parse(path, backends, &mut diagnostics);
    understand(path, written, overrides, backends, diagnostics)
}

/// Reads `text` as if it stood in a file at `path`. Includes are read from the disk.
pub fn load_text(path: &Path, text: &str, overrides: &Overrides, backends: &[BackendSpec]) -> LoadedShowFile {
    let mut diagnostics = Diagnostics::default();
    let written = parser::parse_text(path, text, backends, &mut diagnostics);
    understand(path, written, overrides, backends, diagnostics)
}

fn understand(
    path: &Path,
    written: ParsedShow,
    overrides: &Overrides,
    backends: &[BackendSpec],
    mut diagnostics: Diagnostics,
) -> LoadedShowFile {
    let mut show = Show::empty(path);
    let overrides = overrides::parse(overrides, &show.directory, &mut diagnostics);
    // If the show file cannot be read, unused overrides are not reported in addition.
    if !written.files.is_empty() {
        resolve::resolve(&written, overrides, backends, &mut show, &mut diagnostics);
    }
    show.files = written.files;
    LoadedShowFile { show, diagnostics }
}
