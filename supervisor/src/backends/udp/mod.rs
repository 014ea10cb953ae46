//! What the backends that speak UDP share: hosts in the show file, the options of their sockets,
//! and the errors that the kernel reports about datagrams that were sent.

mod error_queue;
pub mod host;
mod opening;

pub use error_queue::{each_report, request_reports};
pub use opening::{bind_error, enlarge_receive_buffer, enlarge_send_buffer};

use nix::sys::socket::SockaddrStorage;
use std::net::SocketAddr;

/// The sender of a datagram, if it can be answered.
pub fn sender_address(sender: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || sender.as_sockaddr_in().map(|sender| SocketAddr::V4((*sender).into()));
    let v6 = || sender.as_sockaddr_in6().map(|sender| SocketAddr::V6((*sender).into()));
    v4().or_else(v6).filter(|sender| sender.port() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("the test names an address")
    }

    #[test]
    fn a_sender_with_port_0_cannot_be_answered() {
        assert_eq!(sender_address(&address("10.0.0.1:0").into()), None);
        assert_eq!(sender_address(&address("[::1]:5").into()), Some(address("[::1]:5")));
    }
}
