//! How much of a descriptor waits to be read.

use nix::errno::Errno;
use nix::libc;
use std::os::fd::RawFd;

/// How many bytes can be read at once from a descriptor that may belong to other code and may be
/// closed: all of a stream, the next packet of a datagram socket.
///
/// # Errors
///
/// Those of the system: `EBADF` for a closed descriptor, others (`ENOTTY`, `EINVAL`) where this
/// kind of file has no such number.
pub fn unread_bytes(fd: RawFd) -> nix::Result<u32> {
    let mut count: libc::c_int = 0;
    // SAFETY: the call writes one `int` through the pointer, and only looks at the descriptor
    let outcome = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) };
    Errno::result(outcome)?;
    Ok(u32::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    #[test]
    fn what_was_written_and_not_read_is_counted() {
        let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
        assert_eq!(unread_bytes(reader.as_raw_fd()), Ok(0));
        writer.write_all(b"four").expect("there is room");
        assert_eq!(unread_bytes(reader.as_raw_fd()), Ok(4));
        reader.read_exact(&mut [0; 3]).expect("it is there");
        assert_eq!(unread_bytes(reader.as_raw_fd()), Ok(1));
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_an_error() {
        assert_eq!(unread_bytes(-1), Err(Errno::EBADF));
    }
}
