//! Waiting for a condition, with a name and a deadline: the only place of the tests that sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what has no limit of its own: a loaded machine must not fail a test.
/// No test that passes waits that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const PERIOD: Duration = Duration::from_millis(5);

/// Waits until `find` finds something, and returns it.
///
/// # Panics
///
/// When [`PATIENCE`] is over; the message names `what`.
pub fn wait_for<T>(what: &str, find: impl FnMut() -> Option<T>) -> T {
    wait_within(what, PATIENCE, find)
}

/// The same with a deadline that the behaviour under test has itself.
///
/// # Panics
///
/// When the time is over.
pub fn wait_within<T>(what: &str, deadline: Duration, mut find: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} for: {what}");
        thread::sleep(PERIOD);
    }
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// When [`PATIENCE`] is over.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until `condition` holds, at most for [`PATIENCE`]; returns whether it holds.
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= PATIENCE {
            return false;
        }
        thread::sleep(PERIOD);
    }
}

/// Calls `step` once every `period` until it returns false. For senders that keep a rhythm, not for
/// waiting.
pub fn every(period: Duration, mut step: impl FnMut() -> bool) {
    let mut next = Instant::now();
    while step() {
        next += period;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Lets a fault last for so long, where its length is the fault.
pub fn last(fault: Duration) {
    thread::sleep(fault);
}
