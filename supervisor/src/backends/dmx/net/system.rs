//! Opens the sockets.

use crate::backends::udp::{enlarge_receive_buffer, enlarge_send_buffer, request_reports};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};
use socket2::SockRef;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

/// The kernel's buffer of a socket for broadcast and unicast in bytes, as far as the system allows
/// it: a burst of 256 universes takes about 330 kB there.
const SHARED_RECEIVE_BUFFER: usize = 4 << 20;
/// The same for one group, which is one universe. Five seconds of it, as it has to take the bursts
/// of several sources only.
const GROUP_RECEIVE_BUFFER: usize = 256 << 10;
/// The kernel's buffer for what is sent: three bursts of 256 universes.
const SEND_BUFFER: usize = 1 << 20;
/// How many routers multicast may cross, as ETC's library has it: larger houses route it. The
/// system's default is none.
const MULTICAST_TTL: u32 = 64;
/// A group that no socket joins: one that is bound to it never receives. It is the last of the
/// groups that belong to an organisation (RFC 2365), and above those of the universes.
const SILENT_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 255);

/// Opens a socket to receive with: bound to a group, an address or the wildcard. Other programs may
/// use the port too.
pub fn open_receiver(local: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = open()?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    let is_group = local.ip().is_multicast();
    enlarge_receive_buffer(&socket, if is_group { GROUP_RECEIVE_BUFFER } else { SHARED_RECEIVE_BUFFER });
    bind(socket.as_raw_fd(), &SockaddrIn::from(local))?;
    if !is_group {
        request_reports(&socket);
    }
    Ok(socket)
}

/// Opens a socket that sends from `port` and never receives.
pub fn open_sender(port: u16) -> io::Result<UdpSocket> {
    let socket = open()?;
    setsockopt(&socket, sockopt::Broadcast, &true)?;
    setsockopt(&socket, sockopt::IpMulticastLoop, &true)?;
    SockRef::from(&socket).set_multicast_ttl_v4(MULTICAST_TTL)?;
    enlarge_send_buffer(&socket, SEND_BUFFER);
    bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(SILENT_GROUP, port)))?;
    Ok(socket)
}

fn open() -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = UdpSocket::from(socket(AddressFamily::Inet, SockType::Datagram, flags, None)?);
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    SockRef::from(&socket).set_multicast_all_v4(false)?;
    Ok(socket)
}
