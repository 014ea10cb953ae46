//! Descriptors that outlive an `exec`: handing them over, and taking them on the other side.
//!
//! Everything that Rust, Python and this crate open is closed on exec. A descriptor without that
//! flag is therefore one that this process was started with, and claiming it sets the flag: so it
//! can be claimed once, and a descriptor that other code of this process owns cannot be claimed at
//! all.

use super::limits;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Takes an inherited descriptor, which from now on is closed on exec.
///
/// # Errors
///
/// `InvalidInput` for a standard stream or a descriptor that was not inherited, and the system's
/// error for one that is not open.
pub fn claim(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        let message = format!("descriptor {number} is a standard stream");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    // SAFETY: it is not -1, and only asked for its flags, which fails harmlessly when it is not
    // open
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = FdFlag::from_bits_retain(fcntl(borrowed, FcntlArg::F_GETFD)?);
    if flags.contains(FdFlag::FD_CLOEXEC) {
        let message = format!("descriptor {number} was not inherited");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    fcntl(borrowed, FcntlArg::F_SETFD(flags | FdFlag::FD_CLOEXEC))?;
    // SAFETY: open, and by the flag it had no code here owns it
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets `command` hand `fds` to the process that it starts, under their numbers, and no other
/// descriptors above 2. They stay open here as long as the command lives. The process gets the limit
/// of descriptors that this one was started with.
pub fn pass_only(command: &mut Command, fds: Vec<OwnedFd>) {
    let in_child = move || {
        close_on_exec_above_stderr()?;
        limits::restore_descriptor_limit();
        fds.iter().try_for_each(|fd| {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        })
    };
    // SAFETY: the closure makes system calls only; it takes no lock and allocates nothing
    unsafe { command.pre_exec(in_child) };
}

/// Sets the flag for descriptors that other code has opened without it, so that they do not end up
/// in a worker.
fn close_on_exec_above_stderr() -> nix::Result<()> {
    const CLOSE_RANGE_CLOEXEC: c_int = 4;
    let first = libc::STDERR_FILENO + 1;
    // SAFETY: sets a flag of descriptors, and touches no memory
    let outcome = unsafe { libc::syscall(libc::SYS_close_range, first, c_int::MAX, CLOSE_RANGE_CLOEXEC) };
    match Errno::result(outcome) {
        // Before Linux 5.11 there is no such call; then the flags that they were opened with have
        // to do.
        Err(Errno::ENOSYS | Errno::EINVAL) => Ok(()),
        other => other.map(drop),
    }
}

/// Whether a descriptor would outlive an `exec`.
pub fn outlives_exec(fd: &impl AsFd) -> bool {
    fcntl(fd, FcntlArg::F_GETFD).is_ok_and(|flags| flags & libc::FD_CLOEXEC == 0)
}
