//! The core loop's end of the state file. None of it waits, but for its end.

use super::Saved;
use super::writer::{Keeper, Pace, Shared};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Keeps the state file up to date, in a thread of its own.
///
/// The loop says [`Store::touch`] when a value changes, which costs nothing, looks at [`Store::wants_state`] once a
/// turn, and gathers the values only when that says so.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    pace: Pace,
    /// Something has changed since the values were handed over.
    touched: bool,
    /// No values are wanted before.
    next: Instant,
}

impl Store {
    /// Starts the thread. It logs where the calling one does.
    ///
    /// # Errors
    ///
    /// The system refuses a thread.
    pub fn start(path: PathBuf) -> io::Result<Self> {
        Self::with_pace(path, Pace::default())
    }

    pub(super) fn with_pace(path: PathBuf, pace: Pace) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        Keeper::new(path, Arc::clone(&shared), pace).start()?;
        Ok(Self { shared, pace, touched: false, next: Instant::now() })
    }

    /// A value has changed.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    /// Whether it is time to gather all values, for [`Store::save`].
    #[must_use]
    pub fn wants_state(&self, now: Instant) -> bool {
        self.touched && self.next <= now
    }

    /// When values are wanted next; never as long as nothing changes.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.touched.then_some(self.next)
    }

    /// Hands over all values. They replace those that still wait to be written.
    pub fn save(&mut self, saved: Saved, now: Instant) {
        // where the thread is just reaching for values, they are wanted again in the next turn
        if self.shared.offer(saved) {
            self.touched = false;
            self.next = now + self.pace.every;
        }
    }

    /// Writes the values of the show's end, however recently others were written, and waits for it a bounded time.
    pub fn finish(self, last: Saved) {
        self.shared.insist(last);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.shared.close(self.pace.patience) {
            tracing::warn!("the state file takes too long to write, the last values may be missing in it");
        }
    }
}
