//! Copies of a show's files, from which the show is read when the files themselves are not usable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The texts of files by their absolute paths, as they were read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCopies {
    texts: BTreeMap<PathBuf, Arc<str>>,
}

impl FileCopies {
    /// The text of the file at `path`, which may be relative to the working directory.
    pub(crate) fn text(&self, path: &Path) -> Option<&str> {
        let absolute = std::path::absolute(path).ok()?;
        self.texts.get(&absolute).map(AsRef::as_ref)
    }

    /// All files with their texts.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Arc<str>)> {
        self.texts.iter().map(|(path, text)| (path.as_path(), text))
    }

    /// The bytes of all texts together.
    pub fn size(&self) -> usize {
        self.texts.values().map(|text| text.len()).sum()
    }
}

impl FromIterator<(PathBuf, Arc<str>)> for FileCopies {
    /// Of a file that was read twice, the first text counts.
    fn from_iter<I: IntoIterator<Item = (PathBuf, Arc<str>)>>(files: I) -> Self {
        let mut texts = BTreeMap::new();
        for (path, text) in files {
            texts.entry(path).or_insert(text);
        }
        Self { texts }
    }
}
