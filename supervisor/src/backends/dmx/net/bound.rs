//! A bind with the interfaces that it means at present.

use super::bind::{BindHost, BindSpec};
use super::interfaces::{DmxInterface, InterfaceAddress, InterfaceTable};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A bind, what it has joined, and where it is.
#[derive(Debug, PartialEq, Eq)]
pub struct BoundBind {
    pub spec: BindSpec,
    /// Groups that it has joined, or joins when its interface comes.
    pub groups: BTreeSet<Ipv4Addr>,
    /// The addresses of its host, where it names one.
    pub found: Vec<Ipv4Addr>,
    place: BindPlace,
}

/// Where a bind is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct BindPlace {
    /// Where its groups are joined.
    joined: Vec<u32>,
    /// Where what it sends to a group, or to all hosts, goes, and the source to send it from.
    senders: Vec<(u32, InterfaceAddress)>,
    /// All addresses of its interface; of `*` none.
    addresses: Vec<(u32, InterfaceAddress)>,
    /// The address that it names.
    exact: Option<InterfaceAddress>,
}

/// How to reach a host: 0 and 0.0.0.0 leave the choice to the routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendPath {
    pub interface: u32,
    pub source: Ipv4Addr,
}

impl BoundBind {
    pub fn new(spec: BindSpec) -> Self {
        Self { spec, groups: BTreeSet::new(), found: Vec::new(), place: BindPlace::default() }
    }

    /// Looks for its interface. Returns whether anything of it has changed.
    pub fn update(&mut self, table: &InterfaceTable) -> bool {
        let place = match &self.spec.host {
            BindHost::Any => everywhere(table),
            BindHost::Address(address) => at_address(*address, table).unwrap_or_default(),
            BindHost::Name(name) => match table.by_name(name).filter(|interface| interface.is_up) {
                Some(interface) => at_interface(interface, None),
                None => {
                    let mut found = self.found.iter();
                    found.find_map(|address| at_address(*address, table)).unwrap_or_default()
                }
            },
        };
        let is_changed = place != self.place;
        self.place = place;
        is_changed
    }

    pub fn is_any(&self) -> bool {
        self.spec.host == BindHost::Any
    }

    /// Whether it has an interface with an address at present.
    pub fn is_present(&self) -> bool {
        self.is_any() || !self.place.addresses.is_empty()
    }

    /// The interfaces on which it joins groups.
    pub fn joined_interfaces(&self) -> &[u32] {
        &self.place.joined
    }

    /// The interfaces on which it sends to groups and to all hosts.
    pub fn senders(&self) -> &[(u32, InterfaceAddress)] {
        &self.place.senders
    }

    /// The addresses for which it has a socket of its own.
    pub fn own_addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let of_interface = self.place.addresses.iter().map(|(_, own)| own.address);
        let exact = self.place.exact.map(|exact| exact.address);
        of_interface.filter(move |address| exact.is_none_or(|exact| exact == *address))
    }

    /// Its address and network, and the number of the interface; of `*` none.
    pub fn address(&self) -> Option<(u32, InterfaceAddress)> {
        let first = self.place.addresses.first().copied();
        self.place.exact.and_then(|exact| first.map(|(index, _)| (index, exact))).or(first)
    }

    /// Whether a datagram that arrived on `interface` for `to`, a group, is its.
    pub fn receives_group(&self, interface: u32, to: Ipv4Addr) -> bool {
        (self.is_any() || self.place.joined.contains(&interface)) && self.groups.contains(&to)
    }

    /// Whether a datagram that arrived on `interface`, not for a group, is its.
    pub fn is_on(&self, interface: u32) -> bool {
        self.is_any() || self.place.addresses.iter().any(|(index, _)| *index == interface)
    }

    /// Whether `to` is the very address that it names, or all hosts of that network.
    pub fn claims(&self, to: Ipv4Addr) -> bool {
        self.place.exact.is_some_and(|exact| exact.address == to || exact.broadcast == Some(to))
    }

    /// Whether it names an address.
    pub fn has_exact(&self) -> bool {
        self.place.exact.is_some()
    }

    /// How it reaches one host, or all hosts of a network by their broadcast address: through its
    /// own interface if that is of the same network, else as the system routes. `None`: its
    /// interface is missing.
    pub fn path_to(&self, host: Ipv4Addr) -> Option<SendPath> {
        if self.is_any() {
            return Some(SendPath { interface: 0, source: Ipv4Addr::UNSPECIFIED });
        }
        let (_, first) = self.address()?;
        let near = self.place.addresses.iter().find(|(_, own)| own.is_near(host));
        let source = self.place.exact.or(near.map(|(_, own)| *own)).unwrap_or(first).address;
        Some(SendPath { interface: near.map_or(0, |(index, _)| *index), source })
    }
}

/// `*`: sends where there is a link, and joins also where none is yet. Without a network, programs
/// on this machine are left, which the loopback interface reaches.
fn everywhere(table: &InterfaceTable) -> BindPlace {
    let joins = |interface: &&DmxInterface| interface.can_join();
    let joined = table.iter().filter(joins).map(|interface| interface.index).collect();
    let all = |wanted: fn(&DmxInterface) -> bool| {
        let wanted = table.iter().filter(move |interface| wanted(interface));
        wanted.filter_map(|interface| Some((interface.index, *interface.addresses.first()?)))
    };
    let mut senders: Vec<_> = all(DmxInterface::carries_multicast).collect();
    if senders.is_empty() {
        senders = all(|interface| interface.is_loopback && interface.is_up).collect();
    }
    BindPlace { joined, senders, addresses: Vec::new(), exact: None }
}

fn at_address(address: Ipv4Addr, table: &InterfaceTable) -> Option<BindPlace> {
    let interface = table.owner(address).filter(|interface| interface.is_up)?;
    let network = interface.addresses.iter().find(|own| own.address == address);
    let network = network.copied().or(interface.address_towards(address))?;
    Some(at_interface(interface, Some(InterfaceAddress { address, ..network })))
}

fn at_interface(interface: &DmxInterface, exact: Option<InterfaceAddress>) -> BindPlace {
    let index = interface.index;
    let mut addresses: Vec<_> = interface.addresses.iter().map(|address| (index, *address)).collect();
    if let Some(exact) = exact
        && !interface.addresses.contains(&exact)
    {
        // One of 127.0.0.0/8 beside 127.0.0.1.
        addresses.push((index, exact));
    }
    let joined = if addresses.is_empty() { Vec::new() } else { vec![index] };
    let source = exact.or(interface.addresses.first().copied());
    BindPlace { joined, senders: source.map(|own| (index, own)).into_iter().collect(), addresses, exact }
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::tests::{interface, table};
    use super::*;

    fn bound(host: &str, table: &InterfaceTable) -> BoundBind {
        let mut bind = BoundBind::new(BindSpec::parse(host, 5568).unwrap().0);
        bind.update(table);
        bind
    }

    fn two_networks() -> InterfaceTable {
        table(&[
            interface(1, "lo", &[[127, 0, 0, 1]]),
            interface(2, "eth0", &[[10, 0, 0, 1], [10, 0, 1, 1]]),
            interface(3, "eth1", &[[10, 9, 0, 1]]),
        ])
    }

    #[test]
    fn a_bind_is_the_interface_of_its_address_or_name() {
        let table = two_networks();
        for host in ["10.0.1.1", "eth0"] {
            let bind = bound(host, &table);
            assert!(bind.is_on(2) && !bind.is_on(3) && !bind.is_on(1), "{host}");
            assert_eq!(bind.joined_interfaces(), [2]);
        }
        let any = bound("*", &table);
        assert!(any.is_on(2) && any.is_on(3));
        assert_eq!(any.joined_interfaces(), [1, 2, 3]);
    }

    #[test]
    fn a_bind_without_its_interface_is_somewhere_when_that_comes() {
        let mut bind = bound("eth7", &two_networks());
        assert!(!bind.is_present() && bind.address().is_none());
        assert_eq!(bind.path_to([10, 0, 0, 2].into()), None);
        assert!(bind.update(&table(&[interface(9, "eth7", &[[10, 7, 0, 1]])])));
        assert_eq!(
            bind.address().map(|(index, own)| (index, own.address.octets())),
            Some((9, [10, 7, 0, 1]))
        );
        assert!(bind.update(&table(&[interface(9, "eth7", &[])])));
        assert!(!bind.is_present());
    }

    #[test]
    fn a_host_name_is_the_interface_of_its_address_unless_an_interface_has_the_name() {
        let mut bind = bound("eth1", &two_networks());
        bind.found = vec![[10, 0, 0, 1].into()];
        assert!(!bind.update(&two_networks()) && bind.is_on(3));
        let mut bind = bound("lights.local", &two_networks());
        assert!(!bind.is_present());
        bind.found = vec![[192, 168, 0, 1].into(), [10, 0, 1, 1].into()];
        assert!(bind.update(&two_networks()) && bind.is_on(2));
    }

    #[test]
    fn a_host_of_the_same_network_is_reached_through_the_interface_others_by_the_routing_table() {
        let path = |host: &str, to: [u8; 4]| {
            let path = bound(host, &two_networks()).path_to(to.into()).unwrap();
            (path.interface, path.source.octets())
        };
        assert_eq!(path("eth0", [10, 0, 1, 7]), (2, [10, 0, 1, 1]));
        assert_eq!(path("10.0.0.1", [10, 0, 1, 7]), (2, [10, 0, 0, 1]));
        assert_eq!(path("10.0.0.1", [192, 168, 0, 1]), (0, [10, 0, 0, 1]));
        assert_eq!(path("10.0.0.1", [10, 0, 0, 255]), (2, [10, 0, 0, 1]));
        assert_eq!(path("*", [10, 0, 0, 7]), (0, [0, 0, 0, 0]));
    }

    #[test]
    fn all_interfaces_with_a_link_send_to_groups_and_without_any_the_loopback_does() {
        let senders = |table: &InterfaceTable| {
            let bind = bound("*", table);
            bind.senders().iter().map(|(index, _)| *index).collect::<Vec<_>>()
        };
        assert_eq!(senders(&two_networks()), [2, 3]);
        let mut unplugged = interface(3, "eth1", &[[10, 9, 0, 1]]);
        unplugged.is_running = false;
        assert_eq!(senders(&table(&[interface(1, "lo", &[[127, 0, 0, 1]]), unplugged])), [1]);
    }

    #[test]
    fn an_address_of_the_loopback_network_is_its_own_source() {
        let bind = bound("127.0.0.7", &two_networks());
        assert_eq!(bind.own_addresses().collect::<Vec<_>>(), [Ipv4Addr::new(127, 0, 0, 7)]);
        let path = bind.path_to([127, 0, 0, 9].into()).unwrap();
        assert_eq!((path.interface, path.source.octets()), (1, [127, 0, 0, 7]));
    }
}
