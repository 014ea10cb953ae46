//! What a client is still to be sent.

use super::protocol::{Reply, write_line};
use std::io::{self, ErrorKind, Write};

/// Lines that wait for their client to read.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

/// An outbox with more than this takes nothing more from a client or for a monitor.
const FULL: usize = 64 * 1024;

/// The memory that an empty outbox keeps.
const KEPT: usize = 2 * FULL;

impl Outbox {
    pub(super) fn push(&mut self, reply: &Reply) {
        write_line(&mut self.bytes, reply);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.written >= FULL
    }

    /// Writes as much as the client takes now; says whether that was anything.
    pub(super) fn write_to(&mut self, client: &mut impl Write) -> io::Result<bool> {
        let before = self.written;
        while self.written < self.bytes.len() {
            match client.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let progress = self.written > before;
        self.bytes.drain(..self.written);
        self.written = 0;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
        }
        Ok(progress)
    }
}
