//! Priorities of single slots, start code 0xDD: the rules by their numbers in ETC's document
//! `per_address_priority.md`.

use super::*;

fn priorities(source: u8, slots: &[u8]) -> SacnData<'_> {
    SacnData { start_code: START_CODE_PRIORITIES, ..packet(source, slots) }
}

fn settling() -> World {
    let settle = milliseconds(1500);
    let mut world = World::with(SacnMergerOptions { universe: UNIVERSE, from: None, settle, holds: false });
    world.wait(settle);
    world
}

#[test]
fn rule_1_priorities_are_never_levels() {
    let mut world = World::new();
    world.send(priorities(1, &[200, 200])).expect("taken");
    assert_eq!(world.levels(), [0; 3]);
    assert_eq!(world.changes, []);
}

#[test]
fn rules_4_and_6_a_slot_of_priority_0_or_without_one_is_ignored() {
    let mut world = World::new();
    world.send(priorities(1, &[100, 0])).expect("taken");
    world.send(packet(1, &[11, 12, 13])).expect("taken");
    assert_eq!(world.levels(), [11, 0, 0]);
    world.send(SacnData { priority: 1, ..packet(2, &[21, 22, 23]) }).expect("taken");
    assert_eq!(world.levels(), [11, 22, 23]);
}

#[test]
fn rule_5_equal_priorities_merge_by_the_highest_level() {
    let mut world = World::new();
    world.send(packet(1, &[11, 12, 13])).expect("taken");
    world.send(priorities(1, &[100, 100, 101])).expect("taken");
    world.send(packet(2, &[99, 1, 99])).expect("taken");
    assert_eq!(world.levels(), [99, 12, 13]);
}

#[test]
fn rule_7_the_priority_of_the_packet_counts_without_them() {
    let mut world = World::new();
    world.send(SacnData { priority: 150, ..packet(1, &[1, 1]) }).expect("taken");
    world.send(priorities(2, &[151, 149])).expect("taken");
    world.send(packet(2, &[2, 2])).expect("taken");
    assert_eq!(world.levels(), [2, 1, 0]);
}

#[test]
fn rules_9_10_and_15_control_of_a_slot_is_taken_and_given_up() {
    let mut world = World::new();
    world.send(packet(2, &[2])).expect("taken");
    world.send(priorities(1, &[0])).expect("taken");
    world.send(packet(1, &[1])).expect("taken");
    assert_eq!(world.levels()[0], 2);
    world.send(priorities(1, &[200])).expect("taken");
    assert_eq!(world.levels()[0], 1);
    world.send(priorities(1, &[0])).expect("taken");
    assert_eq!(world.levels()[0], 2);
}

#[test]
fn rule_12_a_new_source_waits_for_its_priorities() {
    let mut world = settling();
    world.send(packet(1, &[5])).expect("taken");
    world.wait(milliseconds(1400));
    world.send(packet(1, &[5])).expect("taken");
    assert_eq!((world.levels()[0], world.changes.len()), (0, 0));
    world.wait(milliseconds(100));
    world.send(packet(1, &[5])).expect("taken");
    assert_eq!(world.levels()[0], 5, "they did not come: the priority of the packet");
    world.send(packet(2, &[99])).expect("taken");
    world.send(priorities(2, &[1])).expect("taken");
    world.send(packet(2, &[99])).expect("taken");
    assert_eq!((world.levels()[0], world.merger.sources().count()), (5, 2), "they came");
    world.send(priorities(3, &[200])).expect("taken");
    world.send(packet(3, &[7])).expect("taken");
    assert_eq!(world.levels()[0], 7, "they came first");
}

#[test]
fn sources_are_collected_after_the_start_where_new_ones_wait() {
    let settle = milliseconds(1500);
    let mut world = World::with(SacnMergerOptions { universe: UNIVERSE, from: None, settle, holds: false });
    world.send(packet(1, &[5])).expect("taken");
    world.wait(milliseconds(1499));
    world.send(SacnData { priority: 200, ..packet(2, &[6]) }).expect("taken");
    assert_eq!(world.levels()[0], 0);
    world.wait(milliseconds(1));
    assert_eq!(world.levels()[0], 6);
}

#[test]
fn a_source_that_ends_while_it_settles_leaves_nothing() {
    let mut world = settling();
    world.send(packet(1, &[5])).expect("taken");
    world.wait(milliseconds(2500));
    assert_eq!((world.merger.deadline(), world.changes.len()), (None, 0));
}

#[test]
fn rule_13_the_priority_of_the_packet_counts_again_when_they_stop() {
    let mut world = World::new();
    world.send(packet(1, &[5, 5])).expect("taken");
    world.send(priorities(1, &[100])).expect("taken");
    assert_eq!(world.levels(), [5, 0, 0]);
    for _ in 0..2 {
        world.wait(milliseconds(1249));
        world.send(packet(1, &[5, 5])).expect("taken");
    }
    assert_eq!(world.levels(), [5, 0, 0], "2.498 s");
    world.wait(milliseconds(2));
    world.send(packet(1, &[5, 5])).expect("taken");
    assert_eq!(world.levels(), [5, 5, 0]);
    assert!(!world.merger.sources().any(|source| source.has_slot_priorities));
}

#[test]
fn rule_14_a_source_that_sends_nothing_but_priorities_is_lost() {
    let mut world = World::new();
    world.send(packet(1, &[5])).expect("taken");
    for _ in 0..5 {
        world.send(priorities(1, &[100])).expect("taken");
        world.wait(milliseconds(500));
    }
    assert_eq!(world.levels()[0], 0);
    assert_eq!(world.changes, [(Appeared, 1), (Lost, 1)]);
}

#[test]
fn both_start_codes_share_one_sequence() {
    let mut world = World::new();
    let feed = |world: &mut World, data| world.feed(None, &SacnPacket::Data(data));
    feed(&mut world, SacnData { sequence: 5, ..packet(1, &[1]) }).expect("taken");
    feed(&mut world, SacnData { sequence: 6, ..priorities(1, &[100]) }).expect("taken");
    let late = SacnData { sequence: 6, ..packet(1, &[2]) };
    assert_eq!(feed(&mut world, late), Err(SacnRefusal::OutOfSequence));
}
