//! Reads a file, and replaces it so that no reader ever sees half of it, also after a power cut.

use nix::libc;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The content of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// There is no file.
    Missing,
    /// All its bytes.
    Bytes(Vec<u8>),
    /// The file has more bytes than allowed: this many.
    TooLarge(u64),
}

/// The file at the end of all links. Replacing that one leaves the links as they are.
pub(crate) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The content of a file of at most `limit` bytes.
///
/// # Errors
///
/// It cannot be read, or is not a file.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<Content> {
    // Opening a named pipe would block otherwise.
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

/// Replaces a file or creates it, readable for its owner only. After a power cut at any moment
/// either the old or the new file is there.
///
/// # Errors
///
/// The path leads to something other than a file, or the system refuses. The old file is still
/// there then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = real(path);
    // A rename would replace a device as well, given the rights.
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
    // Without this, a power cut may undo the rename.
    File::open(folder_of(&path))?.sync_all()
}

/// Removes the temporary files that interrupted writers have left beside `path`.
pub(crate) fn clear_leftovers(path: &Path) {
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

/// The temporary file is beside the file, because a rename cannot cross file systems.
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
