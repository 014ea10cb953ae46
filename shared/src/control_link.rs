//! The control plane's connection: the typed channels between a worker and its supervisor, and how
//! the second one is made.
//!
//! ```text
//! worker      frames over a pipe that it inherits: `Hello` with the address where it listens ──► FromWorker
//! supervisor  connects there, and hands over the receiving end of an `ipc-channel`             ◄──
//! supervisor  messages over that channel                                                       ◄── ToWorker
//! ```
//!
//! The supervisor only ever *sends* over `ipc-channel`. That library believes what a packet's
//! header states as its length: a forged one makes the receiver allocate as much (a failed
//! allocation ends the process), panic, or read what is not the packet's. A worker may believe its
//! supervisor; the supervisor believes no worker. So messages from workers come in frames (see
//! [`frame`](crate::frame)), which are read here, and of which none is longer than [`LONGEST`].
//!
//! - [`FromWorkerReceiver`] never blocks and has a descriptor to poll: it is for the supervisor's
//!   event loop.
//! - [`ToWorkerConnector::connect`] works in the file system and [`ToWorkerSender::send`] makes
//!   memory files: they are for a thread. Neither waits for the worker, as long as the sender's limits are
//!   kept.
//! - [`ToWorkerReceiver`] has no descriptor to poll: receive in a thread of its own.

mod connector;
mod from_worker;
mod to_worker;

pub use connector::ToWorkerConnector;
pub use from_worker::{FromWorkerReceiver, FromWorkerSender, LONGEST, TEXT_LIMIT, pair};
pub use to_worker::{MESSAGES_PER_LIFE, ToWorkerListener, ToWorkerReceiver, ToWorkerSender};

use crate::frame::FrameError;
use ipc_channel::IpcError;
use std::io;
use thiserror::Error;

/// What can go wrong on a link.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The peer has closed its end, or ended.
    #[error("the other side has closed the control channel")]
    Closed,
    /// What the peer sent is not a message.
    #[error("the other side sent a malformed control message")]
    Malformed,
    /// The message is longer than a message may be.
    #[error("a control message is too long")]
    TooLong,
    /// More messages than a worker is ever sent.
    #[error("too many control messages")]
    TooMany,
    /// The worker's socket has a full queue: it does not accept the supervisor's connection.
    #[error("its socket for the control channel accepts no connection")]
    QueueFull,
    /// The system's error.
    #[error("the control channel failed: {0}")]
    System(#[from] io::Error),
}

impl From<IpcError> for LinkError {
    fn from(error: IpcError) -> LinkError {
        match error {
            IpcError::Disconnected => LinkError::Closed,
            IpcError::SerializationError(_) => LinkError::Malformed,
            IpcError::Io(error) => LinkError::of(error),
        }
    }
}

impl From<FrameError> for LinkError {
    fn from(_: FrameError) -> LinkError {
        LinkError::Malformed
    }
}

impl LinkError {
    fn of(error: io::Error) -> LinkError {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match error.kind() {
            // Also in the middle of a message: the worker was killed while it wrote.
            BrokenPipe | ConnectionReset | UnexpectedEof => LinkError::Closed,
            _ => LinkError::System(error),
        }
    }
}
