//! Where a worker and its supervisor find each other: for each worker a directory of its own, below
//! a private one of the supervisor. It holds the socket that the worker connects to, and for a
//! moment the one that it listens on itself.

use super::LinkError;
use super::from_worker::{FromWorkerReceiver, WHEREABOUTS, Whereabouts};
use super::to_worker::ToWorkerSender;
use nix::sys::socket::{MsgFlags, recv};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The longest path that the address of a socket has room for.
pub(super) const LONGEST_NAME: usize = 107;

/// What a worker's directory is called, with [`RANDOM`] letters behind it.
const PREFIX: &str = "w-";
const RANDOM: usize = 5;

/// The socket in it.
const SOCKET: &str = "socket";

/// Bytes of the longest path below the private directory: `/w-XXXXX/.tmpXXXXXX/socket`.
const BELOW: usize = 1 + PREFIX.len() + RANDOM + 11 + 1 + SOCKET.len();

/// The place where workers find their supervisor.
#[derive(Debug, Clone)]
pub struct Rendezvous {
    directory: PathBuf,
}

impl Rendezvous {
    /// Uses `directory`, which is made if it is not there, and belongs to this supervisor alone:
    /// what an earlier run left in it for its workers is removed.
    ///
    /// # Errors
    ///
    /// Those of the system; `PermissionDenied` for a directory of another user.
    pub fn new(directory: &Path) -> io::Result<Rendezvous> {
        let directory = std::path::absolute(directory)?;
        make(&directory)?;
        sweep(&directory)?;
        Ok(Rendezvous { directory })
    }

    /// Starts to listen for one worker. The text is the name to give to it.
    ///
    /// # Errors
    ///
    /// Those of the system, and `InvalidFilename` when the directory's path is too long or not
    /// UTF-8.
    pub fn listen(&self) -> io::Result<(Listener, String)> {
        let usable = self.directory.to_str().is_some_and(|path| path.len() + BELOW <= LONGEST_NAME);
        if !usable {
            let message = format!("the path `{}` cannot hold a socket", self.directory.display());
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, message));
        }
        // whoever tidies up temporary files may have removed it from under a show that runs for
        // months
        make(&self.directory)?;
        let directory =
            tempfile::Builder::new().prefix(PREFIX).rand_bytes(RANDOM).tempdir_in(&self.directory)?;
        let path = directory.path().join(SOCKET);
        let socket = UnixListener::bind(&path)?;
        let name = path.to_string_lossy().into_owned();
        Ok((Listener { socket, place: self.directory.clone(), _directory: directory }, name))
    }
}

/// Waits for one worker. Its directory goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    place: PathBuf,
    _directory: TempDir,
}

impl Listener {
    /// Blocks until a worker has connected, or [`abandon`] was called.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when whoever connected went away again without a word; others as named
    /// there.
    pub fn accept(self) -> Result<(ToWorkerSender, FromWorkerReceiver), LinkError> {
        let (socket, _) = self.socket.accept()?;
        let receiver = FromWorkerReceiver::new(socket);
        let Whereabouts { name } = receiver.read(WHEREABOUTS, LONGEST_NAME * 2)?;
        if !Path::new(&name).starts_with(&self.place) {
            return Err(LinkError::Malformed);
        }
        // `ipc-channel` leaves a descriptor open when nobody listens there any more
        if has_gone(receiver.socket()) {
            return Err(LinkError::Closed);
        }
        Ok((ToWorkerSender::connect(name)?, receiver))
    }
}

/// Whether the other end was closed. Nothing can have come over it otherwise: it is our turn.
fn has_gone(socket: &UnixStream) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    !matches!(recv(socket.as_raw_fd(), &mut [0], flags), Err(nix::errno::Errno::EAGAIN))
}

/// Lets an [`accept`](Listener::accept) under this name return with an error. Harmless if it has
/// returned already.
pub fn abandon(name: &str) {
    // whether this connects or not, nobody waits after it
    let _ = UnixStream::connect(name);
}

/// Makes a directory that nobody else may enter.
fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // fails for a directory of another user, and makes sure of the mode of one that was there
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

/// Removes workers' directories, and nothing else that may have come here.
fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_ours =
            name.len() == PREFIX.len() + RANDOM && name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // what cannot be removed is in nobody's way
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}
