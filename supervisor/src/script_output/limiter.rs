//! How much of what a script prints goes to the log.
//!
//! Two measures on one stream: repetitions are counted instead of shown, and what is shown is paid
//! for from the stream's budget. What was left out is summed up and logged: after a second at
//! first, and ever more rarely while it goes on.

use super::budget::OutputBudget;
use super::line_splitter::{Flow, LeftOut, OutputLine};
use super::repeats::{Held, LineKind, Repeats};
use std::time::{Duration, Instant};

/// How long lines are left out at first before their number is logged.
const PERIOD: Duration = Duration::from_secs(1);

/// How long in the end.
const PERIOD_LIMIT: Duration = Duration::from_secs(60);

/// What goes to the log for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogItem<'a> {
    /// This line.
    Line(OutputLine<'a>),
    /// So many lines were repetitions, the last of which was this.
    Repeated(&'a [u8], Held),
    /// So much was left out.
    LeftOut(LeftOut),
}

/// What is known of one stream.
#[derive(Debug)]
pub(super) struct OutputLimiter {
    repeats: Repeats,
    /// The last line.
    last: Vec<u8>,
    left_out: LeftOut,
    /// When `left_out` is to be logged.
    left_out_deadline: Option<Instant>,
    period: Duration,
}

impl OutputLimiter {
    pub(super) fn new() -> Self {
        Self {
            repeats: Repeats::default(),
            last: Vec::new(),
            left_out: LeftOut::default(),
            left_out_deadline: None,
            period: PERIOD,
        }
    }

    /// Takes a line, and logs what there is to log.
    pub(super) fn take(
        &mut self,
        line: OutputLine<'_>,
        budget: &mut OutputBudget,
        now: Instant,
        mut log: impl FnMut(LogItem<'_>),
    ) -> Flow {
        let (kind, held) = self.repeats.take(line.bytes, now);
        if let Some(held) = held {
            log(LogItem::Repeated(&self.last, held));
        }
        self.last.clear();
        self.last.extend_from_slice(line.bytes);
        if kind == LineKind::Repeated {
            return Flow::More;
        }
        if budget.pay(line.bytes.len(), now) {
            log(LogItem::Line(line));
            return Flow::More;
        }
        self.count(LeftOut { lines: 1, bytes: line.bytes.len() as u64 }, now);
        Flow::Full
    }

    /// Counts what was left out before it came here.
    pub(super) fn leave_out(&mut self, more: LeftOut, now: Instant) {
        if more != LeftOut::default() {
            self.repeats.forget();
            self.count(more, now);
        }
    }

    fn count(&mut self, more: LeftOut, now: Instant) {
        self.left_out.lines += more.lines;
        self.left_out.bytes += more.bytes;
        self.left_out_deadline.get_or_insert(now + self.period);
    }

    /// When [`OutputLimiter::tick`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.repeats.deadline(), self.left_out_deadline].into_iter().flatten().min()
    }

    /// Logs what has waited long enough.
    pub(super) fn tick(&mut self, now: Instant, mut log: impl FnMut(LogItem<'_>)) {
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if is_over(self.repeats.deadline()) {
            self.log_repeated(&mut log);
        }
        if is_over(self.left_out_deadline) {
            let is_over = self.left_out == LeftOut::default();
            self.log_left_out(&mut log);
            // One more period shows whether it goes on.
            self.period = if is_over { PERIOD } else { (2 * self.period).min(PERIOD_LIMIT) };
            self.left_out_deadline = (!is_over).then(|| now + self.period);
        }
    }

    /// Logs all that was held back and left out: the stream ends.
    pub(super) fn end(&mut self, mut log: impl FnMut(LogItem<'_>)) {
        self.log_repeated(&mut log);
        self.log_left_out(&mut log);
        self.left_out_deadline = None;
    }

    fn log_repeated(&mut self, log: &mut impl FnMut(LogItem<'_>)) {
        if let Some(held) = self.repeats.end() {
            log(LogItem::Repeated(&self.last, held));
        }
    }

    fn log_left_out(&mut self, log: &mut impl FnMut(LogItem<'_>)) {
        let left_out = std::mem::take(&mut self.left_out);
        if left_out != LeftOut::default() {
            log(LogItem::LeftOut(left_out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LeftOut, LogItem, OutputBudget, OutputLimiter, OutputLine, PERIOD, PERIOD_LIMIT};
    use std::time::{Duration, Instant};

    struct Bench {
        limiter: OutputLimiter,
        budget: OutputBudget,
        start: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let start = Instant::now();
            Self { limiter: OutputLimiter::new(), budget: OutputBudget::new(start), start }
        }

        fn take_all(&mut self, lines: impl Iterator<Item = String>, now: Instant) -> Vec<String> {
            let mut logged = Vec::new();
            for line in lines {
                let line = OutputLine { bytes: line.as_bytes(), cut: false };
                self.limiter.take(line, &mut self.budget, now, |item| logged.push(show(item)));
            }
            logged
        }

        fn tick(&mut self, now: Instant) -> Vec<String> {
            let mut logged = Vec::new();
            self.limiter.tick(now, |item| logged.push(show(item)));
            logged
        }
    }

    fn show(item: LogItem<'_>) -> String {
        match item {
            LogItem::Line(line) => String::from_utf8_lossy(line.bytes).into_owned(),
            LogItem::Repeated(line, held) => {
                format!("{} x{} of {}", String::from_utf8_lossy(line), held.lines, held.block)
            }
            LogItem::LeftOut(LeftOut { lines, bytes }) => format!("-{lines} -{bytes}"),
        }
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_counted_in_lines_and_bytes() {
        let mut bench = Bench::new();
        let now = bench.start;
        let logged = bench.take_all((0..5000).map(|number| format!("{number:04}")), now);
        assert_eq!(logged.len(), 4000);
        assert_eq!(bench.limiter.deadline(), Some(now + PERIOD));
        assert_eq!(bench.tick(now + PERIOD), ["-1000 -4000"]);
        assert!(bench.tick(now + 3 * PERIOD).is_empty());
        assert_eq!(bench.limiter.deadline(), None);
    }

    #[test]
    fn long_lines_are_limited_by_their_bytes() {
        let mut bench = Bench::new();
        let long = "x".repeat(8000);
        let logged = bench.take_all((0..4000).map(|number| format!("{number}{long}")), bench.start);
        assert!((500..600).contains(&logged.len()), "{}", logged.len());
    }

    #[test]
    fn repetitions_cost_nothing_and_are_said_when_they_end() {
        let mut bench = Bench::new();
        let now = bench.start;
        let logged = bench.take_all(std::iter::repeat_n("a".to_owned(), 100_000), now);
        assert_eq!(logged, ["a"; 5]);
        assert_eq!(bench.limiter.deadline(), Some(now + PERIOD));
        assert_eq!(bench.tick(now + PERIOD), ["a x99995 of 1"]);
        assert_eq!(bench.take_all((0..3990).map(|number| number.to_string()), now + PERIOD).len(), 3990);
    }

    #[test]
    fn a_flood_that_goes_on_is_reported_ever_more_rarely() {
        let mut bench = Bench::new();
        let (mut reports, mut number) = (Vec::new(), 0);
        for step in 0..36_000_u32 {
            let now = bench.start + Duration::from_millis(100) * step;
            if bench.limiter.deadline().is_some_and(|deadline| deadline <= now) {
                reports.extend(bench.tick(now));
            }
            number += 100;
            bench.take_all((number..number + 100).map(|number| number.to_string()), now);
        }
        let hour = 3600 / usize::try_from(PERIOD_LIMIT.as_secs()).unwrap();
        assert!((hour..hour + 10).contains(&reports.len()), "{reports:?}");
        assert!(reports.iter().all(|report| report.starts_with('-')), "{reports:?}");
    }

    #[test]
    fn the_end_of_a_stream_tells_what_is_held() {
        let mut bench = Bench::new();
        bench.take_all(std::iter::repeat_n("a".to_owned(), 8), bench.start);
        let mut logged = Vec::new();
        bench.limiter.end(|item| logged.push(show(item)));
        assert_eq!(logged, ["a x3 of 1"]);
        assert_eq!(bench.limiter.deadline(), None);
    }
}
