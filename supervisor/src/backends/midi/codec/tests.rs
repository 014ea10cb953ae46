//! Tests: values over the wire and back, and random bytes.

use super::{AddressedValue, MessageSequence, decode, encode};
use crate::backends::midi::channel::{ChannelAddress, ChannelKind};
use crate::backends::midi::parameters::ParameterDecoder;
use crate::backends::midi::parser::{MessageStatus, MidiMessage, MidiParser};

/// Encodes messages to bytes and decodes them again.
fn round_trip(
    parser: &mut MidiParser,
    parameters: &mut ParameterDecoder,
    outgoing: &MessageSequence,
) -> Vec<AddressedValue> {
    let mut decoded = Vec::new();
    for message in outgoing.messages() {
        let (bytes, length) = message.bytes();
        parser.feed(&bytes[..length], |message| decoded.extend(decode(message, parameters)));
    }
    decoded
}

#[test]
fn every_value_of_every_kind_arrives_as_it_was_sent() {
    let (mut parser, mut parameters) = (MidiParser::default(), ParameterDecoder::default());
    let kinds = [
        (ChannelKind::Cc, 7),
        (ChannelKind::Note, 60),
        (ChannelKind::Pressure, 127),
        (ChannelKind::Aftertouch, 0),
        (ChannelKind::Program, 0),
        (ChannelKind::Pitch, 0),
        (ChannelKind::Rpn, 0),
        (ChannelKind::Nrpn, 16382),
    ];
    for (kind, number) in kinds {
        for raw in 0..=kind.top_value() {
            let sent =
                AddressedValue { address: ChannelAddress { channel: (raw % 16) as u8, kind, number }, raw };
            let back = round_trip(&mut parser, &mut parameters, &encode(sent, raw % 2 == 0));
            let parts = if matches!(kind, ChannelKind::Rpn | ChannelKind::Nrpn) { back.len() - 1 } else { 0 };
            let whole: Vec<_> = back.iter().filter(|value| value.address.kind == kind).collect();
            assert_eq!(whole, [&sent]);
            assert_eq!(
                parts,
                back.iter()
                    .filter(|value| value.address.kind == ChannelKind::Cc && kind != ChannelKind::Cc)
                    .count()
            );
        }
    }
}

#[test]
fn a_note_that_ends_has_the_value_zero_either_way() {
    let mut parameters = ParameterDecoder::default();
    for message in [
        MidiMessage::new(MessageStatus::NoteOff, 2, 60, 64),
        MidiMessage::new(MessageStatus::NoteOn, 2, 60, 0),
    ] {
        let decoded: Vec<_> = decode(message, &mut parameters).collect();
        assert_eq!(
            decoded,
            [AddressedValue {
                address: ChannelAddress { channel: 2, kind: ChannelKind::Note, number: 60 },
                raw: 0
            }]
        );
    }
}

#[test]
fn a_note_of_value_zero_is_sent_as_note_on_with_velocity_zero() {
    let off = AddressedValue {
        address: ChannelAddress { channel: 1, kind: ChannelKind::Note, number: 60 },
        raw: 0,
    };
    let messages: Vec<_> = encode(off, true).messages().map(MidiMessage::bytes).collect();
    assert_eq!(messages, [([0x91, 60, 0], 3)]);
}

#[test]
fn a_parameter_is_six_controllers_or_four() {
    let set = AddressedValue {
        address: ChannelAddress { channel: 0, kind: ChannelKind::Nrpn, number: 900 },
        raw: 8197,
    };
    let bytes = |full| encode(set, full).messages().map(|message| message.bytes().0).collect::<Vec<_>>();
    let short = [[0xb0, 99, 7], [0xb0, 98, 4], [0xb0, 6, 64], [0xb0, 38, 5]];
    assert_eq!(bytes(false), short);
    assert_eq!(bytes(true)[..4], short);
    assert_eq!(bytes(true)[4..], [[0xb0, 101, 127], [0xb0, 100, 127]]);
}

/// A value can only come from a status byte of its MIDI channel that was there before.
#[test]
fn a_million_random_byte_strings_harm_nothing_and_reach_no_wrong_channel() {
    let mut random = fastrand::Rng::with_seed(4);
    let (mut parser, mut parameters) = (MidiParser::default(), ParameterDecoder::default());
    let mut channel_of_status = None;
    for _ in 0..1_000_000 {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        let length = random.usize(..=bytes.len());
        for byte in &bytes[..length] {
            // More channel status bytes than chance alone would bring.
            let byte = if random.u8(..4) == 0 { byte | 0x80 } else { *byte };
            match byte {
                0x80..=0xef => channel_of_status = Some(byte & 0x0f),
                0xf0..=0xf7 => channel_of_status = None,
                _ => {}
            }
            parser.feed(&[byte], |message| {
                assert!(message.data().iter().all(|data| *data < 0x80));
                for AddressedValue { address, raw } in decode(message, &mut parameters) {
                    assert_eq!(Some(address.channel), channel_of_status);
                    assert!(raw <= address.kind.top_value());
                    assert!(address.number <= 16382);
                }
            });
        }
    }
}
