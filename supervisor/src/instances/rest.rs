//! How the loop may rest, as far as workers are concerned: until one rings, or for a nap.
//!
//! A worker rings for the first event that it sends while the loop sleeps. When it is busy, that would be for every one:
//! the loop takes it, sends it on, sleeps again, and has interrupted somebody for it. So a worker that has just sent
//! something and has more events to handle need not ring before it has done them all. The loop naps meanwhile: it looks
//! again after [`NAP`] at the latest, whatever the worker does, and everybody else wakes it as ever.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

/// How much later than it was sent an event of a busy worker may be taken.
pub const NAP: Duration = Duration::from_micros(500);

/// A worker with so many events to handle will send more soon.
pub const BACKLOG: usize = 2;

/// How the loop may rest, the longest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// Until a worker rings.
    Sleep,
    /// The same, but no longer than until then.
    Nap(Reverse<Instant>),
    /// Not at all: a worker has sent something.
    No,
}

/// When a worker was heard, and until when that allows a nap.
#[derive(Debug, Default)]
pub struct Naps {
    heard: bool,
    until: Option<Instant>,
}

impl Naps {
    /// The worker has sent something.
    #[inline]
    pub fn heard(&mut self) {
        self.heard = true;
    }

    /// The loop is about to rest: until when a nap may last, if there may be one. A nap that was interrupted goes on; one
    /// in which nothing was heard is the last.
    #[inline]
    pub fn next(&mut self, now: Instant) -> Option<Instant> {
        if std::mem::take(&mut self.heard) {
            self.until = Some(now + NAP);
        }
        self.until = self.until.filter(|until| *until > now);
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_naps_before_the_worker_was_heard_or_after_a_nap_in_vain() {
        let (mut naps, now) = (Naps::default(), Instant::now());
        assert_eq!(naps.next(now), None);
        naps.heard();
        assert_eq!(naps.next(now), Some(now + NAP));
        assert_eq!(naps.next(now + NAP), None);
        assert_eq!(naps.next(now), None);
    }

    #[test]
    fn a_nap_that_was_interrupted_ends_when_it_would_have() {
        let (mut naps, now) = (Naps::default(), Instant::now());
        naps.heard();
        let until = naps.next(now);
        assert_eq!(naps.next(now + NAP / 2), until);
        naps.heard();
        assert_eq!(naps.next(now + NAP / 2), Some(now + NAP / 2 + NAP));
    }

    #[test]
    fn of_several_rests_the_shortest_counts() {
        let now = Instant::now();
        let (soon, later) = (Rest::Nap(Reverse(now)), Rest::Nap(Reverse(now + NAP)));
        assert_eq!([Rest::Sleep, soon, later].into_iter().max(), Some(soon));
        assert_eq!([Rest::No, soon].into_iter().max(), Some(Rest::No));
    }
}
