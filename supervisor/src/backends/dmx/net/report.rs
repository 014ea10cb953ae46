//! What a backend can ask its sockets about binds, interfaces and destinations.

use super::bind::BindIndex;
use super::faults::{FaultPlace, text};
use super::interfaces::{DmxInterface, InterfaceTable};
use super::sockets::DmxSockets;
use std::fmt;
use std::net::Ipv4Addr;

impl DmxSockets {
    /// The address of a bind's interface at present; of `*` none.
    #[must_use]
    pub fn address(&self, bind: BindIndex) -> Option<Ipv4Addr> {
        self.binds.get(bind.0)?.address().map(|(_, own)| own.address)
    }

    /// The address from which a host is answered through this bind: one of its network if there is
    /// one.
    #[must_use]
    pub fn address_towards(&self, bind: BindIndex, host: Ipv4Addr) -> Option<Ipv4Addr> {
        let bound = self.binds.get(bind.0)?;
        if !bound.is_any() {
            return bound.path_to(host).map(|path| path.source);
        }
        let near = |interface: &DmxInterface| interface.address_towards(host).filter(|own| own.is_near(host));
        let any = || bound.senders().first().map(|(_, own)| own.address);
        self.table.iter().find_map(near).map(|own| own.address).or_else(any)
    }

    /// The interfaces through which a bind sends to groups and to all hosts.
    pub fn interfaces(&self, bind: BindIndex) -> impl Iterator<Item = &DmxInterface> {
        let senders = self.binds.get(bind.0).map_or(&[][..], |bound| bound.senders());
        senders.iter().filter_map(|(index, _)| self.table.by_index(*index))
    }

    /// The interface of this number, as in [`DmxDatagram::interface`](super::DmxDatagram).
    #[must_use]
    pub fn interface(&self, index: u32) -> Option<&DmxInterface> {
        self.table.by_index(index)
    }

    /// Whether an address is one of this machine.
    #[must_use]
    pub fn is_own_address(&self, address: Ipv4Addr) -> bool {
        self.table.owner(address).is_some()
    }

    /// The name of a bind for `status`: its interface, or what the show file says.
    #[must_use]
    pub fn bind_name(&self, bind: BindIndex) -> String {
        let Some(bound) = self.binds.get(bind.0) else { return String::new() };
        let name = bound.address().and_then(|(index, _)| self.table.by_index(index));
        name.map_or_else(|| bound.spec.host.to_string(), |interface| interface.name.clone())
    }

    /// What a user should know about sending to `to` through this bind: that the interface is
    /// missing, or why the destination is not reached.
    #[must_use]
    pub fn note(&self, bind: BindIndex, to: Option<Ipv4Addr>) -> Option<String> {
        let bound = self.binds.get(bind.0)?;
        if !bound.is_present() {
            return Some(format!("`bind = {}` waits for its interface", bound.spec));
        }
        let to = to?;
        let of_place = |place| {
            let fault = self.faults.of(place)?;
            let name = PlaceName { place, table: &self.table };
            Some(format!("cannot reach {name}: {}", text(fault.errno)))
        };
        if to.is_multicast() || to.is_broadcast() {
            return bound.senders().iter().find_map(|(index, _)| of_place(FaultPlace::Interface(*index)));
        }
        of_place(FaultPlace::Node(to))
    }

    /// Datagrams that could not be received or sent, for the `errors` of `status`.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.oversized + self.receive_failures.total() + self.faults.total()
    }
}

/// A place for the log.
pub(super) struct PlaceName<'a> {
    pub place: FaultPlace,
    pub table: &'a InterfaceTable,
}

impl fmt::Display for PlaceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            FaultPlace::Node(address) => address.fmt(f),
            FaultPlace::Interface(index) => match self.table.by_index(index) {
                Some(interface) => write!(f, "the network of `{}`", interface.name),
                None => write!(f, "the network of interface {index}"),
            },
        }
    }
}
