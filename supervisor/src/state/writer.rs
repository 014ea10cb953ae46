//! The thread that writes the state file: latest wins, at most once a second, and again when it failed.

use super::file::{self, Content};
use super::{KIND, LIMIT, Saved};
use mm_shared::frame;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::dispatcher;

/// How often the keeper does what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two writes.
    pub every: Duration,
    /// Between a write that failed and the next try.
    pub retry: Duration,
    /// Between two warnings.
    pub complain: Duration,
    /// What the last write may take.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { every: seconds(1), retry: seconds(5), complain: seconds(60), patience: seconds(2) }
    }
}

/// What loop and thread share. The lock is held for the time of a move, and the loop does not even wait for that.
#[derive(Debug, Default)]
pub(super) struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Saved>,
    closing: bool,
    ended: bool,
}

impl Shared {
    /// Leaves values without waiting. Says whether it could.
    pub fn offer(&self, saved: Saved) -> bool {
        let before = match self.slot.try_lock() {
            Ok(mut slot) => slot.waiting.replace(saved),
            Err(_) => return false,
        };
        self.changed.notify_all();
        drop(before);
        true
    }

    /// Leaves values.
    pub fn insist(&self, saved: Saved) {
        self.lock().waiting = Some(saved);
    }

    /// Lets the thread write what it has and end. Says whether it did within `patience`.
    pub fn close(&self, patience: Duration) -> bool {
        let mut slot = self.lock();
        slot.closing = true;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(slot, patience, |slot| !slot.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// Waits for values, but not only before `not_before`: then it is time for those that the thread still has.
    /// Says whether this is the end.
    fn wait(&self, not_before: Instant, has_some: bool) -> (Option<Saved>, bool) {
        let mut slot = self.lock();
        loop {
            let now = Instant::now();
            let work = has_some || slot.waiting.is_some();
            if slot.closing || work && not_before <= now {
                return (slot.waiting.take(), slot.closing);
            }
            slot = if work {
                let rest = not_before.saturating_duration_since(now);
                self.changed.wait_timeout(slot, rest).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the thread has ended, however it did.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

/// The thread's own state.
pub(super) struct Keeper {
    path: PathBuf,
    shared: Arc<Shared>,
    pace: Pace,
    /// The frame that is in the file, as far as this thread knows.
    on_disk: Vec<u8>,
    complaints: Complaints,
}

impl Keeper {
    pub fn new(path: PathBuf, shared: Arc<Shared>, pace: Pace) -> Self {
        let complaints = Complaints::new(pace.complain);
        Self { path, shared, pace, on_disk: Vec::new(), complaints }
    }

    pub fn start(self) -> io::Result<()> {
        let log = dispatcher::get_default(Clone::clone);
        let work = move || dispatcher::with_default(&log, || self.run());
        thread::Builder::new().name("state".into()).spawn(work).map(drop)
    }

    fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.shared));
        file::clear_leftovers(&self.path);
        if let Ok(Content::Bytes(bytes)) = file::read(&self.path, LIMIT + frame::HEADER) {
            self.on_disk = bytes;
        }
        let mut unwritten = None;
        let mut not_before = Instant::now();
        loop {
            let (newer, closing) = self.shared.wait(not_before, unwritten.is_some());
            unwritten = newer.or(unwritten).filter(|saved| !self.write(saved));
            if closing {
                return;
            }
            let pause = if unwritten.is_some() { self.pace.retry } else { self.pace.every };
            not_before = Instant::now() + pause;
        }
    }

    /// Says whether there is nothing left to do for these values.
    fn write(&mut self, saved: &Saved) -> bool {
        let frame = match encode(saved) {
            Ok(frame) => frame,
            Err(why) => {
                // the same again would be no better
                self.complain(&why);
                return true;
            }
        };
        if frame == self.on_disk && self.is_there() {
            return true;
        }
        if let Err(error) = file::replace(&self.path, &frame) {
            self.complain(&format!("{error}; trying again every {} s", self.pace.retry.as_secs()));
            return false;
        }
        self.on_disk = frame;
        if self.complaints.end() {
            tracing::info!("the state file `{}` is written again", self.path.display());
        }
        true
    }

    /// Somebody may have removed or replaced the file.
    fn is_there(&self) -> bool {
        self.path.metadata().is_ok_and(|found| found.is_file() && found.len() == self.on_disk.len() as u64)
    }

    fn complain(&mut self, why: &str) {
        if self.complaints.begin(Instant::now()) {
            tracing::warn!("cannot write the state file `{}`: {why}", self.path.display());
        }
    }
}

fn encode(saved: &Saved) -> Result<Vec<u8>, String> {
    let frame = frame::encode(KIND, saved).map_err(|error| error.to_string())?;
    if frame.len() > LIMIT + frame::HEADER {
        return Err(format!(
            "the values of this show take {} bytes, more than the {LIMIT} allowed",
            frame.len()
        ));
    }
    Ok(frame)
}

/// Keeps a lasting trouble, or one that comes and goes, from filling the log.
#[derive(Debug)]
pub(super) struct Complaints {
    every: Duration,
    last: Option<Instant>,
    told: bool,
}

impl Complaints {
    pub fn new(every: Duration) -> Self {
        Self { every, last: None, told: false }
    }

    /// There is trouble. Says whether to tell.
    pub fn begin(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now >= last + self.every);
        if due {
            (self.last, self.told) = (Some(now), true);
        }
        due
    }

    /// There is none any more. Says whether to tell: where the trouble was told, and once.
    pub fn end(&mut self) -> bool {
        std::mem::take(&mut self.told)
    }
}
