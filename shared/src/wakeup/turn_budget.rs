//! How long a worker's turn of events lasts, and how long its handlers take.
//!
//! Reading the clock twice costs about as much as a small handler, so a flood does not read it for
//! every event: it reads it for the first few of a turn, then for every 16th, and for all as long
//! as they are slow, when the cost does not count. An event that was not measured counts as long as
//! the last one that was. So sparse events and slow handlers are always measured, and a turn ends
//! in time in either case.

use super::constants::{
    MEASURE_INTERVAL, MEASURED_EVENTS_LIMIT, SLOW_HANDLER_LIMIT, TURN_EVENTS_LIMIT, TURN_TIMEOUT,
};
use crate::sys::clock::monotonic_ns;

/// What the current turn has used up.
#[derive(Debug, Default)]
pub struct TurnBudget {
    events: u32,
    /// When the turn began; 0 before its first handler.
    began: u64,
    /// How long the last measured handler took, in nanoseconds.
    last: u64,
    is_over: bool,
}

impl TurnBudget {
    /// Begins a turn.
    #[inline]
    pub fn begin(&mut self) {
        (self.events, self.began, self.is_over) = (0, 0, false);
    }

    /// Call this before a handler, and give what it returns to
    /// [`after_handler`](Self::after_handler).
    #[inline]
    pub fn before_handler(&mut self) -> Option<u64> {
        self.events += 1;
        let is_measured = self.events <= MEASURED_EVENTS_LIMIT
            || self.events.is_multiple_of(MEASURE_INTERVAL)
            || self.last > SLOW_HANDLER_LIMIT;
        is_measured.then(|| {
            let now = monotonic_ns();
            if self.began == 0 {
                self.began = now;
            }
            now
        })
    }

    /// How long the handler took, in nanoseconds, as far as is known.
    #[inline]
    pub fn after_handler(&mut self, began: Option<u64>) -> u64 {
        if let Some(began) = began {
            let now = monotonic_ns();
            self.last = now - began;
            self.is_over = now - self.began >= TURN_TIMEOUT;
        }
        self.is_over |= self.events >= TURN_EVENTS_LIMIT;
        self.last
    }

    /// Counts an event that has no handler.
    #[inline]
    pub fn without_handler(&mut self) {
        self.events += 1;
        self.is_over |= self.events >= TURN_EVENTS_LIMIT;
    }

    /// How many events the turn had.
    #[inline]
    pub fn events(&self) -> usize {
        self.events as usize
    }

    /// Whether the other sources are due.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_after_so_many_events() {
        let mut budget = TurnBudget::default();
        budget.begin();
        let taken = (1..).find(|_| {
            budget.without_handler();
            budget.is_over()
        });
        assert_eq!(taken, Some(TURN_EVENTS_LIMIT));
    }

    #[test]
    fn in_a_flood_of_quick_handlers_few_are_measured() {
        let mut budget = TurnBudget::default();
        budget.begin();
        let measured = (0..256).filter(|_| {
            let began = budget.before_handler();
            // As if it had taken no time.
            budget.last = 0;
            began.is_some()
        });
        assert_eq!(measured.count() as u32, MEASURED_EVENTS_LIMIT + 256 / MEASURE_INTERVAL);
    }

    #[test]
    fn slow_handlers_are_all_measured() {
        let mut budget = TurnBudget { last: SLOW_HANDLER_LIMIT + 1, ..TurnBudget::default() };
        assert!((0..100).all(|_| budget.before_handler().is_some()));
    }
}
