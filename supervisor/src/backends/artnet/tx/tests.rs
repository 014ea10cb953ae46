//! Values of one universe, and the packets that they become.

use super::*;
use crate::backends::artnet::codec::ArtnetPacket;
use crate::backends::artnet::options::ArtnetBackendOptions;
use crate::test_shows::live_show;
use mm_config::Diagnostics;
use std::time::Duration;

fn instance(options: &str) -> (ArtnetInstanceOptions, SlotMap) {
    let show =
        live_show(&format!("[artnet net]\n{options}\n[loopback other]\n[map]\nother.x > net.{{1,3+4}}\n"));
    let common = ArtnetBackendOptions::read(None);
    let options = ArtnetInstanceOptions::read(
        &show.find("net").expect("the show has it"),
        &common,
        &mut Diagnostics::default(),
    );
    let map = SlotMap::read(&show.instances[0], &mut Diagnostics::default());
    (options, map)
}

/// Number and levels of a packet.
fn read(packet: &[u8]) -> (u8, Vec<u8>) {
    match ArtnetPacket::decode(packet) {
        Ok(ArtnetPacket::Dmx(dmx)) => (dmx.sequence, dmx.levels.to_vec()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn levels_go_out_as_whole_universes_with_numbers_without_a_hole() {
    let (options, map) = instance("destination = 10.0.0.1\nuniverse = 7\n");
    let mut now = Instant::now();
    let mut tx = ArtnetTx::new("net", &options, now);
    let mut packet = Vec::new();
    assert!(!tx.take(&mut packet, false, now), "there is no value");
    assert_eq!(tx.deadline(), None);
    let mut numbers = Vec::new();
    for step in 0..600 {
        tx.set(&map, ChannelId(0), f64::from(step % 256) / 255.0, now);
        now = tx.deadline().expect("it is due").max(now);
        assert!(tx.take(&mut packet, false, now));
        let (number, levels) = read(&packet);
        assert_eq!((levels.len(), levels[0]), (512, (step % 256) as u8));
        numbers.push(number);
    }
    let expected: Vec<_> = (1..=255).cycle().take(600).collect();
    assert_eq!(numbers, expected);
    assert_eq!(tx.sent(), 600);
}

#[test]
fn a_pair_of_slots_carries_16_bits() {
    let (options, map) = instance("destination = 10.0.0.1\n");
    let now = Instant::now();
    let mut tx = ArtnetTx::new("net", &options, now);
    let mut packet = Vec::new();
    tx.set(&map, ChannelId(1), f64::from(0x1234) / 65535.0, now);
    assert!(tx.take(&mut packet, false, now));
    assert_eq!(read(&packet).1[..5], [0, 0, 0x12, 0x34, 0]);
}

#[test]
fn own_packets_are_known_when_they_come_back() {
    let (options, map) = instance("destination = 10.0.0.255\n");
    let now = Instant::now();
    let mut tx = ArtnetTx::new("net", &options, now);
    let mut packet = Vec::new();
    tx.set(&map, ChannelId(0), 1.0, now);
    tx.take(&mut packet, false, now);
    let Ok(ArtnetPacket::Dmx(dmx)) = ArtnetPacket::decode(&packet) else { panic!("it is levels") };
    assert!(tx.is_own(&dmx));
    assert!(!tx.is_own(&ArtDmx { sequence: 2, ..dmx }));
    assert!(!tx.is_own(&ArtDmx { levels: &[1; 512], ..dmx }));
    assert!(!tx.is_own(&ArtDmx { sequence: 0, levels: &[], ..dmx }));
}

#[test]
fn another_destination_gets_the_levels_at_once_and_what_was_not_sent_goes_out_last() {
    let (options, map) = instance("destination = 10.0.0.1\n");
    let mut now = Instant::now();
    let mut tx = ArtnetTx::new("net", &options, now);
    let mut packet = Vec::new();
    tx.set(&map, ChannelId(0), 1.0, now);
    assert!(tx.take(&mut packet, false, now));
    now += Duration::from_secs(1);
    let (options, _) = instance("destination = 10.0.0.2\n");
    tx.apply("net", &options, &map, now);
    assert!(tx.take(&mut packet, false, now));
    assert!(!tx.take(&mut packet, true, now), "all was sent");
    tx.set(&map, ChannelId(0), 0.5, now);
    assert!(!tx.take(&mut packet, false, now), "it is too early");
    assert!(tx.take(&mut packet, true, now));
    assert_eq!(read(&packet), (3, [&[128_u8][..], &[0; 511]].concat()));
}
