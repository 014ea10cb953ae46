//! Packets of a peer that means harm, or whose memory fails: nothing of them may panic.

use super::*;

/// One packet of each kind that is read.
fn packets() -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    let levels: Vec<u8> = (0..512).map(|slot| slot as u8).collect();
    ArtDmx { sequence: 1, physical: 0, address: PortAddress::FIRST, levels: &levels }.encode(&mut whole);
    vec![DMX.to_vec(), whole, POLL.to_vec(), SYNC.to_vec(), address(1, 1), reply_bytes()]
}

/// Reads a datagram, and what was read holds what its type promises.
fn read(datagram: &[u8]) {
    match ArtnetPacket::decode(datagram) {
        Ok(ArtnetPacket::Dmx(dmx)) => {
            assert!((1..=LEVELS_LIMIT).contains(&dmx.levels.len()), "{datagram:?}");
            assert!(dmx.address.number() < 0x8000, "{datagram:?}");
        }
        Ok(ArtnetPacket::PollReply(reply)) => assert!(reply.ports.len() <= 4, "{datagram:?}"),
        Ok(_) | Err(_) => {}
    }
}

#[test]
fn every_truncation_is_read_without_a_panic() {
    for packet in packets() {
        for length in 0..packet.len() {
            read(&packet[..length]);
        }
    }
}

#[test]
fn every_byte_at_every_place_is_read_without_a_panic() {
    for packet in packets() {
        let mut packet = packet;
        // Behind the first levels of a whole universe, levels are all there is.
        for at in 0..packet.len().min(260) {
            let original = packet[at];
            for byte in 0..=255 {
                packet[at] = byte;
                read(&packet);
            }
            packet[at] = original;
        }
    }
}

#[test]
fn a_million_random_and_mutated_packets_are_read_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(0xA7);
    let originals = packets();
    let mut packet = Vec::new();
    for round in 0..1_000_000 {
        packet.clear();
        if round % 4 == 0 {
            packet.resize(random.usize(0..300), 0);
            random.fill(&mut packet);
            if round % 8 == 0 {
                let known = packet.len().min(ID.len());
                packet[..known].copy_from_slice(&ID[..known]);
            }
        } else {
            packet.extend(&originals[random.usize(0..originals.len())]);
            for _ in 0..random.usize(1..5) {
                let at = random.usize(0..packet.len());
                packet[at] = random.u8(..);
            }
            packet.truncate(random.usize(0..=packet.len()));
        }
        read(&packet);
    }
}
