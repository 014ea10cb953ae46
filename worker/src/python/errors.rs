//! Errors of the script on their way into the log.
//!
//! A handler that raises at each of a thousand events a second must not fill the log, nor hide the error of another one,
//! or another error of its own. So each kind of error has an allowance: the same exception, raised at the same line,
//! in the same handler. A few are sent at once, then one a second; the rest is counted.

use super::{activity, traceback};
use crate::link::Outgoing;
use mm_shared::control::FromWorker;
use mm_shared::sys::clock::monotonic_ns;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many errors of one kind are sent before the next has to wait.
const BURST: u64 = 5;

/// One more error of a kind is sent after this many nanoseconds.
const REFILL: u64 = 1_000_000_000;

/// How many kinds are remembered.
const KINDS: usize = 1024;

/// What is known of errors so far.
pub struct Errors {
    kinds: Mutex<HashMap<Kind, Allowance>>,
    outgoing: Outgoing,
}

/// A place, and what was raised there.
type Kind = (String, String);

struct Allowance {
    left: u64,
    refilled: u64,
    suppressed: u64,
}

impl Errors {
    /// Nothing has gone wrong yet.
    pub fn new(outgoing: Outgoing) -> Errors {
        Errors { kinds: Mutex::default(), outgoing }
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
    fn admit(&self, kind: &Kind, now: u64) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= KINDS && !kinds.contains_key(kind) {
            kinds.clear();
        }
        let allowance =
            kinds.entry(kind.clone()).or_insert(Allowance { left: BURST, refilled: now, suppressed: 0 });
        allowance.take(now)
    }

    fn suppress(&self, kind: &Kind, count: u64) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(allowance) = kinds.get_mut(kind) {
            allowance.suppressed += count;
        }
    }
}

impl Allowance {
    fn take(&mut self, now: u64) -> Option<u64> {
        let earned = now.saturating_sub(self.refilled) / REFILL;
        self.left = (self.left + earned).min(BURST);
        self.refilled += earned * REFILL;
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
        let mut allowance = Allowance { left: BURST, refilled: 0, suppressed: 0 };
        let sent = (0..100).filter(|_| allowance.take(1).is_some()).count();
        assert_eq!(sent as u64, BURST);
        assert_eq!(allowance.take(REFILL), Some(100 - BURST));
        assert_eq!(allowance.take(REFILL), None);
    }
}
