//! Traces of packets, with the decisions that OLA or the words of the standard take about them, replayed
//! against ours.
//!
//! OLA 0.10.9 (Debian 12) was sent the packets over a virtual cable, and its universe was watched. It
//! merges two addresses and holds a failed one for 10 s, as the standard says. It does not look at
//! Physical, ArtSync, AcCancelMerge and the sequence; those traces have decisions by the words of the
//! standard, and the file says so. See [`dmx::trace`](crate::backends::dmx::trace) for the files.
//!
//! Packets: `levels` with the slots; `sync` (ArtSync); `cancel-merge`, `ltp` and `htp` (ArtAddress).
//! Fields: `seq` (0, none), `physical` (0), `universe` (1), `cut=SIZE`, `patch=OFFSET:HEX`. Decisions:
//! `levels` with the level of each slot, or `-` for one that was never received.

use super::codec::{ArtCommand, ArtnetPacket, PortAddress};
use super::merger::{ArtnetMergeMode, ArtnetMerger, SOURCE_TIMEOUT};
use crate::backends::dmx::trace::{Decision, Trace, traces};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How much later OLA may decide the same, in milliseconds: the time between two packets of the other
/// controller, and what the machine that ran it was late by.
const TOLERANCE: u64 = 350;

/// The universe that is received.
const UNIVERSE: u8 = 1;

/// Our merger in the time of a trace.
struct Receiver {
    merger: ArtnetMerger,
    start: Instant,
    slots: usize,
    levels: String,
    decisions: Vec<Decision>,
}

impl Receiver {
    fn new(trace: &Trace) -> Self {
        Self {
            merger: ArtnetMerger::new(SOURCE_TIMEOUT),
            start: Instant::now(),
            slots: trace.slots,
            levels: vec!["-"; trace.slots].join(" "),
            decisions: Vec::new(),
        }
    }

    fn replay(mut self, trace: &Trace) -> Vec<Decision> {
        for (at, words) in &trace.packets {
            self.run_timers(*at);
            self.receive(*at, trace.sources[&words[0]], &datagram(words));
        }
        self.run_timers(trace.end);
        self.decisions
    }

    fn receive(&mut self, at: u64, from: Ipv4Addr, datagram: &[u8]) {
        let now = self.start + Duration::from_millis(at);
        match ArtnetPacket::decode(datagram) {
            Ok(ArtnetPacket::Dmx(dmx)) if Some(dmx.address) == PortAddress::new(0, UNIVERSE) => {
                self.merger.receive(from, &dmx, now);
            }
            Ok(ArtnetPacket::Sync) => _ = self.merger.sync(from, now),
            Ok(ArtnetPacket::Address(address)) => match address.command {
                ArtCommand::CancelMerge => self.merger.cancel_merge(),
                ArtCommand::MergeLtp(_) => _ = self.merger.set_mode(ArtnetMergeMode::Ltp),
                ArtCommand::MergeHtp(_) => _ = self.merger.set_mode(ArtnetMergeMode::Htp),
                ArtCommand::Other(_) => {}
            },
            _ => {}
        }
        self.note(at);
    }

    /// Lets the deadlines up to a time pass, each at its time.
    fn run_timers(&mut self, until: u64) {
        let until = self.start + Duration::from_millis(until);
        let mut last = None;
        while let Some(deadline) = self.merger.deadline()
            && deadline <= until
            && last != Some(deadline)
        {
            self.merger.tick(deadline);
            self.note(deadline.saturating_duration_since(self.start).as_millis() as u64);
            last = Some(deadline);
        }
    }

    fn note(&mut self, at: u64) {
        let level = |slot: usize| self.merger.levels().get(slot).map_or("-".into(), u8::to_string);
        let levels = (0..self.slots).map(level).collect::<Vec<_>>().join(" ");
        if levels != self.levels {
            self.decisions.push(Decision::new(at, format!("levels {levels}")));
            self.levels = levels;
        }
    }
}

/// The bytes of a packet. They are put together here and not by the codec, which is under test as well.
fn datagram(words: &[String]) -> Vec<u8> {
    let field = |name: &str| {
        let values = words.iter().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        values.map(str::to_owned).next()
    };
    let number = |name: &str| field(name).map(|value| value.parse::<u8>().unwrap());
    let begin = |opcode: u16| [&b"Art-Net\0"[..], &opcode.to_le_bytes(), &[0, 14]].concat();
    let address = |command: u8| [&begin(0x6000)[..], &[0; 94], &[command, 0]].concat();
    let mut bytes = match words[1].as_str() {
        "levels" => {
            let levels: Vec<u8> = words[2..].iter().filter_map(|word| word.parse().ok()).collect();
            let [sequence, physical] = [number("seq").unwrap_or(0), number("physical").unwrap_or(0)];
            let header = [sequence, physical, number("universe").unwrap_or(UNIVERSE), 0];
            [&begin(0x5000)[..], &header, &(levels.len() as u16).to_be_bytes(), &levels].concat()
        }
        "sync" => [&begin(0x5200)[..], &[0, 0]].concat(),
        "cancel-merge" => address(0x01),
        "ltp" => address(0x10),
        "htp" => address(0x50),
        kind => panic!("unknown kind of packet: {kind}"),
    };
    if let Some(patch) = field("patch") {
        let (offset, patch) = patch.split_once(':').unwrap();
        let offset: usize = offset.parse().unwrap();
        for (index, at) in (0..patch.len()).step_by(2).enumerate() {
            bytes[offset + index] = u8::from_str_radix(&patch[at..at + 2], 16).unwrap();
        }
    }
    bytes.truncate(number("cut").map_or(usize::MAX, usize::from));
    bytes
}

#[test]
fn decisions_are_those_of_ola_and_of_the_standard_but_where_the_trace_gives_a_reason() {
    let mut differences = String::new();
    for trace in traces("src/backends/artnet/traces", 20) {
        let ours = Receiver::new(&trace).replay(&trace);
        trace.compare(&ours, TOLERANCE, &mut differences);
    }
    assert!(differences.is_empty(), "{differences}");
}
