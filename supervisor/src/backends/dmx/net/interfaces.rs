//! The network interfaces of this machine and their IPv4 addresses.

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;
use std::io;
use std::net::Ipv4Addr;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmxInterface {
    /// The kernel's number of it, which a device that goes away and comes back does not keep.
    pub index: u32,
    pub name: String,
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether it has a link too.
    pub is_running: bool,
    pub is_loopback: bool,
    pub has_multicast: bool,
    pub mac: Option<[u8; 6]>,
    /// In the order of the kernel: the first is the one that it prefers as a source.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    pub address: Ipv4Addr,
    pub netmask: Ipv4Addr,
    /// Every host of the network; `None`: the network has none, as point to point.
    pub broadcast: Option<Ipv4Addr>,
}

impl InterfaceAddress {
    /// Whether a host has an address of the same network.
    #[must_use]
    pub fn is_near(&self, host: Ipv4Addr) -> bool {
        let network = |address: Ipv4Addr| address & self.netmask;
        network(self.address) == network(host)
    }
}

impl DmxInterface {
    /// Whether what is sent to a group there arrives anywhere.
    #[must_use]
    pub fn carries_multicast(&self) -> bool {
        self.is_running && self.has_multicast && !self.is_loopback && !self.addresses.is_empty()
    }

    /// Whether groups can be joined there.
    #[must_use]
    pub fn can_join(&self) -> bool {
        self.is_up && (self.has_multicast || self.is_loopback) && !self.addresses.is_empty()
    }

    /// The address to send to `host` from: one of its network, else the first.
    #[must_use]
    pub fn address_towards(&self, host: Ipv4Addr) -> Option<InterfaceAddress> {
        let near = self.addresses.iter().find(|address| address.is_near(host));
        near.or(self.addresses.first()).copied()
    }
}

/// All interfaces at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceTable {
    interfaces: Vec<DmxInterface>,
}

impl InterfaceTable {
    /// Asks the kernel, which takes some 0.1 ms.
    ///
    /// # Errors
    ///
    /// The kernel does not answer, for lack of memory or descriptors or of the right to ask.
    pub fn read() -> io::Result<Self> {
        let mut table = Self::default();
        for found in getifaddrs()? {
            // `eth0:1` is a label of an address of `eth0`.
            let name = found.interface_name.split(':').next().unwrap_or_default();
            let Some(address) = found.address else { continue };
            if let Some(link) = address.as_link_addr() {
                let index = u32::try_from(link.ifindex()).unwrap_or(0);
                table.add(index, name, found.flags, link.addr());
            } else if let Some(address) = v4(Some(&address))
                && let Some(interface) = table.interfaces.iter_mut().find(|known| known.name == name)
            {
                let has_broadcast = found.flags.contains(InterfaceFlags::IFF_BROADCAST);
                let netmask = v4(found.netmask.as_ref()).unwrap_or(Ipv4Addr::BROADCAST);
                let told = v4(found.broadcast.as_ref()).filter(|_| has_broadcast);
                let broadcast = told.and_then(|told| broadcast_address(address, netmask, told));
                interface.addresses.push(InterfaceAddress { address, netmask, broadcast });
            }
        }
        Ok(table)
    }

    fn add(&mut self, index: u32, name: &str, flags: InterfaceFlags, mac: Option<[u8; 6]>) {
        let is_up = flags.contains(InterfaceFlags::IFF_UP);
        self.interfaces.push(DmxInterface {
            index,
            name: name.to_owned(),
            is_up,
            is_running: is_up && flags.contains(InterfaceFlags::IFF_RUNNING),
            is_loopback: flags.contains(InterfaceFlags::IFF_LOOPBACK),
            has_multicast: flags.contains(InterfaceFlags::IFF_MULTICAST),
            mac,
            addresses: Vec::new(),
        });
    }

    /// All of them, in the order of the kernel.
    pub fn iter(&self) -> impl Iterator<Item = &DmxInterface> {
        self.interfaces.iter()
    }

    pub fn by_index(&self, index: u32) -> Option<&DmxInterface> {
        self.interfaces.iter().find(|interface| interface.index == index)
    }

    pub fn by_name(&self, name: &str) -> Option<&DmxInterface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// The interface that has this address. All of 127.0.0.0/8 is the loopback interface's.
    #[must_use]
    pub fn owner(&self, address: Ipv4Addr) -> Option<&DmxInterface> {
        let has_it = |interface: &&DmxInterface| interface.addresses.iter().any(|own| own.address == address);
        let is_near = |interface: &&DmxInterface| {
            interface.is_loopback && interface.addresses.iter().any(|own| own.is_near(address))
        };
        self.interfaces.iter().find(has_it).or_else(|| self.interfaces.iter().find(is_near))
    }
}

/// The broadcast address of a network. Of an address that was set without one (`ip addr add` does
/// that), the kernel tells the address itself.
fn broadcast_address(address: Ipv4Addr, netmask: Ipv4Addr, told: Ipv4Addr) -> Option<Ipv4Addr> {
    if told != address {
        return Some(told);
    }
    let is_network = u32::from(!netmask) >= 3;
    is_network.then_some(address | !netmask)
}

fn v4(address: Option<&SockaddrStorage>) -> Option<Ipv4Addr> {
    address.and_then(|address| address.as_sockaddr_in()).map(|address| address.ip())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    #[test]
    fn a_network_has_a_broadcast_address_also_where_none_was_set() {
        let address = |last| Ipv4Addr::new(10, 0, 0, last);
        let mask = |last| Ipv4Addr::new(255, 255, 255, last);
        assert_eq!(broadcast_address(address(1), mask(0), address(255)), Some(address(255)));
        assert_eq!(broadcast_address(address(1), mask(0), address(1)), Some(address(255)));
        assert_eq!(broadcast_address(address(1), mask(254), address(1)), None, "point to point");
        assert_eq!(broadcast_address(address(1), mask(255), address(1)), None);
    }

    /// An interface of a test, with addresses of a 24-bit network.
    pub fn interface(index: u32, name: &str, addresses: &[[u8; 4]]) -> DmxInterface {
        let addresses = addresses.iter().map(|&[a, b, c, d]| InterfaceAddress {
            address: [a, b, c, d].into(),
            netmask: [255, 255, 255, 0].into(),
            broadcast: Some([a, b, c, 255].into()),
        });
        DmxInterface {
            index,
            name: name.into(),
            is_up: true,
            is_running: true,
            is_loopback: name == "lo",
            has_multicast: name != "lo",
            mac: None,
            addresses: addresses.collect(),
        }
    }

    pub fn table(interfaces: &[DmxInterface]) -> InterfaceTable {
        InterfaceTable { interfaces: interfaces.to_vec() }
    }

    #[test]
    fn the_kernel_lists_the_loopback_interface() {
        let table = InterfaceTable::read().unwrap();
        let lo = table.owner(Ipv4Addr::LOCALHOST).expect("every machine has it");
        assert!(lo.is_up && lo.is_loopback && lo.index > 0, "{lo:?}");
        assert_eq!(table.by_index(lo.index), Some(lo));
        assert_eq!(table.by_name(&lo.name), Some(lo));
        assert_eq!(table.owner([127, 77, 0, 1].into()), Some(lo));
    }

    #[test]
    fn an_address_belongs_to_the_interface_that_has_it_and_a_source_is_near_its_host() {
        let table = table(&[interface(1, "lo", &[]), interface(2, "eth0", &[[10, 0, 0, 1], [10, 0, 1, 1]])]);
        let eth0 = table.owner([10, 0, 1, 1].into()).unwrap();
        assert_eq!(eth0.index, 2);
        assert_eq!(table.owner([10, 0, 1, 2].into()), None);
        let source = |host: [u8; 4]| eth0.address_towards(host.into()).unwrap().address.octets();
        assert_eq!(source([10, 0, 1, 9]), [10, 0, 1, 1]);
        assert_eq!(source([10, 0, 0, 9]), [10, 0, 0, 1]);
        assert_eq!(source([192, 168, 0, 9]), [10, 0, 0, 1]);
    }
}
