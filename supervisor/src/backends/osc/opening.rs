//! Opens the socket of an instance, or says why it cannot be opened and whether that may come right
//! by itself.

use super::options::{OscAddress, OscDestination};
use super::socket::OscSocket;
use crate::backends::udp::{bind_error, enlarge_receive_buffer, request_reports};
use crate::backends::{OpenCause, OpenError};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// The size of the kernel's receive buffer in bytes, as far as the system allows it: a burst waits
/// there and is not dropped.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Opens the socket that `bind` and `destination` ask for. `found` are the addresses of the host of
/// `bind`, if that had to be looked up. A destination with a known address becomes the peer.
///
/// # Errors
///
/// The address of `bind` cannot be bound, or the destination not be reached from it.
pub fn open(
    instance: &str,
    listen: Option<&OscAddress>,
    found: &[SocketAddr],
    destination: &OscDestination,
) -> Result<OscSocket, OpenError> {
    let (socket, local) = match listen {
        Some(address) => listen_on(instance, address, found)?,
        None => open_to_send(destination).map_err(|error| open_error(instance, "a socket", error))?,
    };
    if *destination != OscDestination::None {
        request_reports(&socket);
    }
    let mut port = OscSocket::new(socket, local);
    if let OscDestination::Fixed(address) = destination
        && let Some(known) = address.known()
    {
        let reachable = known.into_iter().find_map(|to| port.reachable(to));
        port.set_peer(reachable.ok_or_else(|| wrong_family(instance, address))?);
    }
    Ok(port)
}

/// Opens a socket on a port of the system's choice, from which the destination can be reached
/// whatever its name turns out to mean.
fn open_to_send(destination: &OscDestination) -> io::Result<(UdpSocket, SocketAddr)> {
    let (v4, v6) = (any_address(false, 0), any_address(true, 0));
    let known = match destination {
        OscDestination::Fixed(address) => address.known(),
        OscDestination::None | OscDestination::Learn { .. } => Some(vec![v4]),
    };
    let first = known.map(|known| known.first().is_some_and(SocketAddr::is_ipv6));
    let local = any_address(first.unwrap_or(true), 0);
    match open_at(local) {
        // This machine does not have IPv6.
        Err(_) if first.is_none() && local == v6 => open_at(v4).map(|socket| (socket, v4)),
        opened => opened.map(|socket| (socket, local)),
    }
}

/// The wildcard address of a family.
fn any_address(is_v6: bool, port: u16) -> SocketAddr {
    match is_v6 {
        true => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        false => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
    }
}

fn listen_on(
    instance: &str,
    address: &OscAddress,
    found: &[SocketAddr],
) -> Result<(UdpSocket, SocketAddr), OpenError> {
    let OscAddress { host, port, .. } = address;
    let candidates = match host.as_str() {
        "*" => vec![any_address(false, *port)],
        _ => address.known().unwrap_or_else(|| found.to_vec()),
    };
    let mut outcome = Err(io::Error::from(Errno::EADDRNOTAVAIL));
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
            let local = any_address(false, *port);
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
    enlarge_receive_buffer(&descriptor, RECEIVE_BUFFER);
    // Without SO_REUSEADDR: two programs on one UDP port would take packets from each other.
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(local))?;
    Ok(UdpSocket::from(descriptor))
}

fn open_error(instance: &str, what: &str, error: io::Error) -> OpenError {
    bind_error(&format!("instance `{instance}`"), what, error)
}

fn wrong_family(instance: &str, address: &OscAddress) -> OpenError {
    let OscAddress { host, port, .. } = address;
    OpenError {
        message: format!(
            "instance `{instance}`: `destination = {host} {port}` cannot be reached from the address of its `bind`"
        ),
        hint: Some("one is IPv4, the other IPv6; `bind = :: PORT` serves both".into()),
        cause: OpenCause::Lasting,
    }
}
