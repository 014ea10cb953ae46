//! Decisions about sources, one rule at a time.

mod loss;
mod slot_priorities;
mod sync;

use super::*;
use std::net::Ipv4Addr;

pub const UNIVERSE: u16 = 7;

pub fn cid(number: u8) -> SacnCid {
    SacnCid([number; 16])
}

pub fn address(number: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, number), 5568)
}

pub fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A packet with levels of a source that has this number.
pub fn packet<'a>(source: u8, slots: &'a [u8]) -> SacnData<'a> {
    SacnData {
        cid: cid(source),
        source_name: b"desk",
        priority: 100,
        sync_address: 0,
        sequence: 0,
        is_preview: false,
        is_terminated: false,
        forces_sync: false,
        universe: UNIVERSE,
        start_code: START_CODE_LEVELS,
        slots,
    }
}

/// A merger with a clock, and sources that count their packets.
pub struct World {
    pub merger: SacnMerger,
    pub now: Instant,
    sequences: [u8; 256],
    pub changes: Vec<(SacnSourceChangeKind, u8)>,
}

impl World {
    pub fn new() -> Self {
        Self::with(SacnMergerOptions { universe: UNIVERSE, from: None, settle: Duration::ZERO, holds: false })
    }

    pub fn with(options: SacnMergerOptions) -> Self {
        let now = Instant::now();
        Self { merger: SacnMerger::new(now, options), now, sequences: [0; 256], changes: Vec::new() }
    }

    /// Feeds a packet as it is.
    pub fn feed(&mut self, group: Option<u16>, packet: &SacnPacket<'_>) -> Result<(), SacnRefusal> {
        let mut changes = SacnChanges::default();
        let from = address(packet.cid().0[0]);
        let outcome = self.merger.on_packet(self.now, from, group, packet, &mut changes);
        self.note(changes);
        outcome
    }

    /// Feeds a packet with the next sequence of its source.
    pub fn send(&mut self, data: SacnData<'_>) -> Result<(), SacnRefusal> {
        let sequence = &mut self.sequences[usize::from(data.cid.0[0])];
        *sequence = sequence.wrapping_add(1);
        let data = SacnData { sequence: *sequence, ..data };
        self.feed(Some(UNIVERSE), &SacnPacket::Data(data))
    }

    fn note(&mut self, changes: SacnChanges) {
        self.changes.extend(changes.sources.iter().map(|change| (change.kind, change.source.cid.0[0])));
    }

    /// Lets time pass, with all timers on time.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.merger.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            let mut changes = SacnChanges::default();
            self.merger.on_timer(deadline, &mut changes);
            self.note(changes);
            assert!(self.merger.deadline() != Some(deadline), "what was due is done");
        }
        self.now = end;
    }

    /// The first three slots.
    pub fn levels(&self) -> [u8; 3] {
        *self.merger.levels().first_chunk().expect("512 slots")
    }
}

use SacnSourceChangeKind::{Appeared, Lost, Terminated};

#[test]
fn levels_of_a_source_are_used_at_once() {
    let mut world = World::new();
    assert_eq!(world.send(packet(1, &[1, 2, 3])), Ok(()));
    assert_eq!(world.levels(), [1, 2, 3]);
    assert_eq!(world.changes, [(Appeared, 1)]);
    let sources: Vec<_> = world.merger.sources().collect();
    assert_eq!((sources.len(), &*sources[0].name, sources[0].address), (1, "desk", address(1)));
}

#[test]
fn late_and_repeated_packets_are_dropped_for_each_source() {
    let mut world = World::new();
    let mut feed = |source, sequence, level| {
        let slots = [level];
        let data = SacnData { sequence, ..packet(source, &slots) };
        let outcome = world.feed(None, &SacnPacket::Data(data));
        (outcome.is_ok(), world.levels()[0])
    };
    assert_eq!(feed(1, 240, 1), (true, 1), "a stream may begin anywhere");
    assert_eq!(feed(1, 240, 2), (false, 1));
    assert_eq!(feed(1, 239, 2), (false, 1));
    assert_eq!(feed(1, 221, 2), (false, 1), "19 back");
    assert_eq!(feed(1, 220, 3), (true, 3), "20 back: the source was started again");
    assert_eq!(feed(1, 255, 4), (true, 4));
    assert_eq!(feed(1, 0, 5), (true, 5), "after 255 comes 0");
    assert_eq!(feed(1, 255, 6), (false, 5), "one back over the end");
    assert_eq!(feed(1, 128, 7), (true, 7), "half the circle back");
    assert_eq!(feed(2, 0, 9), (true, 9), "another source has its own sequence");
    assert_eq!(feed(1, 129, 8), (true, 9));
}

#[test]
fn data_that_is_not_for_this_universe_is_not_taken() {
    let mut world = World::new();
    let other = SacnData { universe: 8, ..packet(1, &[9]) };
    assert_eq!(world.feed(None, &SacnPacket::Data(other)), Err(SacnRefusal::OtherUniverse));
    let data = SacnPacket::Data(packet(1, &[9]));
    assert_eq!(world.feed(Some(8), &data), Err(SacnRefusal::WrongGroup));
    assert_eq!(world.levels(), [0; 3]);
    assert_eq!(world.feed(None, &data), Ok(()), "unicast");
}

#[test]
fn preview_data_and_other_start_codes_are_never_levels() {
    let mut world = World::new();
    let preview = SacnData { is_preview: true, priority: 200, ..packet(1, &[9]) };
    assert_eq!(world.send(preview), Err(SacnRefusal::Preview));
    let text = SacnData { start_code: 0x17, ..packet(2, &[9]) };
    assert_eq!(world.send(text), Err(SacnRefusal::StartCode(0x17)));
    assert_eq!((world.levels(), world.merger.sources().count()), ([0; 3], 0));
    world.send(packet(1, &[1])).expect("it is live");
    assert_eq!(world.send(preview), Err(SacnRefusal::Preview));
    assert_eq!(
        world.send(SacnData { start_code: 0xcc, ..packet(1, &[9]) }),
        Err(SacnRefusal::StartCode(0xcc))
    );
    assert_eq!(world.levels(), [1, 0, 0]);
}

#[test]
fn only_the_sender_of_from_counts() {
    let options =
        SacnMergerOptions { universe: UNIVERSE, from: Some(cid(2)), settle: Duration::ZERO, holds: false };
    let mut world = World::with(options);
    assert_eq!(world.send(packet(1, &[1])), Err(SacnRefusal::OtherSender));
    assert_eq!(world.send(packet(2, &[2])), Ok(()));
    assert_eq!(world.levels()[0], 2);
    let mut changes = SacnChanges::default();
    world.merger.set_options(SacnMergerOptions { from: Some(cid(1)), ..options }, &mut changes);
    assert!(changes.levels);
    assert_eq!((world.levels()[0], world.merger.sources().count()), (0, 0));
}

#[test]
fn the_higher_priority_wins_and_equals_merge_by_the_highest_level() {
    let mut world = World::new();
    world.send(packet(1, &[10, 200])).expect("taken");
    world.send(packet(2, &[20, 100])).expect("taken");
    assert_eq!(world.levels(), [20, 200, 0]);
    world.send(SacnData { priority: 101, ..packet(1, &[10, 1]) }).expect("taken");
    assert_eq!(world.levels(), [10, 1, 0]);
    world.send(SacnData { priority: 99, ..packet(1, &[10, 1]) }).expect("taken");
    assert_eq!(world.levels(), [20, 100, 0], "a priority may sink");
}

#[test]
fn a_source_that_ends_its_stream_goes_at_once() {
    let mut world = World::new();
    world.send(SacnData { priority: 200, ..packet(1, &[1]) }).expect("taken");
    world.send(packet(2, &[2])).expect("taken");
    let last = SacnData { is_terminated: true, priority: 200, ..packet(1, &[99]) };
    assert_eq!(world.send(last), Ok(()));
    assert_eq!(world.levels()[0], 2, "levels of the last packet are not used");
    assert_eq!(world.send(last), Err(SacnRefusal::NoStream));
    assert_eq!(world.changes, [(Appeared, 1), (Appeared, 2), (Terminated, 1)]);
    world.send(SacnData { priority: 200, ..packet(1, &[3]) }).expect("it may come back");
    assert_eq!(world.levels()[0], 3);
}

#[test]
fn a_late_packet_that_ends_a_stream_does_not_end_the_next_one() {
    let mut world = World::new();
    let feed = |world: &mut World, data| world.feed(None, &SacnPacket::Data(data));
    feed(&mut world, SacnData { sequence: 10, ..packet(1, &[1]) }).expect("taken");
    let late = SacnData { sequence: 9, is_terminated: true, ..packet(1, &[1]) };
    assert_eq!(feed(&mut world, late), Err(SacnRefusal::OutOfSequence));
    assert_eq!(world.levels()[0], 1);
}

#[test]
fn sources_beyond_the_limit_are_ignored_until_one_goes() {
    let mut world = World::new();
    for source in 0..SOURCES_LIMIT as u8 {
        world.send(packet(source, &[source])).expect("there is room");
    }
    assert_eq!(world.send(packet(200, &[255])), Err(SacnRefusal::SourcesExceeded));
    assert_eq!(world.levels()[0], SOURCES_LIMIT as u8 - 1);
    world.send(SacnData { is_terminated: true, ..packet(0, &[]) }).expect("known");
    assert_eq!(world.send(packet(200, &[255])), Ok(()));
    assert_eq!(world.levels()[0], 255);
}

#[test]
fn shorter_frames_release_their_slots() {
    let mut world = World::new();
    world.send(packet(1, &[1, 2, 3])).expect("taken");
    world.send(packet(1, &[1])).expect("taken");
    assert_eq!(world.levels(), [1, 0, 0]);
    world.send(packet(1, &[])).expect("a start code alone");
    assert_eq!(world.levels(), [0, 0, 0]);
}

#[test]
fn names_of_peers_are_made_readable() {
    let mut world = World::new();
    world.send(SacnData { source_name: b"a\x1b[31m\xff", ..packet(1, &[1]) }).expect("taken");
    let name = world.merger.sources().next().expect("a source").name;
    assert_eq!(&*name, "a\u{fffd}[31m\u{fffd}");
}
