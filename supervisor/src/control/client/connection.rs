//! A connection to a running show: sends requests, receives replies.

use super::super::connect::SocketPeer;
use super::super::protocol::{ControlReply, ControlRequest, write_line};
use super::ClientError;
use super::text::clean;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long a show may take for what it answers at once.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest reply, in bytes.
const REPLY_LIMIT: u64 = 64 * 1024 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct ShowConnection {
    reader: BufReader<UnixStream>,
}

impl ShowConnection {
    pub(super) fn new(peer: SocketPeer) -> Self {
        Self { reader: BufReader::new(peer.stream) }
    }

    /// Sends a request and waits for the reply, for at most `timeout` if there is one.
    pub(super) fn request(
        &mut self,
        request: &ControlRequest,
        timeout: Option<Duration>,
    ) -> Result<ControlReply, ClientError> {
        let mut line = Vec::new();
        write_line(&mut line, request);
        let stream = self.reader.get_mut();
        stream.set_read_timeout(timeout).map_err(ClientError::Io)?;
        // a show that has refused this client, and sent the reason, does not read its request
        let written = stream.write_all(&line);
        match (self.next(), written) {
            (Err(ClientError::Ended), Err(error)) if error.kind() != ErrorKind::BrokenPipe => {
                Err(ClientError::Io(error))
            }
            (reply, _) => reply,
        }
    }

    /// Waits for the next reply.
    pub(super) fn next(&mut self) -> Result<ControlReply, ClientError> {
        let mut line = Vec::new();
        let count = loop {
            match (&mut self.reader).take(REPLY_LIMIT).read_until(b'\n', &mut line) {
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

    /// Whether a part of the next reply has been received already.
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
        _ => ClientError::Io(error),
    }
}
