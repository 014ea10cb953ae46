//! How much of what a script prints goes to the log.
//!
//! Two measures on one stream: equal lines in a row are counted instead of shown, and there is a
//! limit to lines and bytes per second, with a generous burst. What was left out is summed up and
//! logged once per second.

use super::line_splitter::{Flow, LeftOut, OutputLine};
use mm_shared::LogThrottle;
use std::time::{Duration, Instant};

/// Lines per second in the long run, and at once.
const LINES: (f64, f64) = (1000.0, 4000.0);

/// Bytes per second in the long run, and at once.
const BYTES: (f64, f64) = (1024.0 * 1024.0, 4.0 * 1024.0 * 1024.0);

/// Equal lines in a row that are shown in one [`PERIOD`].
const EQUAL: u32 = 5;

/// How long lines are counted before their number is logged.
const PERIOD: Duration = Duration::from_secs(1);

/// What goes to the log for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogItem<'a> {
    /// This line.
    Line(OutputLine<'a>),
    /// This line was printed so many more times.
    Repeated(&'a [u8], u64),
    /// So much was left out.
    LeftOut(LeftOut),
}

/// The limits of one stream.
#[derive(Debug)]
pub(super) struct OutputLimiter {
    lines: TokenBucket,
    bytes: TokenBucket,
    last: Vec<u8>,
    /// Counts lines that are equal to `last`; none before the first line.
    equal: Option<LogThrottle>,
    left_out: LeftOut,
    /// When `left_out` is to be logged.
    left_out_deadline: Option<Instant>,
}

impl OutputLimiter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            lines: TokenBucket::new(LINES, now),
            bytes: TokenBucket::new(BYTES, now),
            last: Vec::new(),
            equal: None,
            left_out: LeftOut::default(),
            left_out_deadline: None,
        }
    }

    /// Takes a line, and logs what there is to log.
    pub(super) fn take(
        &mut self,
        line: OutputLine<'_>,
        now: Instant,
        mut log: impl FnMut(LogItem<'_>),
    ) -> Flow {
        if !self.is_repeat(line.bytes, now) {
            self.log_equal(&mut log);
            self.last.clear();
            self.last.extend_from_slice(line.bytes);
        }
        let equal = self.equal.get_or_insert(LogThrottle::new(EQUAL, PERIOD));
        if equal.hit(now).is_none() {
            return Flow::More;
        }
        let fits = self.lines.has(now) && self.bytes.has(now);
        if fits {
            self.lines.take(1.0);
            self.bytes.take(line.bytes.len() as f64);
            log(LogItem::Line(line));
            return Flow::More;
        }
        self.leave_out(LeftOut { lines: 1, bytes: line.bytes.len() as u64 }, now);
        Flow::Full
    }

    /// Counts what was left out before it came here.
    pub(super) fn leave_out(&mut self, more: LeftOut, now: Instant) {
        if more != LeftOut::default() {
            self.left_out.lines += more.lines;
            self.left_out.bytes += more.bytes;
            self.left_out_deadline.get_or_insert(now + PERIOD);
        }
    }

    /// When [`OutputLimiter::flush`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let equal = self.equal.as_ref().and_then(LogThrottle::deadline);
        [equal, self.left_out_deadline].into_iter().flatten().min()
    }

    /// Logs what was held back and left out.
    pub(super) fn flush(&mut self, mut log: impl FnMut(LogItem<'_>)) {
        self.log_equal(&mut log);
        self.left_out_deadline = None;
        let left_out = std::mem::take(&mut self.left_out);
        if left_out != LeftOut::default() {
            log(LogItem::LeftOut(left_out));
        }
    }

    fn is_repeat(&self, line: &[u8], now: Instant) -> bool {
        line == self.last && self.equal.as_ref().is_some_and(|equal| !equal.is_over(now))
    }

    /// Logs the number of equal lines, and ends their period.
    fn log_equal(&mut self, log: &mut impl FnMut(LogItem<'_>)) {
        let held = self.equal.take().map_or(0, |mut equal| equal.take_suppressed());
        if held > 0 {
            log(LogItem::Repeated(&self.last, held));
        }
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
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.tokens >= 1.0
    }

    fn take(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::{Flow, LeftOut, LogItem, OutputLimiter, OutputLine, PERIOD};
    use std::time::{Duration, Instant};

    fn take_all(
        limiter: &mut OutputLimiter,
        lines: impl Iterator<Item = String>,
        now: Instant,
    ) -> Vec<String> {
        let mut logged = Vec::new();
        for line in lines {
            limiter
                .take(OutputLine { bytes: line.as_bytes(), cut: false }, now, |item| logged.push(show(item)));
        }
        logged
    }

    fn show(item: LogItem<'_>) -> String {
        match item {
            LogItem::Line(line) => String::from_utf8_lossy(line.bytes).into_owned(),
            LogItem::Repeated(line, count) => format!("{} x{count}", String::from_utf8_lossy(line)),
            LogItem::LeftOut(LeftOut { lines, bytes }) => format!("-{lines} -{bytes}"),
        }
    }

    fn flush_all(limiter: &mut OutputLimiter) -> Vec<String> {
        let mut logged = Vec::new();
        limiter.flush(|item| logged.push(show(item)));
        logged
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_counted_in_lines_and_bytes() {
        let now = Instant::now();
        let mut limiter = OutputLimiter::new(now);
        let logged = take_all(&mut limiter, (0..5000).map(|number| format!("{number:04}")), now);
        assert_eq!(logged.len(), 4000);
        assert_eq!(limiter.deadline(), Some(now + PERIOD));
        assert_eq!(flush_all(&mut limiter), ["-1000 -4000"]);
        assert_eq!(limiter.deadline(), None);
    }

    #[test]
    fn a_steady_rate_below_the_limit_passes_for_ever() {
        let start = Instant::now();
        let mut limiter = OutputLimiter::new(start);
        for number in 0..20_000_u32 {
            let line = number.to_string();
            let line = OutputLine { bytes: line.as_bytes(), cut: false };
            let now = start + Duration::from_micros(1100) * number;
            assert_eq!(limiter.take(line, now, |_| {}), Flow::More);
        }
        assert_eq!(limiter.deadline(), None);
    }

    #[test]
    fn long_lines_are_limited_by_their_bytes() {
        let now = Instant::now();
        let mut limiter = OutputLimiter::new(now);
        let long = "x".repeat(8000);
        let logged = take_all(&mut limiter, (0..4000).map(|number| format!("{number}{long}")), now);
        assert!((500..600).contains(&logged.len()), "{}", logged.len());
    }

    #[test]
    fn equal_lines_in_a_row_are_counted_until_another_one_comes() {
        let now = Instant::now();
        let mut limiter = OutputLimiter::new(now);
        let lines = std::iter::repeat_n("a".to_owned(), 50).chain(["b".to_owned(), "a".to_owned()]);
        assert_eq!(take_all(&mut limiter, lines, now), ["a", "a", "a", "a", "a", "a x45", "b", "a"]);
    }

    #[test]
    fn equal_lines_are_said_when_the_time_is_over_and_shown_again_then() {
        let now = Instant::now();
        let mut limiter = OutputLimiter::new(now);
        let again = |count| std::iter::repeat_n("a".to_owned(), count);
        take_all(&mut limiter, again(8), now);
        assert_eq!(limiter.deadline(), Some(now + PERIOD));
        assert_eq!(flush_all(&mut limiter), ["a x3"]);
        assert_eq!(take_all(&mut limiter, again(1), now + PERIOD), ["a"]);
    }

    #[test]
    fn equal_lines_without_end_are_said_once_a_second() {
        let start = Instant::now();
        let mut limiter = OutputLimiter::new(start);
        let mut logged = Vec::new();
        for step in 0..5000_u32 {
            let now = start + Duration::from_millis(1) * step;
            if limiter.deadline().is_some_and(|deadline| deadline <= now) {
                limiter.flush(|item| logged.push(show(item)));
            }
            limiter.take(OutputLine { bytes: b"a", cut: false }, now, |item| logged.push(show(item)));
        }
        assert_eq!(logged.iter().filter(|line| line.contains(" x")).count(), 4, "{logged:?}");
        assert_eq!(logged.iter().filter(|line| *line == "a").count(), 25, "{logged:?}");
    }

    #[test]
    fn two_lines_in_turns_are_not_repeats() {
        let now = Instant::now();
        let mut limiter = OutputLimiter::new(now);
        let lines = (0..40).map(|number| if number % 2 == 0 { "tick".into() } else { "tock".into() });
        assert_eq!(take_all(&mut limiter, lines, now).len(), 40);
    }
}
