//! The event loop's end of the state file. Nothing here waits except the end of the show.

use super::Saved;
use super::writer::{self, Intervals, Latest};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Instant;

/// Keeps the state file up to date through a thread of its own.
///
/// The loop calls [`StateFile::touch`] when a value changes, which costs nothing, asks
/// [`StateFile::wants_values`] once per turn, and gathers the values only when that is true.
#[derive(Debug)]
pub struct StateFile {
    latest: Arc<Latest>,
    /// Wakes the thread. Dropped at the end: the thread writes what it has, and ends.
    wake: Option<SyncSender<()>>,
    /// Disconnected when the thread has ended, however it did.
    ended: Receiver<()>,
    intervals: Intervals,
    /// A value has changed since the values were handed over.
    is_touched: bool,
    /// The thread gets no values before.
    not_before: Instant,
    /// The thread is not waited for when this is dropped.
    is_detached: bool,
}

impl StateFile {
    /// Starts the thread. It logs where the calling thread does.
    ///
    /// # Errors
    ///
    /// The system refuses a thread.
    pub fn start(path: PathBuf) -> io::Result<Self> {
        Self::with_intervals(path, Intervals::default())
    }

    pub(super) fn with_intervals(path: PathBuf, intervals: Intervals) -> io::Result<Self> {
        let latest = Arc::new(Latest::default());
        let (wake, ended) = writer::start(path, Arc::clone(&latest), intervals)?;
        let not_before = Instant::now();
        Ok(Self {
            latest,
            wake: Some(wake),
            ended,
            intervals,
            is_touched: false,
            not_before,
            is_detached: false,
        })
    }

    /// Notes that a value has changed.
    pub fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Whether it is time to gather all values for [`StateFile::try_put`].
    #[must_use]
    pub fn wants_values(&self, now: Instant) -> bool {
        self.is_touched && self.not_before <= now
    }

    /// When [`StateFile::wants_values`] becomes true; `None` as long as no value changes.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.is_touched.then_some(self.not_before)
    }

    /// Hands over all values without waiting; the thread puts them together. They replace those that have not been written yet.
    /// While the thread is just taking values nothing is handed over, and values are wanted again
    /// in the next turn.
    pub fn try_put(&mut self, values: impl FnOnce() -> Saved + Send + 'static, now: Instant) {
        if self.latest.try_put(Box::new(values)) {
            self.is_touched = false;
            self.not_before = now + self.intervals.write;
            self.wake();
        }
    }

    /// Writes the values of the end of the show, however recently others were written. Waits for
    /// that for a bounded time.
    pub fn finish(self, last: impl FnOnce() -> Saved + Send + 'static) {
        self.latest.put(Box::new(last));
    }

    /// Ends the thread without waiting for it. It writes the values that it has been given before.
    pub fn detach(mut self) {
        self.is_detached = true;
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            // A full channel wakes the thread as well, and without a thread nothing can be written.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        self.wake = None;
        if !self.is_detached
            && self.ended.recv_timeout(self.intervals.timeout) == Err(RecvTimeoutError::Timeout)
        {
            tracing::warn!(
                event = "state_write_timed_out",
                "the state file takes too long to write, the last values may be missing in it"
            );
        }
    }
}
