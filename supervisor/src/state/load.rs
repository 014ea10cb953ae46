//! Reads the state file at a start. There is no error: a show starts without saved values rather
//! than not at all.

use super::atomic_file::{self, Content};
use super::{KIND, LIMIT, Saved};
use mm_shared::frame;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Unusable files that are kept; the oldest is overwritten.
pub(super) const KEPT: u32 = 5;

/// The outcome of reading the state file.
#[derive(Debug, Default, PartialEq)]
pub struct LoadedState {
    /// The values, none where there is no usable file.
    pub saved: Saved,
    /// What was wrong with the file, for the log.
    pub warning: Option<String>,
}

/// Reads the state file. Without a file there are no values. An unusable file is put aside, as
/// `NAME.damaged-1`.
#[must_use]
pub fn load(path: &Path) -> LoadedState {
    // The file is put aside, not a link to it.
    let path = &atomic_file::real(path);
    match atomic_file::read(path, LIMIT + frame::HEADER) {
        Ok(Content::Missing) => LoadedState::default(),
        Ok(Content::TooLarge(size)) => unusable(path, &format!("it has {size} bytes, which is too large")),
        Ok(Content::Bytes(bytes)) => match decode(&bytes) {
            Ok(saved) => LoadedState { saved, warning: None },
            Err(reason) => unusable(path, &reason),
        },
        Err(error) => without_values(format!("cannot read the state file `{}`: {error}", path.display())),
    }
}

fn decode(bytes: &[u8]) -> Result<Saved, String> {
    let saved: Saved = frame::decode(KIND, LIMIT, bytes).map_err(|error| error.to_string())?;
    if saved.is_sound() { Ok(saved) } else { Err("it has values that no channel can have".to_owned()) }
}

fn unusable(path: &Path, reason: &str) -> LoadedState {
    let what = format!("the state file `{}` is not usable: {reason}", path.display());
    without_values(match put_aside(path) {
        Ok(aside) => format!("{what}; it was renamed to `{}`", aside.display()),
        Err(error) => format!("{what}; it cannot be renamed: {error}"),
    })
}

fn without_values(what: String) -> LoadedState {
    let warning = Some(format!("{what}; the show starts without the values of the last run"));
    LoadedState { saved: Saved::default(), warning }
}

/// Renames an unusable file. The one that was put aside last has the lowest number.
///
/// # Errors
///
/// Those of the system.
pub(crate) fn put_aside(path: &Path) -> io::Result<PathBuf> {
    for number in (1..KEPT).rev() {
        match fs::rename(aside(path, number), aside(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let first = aside(path, 1);
    fs::rename(path, &first)?;
    Ok(first)
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{number}"));
    PathBuf::from(name)
}
