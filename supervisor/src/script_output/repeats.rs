//! Finds lines, and blocks of lines, that a stream repeats.
//!
//! A device that is away makes the same traceback again and again: no line of it equals the line
//! before, but each equals the one a block ago. Where a stream has repeated its last lines, and
//! faster than a person would want to read them, further repetitions are counted instead of shown.
//! While that goes on the block is shown once more from time to time, ever more rarely.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// The longest block, in lines, that is recognised.
const BLOCK_LIMIT: usize = 64;

/// Equal lines in a row that are shown before the next ones are counted. Of a block of this many
/// lines or more, two are shown.
const SHOWN: usize = 5;

/// Repetitions slower than this are all shown.
const PERIOD: Duration = Duration::from_secs(1);

/// The longest time in which a block that is repeated is not shown.
const INTERVAL_LIMIT: Duration = Duration::from_secs(60);

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// To be shown.
    New,
    /// One that is only counted.
    Repeated,
}

/// Lines that were counted and not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// How many lines the block has that was repeated.
    pub(super) block: usize,
    pub(super) lines: u64,
}

/// The recent lines of one stream.
#[derive(Debug)]
pub(super) struct Repeats {
    hasher: RandomState,
    /// What the last lines were and when they came, the latest in front.
    recent: VecDeque<(u64, Instant)>,
    /// How many lines in a row were like the line before, the line two before, and so on.
    runs: [usize; BLOCK_LIMIT],
    series: Option<Series>,
}

/// A block is being repeated.
#[derive(Debug)]
struct Series {
    block: usize,
    /// Lines of the block that have come in its latest repetition.
    position: usize,
    held: u64,
    /// How many lines are shown before lines are held again.
    to_show: usize,
    /// When the block is shown again.
    until: Instant,
    interval: Duration,
    last: Instant,
}

impl Default for Repeats {
    fn default() -> Self {
        let (hasher, recent) = (RandomState::new(), VecDeque::with_capacity(BLOCK_LIMIT + 1));
        Self { hasher, recent, runs: [0; BLOCK_LIMIT], series: None }
    }
}

impl Repeats {
    /// Takes a line. What was held before it and is over comes with it, to be reported first.
    pub(super) fn take(&mut self, line: &[u8], now: Instant) -> (LineKind, Option<Held>) {
        let hash = self.hasher.hash_one(line);
        if let Some(series) = &mut self.series {
            let before = self.recent.get(series.block - 1).map(|(hash, _)| *hash);
            if before == Some(hash) && now < series.last + PERIOD {
                self.recent.rotate_right(1);
                if let Some(oldest) = self.recent.front_mut() {
                    *oldest = (hash, now);
                }
                return series.go_on(now);
            }
        }
        let held = self.end();
        self.note(hash, now);
        self.begin(now);
        (if self.series.is_some() { LineKind::Repeated } else { LineKind::New }, held)
    }

    /// When [`Repeats::flush`] is to be called; `None` where nothing is held.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.series.as_ref().filter(|series| series.held > 0).map(|series| series.last + PERIOD)
    }

    /// Takes out what is held: the stream has become quiet, or has ended.
    pub(super) fn end(&mut self) -> Option<Held> {
        let series = self.series.take()?;
        self.recent.clear();
        self.runs = [0; BLOCK_LIMIT];
        series.held()
    }

    /// Lines are missing from here on: what follows does not repeat what was before.
    pub(super) fn forget(&mut self) {
        if self.series.is_none() {
            self.recent.clear();
            self.runs = [0; BLOCK_LIMIT];
        }
    }

    fn note(&mut self, hash: u64, now: Instant) {
        for (run, (before, _)) in self.runs.iter_mut().zip(&self.recent) {
            *run = if *before == hash { *run + 1 } else { 0 };
        }
        self.recent.truncate(BLOCK_LIMIT);
        self.recent.push_front((hash, now));
    }

    /// Begins a series if the line noted last is the first of a repetition too many.
    fn begin(&mut self, now: Instant) {
        let is_repetition = |block: usize| {
            let (run, shown) = (self.runs[block - 1], block.max(SHOWN - 1));
            let is_fast = self.recent.get(shown).is_some_and(|(_, then)| now < *then + PERIOD);
            run > shown && (run - 1).is_multiple_of(block) && is_fast
        };
        let Some(block) = (1..=BLOCK_LIMIT).find(|block| is_repetition(*block)) else { return };
        self.series = Some(Series {
            block,
            position: 1 % block,
            held: 1,
            to_show: 0,
            until: now + PERIOD,
            interval: PERIOD,
            last: now,
        });
    }
}

impl Series {
    /// One more line of it has come.
    fn go_on(&mut self, now: Instant) -> (LineKind, Option<Held>) {
        self.last = now;
        let is_start = self.position == 0;
        self.position = (self.position + 1) % self.block;
        if self.to_show > 0 {
            self.to_show -= 1;
            return (LineKind::New, None);
        }
        if !is_start || now < self.until {
            self.held += 1;
            return (LineKind::Repeated, None);
        }
        let held = self.held();
        self.held = 0;
        self.to_show = self.block - 1;
        self.interval = (2 * self.interval).min(INTERVAL_LIMIT);
        self.until = now + self.interval;
        (LineKind::New, held)
    }

    fn held(&self) -> Option<Held> {
        (self.held > 0).then_some(Held { block: self.block, lines: self.held })
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_LIMIT, Held, INTERVAL_LIMIT, LineKind, PERIOD, Repeats};
    use std::time::{Duration, Instant};

    /// Feeds lines with a pause between them. Shown lines, and counts as `lines/block`.
    fn feed<'a>(repeats: &mut Repeats, lines: impl Iterator<Item = &'a str>, pause: Duration) -> Vec<String> {
        let (start, mut shown) = (Instant::now(), Vec::new());
        for (number, line) in (0..).zip(lines) {
            let (kind, held) = repeats.take(line.as_bytes(), start + pause * number);
            shown.extend(held.map(text));
            if kind == LineKind::New {
                shown.push(line.to_owned());
            }
        }
        shown.extend(repeats.end().map(text));
        shown
    }

    fn text(held: Held) -> String {
        format!("{}/{}", held.lines, held.block)
    }

    fn feed_at_once(lines: &[&str]) -> Vec<String> {
        feed(&mut Repeats::default(), lines.iter().copied(), Duration::ZERO)
    }

    #[test]
    fn equal_lines_are_counted_until_another_one_comes() {
        let lines: Vec<&str> = std::iter::repeat_n("a", 50).chain(["b", "a"]).collect();
        assert_eq!(feed_at_once(&lines), ["a", "a", "a", "a", "a", "45/1", "b", "a"]);
    }

    #[test]
    fn a_block_is_shown_twice_and_then_counted() {
        let block = ["cannot read", "Traceback", "  in read", "    raise", "    ^^^^^", "OSError"];
        let lines: Vec<&str> = block.iter().copied().cycle().take(600).chain(["done"]).collect();
        let shown = feed_at_once(&lines);
        assert_eq!(shown[..6], block);
        assert_eq!(shown[6..12], block);
        assert_eq!(shown[12..], ["588/6", "done"]);
    }

    #[test]
    fn a_block_of_any_length_is_found_also_with_equal_lines_in_it() {
        for length in 1..=BLOCK_LIMIT {
            let block: Vec<String> = (0..length).map(|line| format!("{}", line / 2)).collect();
            let lines = block.iter().map(String::as_str).cycle().take(100 * length);
            let shown = feed(&mut Repeats::default(), lines, Duration::ZERO);
            assert!(shown.len() <= (3 * length + 1).max(8), "{length}: {shown:?}");
        }
    }

    #[test]
    fn what_differs_is_shown() {
        let lines: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let shown = feed(&mut Repeats::default(), lines.iter().map(String::as_str), Duration::ZERO);
        assert_eq!(shown, lines);
    }

    #[test]
    fn slow_repetitions_are_all_shown() {
        let ticks = std::iter::repeat_n("tick", 100);
        assert_eq!(feed(&mut Repeats::default(), ticks, PERIOD / 4).len(), 100);
        let turns = ["tick", "tock"].into_iter().cycle().take(100);
        assert_eq!(feed(&mut Repeats::default(), turns, PERIOD / 4).len(), 100);
    }

    #[test]
    fn a_block_that_goes_on_is_shown_again_ever_more_rarely_and_whole() {
        let hour = 3600 * 100;
        let lines = ["one", "two", "three", "four"].into_iter().cycle().take(hour);
        let shown = feed(&mut Repeats::default(), lines, Duration::from_millis(10));
        let counts: Vec<&String> = shown.iter().filter(|line| line.contains('/')).collect();
        let minutes = 3600 / usize::try_from(INTERVAL_LIMIT.as_secs()).expect("it is short");
        assert!((minutes..minutes + 10).contains(&counts.len()), "{}", counts.len());
        let again = shown.iter().skip_while(|line| !line.contains('/')).skip(1).take(4);
        assert!(again.eq(["one", "two", "three", "four"].iter()));
        let counted: usize =
            counts.iter().filter_map(|line| line.split('/').next()?.parse::<usize>().ok()).sum();
        assert_eq!(counted + shown.len() - counts.len(), hour);
    }

    #[test]
    fn what_is_held_is_due_when_the_stream_is_quiet() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for _ in 0..8 {
            repeats.take(b"a", now);
        }
        assert_eq!(repeats.deadline(), Some(now + PERIOD));
        assert_eq!(repeats.end(), Some(Held { block: 1, lines: 3 }));
        assert_eq!(repeats.deadline(), None);
        assert_eq!(repeats.take(b"a", now + PERIOD), (LineKind::New, None));
    }
}
