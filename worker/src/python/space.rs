//! The wake-up of threads that wait for space in the up ring.
//!
//! The supervisor rings when it has taken events. The worker's threads ring for each other, which
//! takes a second doorbell: of the supervisor's pipe they have the end to wait for.

use mm_shared::Doorbell;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;

/// Wakes threads that wait for space.
pub struct SpaceBell {
    from_supervisor: Doorbell,
    from_threads: Doorbell,
}

impl SpaceBell {
    /// Waits for the supervisor's doorbell, and for those of the threads.
    pub fn new(from_supervisor: Doorbell) -> io::Result<SpaceBell> {
        Ok(SpaceBell { from_supervisor, from_threads: Doorbell::new()? })
    }

    /// Wakes all threads that wait.
    pub fn ring(&self) {
        self.from_threads.ring();
    }

    /// Takes back the rings so far.
    pub fn clear(&self) {
        self.from_supervisor.clear();
        self.from_threads.clear();
    }

    /// Waits until either was rung, or a signal has come: the caller looks again for space.
    pub fn wait(&self) {
        let bells = [&self.from_supervisor, &self.from_threads];
        let mut fds = bells.map(|bell| PollFd::new(bell.as_fd(), PollFlags::POLLIN));
        let _ = poll(&mut fds, PollTimeout::NONE);
    }
}
