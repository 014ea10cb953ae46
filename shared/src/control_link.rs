//! The control plane's connection: how a worker that was just started finds its supervisor, and the
//! typed pipes between them afterwards.
//!
//! ```text
//! worker      connects to the name on its command line, and says where it listens itself: one frame ──►
//! supervisor  connects there, and hands over the receiving end of a channel                        ◄──
//! worker      frames over the socket that it has connected      ──► FromWorker
//! supervisor  messages over the channel                         ◄── ToWorker
//! ```
//!
//! The supervisor only ever *sends* over `ipc-channel`. That library believes what a packet's
//! header says of its length: one that was forged lets the receiver allocate as much (a failed
//! allocation ends the process), panic, or read what is not the packet's. A worker may believe its
//! supervisor; the supervisor believes no worker. So what workers say comes in frames (see
//! [`frame`](crate::frame)), which are read here, and of which none is longer than [`LONGEST`].
//!
//! - [`Listener::accept`] has no time limit. When the worker ends before it connects, [`abandon`]
//!   lets it return.
//! - Sending blocks when the peer does not read, for ever: never call it from a loop that must go
//!   on.
//! - There is no descriptor to poll: receive in a thread of its own.

mod from_worker;
mod rendezvous;
mod to_worker;

pub use from_worker::{FromWorkerReceiver, FromWorkerSender, LONGEST};
pub use rendezvous::{Listener, Rendezvous, abandon};
pub use to_worker::{ToWorkerReceiver, ToWorkerSender};

use crate::frame::FrameError;
use from_worker::Whereabouts;
use ipc_channel::IpcError;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
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
    /// What was to be sent is longer than a message may be.
    #[error("a control message is too long")]
    TooLong,
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
            // in the middle of a message too: it was killed while it wrote
            BrokenPipe | ConnectionReset | UnexpectedEof => LinkError::Closed,
            _ => LinkError::System(error),
        }
    }
}

/// The worker's side: connects to the supervisor that listens under `name`, and waits for its
/// answer.
///
/// # Errors
///
/// [`LinkError::System`] when nobody listens there; [`LinkError::Closed`] when it does not want
/// this worker.
pub fn connect(name: &str) -> Result<(FromWorkerSender, ToWorkerReceiver), LinkError> {
    let sender = FromWorkerSender::new(UnixStream::connect(name)?);
    let directory = Path::new(name).parent().unwrap_or(Path::new("/"));
    let (server, own_name) = to_worker::one_shot_server(directory)?;
    sender.send_frame(&Whereabouts { name: own_name })?;
    Ok((sender, to_worker::accept(server)?))
}
