//! To which binds a datagram belongs.

use super::bind::BindIndex;
use super::bound::BoundBind;
use super::interfaces::InterfaceTable;
use super::receive::DmxDatagram;

/// Calls `each` with each bind of `port` that the datagram belongs to.
///
/// A group belongs to the binds that have joined it and are on the interface. Unicast belongs to
/// the interface that has the address, wherever it arrived: from this machine itself it comes
/// through the loopback interface. Broadcast belongs to the interface. Of two binds on one
/// interface, of which one names the very address, the other does not get it.
pub fn each_recipient(
    binds: &[BoundBind],
    table: &InterfaceTable,
    port: u16,
    datagram: &DmxDatagram<'_>,
    mut each: impl FnMut(BindIndex),
) {
    let DmxDatagram { to, interface, .. } = *datagram;
    let of_port = binds.iter().enumerate().filter(|(_, bind)| bind.spec.port == port);
    if to.is_multicast() {
        let recipients = of_port.filter(|(_, bind)| bind.receives_group(interface, to));
        return recipients.for_each(|(index, _)| each(BindIndex(index)));
    }
    let owner = match binds {
        // It does not matter.
        [bind] if bind.is_any() => interface,
        _ => table.owner(to).map_or(interface, |owner| owner.index),
    };
    let is_claimed = of_port.clone().any(|(_, bind)| bind.claims(to));
    for (index, bind) in of_port {
        let is_another = is_claimed && bind.has_exact() && !bind.claims(to);
        if bind.is_on(owner) && !is_another {
            each(BindIndex(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bind::BindSpec;
    use super::super::interfaces::tests::{interface, table};
    use super::*;
    use std::net::{Ipv4Addr, SocketAddrV4};

    fn recipients(binds: &[&str], interface_index: u32, to: [u8; 4]) -> Vec<usize> {
        let table = table(&[
            interface(1, "lo", &[[127, 0, 0, 1]]),
            interface(2, "eth0", &[[10, 0, 0, 1], [10, 0, 1, 1]]),
            interface(3, "eth1", &[[10, 9, 0, 1]]),
        ]);
        let bound = |spec: &&str| {
            let mut bind = BoundBind::new(BindSpec::parse(spec, 5568).unwrap().0);
            bind.groups.insert([239, 255, 0, 1].into());
            bind.update(&table);
            bind
        };
        let binds: Vec<_> = binds.iter().map(bound).collect();
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5568);
        let (bytes, local) = (&[][..], Ipv4Addr::UNSPECIFIED);
        let datagram = DmxDatagram { bytes, from, to: to.into(), local, interface: interface_index };
        let mut found = Vec::new();
        each_recipient(&binds, &table, 5568, &datagram, |bind| found.push(bind.0));
        found
    }

    #[test]
    fn two_binds_of_two_interfaces_are_told_apart() {
        let binds = ["10.0.0.1", "eth1", "*"];
        assert_eq!(recipients(&binds, 2, [239, 255, 0, 1]), [0, 2]);
        assert_eq!(recipients(&binds, 3, [239, 255, 0, 1]), [1, 2]);
        assert_eq!(recipients(&binds, 3, [239, 255, 0, 2]), Vec::<usize>::new());
        assert_eq!(recipients(&binds, 2, [255, 255, 255, 255]), [0, 2]);
        assert_eq!(recipients(&binds, 3, [10, 9, 0, 255]), [1, 2]);
        assert_eq!(recipients(&["eth1"], 2, [255, 255, 255, 255]), Vec::<usize>::new());
    }

    #[test]
    fn unicast_belongs_to_the_interface_of_its_address_wherever_it_arrives() {
        assert_eq!(recipients(&["10.0.0.1", "eth1"], 1, [10, 9, 0, 1]), [1]);
        assert_eq!(recipients(&["10.0.0.1", "eth1"], 3, [10, 0, 0, 1]), [0]);
        assert_eq!(recipients(&["10.0.0.1", "lo"], 1, [127, 0, 0, 9]), [1]);
    }

    #[test]
    fn of_two_addresses_of_one_interface_each_gets_its_own() {
        let binds = ["10.0.0.1", "10.0.1.1", "eth0"];
        assert_eq!(recipients(&binds, 2, [10, 0, 1, 1]), [1, 2]);
        assert_eq!(recipients(&binds, 2, [10, 0, 0, 255]), [0, 2]);
        assert_eq!(recipients(&binds, 2, [255, 255, 255, 255]), [0, 1, 2]);
        assert_eq!(recipients(&["10.0.0.1"], 2, [10, 0, 1, 1]), [0]);
    }

    #[test]
    fn a_bind_of_another_port_gets_nothing() {
        assert_eq!(recipients(&["* 6454", "*"], 2, [10, 0, 0, 1]), [1]);
    }
}
