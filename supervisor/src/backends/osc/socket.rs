//! The UDP socket of an instance: opens it, and moves datagrams in batches.
//!
//! One system call receives up to [`BATCH`] datagrams of any size, one sends as many. The receive
//! buffer has room for the largest datagram in each place. It is zeroed memory straight from the
//! system, so that only pages which datagrams have filled take up memory.
//!
//! Consecutive datagrams of one length go to the system as one block (`UDP_SEGMENT`), which the
//! system or the network card cuts up again. That is a fraction of the work of sending each.

use super::options::{OscAddress, OscDestination};
use crate::backends::OpenError;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, bind,
    recvmmsg, sendmmsg, sendmsg, setsockopt, socket, sockopt,
};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The most datagrams that one call moves.
pub const BATCH: usize = 64;

/// About the most bytes that one call is to receive: of large datagrams it asks for fewer.
const BATCH_BYTES: usize = 128 << 10;

/// How many datagrams a call asks for when few arrived the last time: each place costs time to
/// prepare.
const FEW: usize = 4;

/// The fewest datagrams of one length for which a block is faster.
const BLOCK_MINIMUM: usize = 3;

/// The longest datagrams that go into a block. The system refuses a block of datagrams that have to
/// be fragmented; these fit into the smallest packet size that IPv6 allows.
const BLOCK_DATAGRAM_LIMIT: usize = 1200;

/// The most bytes of a block: those of a UDP datagram, over IPv6 as well as IPv4.
const BLOCK_LIMIT: usize = 65_487;

/// The bytes of a place for one datagram. The additional 64 keep the beginnings of the places out
/// of one common cache set.
const PLACE: usize = 65536 + 64;

/// The size of the kernel's receive buffer in bytes, as far as the system allows it: a burst waits
/// there and is not dropped.
const RECEIVE_BUFFER: usize = 4 << 20;

/// An open socket with its buffers.
#[derive(Debug)]
pub struct OscSocket {
    socket: UdpSocket,
    buffer: Vec<u8>,
    receiving: MultiHeaders<SockaddrStorage>,
    /// Datagrams in the buffer that were received and not handed out yet.
    kept: VecDeque<KeptDatagram>,
    sending: MultiHeaders<SockaddrStorage>,
    /// How many datagrams the next call asks for.
    expected: usize,
    block: Vec<u8>,
    /// Whether the system accepts blocks for this peer.
    blocks: bool,
    peer: Option<OscPeer>,
}

/// A datagram in its place of the buffer.
#[derive(Debug)]
struct KeptDatagram {
    place: usize,
    length: usize,
    sender: SockaddrStorage,
}

/// The address to send to, and a copy for each message of a batch.
#[derive(Debug)]
struct OscPeer {
    address: SocketAddr,
    copies: Vec<Option<SockaddrStorage>>,
}

impl OscSocket {
    /// Opens the socket that `bind` and `destination` ask for.
    pub fn open(
        instance: &str,
        listen: Option<&OscAddress>,
        destination: &OscDestination,
    ) -> Result<Self, OpenError> {
        let to = match destination {
            OscDestination::Fixed(address) => resolve(instance, "destination", address)?,
            OscDestination::None | OscDestination::Learn { .. } => Vec::new(),
        };
        let (socket, local) = match listen {
            Some(address) => listen_on(instance, address)?,
            None => {
                let local = unspecified(to.first(), 0);
                (open_at(local).map_err(|error| open_error(instance, "a socket", error))?, local)
            }
        };
        let receiving = MultiHeaders::preallocate(BATCH, None);
        let sending = MultiHeaders::preallocate(BATCH, None);
        let (buffer, block) = (vec![0; PLACE * BATCH], Vec::new());
        let mut port = Self {
            socket,
            buffer,
            receiving,
            kept: VecDeque::new(),
            sending,
            expected: FEW,
            block,
            blocks: true,
            peer: None,
        };
        if let OscDestination::Fixed(address) = destination {
            let reachable = to.into_iter().find_map(|to| reachable_from(local, to));
            port.set_peer(reachable.ok_or_else(|| wrong_family(instance, address))?);
        }
        Ok(port)
    }

    pub fn local_address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer.as_ref().map(|peer| peer.address)
    }

    pub fn set_peer(&mut self, address: SocketAddr) {
        let mut copies = self.peer.take().map(|peer| peer.copies).unwrap_or_default();
        copies.clear();
        copies.resize(BATCH, Some(SockaddrStorage::from(address)));
        self.peer = Some(OscPeer { address, copies });
        self.blocks = true;
    }

    /// Whether datagrams were received and not handed out.
    pub fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Calls `each` with each datagram and its sender, for at most a batch and at most `limit`
    /// datagrams, until it returns false. What was received and is not handed out then is kept for
    /// the next call. Returns whether there may be more.
    pub fn receive(
        &mut self,
        limit: usize,
        mut each: impl FnMut(&[u8], &SockaddrStorage) -> bool,
    ) -> io::Result<bool> {
        if self.has_kept() {
            self.hand_out_kept(each);
            return Ok(true);
        }
        let mut places = self.buffer.chunks_exact_mut(PLACE);
        let mut slices: [_; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(places.next().unwrap_or_default())]);
        let (descriptor, expected) = (self.socket.as_raw_fd(), self.expected.min(limit));
        let slices = slices.iter_mut().take(expected);
        let received = match recvmmsg(descriptor, &mut self.receiving, slices, MsgFlags::MSG_DONTWAIT, None) {
            Ok(received) => received,
            // Refused: no process received an earlier datagram of ours. That does not concern
            // receiving.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let (mut count, mut longest, mut goes_on) = (0, 1, true);
        for message in received {
            let datagram = message.iovs().next().unwrap_or_default();
            if let Some(sender) = &message.address {
                if goes_on {
                    goes_on = each(datagram, sender);
                } else {
                    let kept = KeptDatagram { place: count, length: datagram.len(), sender: *sender };
                    self.kept.push_back(kept);
                }
            }
            count += 1;
            longest = longest.max(datagram.len());
        }
        self.expected = if count == expected { BATCH } else { (2 * count).clamp(FEW, BATCH) };
        self.expected = self.expected.min((BATCH_BYTES / longest).max(1));
        Ok(count == expected)
    }

    fn hand_out_kept(&mut self, mut each: impl FnMut(&[u8], &SockaddrStorage) -> bool) {
        while let Some(KeptDatagram { place, length, sender }) = self.kept.pop_front() {
            let begin = place * PLACE;
            let datagram = self.buffer.get(begin..begin + length).unwrap_or_default();
            if !each(datagram, &sender) {
                return;
            }
        }
    }

    /// Sends datagrams to the peer, at most a batch. Returns how many were sent, at least one.
    pub fn send<'a>(
        &'a mut self,
        mut datagrams: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        let Some(peer) = &self.peer else { return Err(ErrorKind::NotConnected.into()) };
        let count = datagrams.len().min(BATCH);
        if count == 1 {
            let datagram = datagrams.next().unwrap_or_default();
            return self.socket.send_to(datagram, peer.address).map(|_| 1);
        }
        let slices: [_; BATCH] =
            std::array::from_fn(|_| [IoSlice::new(datagrams.next().unwrap_or_default())]);
        if self.blocks
            && let Some(sent) = send_block(&self.socket, &mut self.block, &slices[..count], peer)?
        {
            self.blocks = sent > 0;
            if self.blocks {
                return Ok(sent);
            }
        }
        let no_control: [ControlMessage<'_>; 0] = [];
        let descriptor = self.socket.as_raw_fd();
        let (slices, flags) = (slices.iter().take(count), MsgFlags::MSG_DONTWAIT);
        let sent = sendmmsg(descriptor, &mut self.sending, slices, &peer.copies, no_control, flags)?;
        Ok(sent.count())
    }
}

/// Sends the first datagrams, as many as have one length, as one block. Returns how many these
/// were, 0 where the system does not accept blocks. `None`: they are too few for a block.
fn send_block(
    socket: &UdpSocket,
    block: &mut Vec<u8>,
    datagrams: &[[IoSlice<'_>; 1]],
    peer: &OscPeer,
) -> io::Result<Option<usize>> {
    let length = datagrams.first().map_or(0, |[first]| first.len());
    let count = datagrams.iter().take_while(|[datagram]| datagram.len() == length).count();
    let Ok(segment) = u16::try_from(length) else { return Ok(None) };
    if count < BLOCK_MINIMUM || !(1..=BLOCK_DATAGRAM_LIMIT).contains(&length) {
        return Ok(None);
    }
    let count = count.min(BLOCK_LIMIT / length);
    block.clear();
    datagrams.iter().take(count).for_each(|[datagram]| block.extend_from_slice(datagram));
    let (slices, control) = ([IoSlice::new(block)], [ControlMessage::UdpGsoSegments(&segment)]);
    let address = peer.copies.first().and_then(Option::as_ref);
    match sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, address) {
        Ok(_) => Ok(Some(count)),
        // The system or the network interface does not support it.
        Err(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::ENOPROTOOPT | Errno::EOPNOTSUPP) => {
            Ok(Some(0))
        }
        Err(errno) => Err(errno.into()),
    }
}

/// The sender of a datagram, if it can be answered.
pub fn sender_address(sender: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || sender.as_sockaddr_in().map(|sender| SocketAddr::V4((*sender).into()));
    let v6 = || sender.as_sockaddr_in6().map(|sender| SocketAddr::V6((*sender).into()));
    v4().or_else(v6).filter(|sender| sender.port() != 0)
}

/// The wildcard address of the family of `like`.
fn unspecified(like: Option<&SocketAddr>, port: u16) -> SocketAddr {
    match like {
        Some(SocketAddr::V6(_)) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    }
}

/// The address `to` in the form that a socket bound to `local` needs; `None`: it cannot reach it.
fn reachable_from(local: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
    match (local.ip(), to.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Some(to),
        (IpAddr::V6(local), IpAddr::V4(ip)) if local.is_unspecified() => {
            Some(SocketAddr::from((ip.to_ipv6_mapped(), to.port())))
        }
        _ => None,
    }
}

/// The addresses of a host, looked up unless `address` has them already.
///
/// # Errors
///
/// The name does not resolve.
pub fn resolve(instance: &str, option: &str, address: &OscAddress) -> Result<Vec<SocketAddr>, OpenError> {
    let OscAddress { host, port, found, .. } = address;
    if !found.is_empty() {
        return Ok(found.clone());
    }
    let found = (host.as_str(), *port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(OpenError {
            message: format!(
                "instance `{instance}`: the host of `{option} = {host} {port}` does not resolve"
            ),
            hint: Some("check the name and the name server, or write the host's IP address".into()),
        }),
    }
}

fn listen_on(instance: &str, address: &OscAddress) -> Result<(UdpSocket, SocketAddr), OpenError> {
    let OscAddress { host, port, .. } = address;
    let candidates = match host.as_str() {
        "*" => vec![unspecified(None, *port)],
        _ => resolve(instance, "bind", address)?,
    };
    let mut outcome = Err(io::Error::from(ErrorKind::AddrNotAvailable));
    for local in candidates {
        outcome = open_at(local).map(|socket| (socket, local));
        if let Err(error) = &outcome
            && error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
            && local.ip() == Ipv6Addr::UNSPECIFIED
        {
            tracing::warn!(
                event = "osc_ipv6_missing",
                instance = %instance,
                "`bind = {host} {port}` listens on IPv4 only: this machine does not have IPv6"
            );
            let local = unspecified(None, *port);
            outcome = open_at(local).map(|socket| (socket, local));
        }
        if outcome.is_ok() {
            break;
        }
    }
    outcome.map_err(|error| open_error(instance, &format!("`bind = {host} {port}`"), error))
}

fn open_at(local: SocketAddr) -> io::Result<UdpSocket> {
    let family = if local.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(family, SockType::Datagram, flags, None)?;
    if local.is_ipv6() {
        // `::` listens on IPv4 too, whatever the default of the system is.
        setsockopt(&descriptor, sockopt::Ipv6V6Only, &false)?;
    }
    setsockopt(&descriptor, sockopt::Broadcast, &true)?;
    // Beyond the limit of the system where that is permitted, else up to it. Smaller buffers work
    // too.
    if setsockopt(&descriptor, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let _ = setsockopt(&descriptor, sockopt::RcvBuf, &RECEIVE_BUFFER);
    }
    // Without SO_REUSEADDR: two programs on one UDP port would take packets from each other.
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(local))?;
    Ok(UdpSocket::from(descriptor))
}

fn open_error(instance: &str, what: &str, error: io::Error) -> OpenError {
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
    OpenError {
        message: format!("instance `{instance}`: cannot open {what}: {reason}"),
        hint: hint.map(str::to_string),
    }
}

fn wrong_family(instance: &str, address: &OscAddress) -> OpenError {
    let OscAddress { host, port, .. } = address;
    OpenError {
        message: format!(
            "instance `{instance}`: `destination = {host} {port}` cannot be reached from the address of its `bind`"
        ),
        hint: Some("one is IPv4, the other IPv6; `bind = :: PORT` serves both".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("the test names an address")
    }

    #[test]
    fn a_socket_for_both_families_names_an_ipv4_peer_in_its_ipv6_form() {
        let to = reachable_from(address("[::]:8000"), address("10.0.0.1:9"));
        assert_eq!(to, Some(address("[::ffff:10.0.0.1]:9")));
        assert_eq!(
            reachable_from(address("0.0.0.0:8000"), address("10.0.0.1:9")),
            Some(address("10.0.0.1:9"))
        );
    }

    #[test]
    fn a_socket_cannot_reach_the_other_family() {
        assert_eq!(reachable_from(address("[::1]:8000"), address("10.0.0.1:9")), None);
        assert_eq!(reachable_from(address("0.0.0.0:8000"), address("[::1]:9")), None);
    }

    #[test]
    fn a_sender_with_port_0_cannot_be_answered() {
        assert_eq!(sender_address(&address("10.0.0.1:0").into()), None);
        assert_eq!(sender_address(&address("[::1]:5").into()), Some(address("[::1]:5")));
    }
}
