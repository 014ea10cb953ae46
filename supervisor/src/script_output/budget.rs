//! How much of one stream of an instance goes to the log in the long run.
//!
//! A script may print a lot at once, and a little for ever: a limit that suits a burst would fill a
//! disk in a night. The budget belongs to the instance and not to its worker, since a worker that
//! dies of what it reports is started again and again.

use std::time::Instant;

/// Lines per second in the long run, and at once.
const LINES: (f64, f64) = (50.0, 4000.0);

/// Bytes per second in the long run (265 MB per day), and at once.
const BYTES: (f64, f64) = (3.0 * 1024.0, 4.0 * 1024.0 * 1024.0);

/// What a line takes in the log beside its own text: time, level, instance.
const LINE_OVERHEAD: f64 = 48.0;

/// The budget of a stream.
#[derive(Debug)]
pub(super) struct OutputBudget {
    lines: TokenBucket,
    bytes: TokenBucket,
}

impl OutputBudget {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { lines: TokenBucket::new(LINES, now), bytes: TokenBucket::new(BYTES, now) }
    }

    /// Pays for a line of so many bytes; false if there is nothing left to pay with.
    pub(super) fn pay(&mut self, bytes: usize, now: Instant) -> bool {
        let fits = self.lines.has(now) && self.bytes.has(now);
        if fits {
            self.lines.take(1.0);
            self.bytes.take(bytes as f64 + LINE_OVERHEAD);
        }
        fits
    }

    /// Whether it is like a new one.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.lines.is_full(now) && self.bytes.is_full(now)
    }
}

/// A token bucket that may go into debt once: one large line passes, and the next ones pay for it.
#[derive(Debug)]
struct TokenBucket {
    tokens: f64,
    rate: f64,
    burst: f64,
    at: Instant,
}

impl TokenBucket {
    fn new((rate, burst): (f64, f64), now: Instant) -> Self {
        Self { tokens: burst, rate, burst, at: now }
    }

    fn has(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= 1.0
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.burst
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
    }

    fn take(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES, OutputBudget};
    use std::time::{Duration, Instant};

    #[test]
    fn a_script_that_prints_a_hundred_lines_a_second_is_shown_for_a_minute() {
        let start = Instant::now();
        let mut budget = OutputBudget::new(start);
        assert!((0..6000).all(|number| budget.pay(30, start + Duration::from_millis(10) * number)));
    }

    #[test]
    fn a_script_that_prints_a_little_is_shown_for_ever() {
        let start = Instant::now();
        let mut budget = OutputBudget::new(start);
        assert!((0..500_000).all(|number| budget.pay(80, start + Duration::from_millis(50) * number)));
    }

    #[test]
    fn a_flood_of_a_day_is_less_than_half_a_gigabyte() {
        let start = Instant::now();
        for length in [0, 40, 1000, 8192] {
            let mut budget = OutputBudget::new(start);
            let shown = (0..864_000)
                .filter(|number| budget.pay(length, start + Duration::from_millis(100) * *number));
            let bytes = shown.count() * (length + 48);
            assert!(bytes < 300_000_000, "{bytes} bytes with lines of {length}");
        }
    }

    #[test]
    fn a_budget_is_full_again_after_a_while() {
        let now = Instant::now();
        let mut budget = OutputBudget::new(now);
        assert!(budget.is_full(now));
        assert!(budget.pay(10, now));
        assert!(!budget.is_full(now));
        assert!(budget.is_full(now + Duration::from_secs_f64(LINES.1 / LINES.0)));
    }
}
