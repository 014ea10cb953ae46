//! Each packet byte for byte against the tables of the standard, written out by hand.

use super::*;

const CID: SacnCid = SacnCid(*b"\x01\x23\x45\x67\x89\xab\x4d\xef\x8f\xed\xcb\xa9\x87\x65\x43\x21");

/// The bytes of hexadecimal digits; white space is for people, `#` begins a comment.
fn bytes(text: &str) -> Vec<u8> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let digits: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "whole bytes");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Table 4-1 with four slots, the name "desk", priority 100, sequence 0x7f, universe 0x0102.
const DATA: &str = "
    0010                             # 5.1 preamble size
    0000                             # 5.2 post-amble size
    4153432d45312e3137000000         # 5.3 ACN packet identifier
    7072                             # 5.4 flags and length: 130 - 16
    00000004                         # 5.5 VECTOR_ROOT_E131_DATA
    0123456789ab4def8fedcba987654321 # 5.6 CID
    705c                             # 6.1 flags and length: 130 - 38
    00000002                         # 6.2.1 VECTOR_E131_DATA_PACKET
    6465736b 00000000 0000000000000000 00000000000000000000000000000000
    00000000000000000000000000000000 00000000000000000000000000000000 # 6.2.2 source name
    64                               # 6.2.3 priority
    0000                             # 6.2.4 synchronisation address
    7f                               # 6.2.5 sequence number
    00                               # 6.2.6 options
    0102                             # 6.2.7 universe
    700f                             # 7.1 flags and length: 130 - 115
    02                               # 7.2 VECTOR_DMP_SET_PROPERTY
    a1                               # 7.3 address type and data type
    0000                             # 7.4 first property address
    0001                             # 7.5 address increment
    0005                             # 7.6 property value count
    00 01 80 fe ff                   # 7.7 start code and slots
";

/// Table 4-2 with sequence 0x2a and address 7000.
const SYNC: &str = "
    0010 0000 4153432d45312e3137000000
    7021                             # 5.4 flags and length: 49 - 16
    00000008                         # 5.5 VECTOR_ROOT_E131_EXTENDED
    0123456789ab4def8fedcba987654321
    700b                             # 6.1 flags and length: 49 - 38
    00000001                         # 6.3.1 VECTOR_E131_EXTENDED_SYNCHRONIZATION
    2a                               # 6.3.2 sequence number
    1b58                             # 6.3.3 synchronisation address
    0000                             # 6.3.4 reserved
";

/// Table 4-3 with the universes 1, 2 and 63999 on page 1 of 0 to 2.
const DISCOVERY: &str = "
    0010 0000 4153432d45312e3137000000
    706e                             # 5.4 flags and length: 126 - 16
    00000008                         # 5.5 VECTOR_ROOT_E131_EXTENDED
    0123456789ab4def8fedcba987654321
    7058                             # 6.1 flags and length: 126 - 38
    00000002                         # 6.4.1 VECTOR_E131_EXTENDED_DISCOVERY
    6465736b 00000000 0000000000000000 00000000000000000000000000000000
    00000000000000000000000000000000 00000000000000000000000000000000 # 6.4.2 source name
    00000000                         # 6.4.3 reserved
    700e                             # 8.1 flags and length: 126 - 112
    00000001                         # 8.2 VECTOR_UNIVERSE_DISCOVERY_UNIVERSE_LIST
    01                               # 8.3 page
    02                               # 8.4 last page
    0001 0002 f9ff                   # 8.5 list of universes
";

fn data() -> SacnData<'static> {
    SacnData {
        cid: CID,
        source_name: b"desk",
        priority: 100,
        sync_address: 0,
        sequence: 0x7f,
        is_preview: false,
        is_terminated: false,
        forces_sync: false,
        universe: 0x0102,
        start_code: 0,
        slots: &[1, 0x80, 0xfe, 0xff],
    }
}

fn decode_error(packet: &[u8]) -> SacnDecodeError {
    decode(packet).expect_err("it has a mistake")
}

/// The data packet with some bytes replaced.
fn patched(at: usize, values: &[u8]) -> Vec<u8> {
    let mut packet = bytes(DATA);
    packet[at..at + values.len()].copy_from_slice(values);
    packet
}

#[test]
fn a_data_packet_is_that_of_table_4_1() {
    let mut frame = SacnFrame::new(CID, "desk", 0x0102, 100);
    let options = SacnFrameOptions { sequence: 0x7f, is_terminated: false };
    assert_eq!(frame.with_levels(&[1, 0x80, 0xfe, 0xff], options), bytes(DATA));
    assert_eq!(decode(&bytes(DATA)), Ok(SacnPacket::Data(data())));
}

#[test]
fn a_whole_universe_has_638_bytes_and_the_lengths_of_the_standard() {
    let mut frame = SacnFrame::new(CID, "desk", 1, 100);
    let packet = frame.with_levels(&[7; 512], SacnFrameOptions::default());
    assert_eq!(packet.len(), 638);
    assert_eq!((&packet[16..18], &packet[38..40]), (&[0x72, 0x6e][..], &[0x72, 0x58][..]));
    assert_eq!((&packet[115..117], &packet[123..125]), (&[0x72, 0x0b][..], &[0x02, 0x01][..]));
    let Ok(SacnPacket::Data(data)) = decode(packet) else { panic!("it is a data packet") };
    assert_eq!(data.slots, [7; 512]);
}

#[test]
fn a_frame_can_be_used_again_with_fewer_and_more_slots() {
    let mut frame = SacnFrame::new(CID, "desk", 0x0102, 100);
    frame.with_levels(&[9; 600], SacnFrameOptions { sequence: 1, is_terminated: true });
    let options = SacnFrameOptions { sequence: 0x7f, is_terminated: false };
    assert_eq!(frame.with_levels(&[1, 0x80, 0xfe, 0xff], options), bytes(DATA));
}

#[test]
fn each_bit_of_the_options_has_its_own_meaning() {
    let options = |value| match decode(&patched(112, &[value])) {
        Ok(SacnPacket::Data(data)) => (data.is_preview, data.is_terminated, data.forces_sync),
        other => panic!("{other:?}"),
    };
    assert_eq!(options(0x80), (true, false, false));
    assert_eq!(options(0x40), (false, true, false));
    assert_eq!(options(0x20), (false, false, true));
    assert_eq!(options(0x1f), (false, false, false), "reserved bits are ignored");
    let mut frame = SacnFrame::new(CID, "desk", 1, 100);
    let terminated = SacnFrameOptions { sequence: 0, is_terminated: true };
    assert_eq!(frame.with_levels(&[0; 512], terminated)[112], 0x40);
}

#[test]
fn start_codes_other_than_zero_are_left_to_the_reader() {
    let packet = patched(125, &[0xdd]);
    let Ok(SacnPacket::Data(data)) = decode(&packet) else { panic!("a data packet") };
    assert_eq!((data.start_code, data.slots.len()), (START_CODE_PRIORITIES, 4));
}

#[test]
fn a_synchronisation_packet_is_that_of_table_4_2() {
    assert_eq!(sync_packet(CID, 0x2a, 7000), bytes(SYNC));
    let sync = SacnSync { cid: CID, sequence: 0x2a, sync_address: 7000 };
    assert_eq!(decode(&bytes(SYNC)), Ok(SacnPacket::Sync(sync)));
}

#[test]
fn a_page_of_universes_is_that_of_table_4_3() {
    assert_eq!(discovery_page(CID, "desk", (1, 2), &[1, 2, 63999]), bytes(DISCOVERY));
    let packet = bytes(DISCOVERY);
    let Ok(SacnPacket::Discovery(discovery)) = decode(&packet) else { panic!("universe discovery") };
    assert_eq!((discovery.cid, discovery.source_name), (CID, &b"desk"[..]));
    assert_eq!((discovery.page, discovery.last_page), (1, 2));
    assert_eq!(discovery.universes().collect::<Vec<_>>(), [1, 2, 63999]);
}

#[test]
fn a_page_holds_none_to_512_universes() {
    assert_eq!(discovery_page(CID, "", (0, 0), &[]).len(), 120);
    let universes: Vec<u16> = (1..=600).collect();
    let packet = discovery_page(CID, "", (0, 1), &universes);
    assert_eq!((packet.len(), &packet[16..18]), (1144, &[0x74, 0x68][..]));
    let Ok(SacnPacket::Discovery(discovery)) = decode(&packet) else { panic!("universe discovery") };
    assert_eq!(discovery.universes().collect::<Vec<_>>(), universes[..512]);
}

#[test]
fn a_name_ends_at_its_first_zero_and_is_cut_between_characters() {
    let name_in = |name: &str| {
        let packet = discovery_page(CID, name, (0, 0), &[]);
        let Ok(SacnPacket::Discovery(discovery)) = decode(&packet) else { panic!("universe discovery") };
        String::from_utf8(discovery.source_name.to_vec()).expect("whole characters")
    };
    assert_eq!(name_in(&"x".repeat(64)), "x".repeat(63));
    assert_eq!(name_in(&"é".repeat(40)), "é".repeat(31));
    let packet = patched(44, &[b'y'; 64]);
    let Ok(SacnPacket::Data(data)) = decode(&packet) else { panic!("a data packet") };
    assert_eq!(data.source_name, [b'y'; 64], "a name without a zero is read");
}

#[test]
fn wrong_vectors_are_told_apart() {
    assert_eq!(decode_error(&patched(21, &[5])), SacnDecodeError::RootVector(5));
    assert_eq!(decode_error(&patched(43, &[8])), SacnDecodeError::FramingVector(8));
    assert_eq!(decode_error(&patched(21, &[8])), SacnDecodeError::Length, "a data packet as discovery");
    for (at, value) in [(117, 1), (118, 0xa2), (120, 1), (122, 2)] {
        assert_eq!(decode_error(&patched(at, &[value])), SacnDecodeError::Dmp);
    }
    let mut discovery = bytes(DISCOVERY);
    discovery[117] = 2;
    assert_eq!(decode_error(&discovery), SacnDecodeError::DiscoveryVector(2));
}

#[test]
fn wrong_preambles_and_flags_are_refused() {
    for at in 0..16 {
        assert_eq!(decode_error(&patched(at, &[0x55])), SacnDecodeError::Preamble);
    }
    for at in [16, 38, 115] {
        assert_eq!(decode_error(&patched(at, &[0xf0])), SacnDecodeError::Length, "a length of 20 bits");
    }
}

#[test]
fn counts_and_lengths_that_contradict_each_other_are_refused() {
    assert_eq!(decode_error(&patched(123, &[0, 0])), SacnDecodeError::PropertyCount(0));
    assert_eq!(decode_error(&patched(123, &[2, 2])), SacnDecodeError::PropertyCount(514));
    assert_eq!(decode_error(&patched(123, &[0, 6])), SacnDecodeError::Length, "more than the layer has");
    assert_eq!(decode_error(&patched(116, &[0x10])), SacnDecodeError::Length, "beyond the framing layer");
    assert_eq!(decode_error(&patched(39, &[0x5d])), SacnDecodeError::Length, "beyond the root layer");
    assert_eq!(decode_error(&patched(17, &[0x73])), SacnDecodeError::Length, "beyond the datagram");
    let packet = patched(123, &[0, 1]);
    let Ok(SacnPacket::Data(short)) = decode(&packet) else { panic!("a start code without slots") };
    assert_eq!((short.start_code, short.slots), (0, &[][..]));
    let mut longer = bytes(DATA);
    longer.extend([0; 9]);
    assert_eq!(decode(&longer), Ok(SacnPacket::Data(data())), "padding behind the root layer");
}

#[test]
fn reserved_universes_are_refused() {
    for universe in [0, 64000, 64214, 65535_u16] {
        assert_eq!(decode_error(&patched(113, &universe.to_be_bytes())), SacnDecodeError::Universe(universe));
    }
    let mut sync = bytes(SYNC);
    sync[45..47].fill(0);
    assert_eq!(decode_error(&sync), SacnDecodeError::Universe(0));
}

#[test]
fn a_cid_is_shown_as_a_uuid() {
    assert_eq!(CID.to_string(), "01234567-89ab-4def-8fed-cba987654321");
}
