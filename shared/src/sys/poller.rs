//! Waiting for descriptors: the one wrapper of `epoll` that all event loops here use.
//!
//! Each descriptor is watched under a key of the caller's type, which comes back when the
//! descriptor is ready. A wait never ends before its timeout, and not a millisecond after it either:
//! what `epoll_wait` cannot express is waited for in another way.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The most ready descriptors that one wait reports; more are reported by the next.
const BATCH: usize = 128;

const MILLISECOND: Duration = Duration::from_millis(1);
const NANOS_PER_MILLI: u32 = 1_000_000;

/// What a descriptor is watched under. The kernel keeps it as one number.
pub trait PollKey: Sized {
    /// The key as a number.
    fn to_u64(self) -> u64;

    /// The key behind a number that [`PollKey::to_u64`] returned; `None` for any other number.
    fn from_u64(number: u64) -> Option<Self>;
}

/// What a descriptor is watched for, and how often it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Reported as long as there is something to read.
    Read,
    /// Reported once each time that something was written: for doorbells, which need no reading
    /// then, and processes.
    ReadEdge,
    /// Reported as long as there is room to write.
    Write,
    /// Reported as long as there is something to read, or room to write.
    ReadWrite,
}

impl Interest {
    fn flags(self) -> EpollFlags {
        match self {
            Interest::Read => EpollFlags::EPOLLIN,
            Interest::ReadEdge => EpollFlags::EPOLLIN | EpollFlags::EPOLLET,
            Interest::Write => EpollFlags::EPOLLOUT,
            Interest::ReadWrite => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
        }
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// A descriptor is ready, or the time is over.
    Done,
    /// A signal came.
    Interrupted,
}

/// Waits for any of the watched descriptors. Errors and hang-ups are reported like readiness,
/// whatever the interest.
pub struct Poller<K> {
    epoll: Epoll,
    events: [EpollEvent; BATCH],
    key: PhantomData<fn() -> K>,
}

impl<K: PollKey> Poller<K> {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    ///
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Poller<K>> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Poller { epoll, events: [EpollEvent::empty(); BATCH], key: PhantomData })
    }

    /// Watches `descriptor` and reports it as `key`.
    ///
    /// # Errors
    ///
    /// The descriptor is watched already, cannot be watched (a regular file), or the system's limit
    /// is reached.
    pub fn watch(&self, descriptor: impl AsFd, interest: Interest, key: K) -> io::Result<()> {
        Ok(self.epoll.add(descriptor, EpollEvent::new(interest.flags(), key.to_u64()))?)
    }

    /// Changes what a watched descriptor is watched for, and its key.
    ///
    /// # Errors
    ///
    /// The descriptor is not watched.
    pub fn change(&self, descriptor: impl AsFd, interest: Interest, key: K) -> io::Result<()> {
        Ok(self.epoll.modify(descriptor, &mut EpollEvent::new(interest.flags(), key.to_u64()))?)
    }

    /// Ends watching. Needed before a descriptor is closed whose open file another process, or a
    /// clone, shares.
    pub fn forget(&self, descriptor: impl AsFd) {
        // A descriptor that is not watched is what the caller wants.
        let _ = self.epoll.delete(descriptor);
    }

    /// Waits until a descriptor is ready or `timeout` is over; `None` waits without limit. Adds to
    /// `ready`.
    ///
    /// # Errors
    ///
    /// The system refuses to wait. An interruption by a signal is not an error.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<K>) -> io::Result<Waited> {
        let Some(timeout) = timeout.filter(|timeout| timeout.subsec_nanos() % NANOS_PER_MILLI != 0) else {
            return self.wait_whole(timeout.map_or(EpollTimeout::NONE, milliseconds), ready);
        };
        let (start, before) = (Instant::now(), ready.len());
        if timeout >= MILLISECOND {
            let waited = self.wait_whole(milliseconds(timeout), ready)?;
            if waited == Waited::Interrupted || ready.len() > before {
                return Ok(waited);
            }
        }
        self.nap(timeout.saturating_sub(start.elapsed()));
        self.wait_whole(EpollTimeout::ZERO, ready)
    }

    fn wait_whole(&mut self, timeout: EpollTimeout, ready: &mut Vec<K>) -> io::Result<Waited> {
        match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => {
                ready.extend(self.events[..count].iter().filter_map(|event| K::from_u64(event.data())));
                Ok(Waited::Done)
            }
            Err(Errno::EINTR) => Ok(Waited::Interrupted),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for about a millisecond at most, which `epoll_wait` cannot express (`epoll_pwait2` needs
    /// Linux 5.11).
    fn nap(&self, time: Duration) {
        let mut set = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        // Whatever the outcome, the wait that follows returns what is ready.
        let _ = ppoll(&mut set, Some(TimeSpec::from_duration(time)), None);
    }
}

impl<K> AsFd for Poller<K> {
    /// Readable while a watched descriptor is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl<K> fmt::Debug for Poller<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

/// The whole milliseconds of a duration.
fn milliseconds(timeout: Duration) -> EpollTimeout {
    let rounded = timeout.as_millis().min(i32::MAX as u128);
    EpollTimeout::try_from(rounded as i32).unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Doorbell;

    impl PollKey for u64 {
        fn to_u64(self) -> u64 {
            self
        }

        fn from_u64(number: u64) -> Option<u64> {
            Some(number)
        }
    }

    fn ready(poller: &mut Poller<u64>) -> Vec<u64> {
        let mut ready = Vec::new();
        poller.wait(Some(Duration::ZERO), &mut ready).expect("it may wait");
        ready
    }

    #[test]
    fn a_deadline_is_never_waited_for_too_short() {
        let mut poller: Poller<u64> = Poller::new().expect("a descriptor");
        for micros in [0, 1, 999, 1_000, 1_001, 2_999, 7_500] {
            let (start, timeout) = (Instant::now(), Duration::from_micros(micros));
            poller.wait(Some(timeout), &mut Vec::new()).expect("it may wait");
            assert!(start.elapsed() >= timeout, "{micros}");
        }
        assert_eq!(milliseconds(Duration::from_micros(1_999)), EpollTimeout::from(1_u8));
        assert_eq!(milliseconds(Duration::ZERO), EpollTimeout::ZERO);
        assert_eq!(milliseconds(Duration::MAX), EpollTimeout::MAX);
    }

    #[test]
    fn a_level_is_reported_until_it_is_read_and_an_edge_once_for_each_write() {
        let mut poller = Poller::new().expect("a descriptor");
        let (level, edge) = (Doorbell::new().expect("a descriptor"), Doorbell::new().expect("a descriptor"));
        poller.watch(&level, Interest::Read, 1).expect("it can be watched");
        poller.watch(&edge, Interest::ReadEdge, 2).expect("it can be watched");
        assert!(ready(&mut poller).is_empty());
        level.ring();
        edge.ring();
        assert_eq!(ready(&mut poller).len(), 2);
        assert_eq!(ready(&mut poller), [1]);
        edge.ring();
        level.clear();
        assert_eq!(ready(&mut poller), [2]);
    }

    #[test]
    fn what_a_descriptor_is_watched_for_can_change_and_end() {
        let mut poller = Poller::new().expect("a descriptor");
        let bell = Doorbell::new().expect("a descriptor");
        poller.watch(&bell, Interest::Read, 1).expect("it can be watched");
        assert!(poller.watch(&bell, Interest::Read, 1).is_err());
        poller.change(&bell, Interest::ReadWrite, 7).expect("it is watched");
        assert_eq!(ready(&mut poller), [7]);
        poller.forget(&bell);
        assert!(ready(&mut poller).is_empty());
        assert!(poller.change(&bell, Interest::Write, 7).is_err());
    }
}
