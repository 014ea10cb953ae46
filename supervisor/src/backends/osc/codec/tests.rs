//! The reader against `rosc` as its oracle and against hostile bytes; the writer.

use super::*;
use proptest::prelude::*;
use rosc::{OscArray, OscBundle, OscColor, OscMidiMessage, OscTime, encoder};

/// Each message of a packet with its arguments, or why it cannot be read.
type Read = Vec<Result<(Vec<u8>, Vec<OscArgument>), OscDecodeError>>;

fn read(packet: &[u8]) -> (Read, Result<(), OscDecodeError>) {
    let mut messages = Vec::new();
    let outcome = each_message(packet, &mut Vec::new(), |bytes| {
        let mut arguments = Vec::new();
        let message = IncomingMessage::read(bytes);
        messages.push(message.and_then(|message| {
            message.read_arguments(&mut arguments)?;
            Ok((message.address.to_vec(), arguments))
        }));
    });
    (messages, outcome)
}

fn message(address: &str, args: Vec<OscType>) -> OscPacket {
    OscPacket::Message(OscMessage { addr: address.into(), args })
}

fn bundle(content: Vec<OscPacket>) -> OscPacket {
    OscPacket::Bundle(OscBundle { timetag: OscTime { seconds: 0, fractional: 1 }, content })
}

fn encode(packet: &OscPacket) -> Vec<u8> {
    encoder::encode(packet).expect("rosc encodes what it is given")
}

#[test]
fn arguments_without_a_value_keep_their_place() {
    let args = vec![
        OscType::String("fader".into()),
        OscType::Int(7),
        OscType::Blob(vec![1, 2, 3, 4, 5]),
        OscType::Bool(true),
        OscType::Nil,
        OscType::Float(0.5),
    ];
    let (messages, outcome) = read(&encode(&message("/a", args)));
    assert_eq!(outcome, Ok(()));
    let (_, arguments) = messages[0].clone().expect("the message is well-formed");
    let expected = [
        OscArgument::Other,
        OscArgument::Number(OscNumber::Int(7)),
        OscArgument::Other,
        OscArgument::Switch(true),
        OscArgument::Other,
        OscArgument::Number(OscNumber::Float(0.5)),
    ];
    assert_eq!(arguments, expected);
}

#[test]
fn what_does_not_fit_is_malformed_and_says_why() {
    let reason = |bytes: &[u8]| read(bytes).0.remove(0).expect_err("malformed");
    assert_eq!(reason(b""), OscDecodeError::Address);
    assert_eq!(reason(b"abc\0,\0\0\0"), OscDecodeError::Address);
    assert_eq!(reason(b"#bundle\0"), OscDecodeError::Address);
    assert_eq!(reason(b"/abc"), OscDecodeError::String);
    assert_eq!(reason(b"/a\0"), OscDecodeError::String);
    assert_eq!(reason(b"/a\0\0,f\0\0\0\0"), OscDecodeError::Arguments);
    assert_eq!(reason(b"/a\0\0,b\0\0\xff\xff\xff\xff"), OscDecodeError::Arguments);
    assert_eq!(reason(b"/a\0\0,Q\0\0"), OscDecodeError::UnknownType(b'Q'));
    assert_eq!(reason(b"/a\0\0,[\0\0"), OscDecodeError::Array);
    assert_eq!(reason(b"/a\0\0,]\0\0"), OscDecodeError::Array);
}

#[test]
fn the_messages_before_a_broken_element_are_still_read() {
    let mut packet = encode(&bundle(vec![message("/a", vec![OscType::Int(1)])]));
    packet.extend([0, 0, 1, 0, b'/']);
    let (messages, outcome) = read(&packet);
    assert_eq!((messages.len(), outcome), (1, Err(OscDecodeError::Element)));
}

#[test]
fn an_element_cannot_reach_beyond_the_bundle_that_holds_it() {
    let mut packet = encode(&bundle(vec![bundle(vec![message("/a", vec![])]), message("/b", vec![])]));
    // The inner bundle's element claims 4 bytes more than the inner bundle has.
    packet[16 + 4 + 16 + 3] += 4;
    let (messages, outcome) = read(&packet);
    assert_eq!((messages.len(), outcome), (0, Err(OscDecodeError::Element)));
}

#[test]
fn the_deepest_bundle_that_a_datagram_holds_is_read() {
    let inner = encode(&message("/deep", vec![OscType::Int(1)]));
    let levels = (MAX_DATAGRAM - inner.len()) / (BUNDLE_HEADER + 4);
    let mut packet = inner;
    for _ in 0..levels {
        let mut outer = b"#bundle\0\0\0\0\0\0\0\0\x01".to_vec();
        outer.extend((packet.len() as u32).to_be_bytes());
        outer.extend(&packet);
        packet = outer;
    }
    let (messages, outcome) = read(&packet);
    assert_eq!((messages.len(), outcome), (1, Ok(())));
}

#[test]
fn a_datagram_full_of_brackets_is_no_danger_to_the_description() {
    let mut packet = b"/a\0\0,".to_vec();
    packet.extend([b'['; 30_000]);
    packet.extend([b']'; 30_000]);
    packet.resize(packet.len().next_multiple_of(4) + 4, 0);
    let message = IncomingMessage::read(&packet).expect("the tags are a string");
    assert_eq!(message.read_arguments(&mut Vec::new()), Ok(()));
    assert_eq!(describe_arguments(&packet, &message), None);
}

#[test]
fn a_description_names_values_and_types() {
    let args =
        vec![OscType::Float(1.0), OscType::Int(-3), OscType::String("a\nb".into()), OscType::Bool(false)];
    let packet = encode(&message("/a", args));
    let message = IncomingMessage::read(&packet).expect("well-formed");
    let described = describe_arguments(&packet, &message).expect("rosc reads what it wrote");
    assert_eq!(described, ["1.0 (f)", "-3 (i)", "\"a\\nb\" (s)", "false (F)"]);
}

#[test]
fn setting_an_argument_says_whether_it_changed_and_leaves_the_others() {
    let numbers = [OscNumber::Int(1), OscNumber::Double(0.5), OscNumber::Float(2.0), OscNumber::Long(-1)];
    let mut outgoing = OutgoingMessage::new("/some/path", numbers);
    assert!(outgoing.set(2, OscNumber::Float(0.25)));
    assert!(!outgoing.set(2, OscNumber::Float(0.25)));
    assert!(!outgoing.set(4, OscNumber::Int(1)), "there is no fifth argument");
    let args = vec![OscType::Int(1), OscType::Double(0.5), OscType::Float(0.25), OscType::Long(-1)];
    assert_eq!(outgoing.bytes(), encode(&message("/some/path", args)));
}

fn argument() -> impl Strategy<Value = OscType> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(OscType::Int),
        any::<f32>().prop_map(OscType::Float),
        any::<i64>().prop_map(OscType::Long),
        any::<f64>().prop_map(OscType::Double),
        any::<bool>().prop_map(OscType::Bool),
        any::<char>().prop_map(OscType::Char),
        "[^\0]{0,9}".prop_map(OscType::String),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(OscType::Blob),
        any::<[u8; 4]>().prop_map(|[red, green, blue, alpha]| OscType::Color(OscColor {
            red,
            green,
            blue,
            alpha
        })),
        any::<[u8; 4]>().prop_map(|[port, status, data1, data2]| OscType::Midi(OscMidiMessage {
            port,
            status,
            data1,
            data2
        })),
        (any::<u32>(), any::<u32>())
            .prop_map(|(seconds, fractional)| OscType::Time(OscTime { seconds, fractional })),
        Just(OscType::Nil),
        Just(OscType::Inf),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|content| OscType::Array(OscArray { content }))
    })
}

fn packet() -> impl Strategy<Value = OscPacket> {
    let leaf =
        ("/[^\0]{0,11}", prop::collection::vec(argument(), 0..6)).prop_map(|(a, args)| message(&a, args));
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(bundle))
}

/// What our reader should make of an argument, arrays taken apart.
fn expect_argument(argument: &OscType, into: &mut Vec<OscArgument>) {
    into.push(match argument {
        OscType::Int(value) => OscArgument::Number(OscNumber::Int(*value)),
        OscType::Float(value) => OscArgument::Number(OscNumber::Float(*value)),
        OscType::Long(value) => OscArgument::Number(OscNumber::Long(*value)),
        OscType::Double(value) => OscArgument::Number(OscNumber::Double(*value)),
        OscType::Bool(value) => OscArgument::Switch(*value),
        OscType::Array(array) => return array.content.iter().for_each(|inner| expect_argument(inner, into)),
        _ => OscArgument::Other,
    });
}

fn expect_messages(packet: &OscPacket, into: &mut Read) {
    match packet {
        OscPacket::Message(message) => {
            let mut arguments = Vec::new();
            message.args.iter().for_each(|argument| expect_argument(argument, &mut arguments));
            into.push(Ok((message.addr.clone().into_bytes(), arguments)));
        }
        OscPacket::Bundle(bundle) => bundle.content.iter().for_each(|inner| expect_messages(inner, into)),
    }
}

/// As text, so that a NaN equals itself.
fn text(read: &Read) -> String {
    format!("{read:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_reader_agrees_with_rosc_on_everything_rosc_encodes(packet in packet()) {
        let mut expected = Vec::new();
        expect_messages(&packet, &mut expected);
        let (messages, outcome) = read(&encode(&packet));
        prop_assert_eq!(outcome, Ok(()));
        prop_assert_eq!(text(&messages), text(&expected));
    }

    #[test]
    fn a_packet_with_bytes_changed_or_cut_is_read_or_refused(
        packet in packet(), cut: prop::sample::Index, changes: Vec<(prop::sample::Index, u8)>
    ) {
        let mut bytes = encode(&packet);
        changes.iter().for_each(|(at, byte)| { let at = at.index(bytes.len()); bytes[at] = *byte });
        bytes.truncate(cut.index(bytes.len() + 1));
        let (messages, _) = read(&bytes);
        for (address, _) in messages.iter().flatten() {
            prop_assert_eq!(address.first(), Some(&b'/'));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = read(&bytes);
        let _ = read(&[BUNDLE, &bytes].concat());
        let _ = read(&[b"/a\0\0,".as_slice(), &bytes].concat());
    }

    #[test]
    fn an_outgoing_message_is_what_rosc_would_send(address in "/[a-z/]{0,9}", values: Vec<(i32, f32, i64, f64)>) {
        let numbers = values.iter().flat_map(|(i, f, h, d)| {
            [OscNumber::Int(*i), OscNumber::Float(*f), OscNumber::Long(*h), OscNumber::Double(*d)]
        });
        let mut outgoing = OutgoingMessage::new(&address, numbers.clone().map(|number| match number {
            OscNumber::Int(_) => OscNumber::Int(0),
            OscNumber::Float(_) => OscNumber::Float(0.0),
            OscNumber::Long(_) => OscNumber::Long(0),
            OscNumber::Double(_) => OscNumber::Double(0.0),
        }));
        numbers.clone().zip(0..).for_each(|(number, parameter)| { outgoing.set(parameter, number); });
        let expected = encode(&message(&address, numbers.map(to_rosc).collect()));
        prop_assert_eq!(outgoing.bytes(), expected);
    }
}
