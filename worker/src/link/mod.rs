//! The control plane's end in the worker: two threads, so that neither a handler nor the main loop
//! ever waits for it.
//!
//! [`Inbox`] receives and wakes the main loop; [`Outgoing`] sends at once what the
//! supervisor has room for; the rest is a queue that its own thread empties.

mod incoming;
mod outgoing;

use mm_shared::Doorbell;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

pub use incoming::Inbox;
pub use outgoing::Outgoing;

/// Waits until a doorbell was rung, or a signal has come: the caller looks again at what it waits
/// for.
pub fn wait_for(bell: &Doorbell) {
    let mut fds = [PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut fds, PollTimeout::NONE);
}
