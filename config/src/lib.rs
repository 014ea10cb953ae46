//! The show file: from text to a [`Show`] that the supervisor runs, and to
//! [`Diagnostics`] that tell a user what is wrong with it.
//!
//! Nothing here fails and nothing here panics: [`load`] always returns a show
//! (what could be understood) beside all that was found wrong. The modules
//! stand in the order in which a show passes through them. No backend's code,
//! no Python, and no I/O beyond reading show files belongs in this crate.

#![forbid(unsafe_code)]

mod read;
mod source;

mod lexer;

mod ast;
mod parser;

mod overrides;

mod ranges;
mod resolve;
mod suggest;

mod model;

pub mod options;

mod typed;

mod diagnostic;
mod render;

use std::path::Path;

use ast::Written;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use model::{Channel, Endpoint, Instance, Kind, Mapping, Section, Setting, Show, Spanned};
pub use source::{FileId, Source, Sources, Span};
pub use suggest::did_you_mean;
pub use typed::{Failsafe, MaxRestarts, ModuleRef, Priority, PythonOptions, RestartRule, SupervisorOptions};

/// A show file with everything that was found wrong with it.
#[derive(Debug)]
pub struct Loaded {
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

/// Reads the show file at `path` and all that it includes.
pub fn load(path: &Path, overrides: &Overrides) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let written = parser::parse(path, &mut diagnostics);
    understand(path, written, overrides, diagnostics)
}

/// Reads `text` as if it stood in a file at `path`; includes are read from the disk.
pub fn load_text(path: &Path, text: &str, overrides: &Overrides) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let written = parser::parse_text(path, text, &mut diagnostics);
    understand(path, written, overrides, diagnostics)
}

fn understand(path: &Path, written: Written, overrides: &Overrides, mut diagnostics: Diagnostics) -> Loaded {
    let mut show = Show::empty(path);
    let overrides = overrides::parse(overrides, &show.directory, &mut diagnostics);
    // Of a show that cannot be read it is no news that nothing was applied.
    if !written.files.is_empty() {
        resolve::resolve(&written, overrides, &mut show, &mut diagnostics);
    }
    show.files = written.files;
    Loaded { show, diagnostics }
}
