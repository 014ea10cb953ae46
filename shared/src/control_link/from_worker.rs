//! Messages from the worker: frames over a pipe that it inherits. The supervisor trusts neither
//! their length nor their content, and never waits for the rest of a frame.
//!
//! It is a pipe, because a socket carries descriptors too. The kernel closes those that are not
//! received, and it does so in the process that reads: a worker that sent a TCP socket with
//! `SO_LINGER` could make the supervisor's event loop wait for minutes.

use super::LinkError;
use crate::control::{FromWorker, PROTOCOL};
use crate::frame::{self, HEADER, Kind};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Most bytes of a message that is little more than one run of bytes, so that decoding it costs no
/// more than a copy: lists of files, and sets of channels.
pub const LONGEST: usize = 4 << 20;

/// Most bytes of any other message. The longest that a worker sends are tracebacks, which it cuts.
/// Decoding one takes some ten microseconds of the event loop's time.
pub const TEXT_LIMIT: usize = 256 << 10;

/// The first byte of a [`FromWorker::Sources`] and of a [`FromWorker::Ready`]: bincode begins with
/// the number of the variant.
const RUNS_OF_BYTES: [u8; 2] = [1, 2];

/// The most bytes that a pipe takes in one piece.
const PIPE_BUF: usize = 4096;

/// A [`FromWorker`].
const MESSAGE: Kind = Kind { magic: *b"MMfw", version: PROTOCOL };

/// Makes the supervisor's end, and the descriptor that the worker inherits.
///
/// # Errors
///
/// The process has no descriptor left.
pub fn pair() -> io::Result<(FromWorkerReceiver, OwnedFd)> {
    let (ours, theirs) = io::pipe()?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((FromWorkerReceiver { pipe: ours, frame: Vec::new() }, theirs.into()))
}

/// How long a message may be that begins with this byte.
fn limit(kind: u8) -> usize {
    if RUNS_OF_BYTES.contains(&kind) { LONGEST } else { TEXT_LIMIT }
}

/// The worker's end.
#[derive(Debug)]
pub struct FromWorkerSender(PipeWriter);

impl From<OwnedFd> for FromWorkerSender {
    fn from(pipe: OwnedFd) -> FromWorkerSender {
        FromWorkerSender(pipe.into())
    }
}

impl FromWorkerSender {
    /// Sends a message. Blocks while the supervisor has too many unread.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when the supervisor will not read it, [`LinkError::TooLong`] when it
    /// could not.
    pub fn send(&self, message: &FromWorker) -> Result<(), LinkError> {
        let frame = frame::encode(MESSAGE, message)?;
        if frame.len() > HEADER + frame.get(HEADER).map_or(LONGEST, |kind| limit(*kind)) {
            return Err(LinkError::TooLong);
        }
        (&self.0).write_all(&frame).map_err(LinkError::of)
    }

    /// Sends a message if that does not block; false: nothing of it was sent. The caller is the
    /// only one that writes in the meantime.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when the supervisor will not read it.
    pub fn try_send(&self, message: &FromWorker) -> Result<bool, LinkError> {
        let frame = frame::encode(MESSAGE, message)?;
        // A pipe that is writable has room for this many bytes at least (pipe(7), `PIPE_BUF`).
        if frame.len() > PIPE_BUF || !self.is_writable() {
            return Ok(false);
        }
        (&self.0).write_all(&frame).map_err(LinkError::of)?;
        Ok(true)
    }

    fn is_writable(&self) -> bool {
        let mut set = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        let ready = poll(&mut set, PollTimeout::ZERO).unwrap_or(0);
        ready > 0 && set[0].revents().is_some_and(|flags| flags.contains(PollFlags::POLLOUT))
    }
}

/// The supervisor's end. It is non-blocking, and the worker cannot change that: each end has its
/// own open file.
#[derive(Debug)]
pub struct FromWorkerReceiver {
    pipe: PipeReader,
    /// As much of the next frame as has come.
    frame: Vec<u8>,
}

impl FromWorkerReceiver {
    /// The next message; `None` if it is not there yet. Reads at most `budget` bytes, and takes
    /// them off it.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] after the last message of a worker that went away,
    /// [`LinkError::Malformed`] for bytes that are not a message. After an error nothing more is to
    /// be read.
    pub fn try_recv(&mut self, budget: &mut usize) -> Result<Option<FromWorker>, LinkError> {
        if !self.fill(HEADER, budget)? {
            return Ok(None);
        }
        let length = frame::payload_length(MESSAGE, LONGEST, &self.frame[..HEADER])?;
        if length > TEXT_LIMIT {
            if !self.fill(HEADER + 1, budget)? {
                return Ok(None);
            }
            if length > limit(self.frame[HEADER]) {
                return Err(LinkError::Malformed);
            }
        }
        if !self.fill(HEADER + length, budget)? {
            return Ok(None);
        }
        let message = frame::decode(MESSAGE, LONGEST, &self.frame)?;
        // The memory of a long frame is given back.
        self.frame = Vec::new();
        Ok(Some(message))
    }

    /// Whether the worker has closed its end, or ended.
    pub fn is_closed(&self) -> bool {
        let mut set = [PollFd::new(self.pipe.as_fd(), PollFlags::empty())];
        let ready = poll(&mut set, PollTimeout::ZERO).unwrap_or(0);
        ready > 0 && set[0].revents().is_some_and(|flags| flags.contains(PollFlags::POLLHUP))
    }

    /// Reads until the frame is `length` bytes long; false: the rest has not come, or the budget is
    /// used up. Memory is taken as bytes come, not as a header claims.
    fn fill(&mut self, length: usize, budget: &mut usize) -> Result<bool, LinkError> {
        let before = self.frame.len();
        let Some(missing) = length.checked_sub(before).filter(|missing| *missing > 0) else {
            return Ok(true);
        };
        let wanted = missing.min(*budget);
        let outcome = (&self.pipe).take(wanted as u64).read_to_end(&mut self.frame);
        let read = self.frame.len() - before;
        *budget -= read;
        match outcome {
            Ok(_) if read == missing => Ok(true),
            Ok(_) if read == wanted => Ok(false),
            Ok(_) => Err(LinkError::Closed),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(LinkError::of(error)),
        }
    }
}

impl AsFd for FromWorkerReceiver {
    /// Readable (to be watched by level) when there is something to receive.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::BitSet;

    #[test]
    fn the_messages_that_may_be_long_are_those_that_are_one_run_of_bytes() {
        let kind = |message| frame::encode(MESSAGE, &message).expect("small")[HEADER];
        let runs = [FromWorker::Sources(Vec::new()), FromWorker::Ready { handled: BitSet::default() }];
        assert_eq!(runs.map(kind), RUNS_OF_BYTES);
        assert_eq!(limit(kind(FromWorker::Warning(String::new()))), TEXT_LIMIT);
    }
}
