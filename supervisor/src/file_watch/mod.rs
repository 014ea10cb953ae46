//! Watches the files of scripts, and says which instance's have changed: `watch = on`.
//!
//! ```text
//! watch(key, files) ──► thread: trails (what each path depends on) ──► folders under inotify
//! kernel ──► notify's thread ──► thread: matches, waits until it is quiet, compares ──► callback(key)
//! ```
//!
//! Editors seldom write a file in place: they write another one and rename it over, or move the old one away first.
//! So the folders are watched, not the files, and what the kernel tells is a reason to look, not a finding. A file that
//! is gone is no change: there would be nothing to load. It is one when it is there again.
//!
//! The rules:
//!
//! - A key is told of once, when all its files have been quiet for [`SETTLE`].
//! - Nobody who calls this waits for a disk; all of that happens in the thread.
//! - Memory is bounded: more events than [`BACKLOG`] become one look at everything.
//! - What cannot be watched is a warning.

mod folders;
mod patrol;
mod sight;
mod stamp;
#[cfg(test)]
mod tests;
mod trail;

use folders::Folders;
use notify::RecommendedWatcher;
use patrol::{Order, Patrol};
use sight::Intake;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;
use tracing::dispatcher;

/// How long files have to be left alone before a change is told.
pub const SETTLE: Duration = Duration::from_millis(100);

/// Files that one key may have; the rest is not watched.
pub const MAX_FILES: usize = 4096;

/// Events that may wait for the thread.
const BACKLOG: usize = 4096;

/// Watches sets of files, one for each key. Dropping it ends that; nothing is told from then on but what is just
/// being told.
pub struct Watcher<K> {
    orders: Sender<Order<K>>,
}

/// Files cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system has no means for it, or none left for this user.
    #[error("cannot watch files: {0}")]
    System(#[from] notify::Error),
    /// There is no thread to be had.
    #[error("cannot start a thread to watch files: {0}")]
    Thread(#[from] io::Error),
}

impl<K: Ord + Clone + Send + 'static> Watcher<K> {
    /// Starts a thread that calls `callback` with the key whose files have changed. It logs where the calling one does.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or an inotify instance (`fs.inotify.max_user_instances`).
    pub fn start(callback: impl FnMut(K) + Send + 'static) -> Result<Self, WatchError> {
        let (orders, queue) = channel();
        let intake = Intake::new(orders.clone());
        let backlog = intake.backlog();
        let watcher = <RecommendedWatcher as notify::Watcher>::new(intake, notify::Config::default())?;
        let patrol = Patrol::new(queue, backlog, Folders::new(watcher), Box::new(callback));
        let log = dispatcher::get_default(Clone::clone);
        let work = move || dispatcher::with_default(&log, || patrol.run());
        thread::Builder::new().name("watch".into()).spawn(work)?;
        Ok(Self { orders })
    }

    /// Watches these files for `key` from now on, and no others. For files that it had before, changes that were not
    /// told yet still count. Files that do not exist are waited for; relative paths start at the working directory.
    pub fn watch(&self, key: K, files: Vec<PathBuf>) {
        // without its thread nothing is watched, which the log says
        let _ = self.orders.send(Order::Watch(key, files));
    }

    /// Watches nothing for `key` any more.
    pub fn unwatch(&self, key: K) {
        self.watch(key, Vec::new());
    }
}

impl<K> Drop for Watcher<K> {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
    }
}
