//! The thread that writes copies, one after the other: of several that wait only the latest.

use super::show_copy::{ShowCopy, encode};
use crate::runtime_dir::create_private_dir;
use crate::state::atomic_file::{self, Content};
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long the end of the show waits for the last copy.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The loop's end of the thread. Nothing here waits, except for its end.
#[derive(Debug)]
pub struct Keeper {
    /// The copy that waits. The lock is held for the time of a move.
    latest: Arc<Mutex<Option<ShowCopy>>>,
    /// Wakes the thread. Dropped at the end: the thread writes what waits, and ends.
    wake: Option<SyncSender<()>>,
    /// Disconnected when the thread has ended, however it did.
    ended: Receiver<()>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system refuses a thread.
    pub fn start() -> io::Result<Self> {
        let latest = Arc::new(Mutex::new(None));
        let (wake, woken) = sync_channel(1);
        let (alive, ended) = sync_channel(1);
        let waiting = Arc::clone(&latest);
        let work = move || {
            let _alive: SyncSender<()> = alive;
            loop {
                let has_work = woken.recv().is_ok();
                if let Some(copy) = take(&waiting) {
                    write(&copy);
                }
                if !has_work {
                    return;
                }
            }
        };
        thread::Builder::new().name("last-good".into()).spawn(work)?;
        Ok(Self { latest, wake: Some(wake), ended })
    }

    /// Has a copy written, in place of one that has not been written yet.
    pub fn keep(&self, copy: ShowCopy) {
        let before = self.latest.lock().unwrap_or_else(PoisonError::into_inner).replace(copy);
        // Freed after the lock.
        drop(before);
        if let Some(wake) = &self.wake {
            // A full channel wakes the thread as well, and without a thread nothing can be written.
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.wake = None;
        if self.ended.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!(
                event = "last_good_write_timed_out",
                "the copy of the show file takes too long to write, it may be missing"
            );
        }
    }
}

fn take(waiting: &Mutex<Option<ShowCopy>>) -> Option<ShowCopy> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Writes a copy to all of its places.
fn write(copy: &ShowCopy) {
    let frame = match encode(&copy.path, &copy.files) {
        Ok(frame) => frame,
        Err(error) => {
            tracing::warn!(event = "last_good_not_kept", "the show file is not kept: {error}");
            return;
        }
    };
    for file in copy.places.files(&copy.path) {
        match write_if_other(&file, &frame) {
            Ok(true) => tracing::info!(
                event = "last_good_kept",
                "kept a copy of the show file in `{}`",
                file.display()
            ),
            Ok(false) => {}
            Err(error) => tracing::warn!(
                event = "last_good_not_kept",
                "cannot keep a copy of the show file in `{}`: {error}",
                file.display()
            ),
        }
    }
}

/// Writes the file, unless it is there already. Returns whether it was written.
fn write_if_other(file: &Path, frame: &[u8]) -> io::Result<bool> {
    if let Some(directory) = file.parent() {
        create_private_dir(directory)?;
    }
    atomic_file::clear_leftovers(file);
    if matches!(atomic_file::read(file, frame.len()), Ok(Content::Bytes(bytes)) if bytes == frame) {
        return Ok(false);
    }
    atomic_file::replace(file, frame).map(|()| true)
}
