//! Reports which instances' scripts have changed on disk: `watch = on`.
//!
//! ```text
//! loop ── watch(instance, files) ──► thread: looks every 250 ms ── report(instance) ──► loop
//! ```
//!
//! A look is one `stat` per file. It follows links, and it sees replaced files, replaced folders,
//! and folders that appear later. Unlike a subscription to the kernel it also works on network file
//! systems and in containers, has no limit per user, and cannot miss anything.
//!
//! The rules:
//!
//! - An instance is reported once per change, when none of its files has changed for
//!   [`QUIET_TIME`], and no process has a changed one open for writing. A file that is written
//!   slowly is therefore reported when it is whole. A writer that writes nothing is waited for
//!   [`WRITER_TIMEOUT`] at most. Where the system does not know writers, as on network file systems,
//!   files have to be quiet for [`QUIET_TIME_UNKNOWN`].
//! - A missing file is not a change. A file that is empty or missing where there was content is
//!   probably being written: the report waits for the content, for [`INCOMPLETE_TIMEOUT`] at most.
//! - The caller never waits for a disk: only the thread looks at files. A file of several instances
//!   is looked at once.
//! - There is no thread while no instance is watched.

mod file_id;
mod scripts;
#[cfg(test)]
mod tests;

use crate::lazy_thread::LazyThread;
use scripts::Scripts;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use tracing::dispatcher;

/// Between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How long files have to stay the same before a change of them is reported. As long as the
/// interval: a change is reported by the look after the one that found it.
const QUIET_TIME: Duration = LOOK_INTERVAL;

/// The same where it is not known whether a process still has the file open for writing.
const QUIET_TIME_UNKNOWN: Duration = Duration::from_secs(1);

/// How long a report waits for a process that has a changed file open for writing and writes
/// nothing.
const WRITER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a report waits for the content of a file that has become empty or has disappeared.
const INCOMPLETE_TIMEOUT: Duration = Duration::from_secs(2);

/// Files that one instance may have; further ones are not watched.
const FILE_LIMIT: usize = 4096;

/// Watches the scripts of all instances that ask for it. Dropping it ends the watch.
pub struct ScriptWatch {
    report: Report,
    thread: LazyThread<Command>,
    instances: BTreeSet<String>,
}

type Report = Arc<dyn Fn(String) + Send + Sync>;

enum Command {
    /// Makes these the files of an instance, which has loaded the texts of this list.
    Watch(String, Vec<PathBuf>, Vec<u8>),
    /// Answers when all commands before this one are done.
    #[cfg(test)]
    Barrier(Sender<()>),
}

impl ScriptWatch {
    /// A watch that calls `report` with the name of an instance whose scripts have changed. The
    /// thread that calls it logs where the thread that first calls [`ScriptWatch::watch`] does.
    #[must_use]
    pub fn new(report: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self { report: Arc::new(report), thread: LazyThread::default(), instances: BTreeSet::new() }
    }

    /// Makes `files` the files of an instance, in place of those that it had. Changes of files that
    /// it had before are still reported. Files that do not exist are waited for. Relative paths
    /// start at the working directory.
    ///
    /// `loaded` is a list as in [`mm_shared::source_files`] of what the instance was loaded from: a
    /// file that is new here and holds another text by now has changed.
    pub fn watch(&mut self, instance: &str, files: Vec<PathBuf>, loaded: Vec<u8>) {
        if let Some(error) = self.thread.start(|| start(Arc::clone(&self.report))) {
            tracing::warn!(
                event = "script_watch_failed",
                "`watch = on` has no effect: cannot start a thread: {error}"
            );
        }
        if self.thread.is_running() {
            self.instances.insert(instance.to_owned());
            self.thread.send(Command::Watch(instance.to_owned(), files, loaded));
        }
    }

    /// Ends the watch on an instance.
    pub fn unwatch(&mut self, instance: &str) {
        if !self.instances.remove(instance) {
            return;
        }
        if self.instances.is_empty() {
            self.thread.stop();
        } else {
            self.thread.send(Command::Watch(instance.to_owned(), Vec::new(), Vec::new()));
        }
    }
}

fn start(report: Report) -> io::Result<Sender<Command>> {
    let (sender, commands) = channel();
    let log = dispatcher::get_default(Clone::clone);
    let work = move || dispatcher::with_default(&log, || run(&commands, &report));
    thread::Builder::new().name("script-watch".into()).spawn(work)?;
    Ok(sender)
}

/// Runs until the other end of `commands` is dropped.
fn run(commands: &Receiver<Command>, report: &Report) {
    let mut scripts = Scripts::default();
    let mut next_look = Instant::now();
    loop {
        match commands.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
            Ok(Command::Watch(instance, files, loaded)) => {
                scripts.watch(instance, files, &loaded, Instant::now());
            }
            #[cfg(test)]
            Ok(Command::Barrier(done)) => done.send(()).expect("a test that waits"),
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                next_look = now + LOOK_INTERVAL;
                scripts.look(now).into_iter().for_each(|instance| report(instance));
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
