//! Packets that other programs send: each is read as what it was sent for, and ours are the same
//! bytes where there is one way to write them.

use super::*;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// The packets of the file, by name.
fn packets() -> HashMap<&'static str, Vec<u8>> {
    let mut packets = HashMap::new();
    let mut name = "";
    for line in include_str!("golden.hex").lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            None => name = line,
            Some(digits) => {
                let bytes =
                    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
                packets.entry(name).or_insert_with(Vec::new).extend(bytes.map(Result::unwrap));
            }
        }
    }
    packets
}

#[test]
fn levels_of_other_programs_are_read_and_ours_are_the_same_bytes() {
    let packets = packets();
    let dmx = |net, universe, levels| ArtDmx {
        sequence: 0,
        physical: 0,
        address: PortAddress::new(net, universe).unwrap(),
        levels,
    };
    let mut ours = Vec::new();
    let ola = dmx(0, 1, &[1, 128, 255, 7, 9, 0]);
    assert_eq!(ArtnetPacket::decode(&packets["ola-dmx"]), Ok(ArtnetPacket::Dmx(ola)));
    dmx(0, 1, &[1, 128, 255, 7, 9]).encode(&mut ours);
    assert_eq!(ours, packets["ola-dmx"], "padded to an even number of levels");
    let levels: Vec<u8> = (1..=20).collect();
    let python = dmx(1, 0x23, &levels);
    assert_eq!(ArtnetPacket::decode(&packets["python-dmx"]), Ok(ArtnetPacket::Dmx(python)));
    python.encode(&mut ours);
    assert_eq!(ours, packets["python-dmx"]);
}

#[test]
fn polls_replies_and_synchronisation_of_other_programs_are_read() {
    let packets = packets();
    let read = |name: &str| ArtnetPacket::decode(&packets[name]).unwrap();
    assert_eq!(read("ola-poll"), ArtnetPacket::Poll(ArtPoll { wants_changes: true, target: None }));
    assert_eq!(read("python-sync"), ArtnetPacket::Sync);
    assert_eq!(read("ola-tod-request"), ArtnetPacket::Other(0x8000));
    let ArtnetPacket::PollReply(reply) = read("ola-poll-reply") else { panic!("a reply") };
    assert_eq!((reply.ip, reply.udp_port), (Ipv4Addr::new(10, 77, 1, 1), ARTNET_PORT));
    assert_eq!((&*reply.short_name, &*reply.long_name), ("OLA - ArtNet node", "OLA - ArtNet node"));
    assert_eq!(reply.report, "#0001 [1] OLA");
    let ports: Vec<_> = reply.ports.iter().map(|port| (port.input, port.output)).collect();
    let first = Some(PortAddress::FIRST);
    assert_eq!(ports, [(PortAddress::new(0, 1), first), (first, first), (first, first), (first, first)]);
    assert!(reply.ports.iter().all(|port| !port.is_sending && !port.is_receiving && !port.is_merging));
}
