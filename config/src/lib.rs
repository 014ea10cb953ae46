//! The show file: turns its text into a [`Show`] that the supervisor runs, and into [`Diagnostics`]
//! for the user.
//!
//! Nothing in this crate fails or panics: [`load`] always returns the show as far as it was
//! understood, beside all errors. A show passes through the modules in the order below. The caller
//! passes the backends and their options to [`load`] as data. This crate contains no code of a
//! backend, no Python, and no I/O except that it reads show files.

#![forbid(unsafe_code)]

mod copies;
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
use std::sync::Arc;

use ast::ParsedShow;
use options::BackendSpec;

pub use copies::FileCopies;
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

impl LoadedShowFile {
    /// Copies of all files that were read, with which [`load_copies`] returns the same show.
    pub fn copies(&self) -> FileCopies {
        // Files are the first sources, in the order in which they were read.
        let sources = self.diagnostics.sources();
        let texts = (0..).map_while(|id| sources.get(FileId(id))).map(|source| Arc::clone(source.text()));
        self.show.files.iter().cloned().zip(texts).collect()
    }
}

/// Options from the command line, as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `BACKEND.OPTION=VALUE`, from `-b`.
    pub backend: Vec<String>,
    /// `INSTANCE.OPTION=VALUE`, from `-i`.
    pub instance: Vec<String>,
    /// One that finds nothing to apply to is a warning, not an error: the show was read before, and
    /// may have lost what it was for.
    pub may_be_unused: bool,
}

/// Reads the show file at `path` and its includes, for a program that has these backends.
pub fn load(path: &Path, overrides: &Overrides, backends: &[BackendSpec]) -> LoadedShowFile {
    let mut diagnostics = Diagnostics::default();
    let written = parser::parse(path, None, backends, &mut diagnostics);
    understand(path, written, overrides, backends, diagnostics)
}

/// Reads the show file at `path` and its includes from copies that were made of them earlier, as
/// [`LoadedShowFile::copies`] returns them. Paths resolve as in the original files; messages name
/// those, and that a copy was read.
pub fn load_copies(
    path: &Path,
    copies: &FileCopies,
    overrides: &Overrides,
    backends: &[BackendSpec],
) -> LoadedShowFile {
    let mut diagnostics = Diagnostics::default();
    let written = parser::parse(path, Some(copies), backends, &mut diagnostics);
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
