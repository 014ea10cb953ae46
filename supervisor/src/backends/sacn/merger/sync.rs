//! Universe synchronisation (E1.31-2018 section 11): levels of a source that names a
//! synchronisation address wait for the next synchronisation packet of that address.
//!
//! - Before the first synchronisation packet, levels are used at once.
//! - While synchronisation packets come, levels are held until the next one.
//! - Once none has come for 2.5 s, levels are used at once again if their packet has the bit
//!   Force_Synchronization; without it they wait until synchronisation resumes (6.2.6, bit 5).

use super::{LOSS_TIMEOUT, is_out_of_sequence};
use crate::backends::sacn::codec::{SacnCid, SacnSync};
use std::time::Instant;

/// The most senders of synchronisation packets whose sequence is known, for each address. The one
/// that is known longest is forgotten first.
const SENDERS_LIMIT: usize = 8;

/// One synchronisation address that sources name.
#[derive(Debug)]
pub struct SyncAddress {
    pub address: u16,
    last: Option<Instant>,
    sequences: Vec<(SacnCid, u8)>,
}

impl SyncAddress {
    pub fn new(address: u16) -> Self {
        Self { address, last: None, sequences: Vec::new() }
    }

    /// Takes a packet of this address. False: it is out of sequence.
    pub fn accept(&mut self, now: Instant, packet: &SacnSync) -> bool {
        match self.sequences.iter_mut().find(|(cid, _)| *cid == packet.cid) {
            Some((_, sequence)) if is_out_of_sequence(packet.sequence, *sequence) => return false,
            Some((_, sequence)) => *sequence = packet.sequence,
            None => {
                if self.sequences.len() == SENDERS_LIMIT {
                    self.sequences.remove(0);
                }
                self.sequences.push((packet.cid, packet.sequence));
            }
        }
        self.last = Some(now);
        true
    }

    /// Whether levels wait for a packet of this address.
    pub fn holds(&self, now: Instant, forces_sync: bool) -> bool {
        self.last.is_some_and(|last| !forces_sync || now.saturating_duration_since(last) < LOSS_TIMEOUT)
    }
}
