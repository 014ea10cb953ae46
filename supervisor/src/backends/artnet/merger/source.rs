//! One of the sources that merge.

use super::ArtnetSourceKey;
use crate::backends::artnet::codec::LEVELS_LIMIT;
use std::time::{Duration, Instant};

/// How far a packet is behind at most to be a late one, and not the first after a sender's restart.
/// The standard names no limit; this is that of ANSI E1.31 (6.7.2).
pub const LATE_LIMIT: u8 = 20;

/// After this time without a packet of a source, none is late: what a network holds back arrives
/// earlier, and a sender that was started again begins with another number.
const LATE_TIME: Duration = Duration::from_millis(500);

/// How many packets in a row are late at most. A sender that counts in another way than the standard
/// says, such as one number for all its universes, is still received.
const LATE_RUN_LIMIT: u8 = 3;

/// The numbers in use, 1 to 255; 0 means without a number.
const NUMBERS: u16 = 255;

/// A source and its levels.
#[derive(Debug)]
pub struct MergedSource {
    pub key: ArtnetSourceKey,
    pub levels: Box<[u8; LEVELS_LIMIT]>,
    /// When its last packet came that was not late.
    pub last: Instant,
    sequence: u8,
    late_run: u8,
}

impl MergedSource {
    /// All levels are 0 before the first packet.
    pub fn new(key: ArtnetSourceKey, now: Instant) -> Self {
        Self { key, levels: Box::new([0; LEVELS_LIMIT]), last: now, sequence: 0, late_run: 0 }
    }

    /// Whether it has sent nothing for the timeout.
    pub fn is_stale(&self, timeout: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= timeout
    }

    /// Whether the packet with this number was overtaken by another one. The same number again is not
    /// late: senders that never change it exist.
    pub fn is_late(&mut self, sequence: u8, now: Instant) -> bool {
        let is_numbered = sequence != 0 && self.sequence != 0;
        let behind = (u16::from(self.sequence) + NUMBERS - u16::from(sequence)) % NUMBERS;
        let is_behind = (1..u16::from(LATE_LIMIT)).contains(&behind);
        let is_recent = now.saturating_duration_since(self.last) < LATE_TIME;
        let is_late = is_numbered && is_behind && is_recent && self.late_run < LATE_RUN_LIMIT;
        if is_late {
            self.late_run += 1;
        }
        is_late
    }

    /// A packet that is not late has come.
    pub fn note(&mut self, sequence: u8, now: Instant) {
        (self.sequence, self.last, self.late_run) = (sequence, now, 0);
    }
}
