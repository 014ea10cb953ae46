//! Sending: a queue and a socket for each node, and for each interface.
//!
//! What the kernel cannot send at once stays in the buffer of the socket that it was sent through.
//! So a node that does not answer, or an interface that is stuck, fills its own buffer only, and
//! what is sent there then is dropped.

use super::bind::BindIndex;
use super::bound::SendPath;
use super::faults::FaultPlace;
use super::system::open_sender;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Instant;

/// The most datagrams that one call sends, and that wait in a route.
const BATCH: usize = 64;
/// The most nodes with a socket of their own. The one that was not sent to for the longest time
/// gives way.
const NODES_LIMIT: usize = 512;

/// Where a socket sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    pub bind: BindIndex,
    pub place: FaultPlace,
}

/// The sockets to send with.
pub struct Routes {
    routes: BTreeMap<RouteKey, Route>,
    /// Routes with something in their queue.
    waiting: Vec<RouteKey>,
    headers: MultiHeaders<SockaddrIn>,
    addresses: Vec<Option<SockaddrIn>>,
}

struct Route {
    socket: UdpSocket,
    path: SendPath,
    /// Datagrams that wait, one behind the other.
    bytes: Vec<u8>,
    datagrams: Vec<(SocketAddrV4, usize)>,
    last_used: Instant,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes").field("routes", &self.routes.keys()).finish_non_exhaustive()
    }
}

/// Takes what could not be sent: where to, and why.
pub type FailureSink<'a> = &'a mut dyn FnMut(FaultPlace, Errno);

impl Default for Routes {
    fn default() -> Self {
        let headers = MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(libc::in_pktinfo)));
        Self { routes: BTreeMap::new(), waiting: Vec::new(), headers, addresses: Vec::with_capacity(BATCH) }
    }
}

impl Routes {
    /// Queues a datagram. `path` and `port` are those of its bind.
    pub fn push(
        &mut self,
        key: RouteKey,
        (path, port): (SendPath, u16),
        (to, datagram): (SocketAddrV4, &[u8]),
        now: Instant,
        failed: FailureSink<'_>,
    ) {
        if !self.routes.contains_key(&key) {
            self.make_room(failed);
            match open_sender(port) {
                Ok(socket) => {
                    let (bytes, datagrams) = (Vec::new(), Vec::new());
                    self.routes.insert(key, Route { socket, path, bytes, datagrams, last_used: now });
                }
                Err(error) => {
                    let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
                    return failed(key.place, errno);
                }
            }
        }
        let Some(route) = self.routes.get_mut(&key) else { return };
        if route.datagrams.is_empty() {
            self.waiting.push(key);
        }
        route.last_used = now;
        route.bytes.extend_from_slice(datagram);
        route.datagrams.push((to, datagram.len()));
        if route.datagrams.len() == BATCH {
            route.send(key.place, &mut self.headers, &mut self.addresses, failed);
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self, failed: FailureSink<'_>) {
        for key in std::mem::take(&mut self.waiting) {
            if let Some(route) = self.routes.get_mut(&key) {
                route.send(key.place, &mut self.headers, &mut self.addresses, failed);
            }
        }
    }

    /// Closes all sockets: interfaces or binds have changed.
    pub fn clear(&mut self, failed: FailureSink<'_>) {
        self.flush(failed);
        self.routes.clear();
    }

    /// Whether anything was sent to a node of late.
    pub fn has_node(&self, node: Ipv4Addr) -> bool {
        self.routes.keys().any(|key| key.place == FaultPlace::Node(node))
    }

    fn make_room(&mut self, failed: FailureSink<'_>) {
        if self.routes.len() < NODES_LIMIT {
            return;
        }
        self.flush(failed);
        let nodes = self.routes.iter().filter(|(key, _)| matches!(key.place, FaultPlace::Node(_)));
        if let Some(oldest) = nodes.min_by_key(|(_, route)| route.last_used).map(|(key, _)| *key) {
            self.routes.remove(&oldest);
        }
    }
}

impl Route {
    /// Sends what waits, as far as the system takes it.
    fn send(
        &mut self,
        place: FaultPlace,
        headers: &mut MultiHeaders<SockaddrIn>,
        addresses: &mut Vec<Option<SockaddrIn>>,
        failed: FailureSink<'_>,
    ) {
        let info = self.path.packet_info();
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let mut first = 0;
        let (mut rest, mut lengths) = (self.bytes.as_slice(), self.datagrams.iter());
        let slices: [_; BATCH] = std::array::from_fn(|_| {
            let length = lengths.next().map_or(0, |(_, length)| *length);
            let (datagram, behind) = rest.split_at_checked(length).unwrap_or_default();
            rest = behind;
            [IoSlice::new(datagram)]
        });
        addresses.clear();
        addresses.extend(self.datagrams.iter().map(|(to, _)| Some(SockaddrIn::from(*to))));
        while let Some(to_send) = slices.get(first..self.datagrams.len()).filter(|rest| !rest.is_empty()) {
            let to = addresses.get(first..).unwrap_or_default();
            let flags = MsgFlags::MSG_DONTWAIT;
            match sendmmsg(self.socket.as_raw_fd(), headers, to_send, to, control, flags) {
                Ok(sent) => first += sent.count(),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    to_send.iter().for_each(|_| failed(place, Errno::EAGAIN));
                    break;
                }
                Err(errno) => {
                    failed(place, errno);
                    first += 1;
                }
            }
        }
        self.bytes.clear();
        self.datagrams.clear();
    }
}

impl SendPath {
    fn packet_info(self) -> libc::in_pktinfo {
        let address = |address: Ipv4Addr| libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
        libc::in_pktinfo {
            ipi_ifindex: i32::try_from(self.interface).unwrap_or(0),
            ipi_spec_dst: address(self.source),
            ipi_addr: address(Ipv4Addr::UNSPECIFIED),
        }
    }
}
