//! Values over the wire and back, and garbage.

use super::{Outgoing, Reading, read, write};
use crate::backends::midi::bytes::{Message, Parser, Status};
use crate::backends::midi::channel::{Address, Kind};
use crate::backends::midi::parameters::Parameters;

/// What comes back, through bytes, of what goes out.
fn round_trip(parser: &mut Parser, parameters: &mut Parameters, outgoing: &Outgoing) -> Vec<Reading> {
    let mut readings = Vec::new();
    for message in outgoing.messages() {
        let (bytes, length) = message.bytes();
        parser.feed(&bytes[..length], |message| readings.extend(read(message, parameters)));
    }
    readings
}

#[test]
fn every_value_of_every_kind_arrives_as_it_was_sent() {
    let (mut parser, mut parameters) = (Parser::default(), Parameters::default());
    let kinds = [
        (Kind::Cc, 7),
        (Kind::Note, 60),
        (Kind::Pressure, 127),
        (Kind::Aftertouch, 0),
        (Kind::Program, 0),
        (Kind::Pitch, 0),
        (Kind::Rpn, 0),
        (Kind::Nrpn, 16382),
    ];
    for (kind, number) in kinds {
        for raw in 0..=kind.top_value() {
            let sent = Reading { address: Address { channel: (raw % 16) as u8, kind, number }, raw };
            let back = round_trip(&mut parser, &mut parameters, &write(sent, raw % 2 == 0));
            let parts = if matches!(kind, Kind::Rpn | Kind::Nrpn) { back.len() - 1 } else { 0 };
            let whole: Vec<_> = back.iter().filter(|reading| reading.address.kind == kind).collect();
            assert_eq!(whole, [&sent]);
            assert_eq!(
                parts,
                back.iter().filter(|reading| reading.address.kind == Kind::Cc && kind != Kind::Cc).count()
            );
        }
    }
}

#[test]
fn a_note_that_ends_has_the_value_zero_either_way() {
    let mut parameters = Parameters::default();
    for message in [Message::new(Status::NoteOff, 2, 60, 64), Message::new(Status::NoteOn, 2, 60, 0)] {
        let readings: Vec<_> = read(message, &mut parameters).collect();
        assert_eq!(
            readings,
            [Reading { address: Address { channel: 2, kind: Kind::Note, number: 60 }, raw: 0 }]
        );
    }
}

#[test]
fn a_note_of_value_zero_is_sent_as_note_on_with_velocity_zero() {
    let off = Reading { address: Address { channel: 1, kind: Kind::Note, number: 60 }, raw: 0 };
    let messages: Vec<_> = write(off, true).messages().map(Message::bytes).collect();
    assert_eq!(messages, [([0x91, 60, 0], 3)]);
}

#[test]
fn a_parameter_is_six_controllers_or_four() {
    let set = Reading { address: Address { channel: 0, kind: Kind::Nrpn, number: 900 }, raw: 8197 };
    let bytes = |full| write(set, full).messages().map(|message| message.bytes().0).collect::<Vec<_>>();
    let short = [[0xb0, 99, 7], [0xb0, 98, 4], [0xb0, 6, 64], [0xb0, 38, 5]];
    assert_eq!(bytes(false), short);
    assert_eq!(bytes(true)[..4], short);
    assert_eq!(bytes(true)[4..], [[0xb0, 101, 127], [0xb0, 100, 127]]);
}

/// A reading can only come from a status byte of its MIDI channel that was there before.
#[test]
fn a_million_random_byte_strings_harm_nothing_and_reach_no_wrong_channel() {
    let mut random = fastrand::Rng::with_seed(4);
    let (mut parser, mut parameters) = (Parser::default(), Parameters::default());
    let mut channel_of_status = None;
    for _ in 0..1_000_000 {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        let length = random.usize(..=bytes.len());
        for byte in &bytes[..length] {
            // more status bytes of channels than chance would bring
            let byte = if random.u8(..4) == 0 { byte | 0x80 } else { *byte };
            match byte {
                0x80..=0xef => channel_of_status = Some(byte & 0x0f),
                0xf0..=0xf7 => channel_of_status = None,
                _ => {}
            }
            parser.feed(&[byte], |message| {
                assert!(message.data().iter().all(|data| *data < 0x80));
                for Reading { address, raw } in read(message, &mut parameters) {
                    assert_eq!(Some(address.channel), channel_of_status);
                    assert!(raw <= address.kind.top_value());
                    assert!(address.number <= 16382);
                }
            });
        }
    }
}
