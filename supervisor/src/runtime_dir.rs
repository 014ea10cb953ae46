//! The private directory for what a running show needs in the file system: its sockets.
//!
//! `$XDG_RUNTIME_DIR/mm-supervisor`; without that variable `/run/mm-supervisor` for root and
//! `/tmp/mm-supervisor-UID` for others. Only its owner may enter it. Each running supervisor has a folder of its own
//! there, named after its process, and clears away those whose process is gone.

use nix::sys::stat::Mode;
use nix::unistd::{Pid, Uid, getpid, mkdir};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why there is no private directory.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirError {
    /// It could not be made or entered.
    #[error("cannot use the runtime directory `{}`: {source}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It belongs to somebody else, or others may enter it.
    #[error("the runtime directory `{}` is not private to this user", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
}

/// Where all running shows of this user have their folders.
#[must_use]
pub fn shared_by_shows() -> PathBuf {
    let uid = Uid::effective();
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) if Path::new(&directory).is_absolute() => {
            PathBuf::from(directory).join("mm-supervisor")
        }
        _ if uid.is_root() => PathBuf::from("/run/mm-supervisor"),
        _ => std::env::temp_dir().join(format!("mm-supervisor-{uid}")),
    }
}

/// The folder of this process; it is removed when dropped.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
}

impl RuntimeDir {
    /// Makes the folder, and clears away what supervisors that no longer run have left.
    ///
    /// # Errors
    ///
    /// The directory cannot be made, or is not private to this user.
    pub fn create() -> Result<Self, RuntimeDirError> {
        let base = shared_by_shows();
        private(&base)?;
        clear_leftovers(&base);
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
        // whatever is left is cleared away by the next start
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes a directory that only its owner may enter, or checks that it is one.
fn private(path: &Path) -> Result<(), RuntimeDirError> {
    let unusable = |source: io::Error| RuntimeDirError::Unusable { path: path.to_owned(), source };
    match mkdir(path, Mode::S_IRWXU) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(error) => return Err(unusable(error.into())),
    }
    // not followed, so that a link laid there by somebody else is seen for what it is
    let found = fs::symlink_metadata(path).map_err(unusable)?;
    let owned = found.is_dir() && found.uid() == Uid::effective().as_raw();
    if !owned || found.permissions().mode() & 0o077 != 0 {
        return Err(RuntimeDirError::NotPrivate { path: path.to_owned() });
    }
    Ok(())
}

fn clear_leftovers(base: &Path) {
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
