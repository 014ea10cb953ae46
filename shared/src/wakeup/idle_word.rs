//! The word in which a consumer announces that it is idle: the lowest two bits hold the state, the
//! others count.
//!
//! | bits | the consumer | the producer rings |
//! |---|---|---|
//! | 0 | is awake, or polls | never |
//! | 1 | sleeps until the doorbell is rung | when it publishes |
//! | 2 | naps: it looks again by itself, soon | when it runs out of work |
//!
//! A nap is for a consumer that knows its producer to be busy: then the doorbell rings once for
//! many events. Each idle period has a count of its own, so that a producer rings once for it.

pub(crate) const AWAKE: u64 = 0;
pub(crate) const ASLEEP: u64 = 1;
pub(crate) const NAPPING: u64 = 2;

const STATE_BITS: u32 = 2;

/// The state of a consumer with this word.
#[inline]
pub(crate) fn state(word: u64) -> u64 {
    word & ((1 << STATE_BITS) - 1)
}

/// The word that follows `word`, with this state.
#[inline]
pub(crate) fn next(word: u64, state: u64) -> u64 {
    ((word >> STATE_BITS).wrapping_add(1) << STATE_BITS) | state
}
