//! The private directory for what a running show needs in the file system: its sockets.
//!
//! `$XDG_RUNTIME_DIR/mm-supervisor`; without that variable, or where it names a directory that does
//! not exist, `/run/mm-supervisor` for root and `/tmp/mm-supervisor-UID` for others, or
//! `~/.mm-supervisor` where another user has made that one. Only its owner may enter it. Each running supervisor has a folder of its own there, named after its process,
//! and removes those whose process is gone.

use nix::unistd::{Pid, Uid, getpid};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why there is no private directory.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirError {
    /// It could not be made or entered.
    #[error("cannot use the runtime directory `{}`: {source}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It belongs to another user, or others may enter it.
    #[error("the runtime directory `{}` is not private to this user", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
}

impl RuntimeDirError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "set `XDG_RUNTIME_DIR` to a directory that only this user may enter"
    }
}

/// The directory in which shows of this user have their folders and sockets from now on.
#[must_use]
pub fn shared_by_shows() -> PathBuf {
    let mut places = all_shared_by_shows();
    let usable = places.iter().position(|place| !is_foreign(place)).unwrap_or(0);
    places.swap_remove(usable)
}

/// The directories in which running shows of this user may have their folders and sockets; there is
/// at least one.
#[must_use]
pub fn all_shared_by_shows() -> Vec<PathBuf> {
    let uid = Uid::effective();
    match xdg_runtime_dir() {
        Some(directory) if directory.is_dir() => vec![directory.join("mm-supervisor")],
        _ if uid.is_root() => vec![PathBuf::from("/run/mm-supervisor")],
        _ => {
            let temporary = std::env::temp_dir().join(format!("mm-supervisor-{uid}"));
            let at_home = std::env::home_dir().filter(|home| home.is_absolute());
            let at_home = at_home.map(|home| home.join(".mm-supervisor"));
            std::iter::once(temporary).chain(at_home).collect()
        }
    }
}

/// Whether a directory is there that is not private to this user. A link is not followed: another
/// user may have put it there.
fn is_foreign(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !is_private(&found))
}

fn is_private(found: &fs::Metadata) -> bool {
    let owned = found.is_dir() && found.uid() == Uid::effective().as_raw();
    owned && found.permissions().mode() & 0o077 == 0
}

fn xdg_runtime_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|directory| directory.is_absolute())
}

/// Makes a directory, and the missing ones above it, for its owner alone. One that exists stays as
/// it is.
///
/// # Errors
///
/// Those of the system.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The folder of this process; it is removed when dropped.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
}

impl RuntimeDir {
    /// Makes the folder, and removes what supervisors that no longer run have left.
    ///
    /// # Errors
    ///
    /// The directory cannot be made, or is not private to this user.
    pub fn create() -> Result<Self, RuntimeDirError> {
        let base = shared_by_shows();
        if let Some(missing) = xdg_runtime_dir().filter(|directory| !directory.is_dir()) {
            tracing::warn!(
                event = "runtime_dir_missing",
                "`XDG_RUNTIME_DIR` is `{}`, which does not exist; using `{}`",
                missing.display(),
                base.display()
            );
        }
        let others = all_shared_by_shows();
        for foreign in others.iter().take_while(|place| **place != base) {
            tracing::warn!(
                event = "runtime_dir_foreign",
                "`{}` is not private to this user; using `{}`",
                foreign.display(),
                base.display()
            );
        }
        private(&base)?;
        remove_leftovers(&base);
        let path = base.join(format!("run-{}", getpid()));
        private(&path)?;
        Ok(Self { path })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        // whatever is left is removed by the next start
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes a private directory, or checks that it is one.
fn private(path: &Path) -> Result<(), RuntimeDirError> {
    let unusable = |source: io::Error| RuntimeDirError::Unusable { path: path.to_owned(), source };
    create_private_dir(path).map_err(unusable)?;
    if !is_private(&fs::symlink_metadata(path).map_err(unusable)?) {
        return Err(RuntimeDirError::NotPrivate { path: path.to_owned() });
    }
    Ok(())
}

fn remove_leftovers(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("run-")).and_then(|pid| pid.parse().ok());
        let Some(pid) = pid else { continue };
        // this process has just begun, so a folder with its number is an earlier one's
        let gone = Pid::from_raw(pid) == getpid()
            || nix::sys::signal::kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH);
        if gone {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
