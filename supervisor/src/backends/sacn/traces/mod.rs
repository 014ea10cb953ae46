//! Traces of packets, with the decisions that ETC's receiver takes about them, replayed against ours.
//!
//! ETC's sACN library 4.0.0.6 (commit 7470a80, Apache-2.0) with its EtcPal 1.0.0.27 is the receiver
//! that the industry measures others by. It was built outside this repository with a clock that the
//! trace moves, and its merge receiver was fed the same datagrams. Its notification wait is 0, as ours
//! has none (its default is 1 s on top). It looks for sources that are lost each 121 ms, so the times
//! of decisions may differ by that. See [`trace`] for the files.
//!
//! Differences on purpose have a reason in the file. What the library does not have, such as universe
//! synchronisation, has decisions by the words of the standard, and the file says so.

mod packet;
mod trace;

use super::codec::{SacnCid, decode};
use super::merger::{SacnChanges, SacnMerger, SacnMergerOptions, SacnRefusal, SacnSourceChangeKind};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use trace::{Decision, Trace};

/// How much later or earlier ETC's receiver may decide the same, in milliseconds.
const TOLERANCE: u64 = 125;

/// Our merger in the time of a trace.
struct Receiver {
    merger: SacnMerger,
    start: Instant,
    settle: u64,
    slots: usize,
    levels: String,
    /// Sources that sent priorities of single slots.
    prioritised: BTreeSet<String>,
    is_exceeded: bool,
    decisions: Vec<Decision>,
}

impl Receiver {
    fn new(trace: &Trace, settle: u64) -> Self {
        let start = Instant::now();
        let options = SacnMergerOptions {
            universe: trace.universe,
            from: None,
            settle: Duration::from_millis(settle),
            holds: false,
        };
        Self {
            merger: SacnMerger::new(start, options),
            start,
            settle,
            slots: trace.slots,
            levels: vec!["-"; trace.slots].join(" "),
            prioritised: BTreeSet::new(),
            is_exceeded: false,
            decisions: Vec::new(),
        }
    }

    fn replay(mut self, trace: &Trace) -> Vec<Decision> {
        for arrival in &trace.arrivals {
            self.run_timers(arrival.at);
            let mut changes = SacnChanges::default();
            let Ok(packet) = decode(&arrival.bytes) else { continue };
            let now = self.start + Duration::from_millis(arrival.at);
            let from = SocketAddrV4::new(arrival.from, 5568);
            let outcome = self.merger.on_packet(now, from, Some(arrival.group), &packet, &mut changes);
            if outcome == Err(SacnRefusal::SourcesExceeded) && !self.is_exceeded {
                self.is_exceeded = true;
                self.decide(arrival.at, "exceeded".into());
            }
            self.note(arrival.at, &changes);
        }
        self.run_timers(trace.end);
        self.decisions.sort();
        self.decisions
    }

    /// Lets the deadlines up to a time pass, each at its time.
    fn run_timers(&mut self, until: u64) {
        let mut last = None;
        while let Some(deadline) = self.merger.deadline().filter(|deadline| {
            last != Some(*deadline) && *deadline <= self.start + Duration::from_millis(until)
        }) {
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

fn traces() -> Vec<(String, Trace)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/backends/sacn/traces");
    let mut traces: Vec<(String, Trace)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "trace"))
        .map(|path| (path.display().to_string(), Trace::read(&std::fs::read_to_string(path).unwrap())))
        .collect();
    assert!(traces.len() > 30, "the traces are there");
    traces.sort_by(|(a, _), (b, _)| a.cmp(b));
    traces
}

fn is_same(ours: &[Decision], expected: &[Decision]) -> bool {
    ours.len() == expected.len()
        && ours
            .iter()
            .zip(expected)
            .all(|(ours, expected)| ours.text == expected.text && ours.at.abs_diff(expected.at) <= TOLERANCE)
}

fn report(out: &mut String, path: &str, expected: &[Decision], ours: &[Decision]) {
    let _ = writeln!(out, "{path}");
    for (title, decisions) in [("expected", expected), ("decided", ours)] {
        let _ = writeln!(out, "  {title}:");
        for decision in decisions {
            let _ = writeln!(out, "    {} {}", decision.at, decision.text);
        }
    }
}

#[test]
fn decisions_are_those_of_etcs_receiver_but_where_the_trace_gives_a_reason() {
    let mut differences = String::new();
    for (path, trace) in traces() {
        let ours = Receiver::new(&trace, trace.settle).replay(&trace);
        if !is_same(&ours, &trace.decisions) {
            report(&mut differences, &path, &trace.decisions, &ours);
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Without `source-settle`, levels are used at once: there are more decisions, but once all sources
/// are known the levels are the same.
#[test]
fn levels_without_settling_are_the_same_once_all_sources_are_known() {
    let mut differences = String::new();
    for (path, trace) in traces().into_iter().filter(|(_, trace)| !trace.is_settling) {
        let ours = Receiver::new(&trace, 0).replay(&trace);
        let levels = |decisions: &[Decision], at: u64| {
            let before = decisions.iter().filter(|decision| decision.at <= at);
            before.filter_map(Decision::levels).next_back().map(str::to_owned)
        };
        let mut times: Vec<u64> = trace.decisions.iter().map(|decision| decision.at).collect();
        times.push(trace.end);
        // The levels just before each decision, once all earlier ones are taken.
        let is_different = |at: u64| {
            let before = at.saturating_sub(TOLERANCE + 1);
            before > trace.settle && levels(&ours, before) != levels(&trace.decisions, before)
        };
        if times.into_iter().any(is_different) {
            report(&mut differences, &path, &trace.decisions, &ours);
        }
    }
    assert!(differences.is_empty(), "{differences}");
}
