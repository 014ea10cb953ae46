//! The control plane's connection: how a worker that was just started finds its supervisor, and the typed pipes
//! between them afterwards.
//!
//! The supervisor listens under a name that it puts on the worker's command line. The worker makes two channels and
//! sends the far ends of both there; after that the name is gone.
//!
//! What to know about the pipes:
//!
//! - [`Listener::accept`] has no time limit. When the worker ends before it connects, [`abandon`] lets it return.
//! - [`Sender::send`] blocks when the peer does not read, for ever: never call it from a loop that must go on.
//! - There is no descriptor to poll: receive in a thread of its own.
//! - What the peer sends can be malformed so that `ipc-channel` panics over it. Receiving turns that into
//!   [`LinkError::Malformed`]; the link is to be given up then.
//! - A packet whose header was forged to claim an absurd length makes `ipc-channel` allocate that much, and a failed
//!   allocation ends the process. Only code that sets out to do it can write such a header.

use crate::control::{FromWorker, ToWorker};
use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect as connect_to, socket};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use thiserror::Error;

mod rendezvous;

pub use rendezvous::Rendezvous;

/// What the worker sends to the supervisor's name.
#[derive(Serialize, Deserialize)]
struct Handshake {
    to_worker: IpcSender<ToWorker>,
    from_worker: IpcReceiver<FromWorker>,
}

/// What can go wrong on a link.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The peer has closed its end, or ended.
    #[error("the other side has closed the control channel")]
    Closed,
    /// What the peer sent is not a message.
    #[error("the other side sent a malformed control message")]
    Malformed,
    /// The system's error.
    #[error("the control channel failed: {0}")]
    System(#[from] io::Error),
}

impl From<IpcError> for LinkError {
    fn from(error: IpcError) -> LinkError {
        match error {
            IpcError::Disconnected => LinkError::Closed,
            IpcError::SerializationError(_) => LinkError::Malformed,
            IpcError::Io(error) if closed(&error) => LinkError::Closed,
            IpcError::Io(error) => LinkError::System(error),
        }
    }
}

fn closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Waits for one worker.
pub struct Listener(IpcOneShotServer<Handshake>);

impl Listener {
    /// Blocks until a worker has connected, or [`abandon`] was called.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when whoever connected went away again without a word; others as named there.
    pub fn accept(self) -> Result<(Sender<ToWorker>, Receiver<FromWorker>), LinkError> {
        let (_, Handshake { to_worker, from_worker }) = guarded(|| self.0.accept())?;
        Ok((Sender(to_worker), Receiver(from_worker)))
    }
}

/// Lets an [`accept`](Listener::accept) under this name return with an error. Harmless if it has returned already.
pub fn abandon(name: &str) {
    // not through `ipc-channel`, which leaves a descriptor open when nobody listens
    let Ok(address) = UnixAddr::new(name) else { return };
    let kind = (AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK);
    if let Ok(socket) = socket(kind.0, kind.1, kind.2, None) {
        // whether this connects or not, nobody waits after it
        let _ = connect_to(socket.as_raw_fd(), &address);
    }
}

/// The worker's side: connects to the supervisor that listens under `name`.
///
/// # Errors
///
/// [`LinkError::System`] when nobody listens there.
pub fn connect(name: &str) -> Result<(Sender<FromWorker>, Receiver<ToWorker>), LinkError> {
    if name.contains('\0') {
        return Err(LinkError::System(io::ErrorKind::InvalidInput.into()));
    }
    let supervisor = IpcSender::<Handshake>::connect(name.to_owned())?;
    let (to_worker, receiver) = ipc::channel()?;
    let (sender, from_worker) = ipc::channel()?;
    supervisor.send(Handshake { to_worker, from_worker })?;
    Ok((Sender(sender), Receiver(receiver)))
}

/// The sending end of one direction.
pub struct Sender<T>(IpcSender<T>);

impl<T: Serialize> Sender<T> {
    /// Sends a message. Blocks while the peer has too many unread.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when nobody will read it; others as named there.
    pub fn send(&self, message: T) -> Result<(), LinkError> {
        Ok(self.0.send(message)?)
    }
}

impl<T: Serialize> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender(self.0.clone())
    }
}

/// The receiving end of one direction.
pub struct Receiver<T>(IpcReceiver<T>);

impl<T> Receiver<T>
where
    T: for<'de> Deserialize<'de> + Serialize,
{
    /// Blocks until there is a message.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] after the last message of a peer that went away; others as named there. None of them
    /// is to be tried again.
    pub fn recv(&self) -> Result<T, LinkError> {
        loop {
            match guarded(|| self.0.recv()) {
                Err(LinkError::System(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                received => return received,
            }
        }
    }
}

/// Runs a function of `ipc-channel` that may panic over what the peer sent. Nothing of it is used again after that.
fn guarded<T>(receive: impl FnOnce() -> Result<T, IpcError>) -> Result<T, LinkError> {
    match catch_unwind(AssertUnwindSafe(receive)) {
        Ok(received) => Ok(received?),
        Err(_) => Err(LinkError::Malformed),
    }
}
