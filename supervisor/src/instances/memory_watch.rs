//! Reports workers that use more memory than `memory-limit` allows, from the start of their process
//! to its end, whatever they do: import, serve, or clean up.
//!
//! ```text
//! loop ── watch(worker, process, limit) ──► thread: looks once per second ── report ──► loop
//! ```
//!
//! What counts is the memory of the worker and of all processes that its script has started, as
//! their share in resident memory ([`mm_shared::sys::memory`]): memory that they have in common
//! counts once. That takes long to find out, so the thread does it only where the resident memory
//! of the processes adds up to more than the limit. A worker that uses more than half of its limit
//! is looked at four times per second.
//!
//! There is no thread while no worker has a limit.

use crate::ids::WorkerId;
use crate::lazy_thread::LazyThread;
use mm_shared::sys::memory::{proportional, resident, tree};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The same while a worker is new, or uses more than half of its limit.
const CLOSE_LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A worker uses more memory than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverMemory {
    /// The worker.
    pub worker_id: WorkerId,
    /// What it uses, in bytes.
    pub used: u64,
    /// What it may use, in bytes.
    pub limit: u64,
    /// How many processes that is.
    pub processes: usize,
}

/// Watches the memory of all workers that have a limit. Dropping it ends the watch.
pub struct MemoryWatch {
    report: Report,
    thread: LazyThread<Command>,
    workers: HashMap<WorkerId, u64>,
}

type Report = Arc<dyn Fn(OverMemory) + Send + Sync>;

#[derive(Debug)]
enum Command {
    Watch { worker_id: WorkerId, pid: i32, limit: u64 },
    Forget(WorkerId),
}

impl MemoryWatch {
    /// A watch that calls `report` once for each worker over its limit.
    #[must_use]
    pub fn new(report: impl Fn(OverMemory) + Send + Sync + 'static) -> Self {
        Self { report: Arc::new(report), thread: LazyThread::default(), workers: HashMap::new() }
    }

    /// From now on `limit`, in bytes, is the limit of a worker; `None`: it has none.
    pub fn watch(&mut self, worker_id: WorkerId, pid: Pid, limit: Option<u64>) {
        let Some(limit) = limit else { return self.forget(worker_id) };
        if let Some(error) = self.thread.start(|| start(Arc::clone(&self.report))) {
            tracing::warn!(
                event = "memory_watch_failed",
                "`memory-limit` has no effect: cannot start a thread: {error}"
            );
        }
        let is_known = self.workers.get(&worker_id) == Some(&limit);
        if self.thread.is_running() && !is_known {
            self.workers.insert(worker_id, limit);
            self.thread.send(Command::Watch { worker_id, pid: pid.as_raw(), limit });
        }
    }

    /// A worker has ended, or has no limit any more.
    pub fn forget(&mut self, worker_id: WorkerId) {
        if self.workers.remove(&worker_id).is_none() {
            return;
        }
        if self.workers.is_empty() {
            self.thread.stop();
        } else {
            self.thread.send(Command::Forget(worker_id));
        }
    }
}

fn start(report: Report) -> io::Result<Sender<Command>> {
    let (sender, commands) = channel();
    thread::Builder::new().name("memory-watch".into()).spawn(move || run(&commands, &report))?;
    Ok(sender)
}

/// Runs until the other end of `commands` is dropped.
fn run(commands: &Receiver<Command>, report: &Report) {
    let mut workers = HashMap::new();
    let mut last_look = Instant::now();
    loop {
        let is_close = workers.values().any(|worker: &Watched| worker.is_close);
        let interval = if is_close { CLOSE_LOOK_INTERVAL } else { LOOK_INTERVAL };
        let next_look = last_look + interval;
        match commands.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
            Ok(Command::Watch { worker_id, pid, limit }) => {
                workers.insert(worker_id, Watched { pid, limit, is_close: true });
            }
            Ok(Command::Forget(worker_id)) => {
                workers.remove(&worker_id);
            }
            Err(RecvTimeoutError::Timeout) => {
                workers.retain(|worker_id, worker| match worker.look(*worker_id) {
                    Some(over) => {
                        report(over);
                        false
                    }
                    None => true,
                });
                last_look = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// A worker that is watched.
struct Watched {
    pid: i32,
    limit: u64,
    /// It is new, or uses more than half of its limit.
    is_close: bool,
}

impl Watched {
    fn look(&mut self, worker_id: WorkerId) -> Option<OverMemory> {
        let (pids, limit) = (tree(self.pid), self.limit);
        let most: u64 = pids.iter().filter_map(|pid| resident(*pid)).sum();
        self.is_close = most > limit / 2;
        if most <= limit {
            return None;
        }
        let shares: Vec<u64> = pids.iter().filter_map(|pid| proportional(*pid)).collect();
        let used = shares.iter().sum();
        (used > limit).then_some(OverMemory { worker_id, used, limit, processes: shares.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(limit: u64) -> (Option<OverMemory>, bool) {
        let pid = std::process::id().cast_signed();
        let mut watched = Watched { pid, limit, is_close: true };
        (watched.look(WorkerId(7)), watched.is_close)
    }

    #[test]
    fn what_a_process_uses_is_held_against_its_limit() {
        assert_eq!(look(1 << 40), (None, false));
        let (over, is_close) = look(1 << 10);
        assert!(is_close && over.is_some_and(|over| over.used > 1 << 10 && over.worker_id == WorkerId(7)));
    }

    #[test]
    fn the_thread_ends_with_the_last_worker() {
        let mut watch = MemoryWatch::new(|_| {});
        let own = Pid::this();
        watch.watch(WorkerId(1), own, None);
        assert!(!watch.thread.is_running());
        watch.watch(WorkerId(1), own, Some(1 << 40));
        watch.watch(WorkerId(2), own, Some(1 << 40));
        watch.forget(WorkerId(1));
        assert!(watch.thread.is_running());
        watch.watch(WorkerId(2), own, None);
        assert!(!watch.thread.is_running() && watch.workers.is_empty());
    }
}
