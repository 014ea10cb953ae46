//! Traces of packets, with the decisions that ETC's receiver takes about them, replayed against ours.
//!
//! ETC's sACN library 4.0.0.6 (commit 7470a80, Apache-2.0) with its EtcPal 1.0.0.27 is the receiver
//! that the industry measures others by. It was built outside this repository with a clock that the
//! trace moves, and its merge receiver was fed the same datagrams. Its notification wait is 0, as ours
//! has none (its default is 1 s on top). It looks for sources that are lost each 121 ms, so the times
//! of decisions may differ by that.
//!
//! Differences on purpose have a reason in the file. What the library does not have, such as universe
//! synchronisation, has decisions by the words of the standard, and the file says so.
//!
//! The files are as in [`dmx::trace`](crate::backends::dmx::trace). Settings: `universe` (1 unless it
//! is there), `settle` (`source-settle` in milliseconds; 1500 unless it is there), `settling` (the
//! trace shows settling, so there is no run without it).
//!
//! Packets: `levels`, `priorities` (start code 0xDD), `values start=HEX`, `end` (levels with
//! Stream_Terminated), each with its slots, of which `9*512` is 512 times 9; `sync universe=ADDRESS`.
//! Fields: `prio` (100), `seq` (the next one), `sync` (address, 0), `universe`, `via` (interface, of no
//! account here), `cut=SIZE`, `patch=OFFSET:HEX`, `preview`, `force` (Force_Synchronization).
//!
//! Decisions: `appeared`, `lost`, `ended`, `priorities-lost` with the source; `exceeded`; `levels` with
//! `LEVEL@PRIORITY` for each slot, or `-` for one that no source controls.

mod packet;

use super::codec::{SacnCid, decode};
use super::merger::{SacnChanges, SacnMerger, SacnMergerOptions, SacnRefusal, SacnSourceChangeKind};
use crate::backends::dmx::trace::{Decision, Trace, traces};
use packet::PacketLine;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

const FOLDER: &str = "src/backends/sacn/traces";

/// How much later or earlier ETC's receiver may decide the same, in milliseconds.
const TOLERANCE: u64 = 125;

/// The settling time of ETC's receiver, in milliseconds.
const SETTLE: u64 = 1500;

/// Our merger in the time of a trace.
struct Receiver {
    merger: SacnMerger,
    universe: u16,
    start: Instant,
    settle: u64,
    slots: usize,
    levels: String,
    /// Sources that sent priorities of single slots.
    prioritised: BTreeSet<String>,
    is_exceeded: bool,
    /// The last sequence of each source, of its data and of its synchronisation.
    sequences: HashMap<(String, bool), u8>,
    decisions: Vec<Decision>,
}

impl Receiver {
    fn new(trace: &Trace, settle: u64) -> Self {
        let start = Instant::now();
        let universe = trace.setting("universe", 1) as u16;
        let settling = Duration::from_millis(settle);
        let options = SacnMergerOptions { universe, from: None, settle: settling, holds: false };
        Self {
            merger: SacnMerger::new(start, options),
            universe,
            start,
            settle,
            slots: trace.slots,
            levels: vec!["-"; trace.slots].join(" "),
            prioritised: BTreeSet::new(),
            is_exceeded: false,
            sequences: HashMap::new(),
            decisions: Vec::new(),
        }
    }

    fn replay(mut self, trace: &Trace) -> Vec<Decision> {
        for (at, words) in &trace.packets {
            self.run_timers(*at);
            let packet = PacketLine::read(words);
            self.receive(*at, SocketAddrV4::new(trace.sources[&packet.source], 5568), &packet);
        }
        self.run_timers(trace.end);
        self.decisions.sort();
        self.decisions
    }

    fn receive(&mut self, at: u64, from: SocketAddrV4, packet: &PacketLine) {
        let stream = (packet.source.clone(), packet.kind == "sync");
        let sequence = packet.sequence(self.sequences.get(&stream).copied());
        self.sequences.insert(stream, sequence);
        let group = packet.universe(self.universe);
        let datagram = packet.bytes(sequence, group);
        let Ok(decoded) = decode(&datagram) else { return };
        let now = self.start + Duration::from_millis(at);
        let mut changes = SacnChanges::default();
        let outcome = self.merger.on_packet(now, from, Some(group), &decoded, &mut changes);
        if outcome == Err(SacnRefusal::SourcesExceeded) && !self.is_exceeded {
            self.is_exceeded = true;
            self.decide(at, "exceeded".into());
        }
        self.note(at, &changes);
    }

    /// Lets the deadlines up to a time pass, each at its time.
    fn run_timers(&mut self, until: u64) {
        let until = self.start + Duration::from_millis(until);
        let mut last = None;
        while let Some(deadline) = self.merger.deadline()
            && deadline <= until
            && last != Some(deadline)
        {
            let mut changes = SacnChanges::default();
            self.merger.on_timer(deadline, &mut changes);
            let at = deadline.saturating_duration_since(self.start).as_millis();
            self.note(at as u64, &changes);
            last = Some(deadline);
        }
    }

    fn decide(&mut self, at: u64, text: String) {
        self.decisions.push(Decision::new(at, text));
    }

    fn note(&mut self, at: u64, changes: &SacnChanges) {
        for change in &changes.sources {
            let verb = match change.kind {
                SacnSourceChangeKind::Appeared => "appeared",
                SacnSourceChangeKind::Lost => "lost",
                SacnSourceChangeKind::Terminated => "ended",
            };
            self.is_exceeded &= change.kind == SacnSourceChangeKind::Appeared;
            // Ours reports sources of the start at once, ETC's receiver once it uses them.
            self.decide(at.max(self.settle), format!("{verb} {}", name(change.source.cid)));
        }
        let sources: Vec<_> = self.merger.sources().collect();
        for source in sources {
            let name = name(source.cid);
            if source.has_slot_priorities {
                self.prioritised.insert(name);
            } else if self.prioritised.remove(&name) {
                self.decide(at, format!("priorities-lost {name}"));
            }
        }
        let levels = self.describe_levels();
        if levels != self.levels {
            self.decide(at, format!("levels {levels}"));
            self.levels = levels;
        }
    }

    fn describe_levels(&self) -> String {
        let merged = self.merger.merged();
        let slots = merged.levels.iter().zip(&merged.ranks).take(self.slots);
        let slots: Vec<String> = slots
            .map(|(level, rank)| match rank.checked_sub(1) {
                Some(priority) => format!("{level}@{priority}"),
                None => "-".into(),
            })
            .collect();
        slots.join(" ")
    }
}

fn name(cid: SacnCid) -> String {
    String::from_utf8_lossy(&cid.0).trim_end_matches('\0').to_owned()
}

#[test]
fn decisions_are_those_of_etcs_receiver_but_where_the_trace_gives_a_reason() {
    let mut differences = String::new();
    for trace in traces(FOLDER, 40) {
        let ours = Receiver::new(&trace, trace.setting("settle", SETTLE)).replay(&trace);
        trace.compare(&ours, TOLERANCE, &mut differences);
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Without `source-settle`, levels are used at once: there are more decisions, but once all sources
/// are known the levels are the same.
#[test]
fn levels_without_settling_are_the_same_once_all_sources_are_known() {
    let mut differences = String::new();
    for trace in traces(FOLDER, 40).iter().filter(|trace| trace.setting("settling", 0) == 0) {
        let ours = Receiver::new(trace, 0).replay(trace);
        let levels = |decisions: &[Decision], at: u64| {
            let before = decisions.iter().filter(|decision| decision.at <= at);
            before.filter_map(Decision::levels).next_back().map(str::to_owned)
        };
        let mut times: Vec<u64> = trace.decisions.iter().map(|decision| decision.at).collect();
        times.push(trace.end);
        // The levels just before each decision, once all earlier ones are taken.
        let is_different = |at: u64| {
            let before = at.saturating_sub(TOLERANCE + 1);
            let is_settled = before > trace.setting("settle", SETTLE);
            is_settled && levels(&ours, before) != levels(&trace.decisions, before)
        };
        if times.into_iter().any(is_different) {
            trace.report(&ours, &mut differences);
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
