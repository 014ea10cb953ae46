//! A switch and the cables to it.

use super::host::{Host, ip};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};

/// A local network, 10.77.N.0/24: a bridge that forwards multicast to all its ports.
#[derive(Debug, Clone)]
pub struct Lan {
    number: u8,
}

impl Default for Lan {
    fn default() -> Self {
        Self::new()
    }
}

impl Lan {
    /// An empty network.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU8 = AtomicU8::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        ip(&format!(
            "link add br{number} type bridge mcast_snooping 0 forward_delay 0\nlink set br{number} up"
        ));
        Self { number }
    }

    /// A new host with one interface, `eth0`, in this network.
    #[must_use]
    pub fn host(&self) -> Host {
        let host = Host::new();
        host.plug(self, "eth0");
        host
    }

    /// The address for a host of this number.
    #[must_use]
    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, host)
    }

    /// The address to which one sends to all hosts.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        self.address(255)
    }

    /// Pulls the cable of a host out of the switch: its interface has no carrier any more.
    pub fn pull(&self, host: &Host) {
        ip(&format!("link set {} down", self.port(host)));
    }

    /// Puts the cable in again.
    pub fn put_back(&self, host: &Host) {
        ip(&format!("link set {} up", self.port(host)));
    }

    /// The switch's end of a cable.
    pub(super) fn port(&self, host: &Host) -> String {
        format!("p{}-{}", self.number, host.number())
    }

    pub(super) fn bridge(&self) -> String {
        format!("br{}", self.number)
    }
}
