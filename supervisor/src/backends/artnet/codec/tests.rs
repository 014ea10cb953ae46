//! Packets byte for byte, against the packet definitions of Art-Net 4.

mod hostile;

use super::*;
use std::net::Ipv4Addr;

/// "ArtDmx Packet Definition": ID, OpCode (low byte first), ProtVer, Sequence, Physical, SubUni, Net,
/// Length (high byte first), Data.
const DMX: &[u8] = b"Art-Net\0\x00\x50\x00\x0e\x2a\x01\x17\x03\x00\x04\xff\x80\x00\x01";

/// "ArtPoll Packet Definition": ID, OpCode, ProtVer, Flags (bit 1: changes, bit 5: targeted),
/// DiagPriority, TargetPortAddressTop, TargetPortAddressBottom, EstaMan, Oem (all high byte first).
const POLL: &[u8] = b"Art-Net\0\x00\x20\x00\x0e\x22\x00\x03\x17\x00\x02\x7f\xf0\x00\xff";

/// "ArtSync Packet Definition": ID, OpCode, ProtVer, Aux1, Aux2.
const SYNC: &[u8] = b"Art-Net\0\x00\x52\x00\x0e\x00\x00";

/// "ArtAddress Packet Definition": ID, OpCode, ProtVer, NetSwitch, BindIndex, ShortName[18],
/// LongName[64], SwIn[4], SwOut[4], SubSwitch, AcnPriority, Command.
pub(super) fn address(bind_index: u8, command: u8) -> Vec<u8> {
    let mut packet = b"Art-Net\0\x00\x60\x00\x0e\x00".to_vec();
    packet.push(bind_index);
    packet.extend([0; 18 + 64 + 4 + 4]);
    packet.extend([0, 255, command]);
    packet
}

fn reply() -> ArtPollReply {
    let address = PortAddress::new(3, 0x17).expect("a net of 7 bits");
    let port = ReplyPort {
        output: Some(address),
        input: Some(address),
        is_receiving: true,
        is_merging: true,
        is_ltp: true,
        is_sending: true,
    };
    ArtPollReply {
        ip: Ipv4Addr::new(192, 168, 7, 9),
        udp_port: ARTNET_PORT,
        version: 0x0102,
        short_name: "stage".into(),
        long_name: "mm-supervisor: stage".into(),
        report: "#0001 [0007] ok".into(),
        mac: [2, 0, 0, 0xAA, 0xBB, 0xCC],
        bind_index: 2,
        fails_to_zero: true,
        ports: vec![port],
    }
}

/// "ArtPollReply Packet Definition", field by field.
pub(super) fn reply_bytes() -> Vec<u8> {
    let mut packet = Vec::new();
    let mut put = |bytes: &[u8], width: usize| {
        packet.extend(bytes);
        packet.resize(packet.len() + width - bytes.len(), 0);
    };
    put(b"Art-Net\0", 8); // ID
    put(&[0x00, 0x21], 2); // OpCode, low byte first
    put(&[192, 168, 7, 9], 4); // IP Address
    put(&[0x36, 0x19], 2); // Port, low byte first
    put(&[1, 2], 2); // VersInfo, high byte first
    put(&[3], 1); // NetSwitch
    put(&[1], 1); // SubSwitch
    put(&[0x00, 0xFF], 2); // Oem, high byte first: OemUnknown
    put(&[0], 1); // Ubea Version
    put(&[0xD0], 1); // Status1: indicators normal, addresses set at the front panel
    put(&[0xF0, 0x7F], 2); // EstaMan, low byte first
    put(b"stage", 18); // PortName, or ShortName
    put(b"mm-supervisor: stage", 64); // LongName
    put(b"#0001 [0007] ok", 64); // NodeReport
    put(&[0, 1], 2); // NumPorts, high byte first
    put(&[0xC0], 4); // PortTypes: output and input, DMX512
    put(&[0x80], 4); // GoodInput: data received
    put(&[0x8A], 4); // GoodOutputA: data transmitted, merging, LTP
    put(&[7], 4); // SwIn
    put(&[7], 4); // SwOut
    put(&[100], 1); // AcnPriority
    put(&[0], 1); // SwMacro
    put(&[0], 1); // SwRemote
    put(&[], 3); // Spare
    put(&[0], 1); // Style: StNode
    put(&[2, 0, 0, 0xAA, 0xBB, 0xCC], 6); // MAC
    put(&[192, 168, 7, 9], 4); // BindIp
    put(&[2], 1); // BindIndex
    put(&[0x08], 1); // Status2: Port-Address of 15 bits
    put(&[0x80], 4); // GoodOutputB: RDM disabled, delta
    put(&[0x40], 1); // Status3: fails to zero
    put(&[], 6); // DefaulRespUID
    put(&[], 2); // User
    put(&[0, 44], 2); // RefreshRate, high byte first
    put(&[], 11); // BackgroundQueuePolicy and Filler
    packet
}

#[test]
fn levels_are_read_and_written_as_the_definition_says() {
    let address = PortAddress::new(3, 0x17).expect("a net of 7 bits");
    let dmx = ArtDmx { sequence: 42, physical: 1, address, levels: &[255, 128, 0, 1] };
    assert_eq!(ArtnetPacket::decode(DMX), Ok(ArtnetPacket::Dmx(dmx)));
    let mut packet = vec![9];
    dmx.encode(&mut packet);
    assert_eq!(packet, DMX);
}

#[test]
fn levels_are_sent_with_an_even_length_from_2_to_512() {
    let address = PortAddress::FIRST;
    let mut packet = Vec::new();
    for (count, sent) in [(0, 2), (1, 2), (2, 2), (3, 4), (511, 512), (512, 512), (513, 512)] {
        let levels = vec![7; count];
        ArtDmx { sequence: 1, physical: 0, address, levels: &levels }.encode(&mut packet);
        let Ok(ArtnetPacket::Dmx(read)) = ArtnetPacket::decode(&packet) else { panic!("{packet:?}") };
        assert_eq!((read.levels.len(), packet.len()), (sent, 18 + sent), "{count} levels");
        assert!(read.levels.iter().zip(&levels).all(|(read, sent)| read == sent), "{count} levels");
    }
}

#[test]
fn a_wrong_length_field_is_an_error_and_padding_is_not() {
    let with_length = |length: u16, extra: usize| {
        let mut packet = DMX.to_vec();
        packet[16..18].copy_from_slice(&length.to_be_bytes());
        packet.resize(packet.len() + extra, 0);
        packet
    };
    let read = |packet: &[u8]| match ArtnetPacket::decode(packet) {
        Ok(ArtnetPacket::Dmx(dmx)) => Ok(dmx.levels.len()),
        other => Err(other.err()),
    };
    assert_eq!(read(&with_length(0, 0)), Err(Some(ArtnetDecodeError::Length(0))));
    assert_eq!(read(&with_length(513, 600)), Err(Some(ArtnetDecodeError::Length(513))));
    assert_eq!(read(&with_length(0xFFFF, 0)), Err(Some(ArtnetDecodeError::Length(0xFFFF))));
    let truncated = ArtnetDecodeError::Truncated { said: 5, found: 4 };
    assert_eq!(read(&with_length(5, 0)), Err(Some(truncated)));
    assert_eq!(read(&with_length(3, 0)), Ok(3));
    assert_eq!(read(&with_length(4, 100)), Ok(4));
}

#[test]
fn a_poll_is_read_and_written_as_the_definition_says() {
    let bounds = (PortAddress::new(0, 2).expect("a net"), PortAddress::new(3, 0x17).expect("a net"));
    let poll = ArtPoll { wants_changes: true, target: Some(bounds) };
    assert_eq!(ArtnetPacket::decode(POLL), Ok(ArtnetPacket::Poll(poll)));
    let mut packet = Vec::new();
    poll.encode(&mut packet);
    assert_eq!(packet, POLL);
    assert!(poll.asks_about(bounds.0) && poll.asks_about(bounds.1));
    assert!(!poll.asks_about(PortAddress::FIRST));
}

#[test]
fn a_poll_of_an_older_edition_is_accepted_and_asks_about_everything() {
    for length in 12..=14 {
        let poll = [&POLL[..12], &[0, 0]].concat();
        let all = ArtPoll { wants_changes: false, target: None };
        assert_eq!(ArtnetPacket::decode(&poll[..length]), Ok(ArtnetPacket::Poll(all)), "{length}");
    }
}

#[test]
fn a_reply_is_written_as_the_definition_says_in_239_bytes() {
    let mut packet = Vec::new();
    reply().encode(&mut packet);
    assert_eq!(packet, reply_bytes());
    assert_eq!(packet.len(), 239);
}

#[test]
fn a_reply_is_read_from_198_bytes_on() {
    let bytes = reply_bytes();
    assert_eq!(ArtnetPacket::decode(&bytes), Ok(ArtnetPacket::PollReply(Box::new(reply()))));
    let short = ArtnetPacket::decode(&bytes[..198]);
    let Ok(ArtnetPacket::PollReply(short)) = short else { panic!("{short:?}") };
    assert_eq!((&short.ports, short.bind_index, short.mac), (&reply().ports, 0, [0; 6]));
    assert_eq!(ArtnetPacket::decode(&bytes[..197]), Err(ArtnetDecodeError::Short(197)));
}

#[test]
fn a_port_that_a_node_does_not_have_lists_no_universe() {
    let mut bytes = reply_bytes();
    bytes[174..178].copy_from_slice(&[0x80, 0x40, 0, 0]);
    bytes[186..190].copy_from_slice(&[1, 2, 3, 4]);
    bytes[190..194].copy_from_slice(&[5, 6, 7, 8]);
    let Ok(ArtnetPacket::PollReply(read)) = ArtnetPacket::decode(&bytes) else { panic!("it is whole") };
    let universe = |low| PortAddress::new(3, low);
    let listed: Vec<_> = read.ports.iter().map(|port| (port.output, port.input)).collect();
    assert_eq!(listed, [(universe(0x15), None), (None, universe(0x12))]);
}

#[test]
fn texts_that_are_too_long_are_cut_off_between_characters() {
    let mut packet = Vec::new();
    let long = "ü".repeat(40);
    ArtPollReply { short_name: long.clone(), long_name: long.clone(), report: long, ..reply() }
        .encode(&mut packet);
    let Ok(ArtnetPacket::PollReply(read)) = ArtnetPacket::decode(&packet) else { panic!("it is whole") };
    assert_eq!((read.short_name.len(), read.long_name.len(), read.report.len()), (16, 62, 62));
    assert!(!read.report.contains('\u{FFFD}'));
}

#[test]
fn sync_and_commands_are_read() {
    assert_eq!(ArtnetPacket::decode(SYNC), Ok(ArtnetPacket::Sync));
    for (code, command) in [
        (0x00, ArtCommand::Other(0)),
        (0x01, ArtCommand::CancelMerge),
        (0x10, ArtCommand::MergeLtp(0)),
        (0x13, ArtCommand::MergeLtp(3)),
        (0x50, ArtCommand::MergeHtp(0)),
        (0x90, ArtCommand::Other(0x90)),
    ] {
        let read = ArtnetPacket::decode(&address(2, code))
            .map(|packet| packet == ArtnetPacket::Address(ArtAddress { bind_index: 2, command }));
        assert_eq!(read, Ok(true), "{code:#x}");
    }
}

#[test]
fn other_packets_of_the_standard_are_told_from_noise() {
    // OpTimeCode, OpNzs, OpTrigger, OpTodRequest
    for opcode in [0x9700_u16, 0x5100, 0x9900, 0x8000] {
        let packet = [ID.as_slice(), &opcode.to_le_bytes(), &[0, 14]].concat();
        assert_eq!(ArtnetPacket::decode(&packet), Ok(ArtnetPacket::Other(opcode)));
    }
    let unknown = [ID.as_slice(), &[0x34, 0x12, 0, 14]].concat();
    assert_eq!(ArtnetPacket::decode(&unknown), Err(ArtnetDecodeError::Opcode(0x1234)));
    assert_eq!(ArtnetPacket::decode(b"/fader,f"), Err(ArtnetDecodeError::Id));
    assert_eq!(ArtnetPacket::decode(b""), Err(ArtnetDecodeError::Id));
}
