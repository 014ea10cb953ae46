//! The thread that writes the state file: the latest values, at most once per second, and again
//! after a failure.

use super::atomic_file::{self, Content};
use super::{Gather, KIND, LIMIT, Saved};
use mm_shared::{LogThrottle, frame};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::dispatcher;

#[derive(Debug, Clone, Copy)]
pub(super) struct Intervals {
    /// Between two writes.
    pub write: Duration,
    /// Between a failed write and the next attempt.
    pub retry: Duration,
    /// Between two warnings.
    pub warning: Duration,
    /// How long the end of the show waits for the last write.
    pub timeout: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { write: seconds(1), retry: seconds(5), warning: seconds(60), timeout: seconds(2) }
    }
}

/// The latest values that have not been written. The lock is held for the time of a move, and the
/// loop does not wait even for that.
#[derive(Default)]
pub(super) struct Latest(Mutex<Option<Gather>>);

impl fmt::Debug for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latest").finish_non_exhaustive()
    }
}

impl Latest {
    /// Replaces the values, unless that would wait. Returns whether it did.
    pub fn try_put(&self, values: Gather) -> bool {
        let Ok(mut slot) = self.0.try_lock() else { return false };
        let before = slot.replace(values);
        drop(slot);
        // Freed after the lock, which the thread may be waiting for.
        drop(before);
        true
    }

    /// Replaces the values.
    pub fn put(&self, values: Gather) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(values);
    }

    fn take(&self) -> Option<Saved> {
        let gather = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        gather.map(|gather| gather())
    }
}

/// Starts the thread. Returns the channel that wakes it, and one that is disconnected when the
/// thread has ended. The thread ends when the former is dropped.
pub(super) fn start(
    path: PathBuf,
    latest: Arc<Latest>,
    intervals: Intervals,
) -> io::Result<(SyncSender<()>, Receiver<()>)> {
    let (wake, woken) = sync_channel(1);
    let (alive, ended) = sync_channel(1);
    let failures = Failures::new(intervals.warning);
    let writer = Writer { path, latest, intervals, on_disk: Vec::new(), failures };
    let log = dispatcher::get_default(Clone::clone);
    let work = move || {
        let _alive: SyncSender<()> = alive;
        dispatcher::with_default(&log, || writer.run(&woken));
    };
    thread::Builder::new().name("state".into()).spawn(work)?;
    Ok((wake, ended))
}

struct Writer {
    path: PathBuf,
    latest: Arc<Latest>,
    intervals: Intervals,
    /// The content of the file as far as this thread knows.
    on_disk: Vec<u8>,
    failures: Failures,
}

impl Writer {
    fn run(mut self, woken: &Receiver<()>) {
        atomic_file::clear_leftovers(&self.path);
        if let Ok(Content::Bytes(bytes)) = atomic_file::read(&self.path, LIMIT + frame::HEADER) {
            self.on_disk = bytes;
        }
        let mut unwritten = None;
        let mut not_before = Instant::now();
        loop {
            let has_work = unwritten.is_some() || woken.recv().is_ok();
            let is_last = !has_work || is_closed_before(not_before, woken);
            unwritten = self.latest.take().or(unwritten).filter(|values| !self.write(values));
            if is_last {
                return;
            }
            let pause = if unwritten.is_some() { self.intervals.retry } else { self.intervals.write };
            not_before = Instant::now() + pause;
        }
    }

    /// Returns whether there is nothing left to do for these values.
    fn write(&mut self, values: &Saved) -> bool {
        let frame = match encode(values) {
            Ok(frame) => frame,
            Err(error) => {
                // Another attempt with the same values would fail as well.
                self.warn(&error);
                return true;
            }
        };
        if frame == self.on_disk && self.is_there() {
            return true;
        }
        if let Err(error) = atomic_file::replace(&self.path, &frame) {
            self.warn(&format!("{error}; trying again every {} s", self.intervals.retry.as_secs()));
            return false;
        }
        self.on_disk = frame;
        if self.failures.end() {
            let path = self.path.display();
            tracing::info!(event = "state_write_resumed", "the state file `{path}` is written again");
        }
        true
    }

    /// Another process may have removed or replaced the file.
    fn is_there(&self) -> bool {
        self.path.metadata().is_ok_and(|found| found.is_file() && found.len() == self.on_disk.len() as u64)
    }

    fn warn(&mut self, reason: &str) {
        if self.failures.begin(Instant::now()) {
            let path = self.path.display();
            tracing::warn!(event = "state_write_failed", "cannot write the state file `{path}`: {reason}");
        }
    }
}

/// Waits until `deadline`, or until the other end is dropped. Returns whether it was dropped.
fn is_closed_before(deadline: Instant, woken: &Receiver<()>) -> bool {
    loop {
        match woken.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            // There are newer values, which are taken at the deadline.
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

fn encode(values: &Saved) -> Result<Vec<u8>, String> {
    let frame = frame::encode(KIND, values).map_err(|error| error.to_string())?;
    if frame.len() > LIMIT + frame::HEADER {
        let size = frame.len();
        return Err(format!("the values of this show take {size} bytes, more than the {LIMIT} allowed"));
    }
    Ok(frame)
}

/// Writes that fail, and which of them are logged.
#[derive(Debug)]
pub(super) struct Failures {
    throttle: LogThrottle,
    is_logged: bool,
}

impl Failures {
    pub fn new(interval: Duration) -> Self {
        Self { throttle: LogThrottle::new(1, interval), is_logged: false }
    }

    /// A write has failed. Returns whether to log it.
    pub fn begin(&mut self, now: Instant) -> bool {
        let is_due = self.throttle.hit(now).is_some();
        self.is_logged |= is_due;
        is_due
    }

    /// A write has succeeded. Returns whether to log it: the first time after a failure that was
    /// logged.
    pub fn end(&mut self) -> bool {
        std::mem::take(&mut self.is_logged)
    }
}
