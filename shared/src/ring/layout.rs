//! Where things lie in a segment. All of it is known at compile time or from the private
//! [`RingSizes`]; nothing here is ever read from a segment.
//!
//! ```text
//! down   0     producer's block of the down ring        written by the supervisor
//!        256   consumer's block of the up ring
//!        4096  slots of the down ring
//!
//! up     0     producer's block of the up ring          written by the worker
//!        256   consumer's block of the down ring
//!        2048  progress
//!        4096  slots of the up ring
//! ```
//!
//! Words that change with every event (the cursors) and words that change with every sleep lie 128
//! bytes apart, so that looking at the one does not fetch the other; processors fetch lines of 64
//! bytes in pairs.
//!
//! [`RingSizes`]: crate::RingSizes

use crate::record;

const WORD: usize = size_of::<u64>();
const LINE_PAIR: usize = 128 / WORD;

/// Words in a producer's or consumer's block.
pub const BLOCK_WORDS: usize = 2 * LINE_PAIR;

/// Producer's block: how many events are visible.
pub(crate) const PUBLISHED: usize = 0;
/// Producer's block: epoch of its waits for space.
pub(crate) const WAITING: usize = LINE_PAIR;
/// Producer's block: CPU number plus one, and [`PINNED`].
pub(crate) const PRODUCER_CPU: usize = LINE_PAIR + 1;

/// Bit of a producer's CPU word: it is pinned there, and the other side is to sleep on the same
/// CPU.
pub(crate) const PINNED: u64 = 1 << 32;

/// Consumer's block: how many events are taken.
pub(crate) const TAKEN: usize = 0;
/// Consumer's block: how many events are finished with.
pub(crate) const DONE: usize = 1;
/// Consumer's block: whether it is awake, naps or sleeps.
pub(crate) const IDLE: usize = LINE_PAIR;
/// Consumer's block: CPU number plus one.
pub(crate) const CONSUMER_CPU: usize = LINE_PAIR + 1;

/// Offset in bytes of the producer's block, in the segment that the producer writes.
pub(crate) const PRODUCER_AT: usize = 0;
/// Offset in bytes of the consumer's block, in the segment that the consumer writes.
pub(crate) const CONSUMER_AT: usize = BLOCK_WORDS * WORD;
/// Offset in bytes of the progress block, in *up*.
pub(crate) const PROGRESS_AT: usize = 2048;
/// Offset in bytes of the slots, in the segment that the producer writes.
pub(crate) const SLOTS_AT: usize = 4096;

/// Words in the progress block.
pub const PROGRESS_WORDS: usize = (SLOTS_AT - PROGRESS_AT) / WORD;

/// Words that `slots` slots take.
pub const fn slot_words(slots: u32) -> usize {
    slots as usize * record::WORDS
}

/// Length in bytes of a segment with a ring of `slots` slots, in whole pages of 4096 bytes.
pub(crate) const fn segment_len(slots: u32) -> usize {
    (SLOTS_AT + slot_words(slots) * WORD).next_multiple_of(4096)
}

const _: () = assert!(CONSUMER_AT + BLOCK_WORDS * WORD <= PROGRESS_AT);
const _: () = assert!(BLOCK_WORDS.is_power_of_two() && PROGRESS_WORDS.is_power_of_two());
