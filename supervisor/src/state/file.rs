//! Reading and replacing a file such that it is never seen half written, whenever the power goes.

use nix::libc;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing is there.
    Missing,
    /// All its bytes.
    Bytes(Vec<u8>),
    /// More bytes than allowed.
    TooLarge(u64),
}

/// The file that `path` means: where it is a link, the one that the link leads to. So the link stays one.
pub(super) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The content of a file of at most `limit` bytes.
///
/// # Errors
///
/// It cannot be read, or is not a file.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Content> {
    // a pipe of that name would be waited for
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Missing),
        Err(error) => return Err(error),
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(not_a_file());
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Ok(Content::TooLarge(found.len()));
    }
    Ok(Content::Bytes(bytes))
}

/// Replaces a file, or makes it, readable for its owner only. After a power cut at any moment there is either the
/// file from before or the new one.
///
/// # Errors
///
/// Something else than a file is there, and those of the system. Then it is as it was.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = real(path);
    // a device can be renamed over, given the rights
    if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(not_a_file());
    }
    let temporary = temporary_beside(&path)?;
    remove_if_there(&temporary)?;
    let outcome = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome?;
    // without this the rename itself may not outlive a power cut
    File::open(folder_of(&path))?.sync_all()
}

/// Removes what writers that were cut short have left beside `path`.
pub(super) fn clear_leftovers(path: &Path) {
    let path = real(path);
    let Some(prefix) = temporary_prefix(&path) else { return };
    for entry in fs::read_dir(folder_of(&path)).into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Beside the file, because a file cannot be renamed into another file system.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "it is not the name of a file");
    let mut name = temporary_prefix(path).ok_or_else(no_name)?;
    name.push(std::process::id().to_string());
    Ok(path.with_file_name(name))
}

fn temporary_prefix(path: &Path) -> Option<OsString> {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name()?);
    prefix.push(OsStr::new(".new-"));
    Some(prefix)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
