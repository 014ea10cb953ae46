//! One connection to a running show: a request out, replies in.

use super::super::connect::SocketPeer;
use super::super::protocol::{ControlReply, ControlRequest, write_line};
use super::ClientError;
use super::text::clean;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long a show may take for what it answers at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A reply that is longer than this is none.
const LONGEST_REPLY: u64 = 64 * 1024 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Exchange {
    reader: BufReader<UnixStream>,
}

impl Exchange {
    pub(super) fn new(peer: SocketPeer) -> Self {
        Self { reader: BufReader::new(peer.stream) }
    }

    /// Sends a request and waits for the reply, no longer than `patience` where there is any.
    pub(super) fn ask(
        &mut self,
        request: &ControlRequest,
        patience: Option<Duration>,
    ) -> Result<ControlReply, ClientError> {
        let mut line = Vec::new();
        write_line(&mut line, request);
        let stream = self.reader.get_mut();
        stream.set_read_timeout(patience).map_err(ClientError::Talk)?;
        // a show that has refused this client, and said why, does not read what it is sent
        let written = stream.write_all(&line);
        match (self.next(), written) {
            (Err(ClientError::Ended), Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
                Err(ClientError::Talk(error))
            }
            (reply, _) => reply,
        }
    }

    /// Waits for the next reply.
    pub(super) fn next(&mut self) -> Result<ControlReply, ClientError> {
        let mut line = Vec::new();
        let count = loop {
            match (&mut self.reader).take(LONGEST_REPLY).read_until(b'\n', &mut line) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match count {
            Err(error) => Err(failed(error)),
            Ok(_) if line.last() != Some(&b'\n') => Err(ClientError::Ended),
            Ok(_) => {
                serde_json::from_slice(&line).map_err(|error| ClientError::Garbled(clean(&error.to_string())))
            }
        }
    }

    /// Whether a part of the next reply is here already.
    pub(super) fn has_more(&self) -> bool {
        !self.reader.buffer().is_empty()
    }

    pub(super) fn stream(&self) -> &UnixStream {
        self.reader.get_ref()
    }
}

fn failed(error: io::Error) -> ClientError {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Silent,
        ErrorKind::ConnectionReset => ClientError::Ended,
        _ => ClientError::Talk(error),
    }
}
