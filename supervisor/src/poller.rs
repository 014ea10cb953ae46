//! The supervisor's one blocking call, and the closed list of what can end it.

use crate::ids::WorkerId;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);

/// How many wake-ups one wait takes in; more wait for the next.
const BATCH: usize = 128;

/// Why the loop woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A signal came.
    Signal,
    /// A thread of the supervisor has sent a message.
    Mailbox,
    /// A descriptor of a backend is readable.
    Backend {
        /// Which backend.
        index: u32,
        /// Which of its descriptors.
        token: u32,
    },
    /// The worker of an incarnation has put events into its ring, or has made space in ours.
    Bell(WorkerId),
}

const SIGNAL: u64 = 0;
const MAILBOX: u64 = 1;
const BACKEND: u64 = 2;
const BELL: u64 = 3;

/// Bits of a key that hold what the kind of wake-up refers to.
const SUBJECT_BITS: u32 = 56;
/// Bits of a backend's subject that hold the token.
const TOKEN_BITS: u32 = 28;

impl Wake {
    fn key(self) -> u64 {
        let (kind, subject) = match self {
            Wake::Signal => (SIGNAL, 0),
            Wake::Mailbox => (MAILBOX, 0),
            Wake::Backend { index, token } => (BACKEND, u64::from(index) << TOKEN_BITS | u64::from(token)),
            Wake::Bell(worker) => (BELL, worker.0),
        };
        kind << SUBJECT_BITS | subject
    }

    fn from_key(key: u64) -> Option<Wake> {
        let subject = key & ((1 << SUBJECT_BITS) - 1);
        match key >> SUBJECT_BITS {
            SIGNAL => Some(Wake::Signal),
            MAILBOX => Some(Wake::Mailbox),
            BACKEND => Some(Wake::Backend {
                index: u32::try_from(subject >> TOKEN_BITS).ok()?,
                token: (subject & ((1 << TOKEN_BITS) - 1)) as u32,
            }),
            BELL => Some(Wake::Bell(WorkerId(subject))),
            _ => None,
        }
    }
}

/// How a descriptor is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// Reported as long as there is something to read.
    Level,
    /// Reported once for each time that something was written; for eventfds, which then need no reading.
    Edge,
}

/// Waits for any of the watched descriptors.
pub struct Poller {
    epoll: Epoll,
    events: [EpollEvent; BATCH],
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    ///
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?, events: [EpollEvent::empty(); BATCH] })
    }

    /// Watches `descriptor` for reading and reports it as `wake`.
    ///
    /// # Errors
    ///
    /// The descriptor is watched already, or the system's limit is reached.
    pub fn watch(&self, descriptor: impl AsFd, trigger: Trigger, wake: Wake) -> io::Result<()> {
        let flags = match trigger {
            Trigger::Level => EpollFlags::EPOLLIN,
            Trigger::Edge => EpollFlags::EPOLLIN | EpollFlags::EPOLLET,
        };
        Ok(self.epoll.add(descriptor, EpollEvent::new(flags, wake.key()))?)
    }

    /// Ends watching. Needed before a descriptor is closed that a process still shares.
    pub fn forget(&self, descriptor: impl AsFd) {
        // a descriptor that is not watched is what the caller wants
        let _ = self.epoll.delete(descriptor);
    }

    /// Waits until something happens or `timeout` is over; `None` waits for ever. Adds to `wakes`.
    ///
    /// # Errors
    ///
    /// The system refuses to wait; an interruption by a signal is none.
    pub fn wait(&mut self, timeout: Option<Duration>, wakes: &mut Vec<Wake>) -> io::Result<()> {
        let timeout = match timeout {
            Some(short) if !short.is_zero() && short < MILLISECOND => {
                self.nap(short);
                EpollTimeout::ZERO
            }
            other => other.map_or(EpollTimeout::NONE, milliseconds),
        };
        match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => {
                wakes.extend(self.events[..count].iter().filter_map(|event| Wake::from_key(event.data())));
                Ok(())
            }
            Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for less than a millisecond, of which epoll's own wait knows nothing on older kernels.
    fn nap(&self, time: Duration) {
        let mut set = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        // whatever comes of it, the look that follows says what there is
        let _ = ppoll(&mut set, Some(TimeSpec::from_duration(time)), None);
    }
}

/// A duration in whole milliseconds, rounded up, so that a deadline has really come when the wait ends.
pub(crate) fn milliseconds(timeout: Duration) -> EpollTimeout {
    let rounded = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
    EpollTimeout::try_from(rounded as i32).unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wake_up_survives_its_way_through_the_kernel() {
        let wakes = [
            Wake::Signal,
            Wake::Mailbox,
            Wake::Backend { index: 300, token: 70_000 },
            Wake::Bell(WorkerId(1 << 40)),
        ];
        for wake in wakes {
            assert_eq!(Wake::from_key(wake.key()), Some(wake));
        }
    }

    #[test]
    fn a_deadline_is_never_waited_for_too_short() {
        assert_eq!(milliseconds(Duration::from_micros(1)), EpollTimeout::from(1_u8));
        assert_eq!(milliseconds(Duration::ZERO), EpollTimeout::ZERO);
        assert_eq!(milliseconds(Duration::MAX), EpollTimeout::MAX);
    }
}
