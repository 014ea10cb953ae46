//! Traces for tests: which packets arrive when, and what a receiver decides about them. They are text
//! files beside the tests of each protocol.
//!
//! ```text
//! slots 2                                         # how many slots are looked at
//! source main 10.0.0.1                            # a sender, and its address
//! at 100 main PACKET                              # one packet, 100 ms after the start
//! from 0 until 4000 every 25 main PACKET          # one each 25 ms, the last one before 4000
//! end 9000                                        # how long the receiver is watched
//! = 100 DECISION                                  # what is decided, and when
//! ```
//!
//! A decision begins with `=` if both the receiver that the file names and ours decide so, `<` if only
//! the other one does, `>` if only ours does. A comment above each `<` and `>` says why. Other lines
//! with one or two words are settings of the protocol.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

/// What a receiver has decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// In milliseconds after the start.
    pub at: u64,
    /// Those of one moment are in this order.
    order: u8,
    pub text: String,
}

impl Decision {
    pub fn new(at: u64, text: String) -> Self {
        let order = match text.split(' ').next() {
            Some("appeared") => 0,
            Some("lost" | "ended") => 1,
            Some("levels") => 3,
            _ => 2,
        };
        Self { at, order, text }
    }

    pub fn levels(&self) -> Option<&str> {
        self.text.strip_prefix("levels ")
    }
}

/// A file of traces.
#[derive(Debug, Default)]
pub struct Trace {
    pub name: String,
    pub slots: usize,
    settings: HashMap<String, u64>,
    pub sources: HashMap<String, Ipv4Addr>,
    /// When what is sent, by time: the sender and the packet, in words.
    pub packets: Vec<(u64, Vec<String>)>,
    pub end: u64,
    /// What ours has to decide, sorted.
    pub decisions: Vec<Decision>,
}

impl Trace {
    fn read(name: String, text: &str) -> Self {
        let mut trace = Self { name, ..Self::default() };
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        lines.for_each(|line| trace.read_line(&line.split_whitespace().collect::<Vec<_>>()));
        // Stable: those of one moment arrive in the order of their lines.
        trace.packets.sort_by_key(|(at, _)| *at);
        trace.decisions.sort();
        trace
    }

    fn read_line(&mut self, words: &[&str]) {
        let number = |word: &str| word.parse().unwrap_or_else(|_| panic!("a number: {words:?}"));
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match *words {
            ["<", ..] => {}
            ["=" | ">", at, ref text @ ..] => {
                self.decisions.push(Decision::new(number(at), text.join(" ")));
            }
            ["source", name, address] => {
                self.sources.insert(name.to_owned(), address.parse().unwrap());
            }
            ["at", at, ref packet @ ..] => self.packets.push((number(at), owned(packet))),
            ["from", from, "until", until, "every", step, ref packet @ ..] => {
                let times = (number(from)..number(until)).step_by(number(step) as usize);
                self.packets.extend(times.map(|at| (at, owned(packet))));
            }
            ["slots", slots] => self.slots = number(slots) as usize,
            ["end", end] => self.end = number(end),
            [setting] => _ = self.settings.insert(setting.to_owned(), 1),
            [setting, value] => _ = self.settings.insert(setting.to_owned(), number(value)),
            _ => panic!("unknown line: {words:?}"),
        }
    }

    /// A setting of the protocol.
    pub fn setting(&self, name: &str, otherwise: u64) -> u64 {
        self.settings.get(name).copied().unwrap_or(otherwise)
    }

    /// Whether these are the decisions of the trace, each at most `tolerance` milliseconds earlier or
    /// later. If they are not, `differences` gets both.
    pub fn compare(&self, ours: &[Decision], tolerance: u64, differences: &mut String) {
        let is_same = |(ours, expected): (&Decision, &Decision)| {
            ours.text == expected.text && ours.at.abs_diff(expected.at) <= tolerance
        };
        if ours.len() != self.decisions.len() || !ours.iter().zip(&self.decisions).all(is_same) {
            self.report(ours, differences);
        }
    }

    /// Writes what the trace wants and what was decided.
    pub fn report(&self, ours: &[Decision], differences: &mut String) {
        let _ = writeln!(differences, "{}", self.name);
        for (title, decisions) in [("expected", &*self.decisions), ("decided", ours)] {
            let _ = writeln!(differences, "  {title}:");
            for decision in decisions {
                let _ = writeln!(differences, "    {} {}", decision.at, decision.text);
            }
        }
    }
}

/// The traces of a folder of this crate, by name; at least `least`.
pub fn traces(folder: &str, least: usize) -> Vec<Trace> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut traces: Vec<Trace> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "trace"))
        .map(|path| Trace::read(path.display().to_string(), &std::fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(traces.len() >= least, "the traces are there");
    traces.sort_by(|a, b| a.name.cmp(&b.name));
    traces
}
