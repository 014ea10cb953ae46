//! A trace: which packets arrive when, and what a receiver decides.
//!
//! ```text
//! slots 2                                         # how many slots are looked at; else 4
//! universe 1                                      # that the receiver listens to; else 1
//! settle 1500                                     # `source-settle` in milliseconds; else 1500
//! settling                                        # the trace shows settling: no run without it
//! source main 10.0.0.1                            # a source, and the address that it sends from
//! at 100 main levels prio=200 1 2                 # one packet, 100 ms after the start
//! from 0 until 4000 every 25 main levels 1 2      # one packet each 25 ms, the last one before 4000
//! end 9000                                        # how long the receiver is watched
//! ```
//!
//! Kinds of packets: `levels`, `priorities` (start code 0xDD), `values start=HEX`, `end` (levels with
//! Stream_Terminated) and `sync universe=ADDRESS`. Fields: `prio` (100), `seq` (the next one), `sync`
//! (address, 0), `universe`, `via` (interface, of no account here), `cut=SIZE`, `patch=OFFSET:HEX`,
//! `preview`, `force` (Force_Synchronization). `9*512` is 512 times 9.
//!
//! Decisions: `appeared`, `lost`, `ended`, `priorities-lost` with the source; `exceeded`; `levels` with
//! `LEVEL@PRIORITY` for each slot, or `-` for one that no source controls. A line begins with `=` if
//! both ETC's receiver and ours decide so, `<` if only ETC's does, `>` if only ours does. A comment
//! above each `<` and `>` says why.

use super::packet::PacketLine;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// A datagram that arrives.
#[derive(Debug)]
pub struct Arrival {
    /// In milliseconds after the start.
    pub at: u64,
    pub from: Ipv4Addr,
    /// The universe of the multicast group that it is sent to.
    pub group: u16,
    pub bytes: Vec<u8>,
}

/// What a receiver has decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// In milliseconds after the start.
    pub at: u64,
    /// Those of one moment are in this order.
    pub order: u8,
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

/// A file of this folder.
#[derive(Debug, Default)]
pub struct Trace {
    pub universe: u16,
    pub slots: usize,
    pub settle: u64,
    pub is_settling: bool,
    pub arrivals: Vec<Arrival>,
    pub end: u64,
    /// What ours decides, sorted.
    pub decisions: Vec<Decision>,
    sources: HashMap<String, Ipv4Addr>,
}

impl Trace {
    pub fn read(text: &str) -> Self {
        let mut trace = Self { universe: 1, slots: 4, settle: 1500, ..Self::default() };
        let mut sent: Vec<(u64, PacketLine)> = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] | ["<", ..] => {}
                [word, ..] if word.starts_with('#') => {}
                ["=" | ">", at, ref text @ ..] => {
                    trace.decisions.push(Decision::new(at.parse().unwrap(), text.join(" ")));
                }
                ["universe", universe] => trace.universe = universe.parse().unwrap(),
                ["slots", slots] => trace.slots = slots.parse().unwrap(),
                ["settle", settle] => trace.settle = settle.parse().unwrap(),
                ["settling"] => trace.is_settling = true,
                ["source", name, address] => {
                    trace.sources.insert(name.to_owned(), address.parse().unwrap());
                }
                ["end", end] => trace.end = end.parse().unwrap(),
                ["at", at, ref packet @ ..] => sent.push((at.parse().unwrap(), PacketLine::read(packet))),
                ["from", from, "until", until, "every", step, ref packet @ ..] => {
                    let times = from.parse().unwrap()..until.parse().unwrap();
                    let packet = PacketLine::read(packet);
                    sent.extend(times.step_by(step.parse().unwrap()).map(|at: u64| (at, packet.clone())));
                }
                _ => panic!("unknown line: {line}"),
            }
        }
        // Stable: those of one moment arrive in the order of their lines.
        sent.sort_by_key(|(at, _)| *at);
        trace.send(sent);
        trace.decisions.sort();
        trace
    }

    fn send(&mut self, sent: Vec<(u64, PacketLine)>) {
        let mut sequences: HashMap<(String, bool), u8> = HashMap::new();
        for (at, packet) in sent {
            let stream = (packet.source.clone(), packet.kind == "sync");
            let sequence = packet.sequence(sequences.get(&stream).copied());
            sequences.insert(stream, sequence);
            let group = packet.universe(self.universe);
            let from = self.sources[&packet.source];
            self.arrivals.push(Arrival { at, from, group, bytes: packet.bytes(sequence, group) });
        }
    }
}
