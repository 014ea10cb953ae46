//! `interval()`: callables that are called at an interval.
//!
//! A timer keeps the moment at which its last tick was due, never the one at which it ran, so it
//! does not drift. Ticks that were missed are skipped. One timerfd holds the earliest moment of
//! all; `interval()` arms it from any thread, which wakes the main loop when the time comes and not
//! before.

use mm_shared::sys::clock::monotonic_ns;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest interval, in milliseconds (about 31 years): far beyond use, and safe to calculate
/// with.
const PERIOD_LIMIT: u64 = 1_000_000_000_000;

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// [`Timers::next_due`] when there is none.
pub const NEVER: u64 = u64::MAX;

/// All intervals of the instance.
pub struct Timers {
    table: Mutex<TimerTable>,
    /// When the earliest is due; read by the main loop without the lock.
    next: AtomicU64,
    clock: TimerFd,
}

#[derive(Default)]
struct TimerTable {
    timers: Vec<Timer>,
    due: BTreeSet<(u64, u64)>,
    /// Ids are never used again, so a change of the table shows.
    next_id: u64,
}

struct Timer {
    id: u64,
    callable: Py<PyAny>,
    period: u64,
    /// When the last tick was due, or when the timer was set.
    last: u64,
}

impl Timers {
    /// No intervals yet.
    pub fn new() -> nix::Result<Timers> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let clock = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Timers { table: Mutex::default(), next: AtomicU64::new(NEVER), clock })
    }

    /// Sets, changes or (with 0) ends the interval of a callable.
    ///
    /// A changed interval keeps counting from the last tick: a script that sets the same interval
    /// again and again gets its ticks.
    pub fn set(&self, callable: &Bound<'_, PyAny>, milliseconds: &Bound<'_, PyAny>) -> PyResult<()> {
        if !callable.is_callable() {
            return Err(PyTypeError::new_err("interval() needs a callable"));
        }
        let period = period(milliseconds)?;
        let previous = loop {
            let (known, id) = self.find(callable)?;
            let mut table = self.lock();
            // Comparing ran Python code without the lock; search again if the table has changed
            // since.
            if table.next_id != known {
                continue;
            }
            let previous = table.change(id, callable, period);
            self.arm(&table);
            break previous;
        };
        drop(previous);
        Ok(())
    }

    /// Takes one timer that is due and plans its next tick; `None` when none is due.
    pub fn take_due(&self, py: Python<'_>, now: u64) -> Option<Py<PyAny>> {
        let mut table = self.lock();
        let callable = table.take_due(py, now);
        self.arm(&table);
        callable
    }

    /// When the earliest tick is due, [`NEVER`] if there is none.
    pub fn next_due(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Counts all intervals from now: the show starts.
    pub fn restart(&self) {
        let mut table = self.lock();
        let now = monotonic_ns();
        table.due = table.timers.iter().map(|timer| (now + timer.period, timer.id)).collect();
        for timer in &mut table.timers {
            timer.last = now;
        }
        self.arm(&table);
    }

    /// Finds a callable by equality. Returns the state of the table that was searched, and the
    /// timer's id.
    fn find(&self, callable: &Bound<'_, PyAny>) -> PyResult<(u64, Option<u64>)> {
        let (known, timers) = {
            let table = self.lock();
            let py = callable.py();
            (table.next_id, table.timers.iter().map(|t| (t.id, t.callable.clone_ref(py))).collect::<Vec<_>>())
        };
        for (id, other) in timers {
            if other.is(callable) || other.bind(callable.py()).eq(callable)? {
                return Ok((known, Some(id)));
            }
        }
        Ok((known, None))
    }

    fn arm(&self, table: &TimerTable) {
        let next = table.due.first().map_or(NEVER, |(due, _)| *due);
        if self.next.swap(next, Ordering::AcqRel) == next {
            return;
        }
        // Setting an absolute time of a clock that exists does not fail.
        let _ = match next {
            NEVER => self.clock.unset(),
            due => {
                let at = Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(due)));
                self.clock.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            }
        };
    }

    /// Removes all.
    pub fn clear(&self) {
        let gone = std::mem::take(&mut self.lock().timers);
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, TimerTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Timers {
    /// Readable (to be watched edge-triggered) when a tick is due.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.clock.as_fd()
    }
}

impl TimerTable {
    /// Returns the callable that is no longer needed. The caller drops it without the lock, since
    /// that may run code.
    fn change(&mut self, id: Option<u64>, callable: &Bound<'_, PyAny>, period: u64) -> Option<Py<PyAny>> {
        let index = id.and_then(|id| self.timers.iter().position(|timer| timer.id == id));
        let Some(index) = index else {
            if period > 0 {
                let (id, last) = (self.new_id(), monotonic_ns());
                self.due.insert((last + period, id));
                self.timers.push(Timer { id, callable: callable.clone().unbind(), period, last });
            }
            return None;
        };
        let timer = &mut self.timers[index];
        self.due.remove(&(timer.last + timer.period, timer.id));
        if period == 0 {
            self.new_id();
            return Some(self.timers.swap_remove(index).callable);
        }
        timer.period = period;
        self.due.insert((timer.last + period, timer.id));
        None
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn take_due(&mut self, py: Python<'_>, now: u64) -> Option<Py<PyAny>> {
        let (due, id) = *self.due.first().filter(|(due, _)| *due <= now)?;
        self.due.pop_first();
        let timer = self.timers.iter_mut().find(|timer| timer.id == id)?;
        // This tick was due at the last multiple of the period; those before it were missed.
        timer.last = due + (now - due) / timer.period * timer.period;
        self.due.insert((timer.last + timer.period, id));
        Some(timer.callable.clone_ref(py))
    }
}

/// Reads whole milliseconds and returns nanoseconds.
fn period(milliseconds: &Bound<'_, PyAny>) -> PyResult<u64> {
    let py = milliseconds.py();
    let out_of_range = || PyValueError::new_err(format!("an interval is 0 to {PERIOD_LIMIT} milliseconds"));
    match milliseconds.extract::<i64>() {
        Ok(count) => match u64::try_from(count) {
            Ok(count) if count <= PERIOD_LIMIT => Ok(count * MILLISECOND),
            _ => Err(out_of_range()),
        },
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => Err(out_of_range()),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {
            Err(PyTypeError::new_err("interval() needs a whole number of milliseconds"))
        }
        Err(error) => Err(error),
    }
}
