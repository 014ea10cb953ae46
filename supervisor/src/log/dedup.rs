//! Counts equal messages instead of writing them.
//!
//! The same message of the same instance, from the same place in the program, is written
//! [`ALLOWED`] times in a [`PERIOD`]. The rest is held back; at the end of the period the last one
//! is written with the number of all of them.

use super::record::{LogRecord, SCRIPT};
use mm_shared::LogThrottle;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// How many equal messages are written in one period.
pub(super) const ALLOWED: u32 = 5;

/// How long equal messages are counted together.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// The most messages that are told apart; further ones are written and not counted.
pub(super) const MESSAGE_LIMIT: usize = 1024;

/// The messages of the last period.
#[derive(Default)]
pub(super) struct Dedup {
    messages: HashMap<u64, Repeated>,
    hasher: RandomState,
    /// The end of the first period that holds something back.
    deadline: Option<Instant>,
}

struct Repeated {
    throttle: LogThrottle,
    /// The latest record that was held back.
    last: Option<Box<LogRecord>>,
}

/// A record that is to be written.
pub(super) struct Admitted {
    pub(super) record: Box<LogRecord>,
    /// How many equal records this one stands for, 0 where it stands for itself only.
    pub(super) repeated: u64,
}

impl Dedup {
    /// Returns the record if it is to be written now.
    pub(super) fn admit(&mut self, record: Box<LogRecord>, now: Instant) -> Option<Admitted> {
        let itself = |record| Some(Admitted { record, repeated: 0 });
        if record.target == SCRIPT {
            // These are limited by stream where they are read.
            return itself(record);
        }
        let key = self.hasher.hash_one((&record.callsite, &record.instance, &record.message));
        if !self.messages.contains_key(&key) && !self.make_room(now) {
            return itself(record);
        }
        let fresh = || Repeated { throttle: LogThrottle::new(ALLOWED, PERIOD), last: None };
        let message = self.messages.entry(key).or_insert_with(fresh);
        match message.throttle.hit(now) {
            Some(0) => itself(record),
            Some(held) => {
                message.last = None;
                Some(Admitted { record, repeated: held + 1 })
            }
            None => {
                message.last = Some(record);
                self.deadline = self.deadline.into_iter().chain(message.throttle.deadline()).min();
                None
            }
        }
    }

    /// When [`Dedup::due`] returns something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes out what was held back in periods that are over; with `None` all of it.
    pub(super) fn due(&mut self, now: Option<Instant>) -> Vec<Admitted> {
        if self.deadline.is_none_or(|deadline| now.is_some_and(|now| now < deadline)) {
            return Vec::new();
        }
        let mut due = Vec::new();
        for message in self.messages.values_mut() {
            let repeated = match now {
                Some(now) => message.throttle.flush(now).unwrap_or(0),
                None => message.throttle.take_suppressed(),
            };
            if repeated > 0 {
                due.extend(message.last.take().map(|record| Admitted { record, repeated }));
            }
        }
        due.sort_by_key(|admitted| admitted.record.time);
        if let Some(now) = now {
            self.forget(now);
        }
        self.deadline = self.messages.values().filter_map(|message| message.throttle.deadline()).min();
        due
    }

    /// Whether one more message fits, after those that are over are forgotten.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.messages.len() >= MESSAGE_LIMIT {
            self.forget(now);
        }
        self.messages.len() < MESSAGE_LIMIT
    }

    fn forget(&mut self, now: Instant) {
        self.messages.retain(|_, message| message.last.is_some() || !message.throttle.is_over(now));
    }
}

#[cfg(test)]
mod tests {
    use super::{ALLOWED, Dedup, MESSAGE_LIMIT, PERIOD};
    use crate::log::record::{LogRecord, SCRIPT};
    use std::time::{Duration, Instant};
    use tracing::Level;

    fn record(message: &str) -> Box<LogRecord> {
        Box::new(LogRecord::own(Level::WARN, message.into()))
    }

    #[test]
    fn the_first_few_pass_and_the_rest_is_counted_once() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        let passed = (0..100).filter(|_| dedup.admit(record("again"), now).is_some()).count();
        assert_eq!(passed, ALLOWED as usize);
        assert!(dedup.due(Some(now)).is_empty());

        let held = dedup.due(Some(now + PERIOD));

        assert_eq!(held.len(), 1);
        assert_eq!((held[0].repeated, held[0].record.message.as_str()), (95, "again"));
        assert!(dedup.deadline().is_none());
    }

    #[test]
    fn other_messages_and_other_instances_are_not_dedup() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        for number in 0..50 {
            assert!(dedup.admit(record(&format!("message {number}")), now).is_some());
            let mut tagged = record("the same");
            tagged.instance = Some(format!("py{number}"));
            assert!(dedup.admit(tagged, now).is_some());
        }
    }

    #[test]
    fn a_slow_repeat_always_passes() {
        let mut dedup = Dedup::default();
        let start = Instant::now();
        for second in 0..20 {
            let now = start + Duration::from_millis(1500 * second);
            assert!(dedup.admit(record("slow"), now).is_some());
        }
        assert!(dedup.deadline().is_none());
    }

    #[test]
    fn what_is_held_back_comes_out_at_the_end_before_its_time() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        for _ in 0..7 {
            dedup.admit(record("again"), now);
        }
        assert_eq!(dedup.due(None).first().map(|held| held.repeated), Some(2));
    }

    #[test]
    fn lines_of_scripts_are_never_dedup() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        for _ in 0..100 {
            let mut line = record("tick");
            line.target = SCRIPT;
            assert!(dedup.admit(line, now).is_some());
        }
    }

    #[test]
    fn memory_is_bounded_whatever_is_said() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        for number in 0..10 * MESSAGE_LIMIT {
            dedup.admit(record(&format!("message {number}")), now);
        }
        assert_eq!(dedup.messages.len(), MESSAGE_LIMIT);
    }
}
