//! The sending side of an instance: levels become packets of its universe.

use super::codec::{ArtDmx, PortAddress};
use super::options::{ArtnetDestination, ArtnetInstanceOptions};
use crate::backends::dmx::destination::DmxDestination;
use crate::backends::dmx::{SlotMap, UniverseOutput};
use mm_shared::ChannelId;
use std::time::Instant;

/// How many of the last packets are remembered, to know them when they come back.
const REMEMBERED: usize = 8;

/// The sending side of an instance.
#[derive(Debug)]
pub struct ArtnetTx {
    address: PortAddress,
    output: UniverseOutput,
    destination: TxDestination,
    /// Of the last packet: 1 to 255, before the first 0.
    sequence: u8,
    /// Number and checksum of the last packets.
    recent: [(u8, u32); REMEMBERED],
    /// Frames that had a receiver.
    sent: u64,
    last_sent: Option<Instant>,
}

/// Where an instance sends to, and what is known of it.
#[derive(Debug)]
pub enum TxDestination {
    /// Nowhere; the levels are kept for a reload that adds a destination.
    None,
    Host(DmxDestination),
    /// The nodes that have the universe, which all instances share.
    Discover,
}

impl TxDestination {
    fn new(name: &str, wanted: Option<&ArtnetDestination>, now: Instant) -> Self {
        match wanted {
            None => Self::None,
            Some(ArtnetDestination::Host(spec)) => Self::Host(DmxDestination::new(name, spec.clone(), now)),
            Some(ArtnetDestination::Discover) => Self::Discover,
        }
    }

    fn is(&self, wanted: Option<&ArtnetDestination>) -> bool {
        match (self, wanted) {
            (Self::Host(own), Some(ArtnetDestination::Host(spec))) => own.spec() == spec,
            (Self::Discover, Some(ArtnetDestination::Discover)) | (Self::None, None) => true,
            _ => false,
        }
    }
}

impl ArtnetTx {
    /// No value was set.
    pub fn new(name: &str, options: &ArtnetInstanceOptions, now: Instant) -> Self {
        Self {
            address: options.address,
            output: UniverseOutput::new(options.output, options.address.number()),
            destination: TxDestination::new(name, options.destination.as_ref(), now),
            sequence: 0,
            recent: [(0, 0); REMEMBERED],
            sent: 0,
            last_sent: None,
        }
    }

    /// Applies other options and channels.
    pub fn apply(&mut self, name: &str, options: &ArtnetInstanceOptions, map: &SlotMap, now: Instant) {
        let wanted = options.destination.as_ref();
        self.output.apply_options(options.output, now);
        self.output.clear_unmapped(|slot| map.has_slot(slot), now);
        let is_same = self.destination.is(wanted) && self.address == options.address;
        if !is_same {
            self.destination = TxDestination::new(name, wanted, now);
            self.address = options.address;
            self.output.refresh(now);
        }
    }

    pub fn set(&mut self, map: &SlotMap, channel: ChannelId, value: f64, now: Instant) {
        if let Some(slots) = map.of_channel(channel) {
            self.output.set(slots, value, now);
        }
    }

    /// The channel had this value in the last run.
    pub fn restore(&mut self, map: &SlotMap, channel: ChannelId, value: f64) {
        if let Some(slots) = map.of_channel(channel) {
            self.output.restore(slots, value);
        }
    }

    /// More levels are likely to follow.
    pub fn expect_more(&mut self, now: Instant) {
        self.output.expect_more(now);
    }

    /// No more levels are likely to follow.
    pub fn expect_no_more(&mut self) {
        self.output.expect_no_more();
    }

    /// There is a receiver that has not had the levels.
    pub fn refresh(&mut self, now: Instant) {
        self.output.refresh(now);
    }

    /// When [`ArtnetTx::take`] has a packet, while there is a receiver.
    pub fn deadline(&self) -> Option<Instant> {
        self.output.deadline()
    }

    /// Writes the packet that is due over `packet`. `is_last`: the stream ends, so what has not been
    /// sent is due now. Returns whether there is one.
    pub fn take(&mut self, packet: &mut Vec<u8>, is_last: bool, now: Instant) -> bool {
        let frame = if is_last { self.output.take_last(now) } else { self.output.take(now) };
        let Some(levels) = frame else { return false };
        // 0 would mean that packets are not numbered.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        let dmx = ArtDmx { sequence: self.sequence, physical: 0, address: self.address, levels };
        dmx.encode(packet);
        self.recent.rotate_right(1);
        self.recent[0] = (self.sequence, crc32fast::hash(levels));
        self.sent += 1;
        self.last_sent = Some(now);
        true
    }

    /// Whether a packet of this universe is one of the last that this side has sent.
    pub fn is_own(&self, dmx: &ArtDmx<'_>) -> bool {
        let mut recent = self.recent.iter();
        dmx.sequence != 0
            && recent.any(|(number, sum)| *number == dmx.sequence && *sum == crc32fast::hash(dmx.levels))
    }

    pub fn destination(&self) -> &TxDestination {
        &self.destination
    }

    pub fn destination_mut(&mut self) -> &mut TxDestination {
        &mut self.destination
    }

    /// Whether a value was set, so that frames are sent.
    pub fn is_started(&self) -> bool {
        self.output.is_started()
    }

    /// Packets that were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    pub fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }

    /// Levels that `hold` had no room for.
    pub fn conflated(&self) -> u64 {
        self.output.conflated()
    }
}

#[cfg(test)]
mod tests;
