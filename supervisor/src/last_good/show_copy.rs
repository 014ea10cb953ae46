//! A copy of a show file and its includes, as a file.

use super::places::Places;
use crate::state::atomic_file::{self, Content};
use crate::state::put_aside;
use mm_config::{FileCopies, Show};
use mm_shared::frame;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file is one frame of this kind, so that its length and checksum are checked. A change of
/// [`CopyContent`] is a new version.
const KIND: frame::Kind = frame::Kind { magic: *b"MMlg", version: 1 };

/// The most bytes of the file's content. The files of a show have 80 MiB at most, see `mm_config`.
const LIMIT: usize = 100 << 20;

/// What is in the file; paths are bytes.
#[derive(Debug, Serialize, Deserialize)]
struct CopyContent {
    /// The absolute path of the show file, see the rules of this module.
    show: Vec<u8>,
    files: Vec<(Vec<u8>, String)>,
}

/// A copy of a show's files, and where it belongs.
#[derive(Debug, Clone)]
pub struct ShowCopy {
    /// The absolute path of the show file.
    pub path: PathBuf,
    /// The texts.
    pub files: FileCopies,
    /// Where it is kept.
    pub places: Places,
}

impl ShowCopy {
    /// What is kept of `show`, which was read from `files`. `None` for a show without an instance:
    /// it never takes the place of one that has some.
    #[must_use]
    pub fn of(show: &Show, files: FileCopies, state_dir: Option<&Path>) -> Option<Self> {
        if show.instances.is_empty() {
            return None;
        }
        Some(Self { path: absolute(&show.path), files, places: Places::of(show, state_dir) })
    }
}

/// The path by which a copy is found again; links in it stay as they are.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A copy that can be read.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundCopy {
    /// The texts.
    pub files: FileCopies,
    /// The file that holds them.
    pub kept_in: PathBuf,
}

/// The outcome of a search for a copy.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CopySearch {
    /// The first copy that is usable.
    pub found: Option<FoundCopy>,
    /// What was wrong with others, for the log.
    pub warnings: Vec<String>,
}

/// The frame of a copy.
pub(super) fn encode(path: &Path, files: &FileCopies) -> Result<Vec<u8>, String> {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let texts = files.iter().map(|(path, text)| (bytes(path), text.to_string()));
    let content = CopyContent { show: bytes(path), files: texts.collect() };
    frame::encode(KIND, &content).map_err(|error| error.to_string())
}

/// Searches for a copy of the show file at `path`. A damaged one is put aside, as
/// `NAME.damaged-1`.
#[must_use]
pub fn find(places: &Places, path: &Path) -> CopySearch {
    let mut search = CopySearch::default();
    let path = absolute(path);
    for file in places.candidates(&path) {
        match read(&file, &path) {
            Ok(Some(files)) => {
                search.found = Some(FoundCopy { files, kept_in: file });
                break;
            }
            Ok(None) => {}
            Err(warning) => search.warnings.push(warning),
        }
    }
    search
}

fn read(file: &Path, path: &Path) -> Result<Option<FileCopies>, String> {
    let what = |reason: &str| format!("the kept copy `{}` is not usable: {reason}", file.display());
    let damaged = |reason: &str| match put_aside(file) {
        Ok(aside) => format!("{}; it was renamed to `{}`", what(reason), aside.display()),
        Err(error) => format!("{}; it cannot be renamed: {error}", what(reason)),
    };
    let bytes = match atomic_file::read(file, LIMIT + frame::HEADER) {
        Ok(Content::Missing) => return Ok(None),
        Ok(Content::TooLarge(size)) => {
            return Err(damaged(&format!("it has {size} bytes, which is too large")));
        }
        Ok(Content::Bytes(bytes)) => bytes,
        Err(error) => return Err(what(&error.to_string())),
    };
    let content: CopyContent =
        frame::decode(KIND, LIMIT, &bytes).map_err(|error| damaged(&error.to_string()))?;
    let owned = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
    let show = owned(content.show);
    if show != path {
        return Err(what(&format!("it belongs to the show `{}`", show.display())));
    }
    let texts = content.files.into_iter().map(|(path, text)| (owned(path), Arc::from(text)));
    Ok(Some(texts.collect()))
}
