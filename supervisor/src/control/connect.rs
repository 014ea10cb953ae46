//! Connects to a control socket, and finds out which user is at the other end of a connection.

use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection with the process at its other end.
#[derive(Debug)]
pub struct SocketPeer {
    /// The connection; it blocks.
    pub stream: UnixStream,
    /// The process, where it is visible from here.
    pub pid: Option<i32>,
    /// The user.
    pub uid: u32,
}

/// Connects. A socket whose queue is full is waited for no longer than `timeout`.
///
/// # Errors
///
/// Those of the system; `WouldBlock` when the queue stayed full.
pub fn connect_to(path: &Path, timeout: Duration) -> io::Result<SocketPeer> {
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // for a Unix socket this limits the connecting too; a time of zero would be no limit
    let limit = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).max(1);
    setsockopt(&descriptor, SendTimeout, &TimeVal::milliseconds(limit))?;
    connect(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
    let (pid, uid) = peer_credentials(&descriptor)?;
    Ok(SocketPeer { stream: UnixStream::from(descriptor), pid, uid })
}

/// Process and user at the other end of a connection, as they were when it was made.
///
/// # Errors
///
/// Those of the system.
pub fn peer_credentials(connection: &impl AsFd) -> io::Result<(Option<i32>, u32)> {
    let peer = getsockopt(connection, PeerCredentials)?;
    // a process that this one cannot see, in a container for example, has the number 0
    Ok((Some(peer.pid()).filter(|pid| *pid != 0), peer.uid()))
}
