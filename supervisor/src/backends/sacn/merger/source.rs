//! One source of a universe: what was received from it last.

use super::merge::{Contribution, rank};
use crate::backends::sacn::codec::layout::SLOTS_LIMIT;
use crate::backends::sacn::codec::{SacnCid, SacnData};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Instant;

/// Slots with their number.
#[derive(Debug, Clone)]
pub struct SacnSlots {
    values: Box<[u8; SLOTS_LIMIT]>,
    len: usize,
}

impl SacnSlots {
    /// A copy of at most 512 values.
    pub fn new(values: &[u8]) -> Self {
        let mut slots = Self { values: Box::new([0; SLOTS_LIMIT]), len: 0 };
        slots.set(values);
        slots
    }

    /// Whether the values are others than before.
    pub fn set(&mut self, values: &[u8]) -> bool {
        let values = &values[..values.len().min(SLOTS_LIMIT)];
        if self.values() == values {
            return false;
        }
        self.values[..values.len()].copy_from_slice(values);
        self.len = values.len();
        true
    }

    pub fn values(&self) -> &[u8] {
        &self.values[..self.len]
    }
}

/// How far a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePhase {
    /// Its levels are not used before this time, unless priorities of its slots come first.
    Settling { until: Instant },
    /// Only priorities of its slots have come.
    PrioritiesOnly,
    /// It sends levels.
    Live,
    /// It has sent no levels for 2.5 s. Its last ones count until all other sources have been
    /// received after `since`, or are lost as well.
    Lost { since: Instant },
}

/// What waits for the next synchronisation packet.
#[derive(Debug, Default)]
pub struct HeldUpdate {
    /// Levels with the priority of their packet.
    pub levels: Option<(SacnSlots, u8)>,
    pub slot_priorities: Option<SacnSlots>,
}

/// A source of one universe, by its CID.
#[derive(Debug)]
pub struct TrackedSource {
    pub cid: SacnCid,
    pub name: Arc<str>,
    pub address: SocketAddrV4,
    /// That of its packets (E1.31 6.2.3), as far as it is applied.
    pub priority: u8,
    /// That of its last packet in sequence.
    pub sequence: u8,
    pub phase: SourcePhase,
    pub levels: SacnSlots,
    /// Priorities of single slots, while it sends them.
    pub slot_priorities: Option<SacnSlots>,
    pub last_levels: Instant,
    pub last_slot_priorities: Instant,
    /// 0: it is not synchronised.
    pub sync_address: u16,
    pub held: HeldUpdate,
    /// Whether levels of it were used.
    pub has_appeared: bool,
}

impl TrackedSource {
    pub fn new(now: Instant, from: SocketAddrV4, data: &SacnData<'_>, phase: SourcePhase) -> Self {
        Self {
            cid: data.cid,
            name: readable_name(data.source_name),
            address: from,
            priority: data.priority,
            sequence: data.sequence,
            phase,
            levels: SacnSlots::new(&[]),
            slot_priorities: None,
            last_levels: now,
            last_slot_priorities: now,
            sync_address: 0,
            held: HeldUpdate::default(),
            has_appeared: false,
        }
    }

    /// Takes what says who it is.
    pub fn identify(&mut self, from: SocketAddrV4, data: &SacnData<'_>) {
        self.address = from;
        if self.name.as_bytes() != data.source_name {
            self.name = readable_name(data.source_name);
        }
    }

    /// Whether its levels take part in the merge.
    pub fn contributes(&self) -> bool {
        matches!(self.phase, SourcePhase::Live | SourcePhase::Lost { .. }) && self.has_appeared
    }

    /// What it brings into the merge.
    pub fn contribution(&self) -> Contribution<'_> {
        Contribution {
            levels: self.levels.values(),
            rank: rank(self.priority),
            slot_priorities: self.slot_priorities.as_ref().map(SacnSlots::values),
        }
    }

    /// Applies what was held. Returns whether anything differs from before.
    pub fn release(&mut self) -> bool {
        let HeldUpdate { levels, slot_priorities } = std::mem::take(&mut self.held);
        let mut is_changed = false;
        if let Some((levels, priority)) = levels {
            is_changed |= self.apply_levels(levels.values(), priority);
        }
        if let Some(priorities) = slot_priorities {
            is_changed |= self.apply_slot_priorities(priorities.values());
        }
        is_changed
    }

    /// Returns whether anything differs from before.
    pub fn apply_levels(&mut self, levels: &[u8], priority: u8) -> bool {
        let is_changed = self.levels.set(levels) || self.priority != priority;
        self.priority = priority;
        is_changed
    }

    /// Returns whether anything differs from before.
    pub fn apply_slot_priorities(&mut self, priorities: &[u8]) -> bool {
        match &mut self.slot_priorities {
            Some(known) => known.set(priorities),
            none => {
                *none = Some(SacnSlots::new(priorities));
                true
            }
        }
    }
}

/// A name of a peer as text for people: control characters and bytes that are not UTF-8 are
/// replaced.
fn readable_name(name: &[u8]) -> Arc<str> {
    let text = String::from_utf8_lossy(name);
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(printable).collect::<String>().into()
}
