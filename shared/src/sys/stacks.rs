//! Asks a worker for the Python stacks of all its threads, whatever it is doing.

use crate::control::STACK_SIGNAL;
use nix::errno::Errno;
use nix::libc;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sends [`STACK_SIGNAL`] to the process behind a pidfd.
///
/// # Errors
///
/// Those of the system; `ESRCH` for a process that has ended.
pub fn ask_for_stacks(pidfd: &impl AsFd) -> io::Result<()> {
    let (descriptor, info, flags) = (pidfd.as_fd().as_raw_fd(), std::ptr::null::<libc::siginfo_t>(), 0_u32);
    // SAFETY: the descriptor is open, and without signal information the call reads no memory of
    // ours
    let outcome =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, STACK_SIGNAL, info, flags) };
    Errno::result(outcome)?;
    Ok(())
}
