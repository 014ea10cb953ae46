//! The doorbell: wakes the other process.
//!
//! There are two kinds. An eventfd has one descriptor, which either side may ring or wait for; it
//! is for the threads of one process. A pipe has an end for each, and is for two processes: the
//! kernel takes a write into a pipe as a hint that the writer is about to wait for the reader, and
//! runs the reader on the writer's own core, where a wake-up costs about a microsecond. Woken by an
//! eventfd, the same process mostly wakes on the core where it slept, tens of microseconds later if
//! that had gone idle.
//!
//! It is rung only when the ring returns that the other side sleeps ([`Producer::publish`],
//! [`Consumer::wants_space`]). It is watched edge-triggered: every ring is an edge, so nothing has
//! to read it, and waking costs no further system call. A process that watches it level-triggered
//! calls [`Doorbell::clear`] after waking.
//!
//! No worker can make its supervisor wait in here. The flag that makes a descriptor non-blocking
//! belongs to the open file, which the ends of a pipe do not share, and a worker that opens an end
//! again by its path in `/proc` gets an open file of its own. So a pipe that a worker has filled is
//! a doorbell that was rung. An eventfd has one open file for both sides: the worker could clear
//! the flag, fill the counter, and have the next ring block for good.
//!
//! [`Producer::publish`]: crate::Producer::publish
//! [`Consumer::wants_space`]: crate::Consumer::wants_space

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{pipe2, read, write};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Bytes that a pipe holds: one page.
const PIPE_SIZE: i32 = 4096;

/// Most bytes that [`Doorbell::clear`] reads at once; a ring is 8 bytes.
const BUFFER: usize = 512;

/// An eventfd or an end of a pipe, non-blocking and closed on exec.
#[derive(Debug)]
pub struct Doorbell(OwnedFd);

impl Doorbell {
    /// A new doorbell for threads of this process.
    ///
    /// # Errors
    ///
    /// Those of the system, out of descriptors above all.
    pub fn new() -> io::Result<Doorbell> {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Doorbell(fd.into()))
    }

    /// A new doorbell with an end to ring and an end to wait for: a pipe, see above.
    ///
    /// # Errors
    ///
    /// Those of the system, out of descriptors above all.
    pub fn pair() -> io::Result<(Doorbell, Doorbell)> {
        let (hears, rings) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // A user's pipes have 64 MiB in all, and a doorbell needs one page instead of sixteen.
        let _ = fcntl(&rings, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
        Ok((Doorbell(rings), Doorbell(hears)))
    }

    /// Wakes the other side. Never blocks, and cannot fail in a way that matters: a counter that is
    /// full is a doorbell that has been rung.
    pub fn ring(&self) {
        while write(&self.0, &1u64.to_ne_bytes()) == Err(Errno::EINTR) {}
    }

    /// Takes back the rings so far, up to more than a correct peer leaves. True if there were any.
    pub fn clear(&self) -> bool {
        let mut rings = [0; BUFFER];
        loop {
            match read(&self.0, &mut rings) {
                Err(Errno::EINTR) => {}
                outcome => return outcome.is_ok_and(|count| count > 0),
            }
        }
    }

    /// A second descriptor of the same doorbell.
    ///
    /// # Errors
    ///
    /// Those of the system, out of descriptors above all.
    pub fn try_clone(&self) -> io::Result<Doorbell> {
        self.0.try_clone().map(Doorbell)
    }
}

impl From<OwnedFd> for Doorbell {
    /// A doorbell that another process made.
    fn from(fd: OwnedFd) -> Doorbell {
        Doorbell(fd)
    }
}

impl From<Doorbell> for OwnedFd {
    fn from(bell: Doorbell) -> OwnedFd {
        bell.0
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::Doorbell;

    #[test]
    fn rings_add_up_to_one_wake() {
        let bell = Doorbell::new().expect("a descriptor");
        bell.ring();
        bell.ring();
        assert!(bell.clear());
        assert!(!bell.clear());
    }

    #[test]
    fn the_ends_of_a_pair_are_one_doorbell() {
        let (rings, hears) = Doorbell::pair().expect("descriptors");
        rings.ring();
        rings.ring();
        assert!(hears.clear());
        assert!(!hears.clear());
    }

    #[test]
    fn a_doorbell_that_nobody_clears_can_still_be_rung() {
        let (rings, hears) = Doorbell::pair().expect("descriptors");
        (0..100_000).for_each(|_| rings.ring());
        assert!(hears.clear());
    }

    #[test]
    fn a_clone_is_the_same_doorbell() {
        let bell = Doorbell::new().expect("a descriptor");
        bell.try_clone().expect("a descriptor").ring();
        assert!(bell.clear());
    }
}
