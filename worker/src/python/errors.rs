//! Errors of the script, on their way into the log.
//!
//! A handler that raises for each of a thousand events per second must not fill the log, and must not hide the error of
//! another handler or another error of its own. So each kind of error has a throttle: the same exception, raised at
//! the same line, in the same handler. A few are sent at once, then one per second; the others are counted.

use super::{activity, traceback};
use crate::link::Outgoing;
use mm_shared::control::FromWorker;
use mm_shared::sys::clock::monotonic_ns;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many errors of one kind are sent before the next has to wait.
const BURST_LIMIT: u64 = 5;

/// One more error of a kind is sent after this many nanoseconds.
const REFILL_INTERVAL: u64 = 1_000_000_000;

/// How many kinds are remembered.
const KINDS_LIMIT: usize = 1024;

/// Sends errors to the supervisor, throttled by kind.
pub struct ErrorReporter {
    kinds: Mutex<HashMap<ErrorKind, ErrorThrottle>>,
    outgoing: Outgoing,
}

/// A place, and what was raised there.
type ErrorKind = (String, String);

struct ErrorThrottle {
    left: u64,
    refilled: u64,
    suppressed: u64,
}

impl ErrorReporter {
    /// No errors yet.
    pub fn new(outgoing: Outgoing) -> ErrorReporter {
        ErrorReporter { kinds: Mutex::default(), outgoing }
    }

    /// Counts an error, and sends it if its kind may send one.
    pub fn report(&self, py: Python<'_>, place: String, error: &PyErr) {
        activity::error();
        let kind = (place, traceback::origin(py, error));
        let Some(suppressed) = self.admit(&kind, monotonic_ns()) else { return };
        let (place, traceback) = (kind.0.clone(), traceback::format(py, error));
        if !self.outgoing.offer(FromWorker::Error { place, traceback, suppressed }) {
            self.suppress(&kind, suppressed + 1);
        }
    }

    /// Whether an error of this kind is sent now, and how many before it were not.
    fn admit(&self, kind: &ErrorKind, now: u64) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= KINDS_LIMIT && !kinds.contains_key(kind) {
            kinds.clear();
        }
        let throttle = kinds.entry(kind.clone()).or_insert(ErrorThrottle {
            left: BURST_LIMIT,
            refilled: now,
            suppressed: 0,
        });
        throttle.take(now)
    }

    fn suppress(&self, kind: &ErrorKind, count: u64) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(throttle) = kinds.get_mut(kind) {
            throttle.suppressed += count;
        }
    }
}

impl ErrorThrottle {
    fn take(&mut self, now: u64) -> Option<u64> {
        let earned = now.saturating_sub(self.refilled) / REFILL_INTERVAL;
        self.left = (self.left + earned).min(BURST_LIMIT);
        self.refilled += earned * REFILL_INTERVAL;
        if self.left == 0 {
            self.suppressed += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_errors_is_counted_and_told_with_the_next_one() {
        let mut throttle = ErrorThrottle { left: BURST_LIMIT, refilled: 0, suppressed: 0 };
        let sent = (0..100).filter(|_| throttle.take(1).is_some()).count();
        assert_eq!(sent as u64, BURST_LIMIT);
        assert_eq!(throttle.take(REFILL_INTERVAL), Some(100 - BURST_LIMIT));
        assert_eq!(throttle.take(REFILL_INTERVAL), None);
    }
}
