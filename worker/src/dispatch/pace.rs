//! How long a turn of events lasts, and how long handlers take.
//!
//! Reading the clock twice costs about as much as a small handler, so it is not read for every event of a flood: for
//! the first few of a turn, then for every 16th, and for all as long as they are slow, when the cost does not count. An
//! event that was not measured is taken to be like the last one that was. So sparse events and slow handlers are
//! always measured, and a turn ends in time in either case.

use mm_shared::sys::clock::monotonic_ns;

/// How long a turn lasts, in nanoseconds.
const TURN: u64 = 1_000_000;

/// The most events in a turn.
const MOST: u32 = 512;

/// Events at the start of a turn that are measured.
const FIRST: u32 = 8;

/// After that, one of so many is.
const EVERY: u32 = 16;

/// A handler that takes longer, in nanoseconds, has the next one measured too.
const SLOW: u64 = 10_000;

/// The pace of the turn that is under way.
#[derive(Default)]
pub struct Pace {
    events: u32,
    /// When the turn began; 0 before its first handler.
    begun: u64,
    /// How long the last measured handler took.
    last: u64,
    over: bool,
}

impl Pace {
    /// A turn begins.
    #[inline]
    pub fn begin(&mut self) {
        (self.events, self.begun, self.over) = (0, 0, false);
    }

    /// Call this before a handler, and give what it returns to [`after_handler`](Self::after_handler).
    #[inline]
    pub fn before_handler(&mut self) -> Option<u64> {
        self.events += 1;
        let measured = self.events <= FIRST || self.events.is_multiple_of(EVERY) || self.last > SLOW;
        measured.then(|| {
            let now = monotonic_ns();
            if self.begun == 0 {
                self.begun = now;
            }
            now
        })
    }

    /// How long the handler took, in nanoseconds, as far as is known.
    #[inline]
    pub fn after_handler(&mut self, begun: Option<u64>) -> u64 {
        if let Some(begun) = begun {
            let now = monotonic_ns();
            self.last = now - begun;
            self.over = now - self.begun >= TURN;
        }
        self.over |= self.events >= MOST;
        self.last
    }

    /// An event that no handler wanted.
    #[inline]
    pub fn without_handler(&mut self) {
        self.events += 1;
        self.over |= self.events >= MOST;
    }

    /// How many events the turn had.
    #[inline]
    pub fn events(&self) -> usize {
        self.events as usize
    }

    /// Whether the other sources are due.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_after_so_many_events() {
        let mut pace = Pace::default();
        pace.begin();
        let taken = (1..).find(|_| {
            pace.without_handler();
            pace.is_over()
        });
        assert_eq!(taken, Some(MOST));
    }

    #[test]
    fn in_a_flood_of_quick_handlers_few_are_measured() {
        let mut pace = Pace::default();
        pace.begin();
        let measured = (0..256).filter(|_| {
            let begun = pace.before_handler();
            // as if it had taken no time
            pace.last = 0;
            begun.is_some()
        });
        assert_eq!(measured.count() as u32, FIRST + 256 / EVERY);
    }

    #[test]
    fn slow_handlers_are_all_measured() {
        let mut pace = Pace { last: SLOW + 1, ..Pace::default() };
        assert!((0..100).all(|_| pace.before_handler().is_some()));
    }
}
