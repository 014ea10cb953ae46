//! What a peer can do wrong in its segment.
//!
//! A violation ends the worker that committed it, and counts as its crash. The side that finds one
//! has used nothing of what it found.

use std::fmt;
use thiserror::Error;

/// Something in the peer's segment that a correct peer never writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// A cursor is lower than it was.
    #[error("the {cursor} cursor went back from {from} to {to}")]
    CursorBackwards {
        /// Which cursor.
        cursor: Cursor,
        /// The value that was read before.
        from: u64,
        /// The value that is there now.
        to: u64,
    },
    /// A cursor claims more than there can be.
    #[error("the {cursor} cursor is at {at}, but {limit} is the most it can be")]
    CursorAhead {
        /// Which cursor.
        cursor: Cursor,
        /// The value that is there.
        at: u64,
        /// The highest value that a correct peer could have written.
        limit: u64,
    },
    /// A record names a channel that the instance does not have.
    #[error("a record names channel {channel}, but there are {limit} channels")]
    UnknownChannel {
        /// The number in the record.
        channel: u32,
        /// The number of channels.
        limit: u32,
    },
    /// A record carries a NaN or an infinity.
    #[error("a record for channel {channel} carries a value that is not a number")]
    NotFinite {
        /// The number in the record.
        channel: u32,
    },
    /// A record is not of a kind that this version knows.
    #[error("a record is of the unknown kind {kind:#x}")]
    UnknownKind {
        /// The kind in the record.
        kind: u32,
    },
}

/// The two cursors of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// The producer's: how many events are visible to the consumer.
    Published,
    /// The consumer's: how many events it has taken.
    Taken,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cursor::Published => "producer's",
            Cursor::Taken => "consumer's",
        })
    }
}
