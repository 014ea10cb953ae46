//! Wakes the loop when interfaces or their addresses change (rtnetlink(7)).
//!
//! What the messages say is not read: they only announce that [`InterfaceTable::read`] may return
//! something else. A change brings dozens of them, and the table is read at most four times a
//! second.
//!
//! [`InterfaceTable::read`]: super::interfaces::InterfaceTable::read

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The least time between two readings of the table.
const LEAST_INTERVAL: Duration = Duration::from_millis(250);
/// The time between two readings where the kernel does not announce changes.
const BLIND_INTERVAL: Duration = Duration::from_secs(1);
/// The most messages that one call reads.
const MESSAGES_LIMIT: usize = 64;

/// Groups of the kernel's announcements, as rtnetlink(7) numbers them: links, and IPv4 addresses.
const GROUPS: u32 = 1 << 0 | 1 << 4;

/// The announcements, and when to read the table.
#[derive(Debug)]
pub struct InterfaceWatch {
    socket: Option<OwnedFd>,
    last: Instant,
    due: Option<Instant>,
}

impl InterfaceWatch {
    /// A watch for changes after `now`, at which the table was read. Where the system does not
    /// permit it to listen, the table is due every second.
    pub fn open(now: Instant) -> Self {
        let socket = match open_socket() {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(
                    event = "interface_watch_failed",
                    "cannot listen for changes of network interfaces: {error}; looking every second"
                );
                None
            }
        };
        let due = socket.is_none().then_some(now + BLIND_INTERVAL);
        Self { socket, last: now, due }
    }

    pub fn descriptor(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Takes what was announced. The table is due if it was anything.
    pub fn drain(&mut self, now: Instant) {
        let Some(socket) = &self.socket else { return };
        let mut buffer = [0; 8192];
        for _ in 0..MESSAGES_LIMIT {
            match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                // `ENOBUFS` says that announcements were lost.
                Ok(_) | Err(_) => self.due = Some(self.due.unwrap_or(now.max(self.last + LEAST_INTERVAL))),
            }
        }
    }

    /// Whether to read the table now.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        self.last = now;
        self.due = self.socket.is_none().then_some(now + BLIND_INTERVAL);
        true
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }
}

fn open_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_announcement_the_table_is_never_due() {
        let now = Instant::now();
        let mut watch = InterfaceWatch::open(now);
        if watch.descriptor().is_some() {
            assert_eq!(watch.deadline(), None);
        }
        watch.due = Some(now + LEAST_INTERVAL);
        assert!(!watch.is_due(now));
        assert!(watch.is_due(now + LEAST_INTERVAL));
        assert_eq!(watch.deadline().is_some(), watch.descriptor().is_none());
    }
}
