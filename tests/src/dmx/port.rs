//! A UDP socket of a host that sends and receives on one of its interfaces.

use crate::netns::Host;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

/// A datagram as it came.
#[derive(Debug, Clone)]
pub struct Datagram {
    /// The payload.
    pub bytes: Arc<[u8]>,
    /// The sender.
    pub from: SocketAddrV4,
    /// Where it was sent to: an address of this host, a group or a broadcast address.
    pub to: Ipv4Addr,
    /// When the kernel received it. The sender's packets reach it without a queue between.
    pub time: Duration,
}

/// The socket. Several of one host may have the same port.
#[derive(Debug)]
pub struct DmxPort {
    socket: UdpSocket,
    address: Ipv4Addr,
}

impl DmxPort {
    /// Opens `port` on an interface of a host.
    ///
    /// # Panics
    ///
    /// When the host does not have this interface, or the port is taken.
    #[must_use]
    pub fn open(host: &Host, interface: &str, port: u16) -> Self {
        let address = host.address(interface).expect("an interface with an address");
        let socket = host.run(|| bind(port, interface).expect("a port of a host of the test"));
        Self { socket, address }
    }

    /// The address of the interface.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Joins a group.
    ///
    /// # Panics
    ///
    /// When the interface is gone.
    pub fn join(&self, group: Ipv4Addr) {
        self.socket.join_multicast_v4(&group, &self.address).expect("an interface that is there");
    }

    /// Sends a datagram.
    ///
    /// # Panics
    ///
    /// When the network refuses.
    pub fn send(&self, to: SocketAddrV4, bytes: &[u8]) {
        self.try_send(to, bytes).expect("a network that is there");
    }

    /// Sends a datagram where the network may refuse.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn try_send(&self, to: SocketAddrV4, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send_to(bytes, to)
    }

    /// The next datagram, if one comes in time.
    ///
    /// # Panics
    ///
    /// When the socket fails.
    #[must_use]
    pub fn receive_within(&self, time: Duration) -> Option<Datagram> {
        let time = time.max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(time)).expect("a time above zero");
        let mut buffer = [0; 2048];
        let mut control = nix::cmsg_space!(TimeSpec, nix::libc::in_pktinfo);
        let (length, from, to, time) = {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::empty());
            let message = recvmsg::<SockaddrIn>(socket, &mut slices, Some(&mut control), flags).ok()?;
            let (mut to, mut time) = (Ipv4Addr::UNSPECIFIED, Duration::ZERO);
            for control in message.cmsgs().expect("room for all that was asked for") {
                match control {
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        to = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                    }
                    ControlMessageOwned::ScmTimestampns(stamp) => time = stamp.into(),
                    _ => {}
                }
            }
            let from = message.address.expect("a datagram has a sender");
            (message.bytes, SocketAddrV4::new(from.ip(), from.port()), to, time)
        };
        Some(Datagram { bytes: buffer[..length].into(), from, to, time })
    }
}

fn bind(port: u16, interface: &str) -> io::Result<UdpSocket> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, bind, socket};
    let (family, flags) = (AddressFamily::Inet, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::Broadcast, &true)?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(interface))?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    // Bursts of hundreds of universes; without the right to it, as much as the system gives.
    if setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &(8 << 20))?;
    }
    bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port))?;
    Ok(UdpSocket::from(socket))
}
