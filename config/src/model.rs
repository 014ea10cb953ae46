//! The show as the supervisor runs it: names are resolved, ranges expanded and duplicates removed.

use std::path::{Path, PathBuf};

use crate::source::Span;

/// A value and where it is written. Two are equal if their values are.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

/// A whole show.
#[derive(Clone, Debug)]
pub struct Show {
    /// The path of the show file as the user gave it.
    pub path: PathBuf,
    /// The absolute directory of the show file.
    pub directory: PathBuf,
    /// The stem of the show file's name.
    pub name: String,
    /// Every file that was read, the show file first.
    pub files: Vec<PathBuf>,
    /// The global options of each backend that has a section or an override, one section each.
    pub backends: Vec<Section>,
    pub supervisor: Vec<Setting>,
    /// In the order of their declaration.
    pub instances: Vec<Instance>,
    /// In file order, each pair once.
    pub mappings: Vec<Mapping>,
}

impl Show {
    pub(crate) fn empty(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self {
            path: path.to_path_buf(),
            directory: absolute.parent().map(Path::to_path_buf).unwrap_or_default(),
            name: name.unwrap_or_default(),
            files: Vec::new(),
            backends: Vec::new(),
            supervisor: Vec::new(),
            instances: Vec::new(),
            mappings: Vec::new(),
        }
    }

    /// The global settings of a backend; empty if the show has no section for it.
    pub fn backend(&self, name: &str) -> &[Setting] {
        let section = self.backends.iter().find(|section| section.backend == name);
        section.map_or(&[], |section| &section.settings)
    }
}

/// The global options of a backend.
#[derive(Clone, Debug)]
pub struct Section {
    pub backend: &'static str,
    pub settings: Vec<Setting>,
    pub span: Span,
}

/// One instance of a backend.
#[derive(Clone, Debug)]
pub struct Instance {
    pub name: String,
    pub backend: &'static str,
    /// Overrides first, then those of the file, in order.
    pub settings: Vec<Setting>,
    /// The options whose values were errors, which are reported and not in `settings`.
    pub rejected: Vec<&'static str>,
    /// The channels that mappings use, in the order of their first mention.
    pub channels: Vec<Channel>,
    /// The name in the section that declares the instance.
    pub span: Span,
}

/// A channel that a mapping uses.
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: String,
    /// Where it is first mentioned: the whole name as written, with its ranges.
    pub span: Span,
}

/// One `option = value`. The option exists, and the value has the right type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name of the option, also where an alias is written (`destination` for `dest`).
    pub key: Spanned<String>,
    pub value: Spanned<String>,
    /// The directory of the file that sets it. Paths in the value are relative to it.
    pub directory: PathBuf,
}

impl Setting {
    /// The absolute path that the value names.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.value.value)
    }
}

/// Events of `from` go out on `to`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    pub from: Endpoint,
    pub to: Endpoint,
}

/// One channel of one instance, by their indices in the show.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Index into `Show::instances`.
    pub instance: usize,
    /// Index into `Instance::channels`.
    pub channel: usize,
}
