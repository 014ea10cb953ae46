//! Errors of the script, on their way into the log.
//!
//! A handler that raises at each of a thousand events per second must not fill the log, nor hide
//! the error of another handler, or another error of its own. So each kind of error has a throttle:
//! the same exception, raised at the same line, in the same handler. A few are sent at once, then
//! one per second; the rest is counted.

use super::{activity, traceback};
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

/// How many kinds are remembered.
const KINDS_LIMIT: usize = 1024;

/// Sends errors to the supervisor, throttled by kind.
pub struct ErrorReporter {
    kinds: Mutex<HashMap<ErrorKind, LogThrottle>>,
    outgoing: Outgoing,
}

/// A place, and what was raised there.
type ErrorKind = (String, String);

impl ErrorReporter {
    /// No errors yet.
    pub fn new(outgoing: Outgoing) -> ErrorReporter {
        ErrorReporter { kinds: Mutex::default(), outgoing }
    }

    /// Counts an error, and sends it if its kind may send one.
    pub fn report(&self, py: Python<'_>, place: String, error: &PyErr) {
        activity::error();
        let kind = (place, traceback::origin(py, error));
        let Some(suppressed) = self.admit(&kind, Instant::now()) else { return };
        let (place, traceback) = (kind.0.clone(), traceback::format(py, error));
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
        kinds.entry(kind.clone()).or_insert(LogThrottle::new(BURST_LIMIT, THROTTLE_INTERVAL)).hit(now)
    }

    fn suppress(&self, kind: &ErrorKind, count: u64) {
        if let Some(throttle) = self.lock().get_mut(kind) {
            throttle.suppress(count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ErrorKind, LogThrottle>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_errors_is_counted_and_told_with_the_next_one() {
        let start = Instant::now();
        let mut throttle = LogThrottle::new(BURST_LIMIT, THROTTLE_INTERVAL);
        let sent = (0..100).filter(|_| throttle.hit(start).is_some()).count();
        assert_eq!(sent, BURST_LIMIT as usize);
        assert_eq!(throttle.hit(start + THROTTLE_INTERVAL), Some(100 - u64::from(BURST_LIMIT)));
        assert_eq!(throttle.hit(start + THROTTLE_INTERVAL), None);
    }
}
