//! Loads shows from a text, or from files in a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};

use mm_config::{Endpoint, Instance, LoadedShowFile, Overrides, Show, load, load_text};
use tempfile::TempDir;

use crate::backends::BACKENDS;

/// Loads a show from a text, also one with errors.
pub fn text(text: &str) -> LoadedShowFile {
    load_text(Path::new("show.cfg"), text, &Overrides::default(), BACKENDS)
}

/// Loads a show that must not have errors.
pub fn show(text: &str) -> Show {
    valid(self::text(text))
}

pub fn valid(loaded: LoadedShowFile) -> Show {
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
    loaded.show
}

pub fn overrides(backend: &[&str], instance: &[&str]) -> Overrides {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Overrides { backend: owned(backend), instance: owned(instance), may_be_unused: false }
}

pub fn instance<'s>(show: &'s Show, name: &str) -> &'s Instance {
    show.instances.iter().find(|instance| instance.name == name).expect("the instance is declared")
}

/// The settings of an instance as `key = value`.
pub fn settings(show: &Show, name: &str) -> Vec<String> {
    let settings = instance(show, name).settings.iter();
    settings.map(|setting| format!("{} = {}", setting.key.value, setting.value.value)).collect()
}

/// All mappings as `from > to`.
pub fn mappings(show: &Show) -> Vec<String> {
    let name = |end: Endpoint| {
        let instance = &show.instances[end.instance];
        format!("{}.{}", instance.name, instance.channels[end.channel].name)
    };
    show.mappings.iter().map(|mapping| format!("{} > {}", name(mapping.from), name(mapping.to))).collect()
}

/// A directory with files in it.
pub struct Files(TempDir);

impl Files {
    pub fn new(files: &[(&str, &[u8])]) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        for (name, bytes) in files {
            let path = directory.path().join(name);
            let parent = path.parent().expect("a file stands in a directory");
            fs::create_dir_all(parent).expect("a directory can be made");
            fs::write(path, bytes).expect("a file can be written");
        }
        Self(directory)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn load(&self, name: &str) -> LoadedShowFile {
        load(&self.path(name), &Overrides::default(), BACKENDS)
    }

    /// The rendered diagnostics of a show, without the name of the directory, which differs each
    /// time.
    pub fn render(&self, name: &str) -> String {
        let directory = format!("{}/", self.0.path().display());
        self.load(name).diagnostics.render(false).replace(&directory, "")
    }
}
