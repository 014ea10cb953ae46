//! Tests: well-formed and malformed byte streams.

use super::{MessageStatus, MidiMessage, MidiParser, SkippedInput};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};

fn read(bytes: &[u8]) -> (Vec<MidiMessage>, SkippedInput) {
    let (mut parser, mut messages) = (MidiParser::default(), Vec::new());
    parser.feed(bytes, |message| messages.push(message));
    (messages, parser.take_skipped())
}

fn note(key: u8, velocity: u8) -> MidiMessage {
    MidiMessage::new(MessageStatus::NoteOn, 0, key, velocity)
}

#[test]
fn a_status_counts_until_another_comes() {
    let (messages, _) = read(&[0x90, 60, 100, 62, 101, 60, 0, 0xc3, 5, 6]);
    let program = |number| MidiMessage::new(MessageStatus::Program, 3, number, 0);
    assert_eq!(messages, [note(60, 100), note(62, 101), note(60, 0), program(5), program(6)]);
}

#[test]
fn real_time_bytes_may_stand_inside_a_message() {
    let (messages, skipped) = read(&[0xf8, 0x90, 0xfe, 60, 0xf8, 100, 0xff, 61, 0xf8, 101]);
    assert_eq!(messages, [note(60, 100), note(61, 101)]);
    assert_eq!(skipped, SkippedInput::default());
}

#[test]
fn system_exclusive_is_skipped_and_counted() {
    let (messages, skipped) = read(&[0x90, 1, 2, 0xf0, 1, 2, 0xf8, 3, 0xf7, 9, 0xf0, 4, 0x90, 3, 4]);
    assert_eq!(messages, [note(1, 2), note(3, 4)]);
    assert_eq!(skipped, SkippedInput { exclusive: 2, stray: 1 });
}

#[test]
fn other_system_messages_end_the_running_status() {
    for system in [vec![0xf1, 9], vec![0xf2, 9, 9], vec![0xf3, 9], vec![0xf4], vec![0xf6], vec![0xf7]] {
        let bytes = [&[0x90, 1, 2], system.as_slice(), &[7, 0x90, 3, 4]].concat();
        let (messages, skipped) = read(&bytes);
        assert_eq!(messages, [note(1, 2), note(3, 4)], "{system:02x?}");
        assert_eq!(skipped.stray, 1, "{system:02x?}");
    }
}

#[test]
fn a_message_that_is_cut_off_does_not_come_out() {
    assert_eq!(read(&[0x90, 60, 0x91, 61, 100]).0, [MidiMessage::new(MessageStatus::NoteOn, 1, 61, 100)]);
    assert_eq!(read(&[0x90, 60]).0, []);
}

#[test]
fn bytes_may_come_in_any_portions() {
    let bytes = [0x90, 60, 100, 0xf8, 62, 101, 0xb0, 7, 1];
    let (mut parser, mut messages) = (MidiParser::default(), Vec::new());
    bytes.iter().for_each(|byte| parser.feed(&[*byte], |message| messages.push(message)));
    assert_eq!(messages, read(&bytes).0);
}

fn any_message() -> impl Strategy<Value = MidiMessage> {
    (0..7usize, any::<[u8; 3]>()).prop_map(|(status, [channel, one, two])| {
        MidiMessage::new(MessageStatus::ALL[status], channel, one, two)
    })
}

/// Bytes that may stand between messages and change nothing.
fn any_between() -> impl Strategy<Value = Vec<u8>> {
    let exclusive = vec(0..0x80u8, 0..20).prop_map(|data| [&[0xf0], data.as_slice(), &[0xf7]].concat());
    prop_oneof![vec(0xf8..=0xffu8, 0..4), exclusive]
}

proptest! {
    #[test]
    fn messages_survive_the_way_over_the_wire(stream in vec((any_message(), any_between()), 0..50)) {
        let mut bytes = Vec::new();
        for (message, between) in &stream {
            let (whole, length) = message.bytes();
            bytes.extend_from_slice(&whole[..length]);
            bytes.extend_from_slice(between);
        }
        let sent: Vec<_> = stream.into_iter().map(|(message, _)| message).collect();
        assert_eq!(read(&bytes).0, sent);
    }
}
