//! How much of what a script prints goes to the log.
//!
//! Two measures on one stream: equal lines in a row are counted instead of shown, and there is a limit to lines and
//! bytes in a second, with a generous burst. What was left out is summed up and said once a second.

use super::line_splitter::{Appetite, LeftOut, Line};
use std::time::{Duration, Instant};

/// Lines a second in the long run, and at once.
const LINES: (f64, f64) = (1000.0, 4000.0);

/// Bytes a second in the long run, and at once.
const BYTES: (f64, f64) = (1024.0 * 1024.0, 4.0 * 1024.0 * 1024.0);

/// Equal lines in a row that are shown in one [`WINDOW`].
const EQUAL: u32 = 5;

/// How long things are counted before the count is said.
const WINDOW: Duration = Duration::from_secs(1);

/// What is to be said of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// This line.
    Line(Line<'a>),
    /// This line came so many times more.
    Repeated(&'a [u8], u64),
    /// So much was left out.
    LeftOut(LeftOut),
}

/// The limits of one stream.
#[derive(Debug)]
pub(super) struct Limiter {
    lines: Bucket,
    bytes: Bucket,
    last: Vec<u8>,
    /// How often `last` was shown in its window, and how often it was not.
    shown: u32,
    held: u64,
    window_end: Instant,
    left_out: LeftOut,
    /// When what is held and left out is to be said.
    deadline: Option<Instant>,
}

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            lines: Bucket::new(LINES, now),
            bytes: Bucket::new(BYTES, now),
            last: Vec::new(),
            shown: 0,
            held: 0,
            window_end: now,
            left_out: LeftOut::default(),
            deadline: None,
        }
    }

    /// Takes a line, and says what there is to say.
    pub(super) fn take(&mut self, line: Line<'_>, now: Instant, mut say: impl FnMut(Said<'_>)) -> Appetite {
        if line.bytes == self.last && self.shown > 0 && now < self.window_end {
            if self.shown >= EQUAL {
                self.held += 1;
                self.deadline.get_or_insert(now + WINDOW);
                return Appetite::More;
            }
            self.shown += 1;
        } else {
            self.say_held(&mut say);
            if self.left_out == LeftOut::default() {
                self.deadline = None;
            }
            self.last.clear();
            self.last.extend_from_slice(line.bytes);
            self.shown = 1;
            self.window_end = now + WINDOW;
        }
        let fits = self.lines.has(now) && self.bytes.has(now);
        if fits {
            self.lines.take(1.0);
            self.bytes.take(line.bytes.len() as f64);
            say(Said::Line(line));
            return Appetite::More;
        }
        self.leave_out(LeftOut { lines: 1, bytes: line.bytes.len() as u64 }, now);
        Appetite::Full
    }

    /// Counts what was left out before it came here.
    pub(super) fn leave_out(&mut self, more: LeftOut, now: Instant) {
        if more != LeftOut::default() {
            self.left_out.lines += more.lines;
            self.left_out.bytes += more.bytes;
            self.deadline.get_or_insert(now + WINDOW);
        }
    }

    /// When [`Limiter::settle`] has something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Says what was held back and left out.
    pub(super) fn settle(&mut self, mut say: impl FnMut(Said<'_>)) {
        self.say_held(&mut say);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out != LeftOut::default() {
            say(Said::LeftOut(left_out));
        }
        self.deadline = None;
    }

    fn say_held(&mut self, say: &mut impl FnMut(Said<'_>)) {
        let held = std::mem::take(&mut self.held);
        if held > 0 {
            say(Said::Repeated(&self.last, held));
        }
        self.shown = 0;
    }
}

/// A token bucket that may go into debt once: one large line passes, and the next ones pay for it.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    rate: f64,
    burst: f64,
    at: Instant,
}

impl Bucket {
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
    use super::{Appetite, LeftOut, Limiter, Line, Said, WINDOW};
    use std::time::{Duration, Instant};

    fn told(limiter: &mut Limiter, lines: impl Iterator<Item = String>, now: Instant) -> Vec<String> {
        let mut said = Vec::new();
        for line in lines {
            limiter.take(Line { bytes: line.as_bytes(), cut: false }, now, |what| said.push(spell(what)));
        }
        said
    }

    fn spell(what: Said<'_>) -> String {
        match what {
            Said::Line(line) => String::from_utf8_lossy(line.bytes).into_owned(),
            Said::Repeated(line, count) => format!("{} x{count}", String::from_utf8_lossy(line)),
            Said::LeftOut(LeftOut { lines, bytes }) => format!("-{lines} -{bytes}"),
        }
    }

    fn settled(limiter: &mut Limiter) -> Vec<String> {
        let mut said = Vec::new();
        limiter.settle(|what| said.push(spell(what)));
        said
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_counted_in_lines_and_bytes() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let said = told(&mut limiter, (0..5000).map(|number| format!("{number:04}")), now);
        assert_eq!(said.len(), 4000);
        assert_eq!(limiter.deadline(), Some(now + WINDOW));
        assert_eq!(settled(&mut limiter), ["-1000 -4000"]);
        assert_eq!(limiter.deadline(), None);
    }

    #[test]
    fn a_steady_rate_below_the_limit_passes_for_ever() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        for number in 0..20_000_u32 {
            let line = number.to_string();
            let line = Line { bytes: line.as_bytes(), cut: false };
            let now = start + Duration::from_micros(1100) * number;
            assert_eq!(limiter.take(line, now, |_| {}), Appetite::More);
        }
        assert_eq!(limiter.deadline(), None);
    }

    #[test]
    fn long_lines_are_limited_by_their_bytes() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let long = "x".repeat(8000);
        let said = told(&mut limiter, (0..4000).map(|number| format!("{number}{long}")), now);
        assert!((500..600).contains(&said.len()), "{}", said.len());
    }

    #[test]
    fn equal_lines_in_a_row_are_counted_until_another_one_comes() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let lines = std::iter::repeat_n("a".to_owned(), 50).chain(["b".to_owned(), "a".to_owned()]);
        assert_eq!(told(&mut limiter, lines, now), ["a", "a", "a", "a", "a", "a x45", "b", "a"]);
    }

    #[test]
    fn equal_lines_are_said_when_the_time_is_over_and_shown_again_then() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let again = |count| std::iter::repeat_n("a".to_owned(), count);
        told(&mut limiter, again(8), now);
        assert_eq!(limiter.deadline(), Some(now + WINDOW));
        assert_eq!(settled(&mut limiter), ["a x3"]);
        assert_eq!(told(&mut limiter, again(1), now + WINDOW), ["a"]);
    }

    #[test]
    fn equal_lines_without_end_are_said_once_a_second() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let mut said = Vec::new();
        for step in 0..5000_u32 {
            let now = start + Duration::from_millis(1) * step;
            if limiter.deadline().is_some_and(|deadline| deadline <= now) {
                limiter.settle(|what| said.push(spell(what)));
            }
            limiter.take(Line { bytes: b"a", cut: false }, now, |what| said.push(spell(what)));
        }
        assert_eq!(said.iter().filter(|line| line.contains(" x")).count(), 4, "{said:?}");
        assert_eq!(said.iter().filter(|line| *line == "a").count(), 25, "{said:?}");
    }

    #[test]
    fn two_lines_in_turns_are_not_repeats() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let lines = (0..40).map(|number| if number % 2 == 0 { "tick".into() } else { "tock".into() });
        assert_eq!(told(&mut limiter, lines, now).len(), 40);
    }
}
