//! Errors of the script, on their way into the log.
//!
//! A handler that raises at each of a thousand events per second must not fill the log, nor hide
//! the error of another handler, or another error of its own. So each kind of error has a throttle:
//! the same exception, raised at the same line, in the same handler. A few are sent at once, then
//! one per second, and after a minute of that one per minute; the rest is counted.

use super::{activity, busy, traceback};
use crate::link::Outgoing;
use mm_shared::LogThrottle;
use mm_shared::control::FromWorker;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many errors of one kind are sent in the first [`THROTTLE_INTERVAL`]; each later one has one.
const BURST_LIMIT: u32 = 5;

const THROTTLE_INTERVAL: Duration = Duration::from_secs(1);

/// Errors that go on for this long without a pause of [`PAUSE`] are sent once in this time.
const LONG_THROTTLE_INTERVAL: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_secs(2);

/// How many kinds are remembered.
const KINDS_LIMIT: usize = 1024;

/// Sends errors to the supervisor, throttled by kind.
pub struct ErrorReporter {
    kinds: Mutex<HashMap<ErrorKind, ErrorThrottle>>,
    outgoing: Outgoing,
}

/// A place, and what was raised there.
type ErrorKind = (String, String);

impl ErrorReporter {
    /// No errors yet.
    pub fn new(outgoing: Outgoing) -> ErrorReporter {
        ErrorReporter { kinds: Mutex::default(), outgoing }
    }

    /// Counts an error, and sends it if its kind may send one. It was raised when `callable` was
    /// called.
    pub fn report(&self, py: Python<'_>, place: String, error: &PyErr, callable: Option<&Bound<'_, PyAny>>) {
        activity::error();
        busy::note_error(py, error);
        let kind = (place, traceback::origin(py, error));
        let Some(suppressed) = self.admit(&kind, Instant::now()) else { return };
        let (place, traceback) = (kind.0.clone(), traceback::of_call(py, error, callable));
        if !self.outgoing.offer(FromWorker::Error { place, traceback, suppressed }) {
            self.suppress(&kind, suppressed + 1);
        }
    }

    /// Whether an error of this kind is sent now, and how many before it were not.
    fn admit(&self, kind: &ErrorKind, now: Instant) -> Option<u64> {
        let mut kinds = self.lock();
        if kinds.len() >= KINDS_LIMIT && !kinds.contains_key(kind) {
            kinds.clear();
        }
        kinds.entry(kind.clone()).or_insert_with(|| ErrorThrottle::new(now)).hit(now)
    }

    fn suppress(&self, kind: &ErrorKind, count: u64) {
        if let Some(throttle) = self.lock().get_mut(kind) {
            throttle.short.suppress(count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ErrorKind, ErrorThrottle>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides which errors of one kind are sent.
struct ErrorThrottle {
    short: LogThrottle,
    /// For errors that go on.
    long: LogThrottle,
    /// Since when they go on.
    since: Instant,
    last: Instant,
}

impl ErrorThrottle {
    fn new(now: Instant) -> ErrorThrottle {
        let short = LogThrottle::new(BURST_LIMIT, THROTTLE_INTERVAL);
        ErrorThrottle { short, long: LogThrottle::new(1, LONG_THROTTLE_INTERVAL), since: now, last: now }
    }

    /// As [`LogThrottle::hit`].
    fn hit(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.last) >= PAUSE {
            let suppressed = self.short.take_suppressed() + self.long.take_suppressed();
            *self = ErrorThrottle::new(now);
            return Some(self.short.hit(now)? + suppressed);
        }
        self.last = now;
        if now.saturating_duration_since(self.since) < LONG_THROTTLE_INTERVAL {
            return self.short.hit(now);
        }
        Some(self.long.hit(now)? + self.short.take_suppressed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors at this pace: how many are sent in so many seconds, and how many are counted.
    fn sent(pace: Duration, seconds: u64) -> (usize, u64) {
        let (start, mut sent, mut counted) = (Instant::now(), 0, 0);
        let mut throttle = ErrorThrottle::new(start);
        let mut now = start;
        while now < start + Duration::from_secs(seconds) {
            if let Some(suppressed) = throttle.hit(now) {
                sent += 1;
                counted += suppressed + 1;
            }
            now += pace;
        }
        (sent, counted)
    }

    #[test]
    fn a_flood_of_errors_is_counted_and_told_with_the_next_one() {
        let start = Instant::now();
        let mut throttle = ErrorThrottle::new(start);
        let sent = (0..100).filter(|_| throttle.hit(start).is_some()).count();
        assert_eq!(sent, BURST_LIMIT as usize);
        assert_eq!(throttle.hit(start + THROTTLE_INTERVAL), Some(100 - u64::from(BURST_LIMIT)));
        assert_eq!(throttle.hit(start + THROTTLE_INTERVAL), None);
    }

    #[test]
    fn errors_that_go_on_are_sent_ever_more_rarely_and_all_counted() {
        let (sent, counted) = sent(Duration::from_millis(10), 3601);
        assert!((100..130).contains(&sent), "{sent}");
        assert!(counted >= 354_000, "{counted}");
    }

    #[test]
    fn rare_errors_are_all_sent() {
        assert_eq!(sent(Duration::from_secs(3), 3000), (1000, 1000));
    }

    #[test]
    fn after_a_pause_errors_are_sent_at_once_with_the_count_of_those_before() {
        let start = Instant::now();
        let mut throttle = ErrorThrottle::new(start);
        let hits = (0..9).filter_map(|_| throttle.hit(start)).count();
        assert_eq!(hits, BURST_LIMIT as usize);
        assert_eq!(throttle.hit(start + PAUSE), Some(9 - u64::from(BURST_LIMIT)));
        assert_eq!(throttle.hit(start + PAUSE), Some(0));
    }
}
