//! The UDP socket of an instance: opens it, and moves datagrams in batches.
//!
//! One system call receives up to [`BATCH`] datagrams of any size, one sends as many. The receive
//! buffer has room for the largest datagram in each place. It is zeroed memory straight from the
//! system, so that only pages which datagrams have filled take up memory.
//!
//! Consecutive datagrams of one length go to the system as one block (`UDP_SEGMENT`), which the
//! system or the network card cuts up again. That is a fraction of the work of sending each.

use crate::backends::udp::each_report;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendmsg,
};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
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

/// An open socket with its buffers.
#[derive(Debug)]
pub struct OscSocket {
    socket: UdpSocket,
    /// The address that it is bound to, as asked for.
    local: SocketAddr,
    buffer: Vec<u8>,
    receiving: MultiHeaders<SockaddrStorage>,
    /// Datagrams in the buffer that were received and not handed out yet.
    kept: VecDeque<KeptDatagram>,
    sending: MultiHeaders<SockaddrStorage>,
    /// How many datagrams the next call asks for.
    expected: usize,
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

/// What one call has sent.
#[derive(Debug, Clone, Copy)]
pub struct SentBatch {
    pub messages: usize,
    pub bytes: usize,
}

/// What the kernel has reported since the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendReports {
    /// Whether there was a report, for whatever address.
    pub any: bool,
    /// Why a datagram for the present peer was not received.
    pub of_peer: Option<Errno>,
}

/// The address to send to, and a copy for each message of a batch.
#[derive(Debug)]
struct OscPeer {
    address: SocketAddr,
    copies: Vec<Option<SockaddrStorage>>,
}

impl OscSocket {
    /// Takes a socket that is bound to `local`.
    pub fn new(socket: UdpSocket, local: SocketAddr) -> Self {
        let receiving = MultiHeaders::preallocate(BATCH, None);
        let sending = MultiHeaders::preallocate(BATCH, None);
        Self {
            socket,
            local,
            buffer: vec![0; PLACE * BATCH],
            receiving,
            kept: VecDeque::new(),
            sending,
            expected: FEW,
            blocks: true,
            peer: None,
        }
    }

    /// The address `to` in the form that this socket needs; `None`: it cannot reach it.
    pub fn reachable(&self, to: SocketAddr) -> Option<SocketAddr> {
        reachable_from(self.local, to)
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

    /// What the kernel has learned about datagrams that were sent earlier.
    pub fn take_reports(&self) -> SendReports {
        let (mut reports, peer) = (SendReports::default(), self.peer());
        each_report(self.socket.as_raw_fd(), |to, reason| {
            reports.any = true;
            if to.is_some() && to == peer {
                reports.of_peer = reason.or(reports.of_peer);
            }
        });
        reports
    }

    /// Sends datagrams to the peer, at most a batch. They stand one behind the other in `bytes`.
    /// Returns how many were sent, at least one.
    pub fn send(
        &mut self,
        bytes: &[u8],
        lengths: impl ExactSizeIterator<Item = usize> + Clone,
    ) -> io::Result<SentBatch> {
        let Some(peer) = &self.peer else { return Err(ErrorKind::NotConnected.into()) };
        let count = lengths.len().min(BATCH);
        let first = lengths.clone().next().unwrap_or(0);
        if count == 1 {
            let datagram = bytes.get(..first).unwrap_or_default();
            return self
                .socket
                .send_to(datagram, peer.address)
                .map(|_| SentBatch { messages: 1, bytes: first });
        }
        let same = lengths.clone().take(count).take_while(|length| *length == first).count();
        if self.blocks
            && let Some(sent) = send_block(&self.socket, bytes, first, same, peer)?
        {
            self.blocks = sent > 0;
            if self.blocks {
                return Ok(SentBatch { messages: sent, bytes: sent * first });
            }
        }
        let (mut rest, mut each) = (bytes, lengths.clone());
        let slices: [_; BATCH] = std::array::from_fn(|_| {
            let (datagram, behind) = rest.split_at_checked(each.next().unwrap_or(0)).unwrap_or_default();
            rest = behind;
            [IoSlice::new(datagram)]
        });
        let no_control: [ControlMessage<'_>; 0] = [];
        let descriptor = self.socket.as_raw_fd();
        let (slices, flags) = (slices.iter().take(count), MsgFlags::MSG_DONTWAIT);
        let sent = sendmmsg(descriptor, &mut self.sending, slices, &peer.copies, no_control, flags)?.count();
        Ok(SentBatch { messages: sent, bytes: lengths.take(sent).sum() })
    }
}

/// Sends the first `count` datagrams, which have one length, as one block. Returns how many were
/// sent, 0 where the system does not accept blocks. `None`: they are too few for a block.
fn send_block(
    socket: &UdpSocket,
    bytes: &[u8],
    length: usize,
    count: usize,
    peer: &OscPeer,
) -> io::Result<Option<usize>> {
    let Ok(segment) = u16::try_from(length) else { return Ok(None) };
    if count < BLOCK_MINIMUM || !(1..=BLOCK_DATAGRAM_LIMIT).contains(&length) {
        return Ok(None);
    }
    let count = count.min(BLOCK_LIMIT / length);
    let block = bytes.get(..count * length).unwrap_or_default();
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
}
