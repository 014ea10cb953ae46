//! How a consumer rests: one word, of which the lowest two bits say how and the others count.
//!
//! | bits | the consumer | the producer rings |
//! |---|---|---|
//! | 0 | is awake | not at all |
//! | 1 | sleeps until the doorbell is rung | when it publishes |
//! | 2 | naps: it looks again by itself, soon | when it runs out of work |
//!
//! A nap is for a consumer that knows its producer to be busy: then the doorbell rings once for many events. Each rest has
//! a count of its own, so that nobody rings twice for one.

pub(super) const AWAKE: u64 = 0;
pub(super) const ASLEEP: u64 = 1;
pub(super) const NAPPING: u64 = 2;

const BITS: u32 = 2;

/// How a consumer with this word rests.
#[inline]
pub(super) fn of(word: u64) -> u64 {
    word & ((1 << BITS) - 1)
}

/// The word that follows.
#[inline]
pub(super) fn next(word: u64, rest: u64) -> u64 {
    ((word >> BITS).wrapping_add(1) << BITS) | rest
}
