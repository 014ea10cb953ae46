//! Warns of paths in `[supervisor]` that a show could not use.

use mm_config::{Diagnostics, Setting, Show};
use nix::unistd::{AccessFlags, access};
use std::path::Path;

/// Adds a warning for each path that cannot be used. The show itself may run as another user, so
/// none is an error.
pub fn check(show: &Show, diagnostics: &mut Diagnostics) {
    for setting in &show.supervisor {
        let path = setting.path();
        let found = match setting.key.value.as_str() {
            "state-file" => file(&path, Path::is_file, "a file").and_then(|()| parent(&path)),
            "state-dir" => directory(&path),
            "socket" => file(&path, is_socket, "a socket").and_then(|()| directory(&above(&path))),
            _ => Ok(()),
        };
        if let Err(reason) = found {
            warn(setting, &reason, diagnostics);
        }
    }
}

fn warn(setting: &Setting, reason: &str, diagnostics: &mut Diagnostics) {
    let message = format!("the path of `{}` cannot be used", setting.key.value);
    diagnostics.warning(setting.value.span, message).label(reason);
}

fn above(path: &Path) -> std::path::PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata().is_ok_and(|found| found.file_type().is_socket())
}

/// What is there already must be of the right kind.
fn file(path: &Path, is_kind: fn(&Path) -> bool, kind: &str) -> Result<(), String> {
    if path.exists() && !is_kind(path) {
        return Err(format!("`{}` is not {kind}", path.display()));
    }
    Ok(())
}

/// The directory of a file, which nothing makes.
fn parent(path: &Path) -> Result<(), String> {
    let directory = above(path);
    if !directory.exists() {
        return Err(format!("the directory `{}` does not exist", directory.display()));
    }
    writable(&directory)
}

/// A directory that is made if it is missing.
fn directory(path: &Path) -> Result<(), String> {
    path.ancestors().find(|ancestor| ancestor.exists()).map_or(Ok(()), writable)
}

fn writable(path: &Path) -> Result<(), String> {
    if !path.is_dir() {
        return Err(format!("`{}` is not a directory", path.display()));
    }
    let flags = AccessFlags::W_OK | AccessFlags::X_OK;
    access(path, flags).map_err(|error| format!("`{}` is not writable: {}", path.display(), error.desc()))
}
