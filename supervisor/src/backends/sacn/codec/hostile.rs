//! The reader against damaged and random bytes: it never panics, and what it returns lies within
//! the datagram.

use super::*;

const CID: SacnCid = SacnCid([7; 16]);

/// How many random packets are read. A release build of the tests reads them in a second.
const ROUNDS: usize = 1_000_000;

fn packets() -> Vec<Vec<u8>> {
    let levels: Vec<u8> = (0..512_u16).map(|slot| slot as u8).collect();
    let mut frame = SacnFrame::new(CID, "a source", 1, 100);
    let options = SacnFrameOptions { sequence: 3, is_terminated: true };
    vec![
        frame.with_levels(&levels, options).to_vec(),
        frame.with_levels(&levels[..2], options).to_vec(),
        frame.with_levels(&[], options).to_vec(),
        sync_packet(CID, 3, 1),
        discovery_page(CID, "a source", (0, 0), &[1, 2, 3]),
        discovery_page(CID, "a source", (0, 0), &[]),
    ]
}

/// Reads a datagram and all that was found in it.
fn read(datagram: &[u8]) -> bool {
    match decode(datagram) {
        Ok(SacnPacket::Data(data)) => {
            assert!(data.slots.len() <= 512 && data.slots.len() + 126 <= datagram.len());
            assert!(data.source_name.len() <= 64 && (1..=63999).contains(&data.universe));
            true
        }
        Ok(SacnPacket::Discovery(discovery)) => {
            assert!(discovery.universes().count() * 2 + 120 <= datagram.len());
            true
        }
        Ok(SacnPacket::Sync(sync)) => (1..=63999).contains(&sync.sync_address),
        Err(error) => {
            assert!(size_of_val(&error) > 0);
            false
        }
    }
}

#[test]
fn every_truncation_of_every_packet_is_refused() {
    for packet in packets() {
        assert!(read(&packet));
        for length in 0..packet.len() {
            assert!(!read(&packet[..length]), "{length} of {} bytes", packet.len());
        }
    }
}

#[test]
fn every_byte_may_have_every_value() {
    for packet in packets() {
        let mut damaged = packet.clone();
        for at in 0..packet.len().min(160) {
            for value in 0..=u8::MAX {
                damaged[at] = value;
                read(&damaged);
                // The same with a wrong end.
                read(&damaged[..at.max(1)]);
            }
            damaged[at] = packet[at];
        }
    }
}

#[test]
fn a_million_random_and_mutated_packets_are_read_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(0x5568);
    let valid = packets();
    let mut scratch = Vec::with_capacity(2048);
    let mut accepted = 0_usize;
    for round in 0..ROUNDS {
        scratch.clear();
        scratch.extend_from_slice(&valid[round % valid.len()]);
        match random.u8(0..8) {
            // Only the preamble is right.
            0 => scratch.iter_mut().skip(16).for_each(|byte| *byte = random.u8(..)),
            1 => scratch.truncate(random.usize(..=scratch.len())),
            2 => scratch.extend(0..random.u8(..)),
            _ => {}
        }
        for _ in 0..random.usize(0..4) {
            if !scratch.is_empty() {
                // Fields are in the first 126 bytes.
                let at = random.usize(..scratch.len().min(126));
                scratch[at] = random.u8(..);
            }
        }
        accepted += usize::from(read(&scratch));
    }
    assert!(accepted > ROUNDS / 20 && accepted < ROUNDS / 10 * 9, "{accepted}: both kinds are tried");
}
