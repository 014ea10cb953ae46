//! Packets that other programs send: each is read as what it was sent for, and ours are the same
//! bytes.

use super::*;
use std::collections::HashMap;

const DESK: SacnCid = SacnCid(*b"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f");
const PYTHON: SacnCid = SacnCid(*b"\x20\x21\x22\x23\x24\x25\x26\x27\x28\x29\x2a\x2b\x2c\x2d\x2e\x2f");
const OLA: SacnCid = SacnCid(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef");

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

/// The 512 levels that were sent by ETC's library.
fn levels() -> Vec<u8> {
    (0..512_u32).map(|slot| (slot * 7 + 1) as u8).collect()
}

fn data<'a>(cid: SacnCid, source_name: &'a [u8], priority: u8, slots: &'a [u8]) -> SacnData<'a> {
    SacnData {
        cid,
        source_name,
        priority,
        sync_address: 0,
        sequence: 0,
        is_preview: false,
        is_terminated: false,
        forces_sync: false,
        universe: 1,
        start_code: START_CODE_LEVELS,
        slots,
    }
}

#[test]
fn data_packets_of_other_programs_are_read() {
    let packets = packets();
    let read = |name: &str| decode(&packets[name]).unwrap();
    let all = levels();
    let desk = data(DESK, b"golden desk", 150, &all);
    assert_eq!(read("etc-data-short"), SacnPacket::Data(SacnData { sequence: 1, slots: &all[..4], ..desk }));
    assert_eq!(read("etc-data-full"), SacnPacket::Data(SacnData { sequence: 4, ..desk }));
    assert_eq!(read("etc-preview"), SacnPacket::Data(SacnData { sequence: 17, is_preview: true, ..desk }));
    assert_eq!(
        read("etc-terminated"),
        SacnPacket::Data(SacnData { sequence: 52, is_terminated: true, ..desk })
    );
    let priorities: Vec<u8> = (0..512_u16).map(|slot| (slot % 200 + 1) as u8).collect();
    let with_start_code = |start_code, sequence, slots| SacnData { start_code, sequence, slots, ..desk };
    assert_eq!(
        read("etc-priorities"),
        SacnPacket::Data(with_start_code(START_CODE_PRIORITIES, 9, &priorities))
    );
    assert_eq!(read("etc-other-start-code"), SacnPacket::Data(with_start_code(0xcc, 16, &all[..6])));

    let mut slots = [0; 512];
    slots[..3].copy_from_slice(&[1, 2, 3]);
    let python = SacnData {
        universe: 258,
        sequence: 255,
        sync_address: 7000,
        forces_sync: true,
        ..data(PYTHON, b"python", 77, &slots)
    };
    assert_eq!(read("python-synchronised"), SacnPacket::Data(python));
    let ola = data(OLA, b"OLA Server", 100, &[1, 128, 255, 7, 9]);
    assert_eq!(read("ola-data"), SacnPacket::Data(ola));
    let ended = SacnData { sequence: 1, is_terminated: true, slots: &[], ..ola };
    assert_eq!(read("ola-terminated"), SacnPacket::Data(ended));
}

#[test]
fn synchronisation_and_discovery_of_other_programs_are_read() {
    let packets = packets();
    let sync = SacnSync { cid: PYTHON, sequence: 42, sync_address: 7000 };
    assert_eq!(decode(&packets["python-sync"]), Ok(SacnPacket::Sync(sync)));
    let pages = [
        ("etc-discovery-one", (0, 0), vec![1]),
        ("etc-discovery-first-page", (0, 1), (101..=612).collect()),
        ("etc-discovery-last-page", (1, 1), (613..=700).collect::<Vec<u16>>()),
    ];
    for (name, page, universes) in pages {
        let Ok(SacnPacket::Discovery(discovery)) = decode(&packets[name]) else { panic!("{name}") };
        assert_eq!((discovery.cid, discovery.source_name), (DESK, &b"golden desk"[..]));
        assert_eq!((discovery.page, discovery.last_page), page);
        assert_eq!(discovery.universes().collect::<Vec<_>>(), universes);
    }
    // Draft of 2014: neither data nor a packet of today.
    assert_eq!(decode(&packets["ola-draft-discovery"]), Err(SacnDecodeError::FramingVector(4)));
}

#[test]
fn our_packets_are_the_bytes_that_other_programs_send() {
    let packets = packets();
    let all = levels();
    let mut desk = SacnFrame::new(DESK, "golden desk", 1, 150);
    let mut sent = |levels, sequence, is_terminated| {
        desk.with_levels(levels, SacnFrameOptions { sequence, is_terminated }).to_vec()
    };
    assert_eq!(sent(&all[..4], 1, false), packets["etc-data-short"]);
    assert_eq!(sent(&all, 4, false), packets["etc-data-full"]);
    assert_eq!(sent(&all, 52, true), packets["etc-terminated"]);
    let mut ola = SacnFrame::new(OLA, "OLA Server", 1, 100);
    let mut sent = |levels: &[u8], sequence, is_terminated| {
        ola.with_levels(levels, SacnFrameOptions { sequence, is_terminated }).to_vec()
    };
    assert_eq!(sent(&[1, 128, 255, 7, 9], 0, false), packets["ola-data"]);
    assert_eq!(sent(&[], 1, true), packets["ola-terminated"]);

    assert_eq!(sync_packet(PYTHON, 42, 7000), packets["python-sync"]);
    let page = |number, universes: &[u16]| discovery_page(DESK, "golden desk", number, universes);
    assert_eq!(page((0, 0), &[1]), packets["etc-discovery-one"]);
    assert_eq!(page((0, 1), &(101..=612).collect::<Vec<_>>()), packets["etc-discovery-first-page"]);
    assert_eq!(page((1, 1), &(613..=700).collect::<Vec<_>>()), packets["etc-discovery-last-page"]);
}
