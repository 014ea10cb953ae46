//! Where the names of listeners are: a private directory of the supervisor.
//!
//! `ipc-channel` makes, for each listener, a directory with a socket in it where temporary files go, readable for
//! everybody. Here temporary files go into a directory that nobody else may enter. That choice holds for the whole
//! process and is made once; the environment, which scripts inherit, stays as it is.

use super::{Handshake, Listener};
use ipc_channel::ipc::IpcOneShotServer;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The longest path that the address of a socket has room for; `ipc-channel` would cut a longer one off.
const LONGEST_NAME: usize = 107;

/// The place where workers find their supervisor.
#[derive(Debug, Clone)]
pub struct Rendezvous {
    directory: PathBuf,
}

impl Rendezvous {
    /// Uses `directory`, which is made if it is not there, and belongs to this supervisor alone: listeners that an
    /// earlier run left in it are removed.
    ///
    /// # Errors
    ///
    /// Those of the system; `PermissionDenied` for a directory of another user; `AlreadyExists` when this process
    /// has chosen another directory before.
    pub fn new(directory: &Path) -> io::Result<Rendezvous> {
        let directory = std::path::absolute(directory)?;
        let first = match tempfile::env::override_temp_dir(&directory) {
            Ok(()) => true,
            Err(chosen) if chosen == directory => false,
            Err(chosen) => {
                let message = format!("this process listens in `{}` already", chosen.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
            }
        };
        make(&directory)?;
        if first {
            sweep(&directory)?;
        }
        Ok(Rendezvous { directory })
    }

    /// Starts to listen for one worker. The text is the name to give to it.
    ///
    /// # Errors
    ///
    /// Those of the system, and `InvalidFilename` when the directory's path is too long or not UTF-8.
    pub fn listen(&self) -> io::Result<(Listener, String)> {
        // `/.tmpXXXXXX/socket` follows; checked here because beyond this point it would be cut off silently
        let usable = self.directory.to_str().is_some_and(|path| path.len() + 18 <= LONGEST_NAME);
        if !usable {
            let message = format!("the path `{}` cannot hold a socket", self.directory.display());
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, message));
        }
        // whoever tidies up temporary files may have removed it from under a show that runs for months
        make(&self.directory)?;
        let (server, name) = one_shot_server()?;
        Ok((Listener(server), name))
    }
}

/// `ipc-channel` panics where it cannot make its directory in ours, for want of space for instance.
fn one_shot_server() -> io::Result<(IpcOneShotServer<Handshake>, String)> {
    let made = catch_unwind(AssertUnwindSafe(IpcOneShotServer::new));
    made.map_err(|_| io::Error::other("no socket can be made in the runtime directory"))?
}

/// Makes a directory that nobody else may enter.
fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // fails for a directory of another user, and makes sure of the mode of one that was there
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

/// Removes listeners' directories, and nothing else that may have come here.
fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
            // what is not a listener's keeps its content and is left alone
            let _ = fs::remove_file(entry.path().join("socket"));
            let _ = fs::remove_dir(entry.path());
        }
    }
    Ok(())
}
