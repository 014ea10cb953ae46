//! Counts repeats instead of writing them.
//!
//! The same message of the same instance, said at the same place in the program, is written [`ALLOWED`] times in a
//! [`WINDOW`]; the rest is held back, and when the window is over one line says how many there were.

use super::record::{Record, SCRIPT};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// How many equal messages pass in one window.
pub(super) const ALLOWED: u32 = 5;

/// How long equal messages are counted together.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// The most messages that are told apart; with more than these in a window the others pass uncounted.
pub(super) const KEYS: usize = 1024;

/// The messages of the last window.
#[derive(Default)]
pub(super) struct Repeats {
    windows: HashMap<u64, Window>,
    hasher: RandomState,
    /// The end of the first window that holds something back.
    deadline: Option<Instant>,
}

struct Window {
    end: Instant,
    passed: u32,
    held: Option<Held>,
}

/// Messages that were not written: the last one of them, and their number.
pub(super) struct Held {
    pub(super) last: Box<Record>,
    pub(super) count: u64,
}

impl Repeats {
    /// Gives the record back if it is to be written now.
    pub(super) fn admit(&mut self, record: Box<Record>, now: Instant) -> Option<Box<Record>> {
        if record.target == SCRIPT {
            return Some(record);
        }
        let key = self.hasher.hash_one((&record.callsite, &record.instance, &record.message));
        if !self.windows.contains_key(&key) && !self.make_room(now) {
            return Some(record);
        }
        let fresh = || Window { end: now + WINDOW, passed: 0, held: None };
        let window = self.windows.entry(key).or_insert_with(fresh);
        if window.held.is_none() && window.end <= now {
            *window = fresh();
        }
        if window.passed < ALLOWED {
            window.passed += 1;
            return Some(record);
        }
        let count = window.held.take().map_or(1, |held| held.count + 1);
        window.held = Some(Held { last: record, count });
        self.deadline = Some(self.deadline.map_or(window.end, |deadline| deadline.min(window.end)));
        None
    }

    /// When [`Repeats::due`] has something to say.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes out what windows that are over have held back; with `None` all of it.
    pub(super) fn due(&mut self, now: Option<Instant>) -> Vec<Held> {
        let is_over = |window: &Window| now.is_none_or(|now| window.end <= now);
        if self.deadline.is_none_or(|deadline| now.is_some_and(|now| now < deadline)) {
            return Vec::new();
        }
        let over = self.windows.values_mut().filter(|window| is_over(window));
        let mut held: Vec<Held> = over.filter_map(|window| window.held.take()).collect();
        held.sort_by_key(|held| held.last.time);
        self.windows.retain(|_, window| !is_over(window));
        let waiting = self.windows.values().filter(|window| window.held.is_some());
        self.deadline = waiting.map(|window| window.end).min();
        held
    }

    /// Whether one more key fits, after what is over is forgotten.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.windows.len() >= KEYS {
            self.windows.retain(|_, window| window.held.is_some() || window.end > now);
        }
        self.windows.len() < KEYS
    }
}

#[cfg(test)]
mod tests {
    use super::{ALLOWED, KEYS, Repeats, WINDOW};
    use crate::log::record::{Record, SCRIPT};
    use std::time::{Duration, Instant};
    use tracing::Level;

    fn record(message: &str) -> Box<Record> {
        Box::new(Record::own(Level::WARN, message.into()))
    }

    #[test]
    fn the_first_few_pass_and_the_rest_is_counted_once() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        let passed = (0..100).filter(|_| repeats.admit(record("again"), now).is_some()).count();
        assert_eq!(passed, ALLOWED as usize);
        assert!(repeats.due(Some(now)).is_empty());

        let held = repeats.due(Some(now + WINDOW));

        assert_eq!(held.len(), 1);
        assert_eq!((held[0].count, held[0].last.message.as_str()), (95, "again"));
        assert!(repeats.deadline().is_none());
    }

    #[test]
    fn other_messages_and_other_instances_are_not_repeats() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for number in 0..50 {
            assert!(repeats.admit(record(&format!("message {number}")), now).is_some());
            let mut tagged = record("the same");
            tagged.instance = Some(format!("py{number}"));
            assert!(repeats.admit(tagged, now).is_some());
        }
    }

    #[test]
    fn a_slow_repeat_always_passes() {
        let mut repeats = Repeats::default();
        let start = Instant::now();
        for second in 0..20 {
            let now = start + Duration::from_millis(1500 * second);
            assert!(repeats.admit(record("slow"), now).is_some());
        }
        assert!(repeats.deadline().is_none());
    }

    #[test]
    fn what_is_held_back_comes_out_at_the_end_before_its_time() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for _ in 0..7 {
            repeats.admit(record("again"), now);
        }
        assert_eq!(repeats.due(None).first().map(|held| held.count), Some(2));
    }

    #[test]
    fn lines_of_scripts_are_never_repeats() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for _ in 0..100 {
            let mut line = record("tick");
            line.target = SCRIPT;
            assert!(repeats.admit(line, now).is_some());
        }
    }

    #[test]
    fn memory_is_bounded_whatever_is_said() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for number in 0..10 * KEYS {
            repeats.admit(record(&format!("message {number}")), now);
        }
        assert_eq!(repeats.windows.len(), KEYS);
    }
}
