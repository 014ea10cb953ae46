//! The folders that the kernel watches for us.

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A set of watched folders.
pub(super) struct Folders {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    /// Those that cannot be watched, and of which that was said.
    refused: BTreeSet<PathBuf>,
}

impl Folders {
    pub fn new(watcher: RecommendedWatcher) -> Self {
        Self { watcher, watched: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// Watches these folders and no others. Warns once of those that cannot be, where `true` says that it matters.
    /// Says whether there are new ones.
    pub fn set(&mut self, wanted: &BTreeMap<PathBuf, bool>) -> bool {
        let gone = |folder: &PathBuf| !wanted.contains_key(folder);
        for folder in self.watched.extract_if(.., |folder| gone(folder)) {
            let _ = self.watcher.unwatch(&folder);
        }
        self.refused.retain(|folder| !gone(folder));
        let before = self.watched.len();
        for (folder, matters) in wanted {
            if !self.watched.contains(folder) {
                self.add(folder, *matters);
            }
        }
        self.watched.len() > before
    }

    /// A folder was removed or renamed: whatever has its name next is another one, and so is all below it.
    pub fn forget(&mut self, gone: &Path) {
        for folder in self.watched.extract_if(.., |folder| folder.starts_with(gone)) {
            let _ = self.watcher.unwatch(&folder);
        }
    }

    fn add(&mut self, folder: &Path, matters: bool) {
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.refused.remove(folder);
                self.watched.insert(folder.to_owned());
            }
            // removed since it was looked at, which its own folder tells
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
            Err(error) if matters && self.refused.insert(folder.to_owned()) => {
                tracing::warn!("cannot watch `{}`: {}", folder.display(), reason(&error));
            }
            Err(_) => {}
        }
    }
}

fn reason(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "this user watches too many files\nhint: raise the limit `fs.inotify.max_user_watches`".into()
        }
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}
