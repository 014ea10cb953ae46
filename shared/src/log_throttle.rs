//! Keeps the log readable when something happens over and over: the first few times are logged, the
//! rest is counted.
//!
//! ```
//! # use mm_shared::LogThrottle;
//! # use std::time::{Duration, Instant};
//! # let mut throttle = LogThrottle::new(5, Duration::from_secs(1));
//! if let Some(suppressed) = throttle.hit(Instant::now()) {
//!     println!("malformed packet ({suppressed} before it not shown)");
//! }
//! ```
//!
//! The count of what was not logged comes with the next line. An owner with a timer also calls
//! [`LogThrottle::flush`] at the [`LogThrottle::deadline`], so that the count is logged even where
//! no further line follows.

use std::time::{Duration, Instant};

/// Counts one kind of event, and decides which of them are logged.
///
/// At most `burst` lines pass in a period. While the flood goes on, each later period has one line.
/// A period without a suppressed event restores the burst.
#[derive(Debug, Clone)]
pub struct LogThrottle {
    burst: u32,
    period: Duration,
    /// How many more lines may pass in this period.
    left: u32,
    /// When this period ends.
    end: Option<Instant>,
    suppressed: u64,
    total: u64,
}

impl LogThrottle {
    /// At most `burst` lines in each `period`.
    #[must_use]
    pub const fn new(burst: u32, period: Duration) -> LogThrottle {
        LogThrottle { burst, period, left: burst, end: None, suppressed: 0, total: 0 }
    }

    /// Counts one event. `Some`: log it now; so many before it were not logged.
    pub fn hit(&mut self, now: Instant) -> Option<u64> {
        self.total += 1;
        if self.is_over(now) {
            self.end = Some(now + self.period);
            self.left = if self.suppressed > 0 { 1 } else { self.burst };
        }
        let Some(left) = self.left.checked_sub(1) else {
            self.suppressed += 1;
            return None;
        };
        self.left = left;
        Some(self.take_suppressed())
    }

    /// Counts events that passed [`LogThrottle::hit`] but could not be logged.
    pub fn suppress(&mut self, count: u64) {
        self.suppressed += count;
    }

    /// When [`LogThrottle::flush`] returns a count, if no event comes before; `None` where nothing
    /// was suppressed.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.end.filter(|_| self.suppressed > 0)
    }

    /// The number of suppressed events, if the period is over. Its line is the one of the period
    /// that begins.
    pub fn flush(&mut self, now: Instant) -> Option<u64> {
        self.deadline().filter(|end| *end <= now)?;
        self.end = Some(now + self.period);
        self.left = 0;
        Some(self.take_suppressed())
    }

    /// The number of suppressed events, whenever the period ends: for the end of what is counted.
    pub fn take_suppressed(&mut self) -> u64 {
        std::mem::take(&mut self.suppressed)
    }

    /// Whether the next event would begin a period.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.end.is_none_or(|end| end <= now)
    }

    /// How many events there were in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_flood_has_one_line_per_period_with_the_count_of_the_rest() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut throttle = LogThrottle::new(1, SECOND);
        assert_eq!(throttle.hit(at(0)), Some(0));
        assert_eq!(throttle.deadline(), None, "nothing was suppressed");
        assert!((1..1000).all(|millis| throttle.hit(at(millis)).is_none()));
        assert_eq!(throttle.flush(at(999)), None);
        assert_eq!(throttle.deadline(), Some(at(1000)));
        assert_eq!(throttle.flush(at(1002)), Some(999));
        assert_eq!(throttle.hit(at(1500)), None, "the count was the line of this period");
        assert_eq!(throttle.flush(at(2002)), Some(1));
        assert_eq!(throttle.hit(at(4000)), Some(0));
        assert_eq!(throttle.total(), 1002);
    }

    #[test]
    fn without_a_timer_the_count_comes_with_the_next_line() {
        let start = Instant::now();
        let mut throttle = LogThrottle::new(5, SECOND);
        assert_eq!((0..100).filter(|_| throttle.hit(start).is_some()).count(), 5);
        assert_eq!(throttle.hit(start + SECOND), Some(95));
        assert_eq!(throttle.hit(start + SECOND), None, "the flood goes on");
        assert_eq!(throttle.hit(start + 2 * SECOND), Some(1));
        let quiet = start + 3 * SECOND;
        assert_eq!((0..100).filter(|_| throttle.hit(quiet).is_some()).count(), 5, "the flood was over");
        throttle.suppress(3);
        assert_eq!(throttle.take_suppressed(), 98);
    }

    #[test]
    fn rare_events_are_all_logged() {
        let start = Instant::now();
        let mut throttle = LogThrottle::new(1, SECOND);
        assert!((0..10).all(|seconds| throttle.hit(start + SECOND * seconds) == Some(0)));
        assert_eq!(throttle.deadline(), None);
    }
}
