//! One socket to receive with, and the buffer that all of them share.

use super::system::open_receiver;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, recvmmsg};
use socket2::{InterfaceIndexOrAddress, SockRef};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

/// The most datagrams that one call receives.
pub const BATCH: usize = 64;
/// How many datagrams a call asks for when few arrived the last time: each place costs time to
/// prepare.
const FEW: usize = 4;
/// The bytes of a place for one datagram. No packet of either protocol is longer than 1,500 bytes:
/// what does not fit is malformed and is dropped.
const PLACE: usize = 2048;

/// A datagram that has arrived.
#[derive(Debug, Clone, Copy)]
pub struct DmxDatagram<'a> {
    pub bytes: &'a [u8],
    pub from: SocketAddrV4,
    /// The address that it was sent to: a group, a broadcast address, or one of this machine.
    pub to: Ipv4Addr,
    /// The address of this machine to answer from.
    pub local: Ipv4Addr,
    /// The number of the interface on which it arrived; of one from this machine, the one through
    /// which it was sent.
    pub interface: u32,
}

/// Where datagrams are received to.
pub struct ReceiveBuffer {
    bytes: Vec<u8>,
    headers: MultiHeaders<SockaddrIn>,
}

impl std::fmt::Debug for ReceiveBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceiveBuffer").finish_non_exhaustive()
    }
}

impl Default for ReceiveBuffer {
    fn default() -> Self {
        let control = nix::cmsg_space!(libc::in_pktinfo);
        Self { bytes: vec![0; BATCH * PLACE], headers: MultiHeaders::preallocate(BATCH, Some(control)) }
    }
}

/// What one call has received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceivedBatch {
    pub datagrams: usize,
    /// Datagrams that were too long.
    pub oversized: u64,
    /// Whether there may be more.
    pub has_more: bool,
}

/// A socket to receive with.
#[derive(Debug)]
pub struct ReceiveSocket {
    socket: UdpSocket,
    /// The group it is bound to, and the interfaces on which that is joined.
    group: Option<Ipv4Addr>,
    joined: BTreeSet<u32>,
    expected: usize,
    /// Datagrams that were received and not handed out yet: at most [`BATCH`].
    kept: VecDeque<KeptDatagram>,
}

#[derive(Debug)]
struct KeptDatagram {
    bytes: Box<[u8]>,
    from: SocketAddrV4,
    to: Ipv4Addr,
    local: Ipv4Addr,
    interface: u32,
}

impl ReceiveSocket {
    /// Opens a socket that is bound to a group, to an address of this machine, or to the wildcard.
    pub fn open(local: SocketAddrV4) -> io::Result<Self> {
        let group = Some(*local.ip()).filter(Ipv4Addr::is_multicast);
        let (socket, joined, kept) = (open_receiver(local)?, BTreeSet::new(), VecDeque::new());
        Ok(Self { socket, group, joined, expected: FEW, kept })
    }

    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Has the group joined on these interfaces and on no other. Goes through all of them, and
    /// returns the first error.
    pub fn join(&mut self, wanted: &BTreeSet<u32>) -> io::Result<()> {
        let Some(group) = self.group else { return Ok(()) };
        let socket = SockRef::from(&self.socket);
        let mut outcome = Ok(());
        // The kernel keeps what was joined on a device that is gone, and counts it.
        for index in self.joined.difference(wanted) {
            let _ = socket.leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(*index));
        }
        self.joined.retain(|index| wanted.contains(index));
        for index in wanted {
            if self.joined.contains(index) {
                continue;
            }
            match socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(*index)) {
                Ok(()) => drop(self.joined.insert(*index)),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// Calls `each` with each datagram, for at most a batch and at most `limit` datagrams, until it
    /// returns false. What was received and is not handed out then is kept for the next call.
    pub fn receive(
        &mut self,
        buffer: &mut ReceiveBuffer,
        limit: usize,
        mut each: impl FnMut(&DmxDatagram<'_>) -> bool,
    ) -> io::Result<ReceivedBatch> {
        if self.has_kept() {
            return Ok(self.hand_out_kept(limit, each));
        }
        let mut places = buffer.bytes.chunks_exact_mut(PLACE);
        let mut slices: [_; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(places.next().unwrap_or_default())]);
        let expected = self.expected.min(limit);
        let (slices, flags) = (slices.iter_mut().take(expected), MsgFlags::MSG_DONTWAIT);
        let received = match recvmmsg(self.socket.as_raw_fd(), &mut buffer.headers, slices, flags, None) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(ReceivedBatch::default()),
            Err(errno) => return Err(errno.into()),
        };
        let (mut batch, mut goes_on) = (ReceivedBatch::default(), true);
        for message in received {
            batch.datagrams += 1;
            if message.flags.contains(MsgFlags::MSG_TRUNC) {
                batch.oversized += 1;
                continue;
            }
            let bytes = message.iovs().next().unwrap_or_default();
            let Some(datagram) = read(&message, bytes) else { continue };
            if goes_on {
                goes_on = each(&datagram);
            } else {
                self.kept.push_back(KeptDatagram::of(&datagram));
            }
        }
        batch.has_more = batch.datagrams == expected;
        self.expected = if batch.has_more { BATCH } else { (2 * batch.datagrams).clamp(FEW, BATCH) };
        Ok(batch)
    }

    fn hand_out_kept(
        &mut self,
        limit: usize,
        mut each: impl FnMut(&DmxDatagram<'_>) -> bool,
    ) -> ReceivedBatch {
        let mut batch = ReceivedBatch { has_more: true, ..ReceivedBatch::default() };
        while batch.datagrams < limit
            && let Some(kept) = self.kept.pop_front()
        {
            batch.datagrams += 1;
            if !each(&kept.as_datagram()) {
                break;
            }
        }
        batch
    }
}

impl KeptDatagram {
    fn of(datagram: &DmxDatagram<'_>) -> Self {
        let DmxDatagram { bytes, from, to, local, interface } = *datagram;
        Self { bytes: bytes.into(), from, to, local, interface }
    }

    fn as_datagram(&self) -> DmxDatagram<'_> {
        let Self { bytes, from, to, local, interface } = self;
        DmxDatagram { bytes, from: *from, to: *to, local: *local, interface: *interface }
    }
}

/// A datagram with what the kernel says about its way.
fn read<'a>(message: &RecvMsg<'_, '_, SockaddrIn>, bytes: &'a [u8]) -> Option<DmxDatagram<'a>> {
    let from = SocketAddrV4::from(*message.address.as_ref()?);
    let info = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
        _ => None,
    })?;
    let address = |raw: libc::in_addr| Ipv4Addr::from(raw.s_addr.to_ne_bytes());
    let (to, local) = (address(info.ipi_addr), address(info.ipi_spec_dst));
    let interface = u32::try_from(info.ipi_ifindex).unwrap_or(0);
    Some(DmxDatagram { bytes, from, to, local, interface })
}
