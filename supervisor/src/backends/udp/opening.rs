//! The buffers of a UDP socket, and why one cannot be bound.

use crate::backends::{OpenCause, OpenError};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

/// Makes the kernel's receive buffer so many bytes large, as far as the system allows it: beyond
/// its limit where that is permitted, else up to it. Smaller buffers work too.
pub fn enlarge_receive_buffer(socket: &impl AsFd, bytes: usize) {
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &bytes);
    }
}

/// The same for the send buffer.
pub fn enlarge_send_buffer(socket: &impl AsFd, bytes: usize) {
    if setsockopt(socket, sockopt::SndBufForce, &bytes).is_err() {
        let _ = setsockopt(socket, sockopt::SndBuf, &bytes);
    }
}

/// Why `what`, an option of `owner`, cannot be bound. Both stand in the message as they are.
pub fn bind_error(owner: &str, what: &str, error: io::Error) -> OpenError {
    let (reason, hint) = match error.kind() {
        ErrorKind::AddrInUse => {
            ("the port is in use", Some("another program, or another show, listens on it"))
        }
        ErrorKind::AddrNotAvailable => (
            "this machine does not have this address",
            Some("`*` in place of the host listens on all addresses"),
        ),
        ErrorKind::PermissionDenied => {
            ("not permitted", Some("ports below 1024 are for root unless the system says otherwise"))
        }
        _ => ("", None),
    };
    let reason = if reason.is_empty() { error.to_string() } else { reason.to_string() };
    let cause = match error.raw_os_error().map(Errno::from_raw) {
        Some(
            Errno::EADDRINUSE
            | Errno::EACCES
            | Errno::EPERM
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOBUFS
            | Errno::ENOMEM,
        ) => OpenCause::Lasting,
        _ => OpenCause::Network,
    };
    OpenError {
        message: format!("{owner}: cannot open {what}: {reason}"),
        hint: hint.map(str::to_string),
        cause,
    }
}
