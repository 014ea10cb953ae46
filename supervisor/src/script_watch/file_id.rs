//! What distinguishes one content of a file from another without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which file it is, how long, and when it was last written. The mode is left out: a `chmod` does
/// not change a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl FileId {
    /// The file at the end of the path, all links followed; `None` where there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}
