//! Repeats in the log: each kind of thing is said a few times in a period, and counted beyond that.

use std::time::{Duration, Instant};

/// Counts one kind of thing, and says when to speak of it.
#[derive(Debug)]
pub struct LogThrottle {
    /// How many may be said in a period.
    burst: u32,
    period: Duration,
    /// How many more may be said in this one.
    left: u32,
    /// When this period ends.
    end: Option<Instant>,
    unsaid: u64,
    total: u64,
}

impl LogThrottle {
    /// At most `burst` are said in each `period`.
    pub fn new(burst: u32, period: Duration) -> Self {
        Self { burst, period, left: burst, end: None, unsaid: 0, total: 0 }
    }

    /// Counts one. True: say it now.
    pub fn add(&mut self, now: Instant) -> bool {
        self.total += 1;
        if self.unsaid == 0 && self.end.is_none_or(|end| end <= now) {
            self.end = Some(now + self.period);
            self.left = self.burst;
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.unsaid += 1,
        }
        self.unsaid == 0
    }

    /// When [`LogThrottle::settle`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.end.filter(|_| self.unsaid > 0)
    }

    /// How many were not said, if the time has come to say that. It counts as the last word of the next period.
    pub fn settle(&mut self, now: Instant) -> Option<u64> {
        self.deadline().filter(|end| *end <= now)?;
        self.end = Some(now + self.period);
        self.left = 0;
        Some(std::mem::take(&mut self.unsaid))
    }

    /// How many there were in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_said_once_in_a_period_and_its_count_after_it() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut tally = LogThrottle::new(1, Duration::from_secs(1));
        assert!(tally.add(at(0)));
        assert_eq!(tally.deadline(), None, "nothing is left to say");
        assert!((1..1000).all(|millis| !tally.add(at(millis))));
        assert_eq!(tally.settle(at(999)), None);
        assert_eq!(tally.deadline(), Some(at(1000)));
        assert!(!tally.add(at(1001)), "the count comes first");
        assert_eq!(tally.settle(at(1002)), Some(1000));
        assert!(!tally.add(at(1500)), "the count was the word of this period");
        assert_eq!(tally.settle(at(2002)), Some(1));
        assert!(tally.add(at(4000)));
        assert_eq!(tally.total(), 1003);
    }

    #[test]
    fn rare_things_are_all_said() {
        let start = Instant::now();
        let mut tally = LogThrottle::new(1, Duration::from_secs(1));
        assert!((0..10).all(|seconds| tally.add(start + Duration::from_secs(seconds))));
        assert_eq!(tally.deadline(), None);
    }
}
