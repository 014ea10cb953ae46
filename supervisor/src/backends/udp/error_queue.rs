//! What the kernel learns about datagrams after they were sent: ICMP messages for a port on which
//! no program listens, or for a host that is not reached (`IP_RECVERR`, ip(7)).
//!
//! Without the option, an unconnected socket is told nothing. With it, each message waits in the
//! socket's error queue, with the address that the datagram was for, and the next call on the
//! socket fails once. As long as the queue is not empty, the poller reports the socket.

use super::sender_address;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::{AsFd, RawFd};

/// The most reports that are read at once.
const REPORTS_LIMIT: usize = 64;

/// Space for the control messages of a report.
const CONTROL_SIZE: usize = 256;

/// Asks for reports. Without them only a missing peer stays unnoticed.
pub fn request_reports(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::Ipv4RecvErr, &true);
    let _ = setsockopt(socket, sockopt::Ipv6RecvErr, &true);
}

/// Empties the error queue of a socket, up to a limit. Calls `each` with the address that a datagram
/// was for, if it is known, and why it was not received.
pub fn each_report(descriptor: RawFd, mut each: impl FnMut(Option<SocketAddr>, Option<Errno>)) {
    let mut control = vec![0; CONTROL_SIZE];
    for _ in 0..REPORTS_LIMIT {
        let mut payload = [0; 0];
        let mut slices = [IoSliceMut::new(&mut payload)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let Ok(message) = recvmsg::<SockaddrStorage>(descriptor, &mut slices, Some(&mut control), flags)
        else {
            break;
        };
        let to = message.address.as_ref().and_then(sender_address);
        let codes = message.cmsgs().into_iter().flatten().filter_map(|control| match control {
            ControlMessageOwned::Ipv4RecvErr(report, _) => Some(report.ee_errno),
            ControlMessageOwned::Ipv6RecvErr(report, _) => Some(report.ee_errno),
            _ => None,
        });
        let reason = codes.last().map(|code| Errno::from_raw(code as i32));
        // A path that takes smaller packets only: the kernel cuts up what follows.
        each(to, reason.filter(|reason| *reason != Errno::EMSGSIZE));
    }
}
