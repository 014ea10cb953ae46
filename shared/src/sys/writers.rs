//! Whether any process has a file open for writing.
//!
//! The kernel grants a read lease on a file only while no process has it open for writing
//! (fcntl(2), `F_SETLEASE`). The lease is given back at once. A process that opens the file for
//! writing in this instant waits for that; the signal that then tells the holder of the lease is
//! set to one that is ignored by default.

use nix::errno::Errno;
use nix::libc;
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Who may be writing to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// A process has it open for writing.
    Some,
    /// No process of this machine has it open for writing.
    None,
    /// The file system does not tell, or the file belongs to another user.
    Unknown,
}

/// Whether any process has the file at `path` open for writing.
#[must_use]
pub fn is_open_for_writing(path: &Path) -> Writers {
    // Neither a pipe nor a lease of another process may hold the caller up.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let Ok(file) = file else { return Writers::Unknown };
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Writers::Unknown;
    }
    let fd = file.as_raw_fd();
    // Not without it: the default signal of a lease would end the process.
    if control(fd, F_SETSIG, libc::SIGURG).is_err() {
        return Writers::Unknown;
    }
    match control(fd, libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => {
            // Closing the file would do it as well, as long as no fork has copied the descriptor.
            let _ = control(fd, libc::F_SETLEASE, libc::F_UNLCK);
            Writers::None
        }
        Err(Errno::EAGAIN) => Writers::Some,
        Err(_) => Writers::Unknown,
    }
}

/// Linux, `asm-generic/fcntl.h`; the crate `libc` does not have it.
const F_SETSIG: libc::c_int = 10;

fn control(fd: RawFd, command: libc::c_int, argument: libc::c_int) -> nix::Result<()> {
    // SAFETY: the descriptor is open, and none of these commands takes a pointer
    Errno::result(unsafe { libc::fcntl(fd, command, argument) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_writer_is_seen_while_it_has_the_file_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let writer = File::create(&path).expect("writable");
        assert_eq!(is_open_for_writing(&path), Writers::Some);
        drop(writer);
        let reader = File::open(&path).expect("readable");
        assert_eq!(is_open_for_writing(&path), Writers::None);
        drop(reader);
    }

    #[test]
    fn what_is_not_a_file_is_unknown() {
        assert_eq!(is_open_for_writing(Path::new("/dev/null")), Writers::Unknown);
        assert_eq!(is_open_for_writing(Path::new("/nonexistent")), Writers::Unknown);
    }
}
