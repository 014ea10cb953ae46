//! How the loop may rest, as far as workers are concerned: until one rings, or for a nap.
//!
//! A worker rings for the first event that it sends while the loop sleeps. When it is busy, that may be for every one: the
//! loop takes it, sends it on, sleeps again, and has interrupted somebody for it. So a worker that has just sent
//! something and is not done need not ring before it is. The loop naps meanwhile: it looks again by itself in less than a
//! millisecond, whatever the worker does, and everybody else wakes it as ever.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

/// A worker with so many events to handle will send more soon.
pub const BACKLOG: usize = 2;
/// A worker that has sent so many since the last rest, and still handles an event, will send more at once.
const STREAM: usize = 32;

/// How much later than it was sent an event of a busy worker may be taken.
const NAP: Duration = Duration::from_micros(500);
/// The same for one that streams: others wait for what it sends, and its ring is full in a millisecond.
const STREAM_NAP: Duration = Duration::from_micros(125);

/// How the loop may rest, the longest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdleMode {
    /// Until a worker rings.
    Block,
    /// The same, but no longer than until then.
    PollUntil(Reverse<Instant>),
    /// Not at all: a worker has sent something.
    Busy,
}

/// A nap that a worker allows if it is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nap {
    /// When it ends.
    pub until: Instant,
    /// Whether the worker has sent so much that it need not have a backlog to be busy.
    pub streams: bool,
}

/// What was heard of a worker, and the nap that this allows.
#[derive(Debug, Default)]
pub struct Naps {
    heard: usize,
    nap: Option<Nap>,
}

impl Naps {
    /// The worker has sent so many events.
    #[inline]
    pub fn heard(&mut self, count: usize) {
        self.heard += count;
    }

    /// The loop is about to rest: the nap that it may take. One that was interrupted goes on; one in which nothing was
    /// heard is the last.
    #[inline]
    pub fn next(&mut self, now: Instant) -> Option<Nap> {
        let streams = self.heard >= STREAM;
        if std::mem::take(&mut self.heard) > 0 {
            self.nap = Some(Nap { until: now + if streams { STREAM_NAP } else { NAP }, streams });
        }
        self.nap = self.nap.filter(|nap| nap.until > now);
        self.nap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_naps_before_the_worker_was_heard_or_after_a_nap_in_vain() {
        let (mut naps, now) = (Naps::default(), Instant::now());
        assert_eq!(naps.next(now), None);
        naps.heard(1);
        assert_eq!(naps.next(now), Some(Nap { until: now + NAP, streams: false }));
        assert_eq!(naps.next(now + NAP), None);
        assert_eq!(naps.next(now), None);
    }

    #[test]
    fn a_nap_that_was_interrupted_ends_when_it_would_have() {
        let (mut naps, now) = (Naps::default(), Instant::now());
        naps.heard(1);
        let nap = naps.next(now);
        assert_eq!(naps.next(now + NAP / 2), nap);
        naps.heard(1);
        let later = now + NAP / 2;
        assert_eq!(naps.next(later), Some(Nap { until: later + NAP, streams: false }));
    }

    #[test]
    fn a_worker_that_streams_is_looked_at_sooner() {
        let (mut naps, now) = (Naps::default(), Instant::now());
        naps.heard(STREAM / 2);
        naps.heard(STREAM / 2);
        assert_eq!(naps.next(now), Some(Nap { until: now + STREAM_NAP, streams: true }));
    }

    #[test]
    fn of_several_rests_the_shortest_counts() {
        let now = Instant::now();
        let (soon, later) = (IdleMode::PollUntil(Reverse(now)), IdleMode::PollUntil(Reverse(now + NAP)));
        assert_eq!([IdleMode::Block, soon, later].into_iter().max(), Some(soon));
        assert_eq!([IdleMode::Busy, soon].into_iter().max(), Some(IdleMode::Busy));
    }
}
