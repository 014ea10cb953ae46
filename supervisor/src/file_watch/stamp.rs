//! What tells one content of a file from another without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Which file it is, how long, and when it was written last. Not its rights: nothing is loaded anew for those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    written: (i64, i64),
}

impl Stamp {
    /// The stamp of the file that the path leads to; none where it leads to no file.
    pub fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
        })
    }
}
