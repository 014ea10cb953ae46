//! What a worker says: frames over a socket. Whoever reads them trusts neither their length nor
//! what they hold.

use super::LinkError;
use crate::control::{FromWorker, PROTOCOL};
use crate::frame::{self, HEADER, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// Most bytes of a message; the longest that a worker has to send are lists of files, and
/// tracebacks, which it cuts.
pub const LONGEST: usize = 4 << 20;

/// Where a worker listens.
pub(super) const WHEREABOUTS: Kind = Kind { magic: *b"MMwh", version: PROTOCOL };

/// A [`FromWorker`].
const MESSAGE: Kind = Kind { magic: *b"MMfw", version: PROTOCOL };

/// What a worker says first.
#[derive(Serialize, Deserialize)]
pub(super) struct Whereabouts {
    /// The path of the socket where it waits for its channel.
    pub name: String,
}

/// The worker's end.
#[derive(Debug)]
pub struct FromWorkerSender(UnixStream);

impl FromWorkerSender {
    pub(super) fn new(socket: UnixStream) -> FromWorkerSender {
        FromWorkerSender(socket)
    }

    /// Sends a message. Blocks while the supervisor has too many unread.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when nobody will read it, [`LinkError::TooLong`] for one that nobody
    /// would; others as named there.
    pub fn send(&self, message: &FromWorker) -> Result<(), LinkError> {
        self.write(MESSAGE, message)
    }

    pub(super) fn send_frame(&self, whereabouts: &Whereabouts) -> Result<(), LinkError> {
        self.write(WHEREABOUTS, whereabouts)
    }

    fn write<T: Serialize>(&self, kind: Kind, value: &T) -> Result<(), LinkError> {
        let frame = frame::encode(kind, value)?;
        if frame.len() > HEADER + LONGEST {
            return Err(LinkError::TooLong);
        }
        (&self.0).write_all(&frame).map_err(LinkError::of)
    }
}

/// The supervisor's end.
#[derive(Debug)]
pub struct FromWorkerReceiver(UnixStream);

impl FromWorkerReceiver {
    pub(super) fn new(socket: UnixStream) -> FromWorkerReceiver {
        FromWorkerReceiver(socket)
    }

    /// Blocks until there is a message.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] after the last message of a worker that went away; others as named
    /// there. None of them is to be tried again.
    pub fn recv(&self) -> Result<FromWorker, LinkError> {
        self.read(MESSAGE, LONGEST)
    }

    pub(super) fn socket(&self) -> &UnixStream {
        &self.0
    }

    /// Reads a frame. What it claims to be long is only believed as far as it has come.
    pub(super) fn read<T: DeserializeOwned>(&self, kind: Kind, limit: usize) -> Result<T, LinkError> {
        let mut frame = Vec::with_capacity(1024);
        self.read_to(&mut frame, HEADER)?;
        let length = frame::payload_length(kind, limit, &frame)?;
        self.read_to(&mut frame, length)?;
        Ok(frame::decode(kind, limit, &frame)?)
    }

    /// Adds exactly so many bytes.
    fn read_to(&self, frame: &mut Vec<u8>, count: usize) -> Result<(), LinkError> {
        let read = (&self.0).take(count as u64).read_to_end(frame).map_err(LinkError::of)?;
        if read < count { Err(LinkError::Closed) } else { Ok(()) }
    }
}
