//! Writes to the service manager's socket without waiting.
//!
//! The library that formats the messages also sends them, but through a socket that waits for room,
//! which the event loop must not do. Each message goes to the address, not to a connection, because
//! the service manager may create its socket again.

use mm_shared::LogThrottle;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// There is one warning per interval while messages do not arrive.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// A socket that sends to the service manager.
#[derive(Debug)]
pub struct ServiceManagerSocket {
    socket: UnixDatagram,
    address: SocketAddr,
    /// For the warning that messages do not arrive.
    pub failures: LogThrottle,
}

impl ServiceManagerSocket {
    /// Sends to the socket of this name: a path, or an abstract name after `@`.
    ///
    /// # Errors
    ///
    /// The name is neither, or too long, or the process has no descriptor left.
    pub fn new(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "not the name of a Unix socket")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, failures: LogThrottle::new(1, WARNING_INTERVAL) })
    }

    /// Sends a message, which arrives as a whole or not at all.
    ///
    /// # Errors
    ///
    /// `WouldBlock` where there is no room, and the system's error where no process listens.
    pub fn send(&self, message: &str) -> io::Result<()> {
        self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }
}
