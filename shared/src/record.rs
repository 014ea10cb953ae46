//! The record: an event as two 64-bit words of a slot.
//!
//! | word | low 32 bits | high 32 bits |
//! |---|---|---|
//! | 0 | channel | kind, 1 for an event |
//! | 1 | bits of the `f64` | … |
//!
//! Words and not bytes, because a word is what can be copied out of a segment in one piece. Kind 0
//! is not a record, so that fresh memory does not read as an event.

use crate::{ChannelId, Event, Violation};

/// Words in a record.
pub const WORDS: usize = 2;

const KIND_EVENT: u32 = 1;

/// A copy of a slot's words, not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record(pub [u64; WORDS]);

impl Record {
    /// The record of an event.
    #[inline]
    pub fn encode(event: Event) -> Record {
        Record([u64::from(KIND_EVENT) << 32 | u64::from(event.channel.0), event.value.to_bits()])
    }

    /// The event of a record whose channel must be below `channels`.
    ///
    /// # Errors
    ///
    /// A [`Violation`] for every pair of words that [`Record::encode`] would not make of a finite
    /// value.
    #[inline]
    pub fn decode(self, channels: u32) -> Result<Event, Violation> {
        let [head, bits] = self.0;
        // Each half is cut off on purpose.
        let (channel, kind) = (head as u32, (head >> 32) as u32);
        let value = f64::from_bits(bits);
        if kind == KIND_EVENT && channel < channels && value.is_finite() {
            return Ok(Event { channel: ChannelId(channel), value });
        }
        Err(self.violation(channels))
    }

    #[cold]
    fn violation(self, channels: u32) -> Violation {
        let (channel, kind) = (self.0[0] as u32, (self.0[0] >> 32) as u32);
        if kind != KIND_EVENT {
            Violation::UnknownKind { kind }
        } else if channel >= channels {
            Violation::UnknownChannel { channel, limit: channels }
        } else {
            Violation::NotFinite { channel }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Record;
    use crate::{ChannelId, Event, Violation};

    #[test]
    fn an_event_survives_the_trip() {
        for value in [0.0, -0.0, 0.5, 1.0, f64::MIN_POSITIVE, f64::MAX] {
            let event = Event { channel: ChannelId(7), value };
            assert_eq!(Record::encode(event).decode(8), Ok(event));
        }
    }

    #[test]
    fn fresh_memory_is_no_event() {
        assert_eq!(Record([0, 0]).decode(u32::MAX), Err(Violation::UnknownKind { kind: 0 }));
    }

    #[test]
    fn the_first_channel_beyond_the_limit_is_refused() {
        let record = Record::encode(Event { channel: ChannelId(8), value: 0.0 });
        assert_eq!(record.decode(8), Err(Violation::UnknownChannel { channel: 8, limit: 8 }));
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let record = Record::encode(Event { channel: ChannelId(3), value });
            assert_eq!(record.decode(8), Err(Violation::NotFinite { channel: 3 }));
        }
    }
}
