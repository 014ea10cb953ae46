//! The spare worker: a process with a started interpreter that waits for a boot, so that an
//! instance whose worker has died needs no more than the import of its modules to come back.
//!
//! There is one for the whole show, and a new one is started a moment after it was taken. An
//! instance with a virtual environment does not take it, since an interpreter belongs to its
//! environment from the start: there, a restart costs the start of the interpreter as well.

use super::launcher::WorkerLauncher;
use super::worker::Worker;
use crate::ids::WorkerId;
use crate::instances::worker_event::WorkerEvent;
use crate::poller::Poller;
use crate::reaper::{Spawned, WaitStatus};
use crate::script_output::{OutputStream, ScriptOutput};
use mm_shared::control::{FromWorker, PROTOCOL};
use mm_shared::sys::process::is_stopped;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long after it was taken a new one is started, so that it does not compete with the worker
/// that it became.
const REFILL: Duration = Duration::from_millis(200);
/// How long after it failed another one is tried; it doubles up to [`LONGEST_RETRY`].
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What the spare's output is tagged with until an instance takes it.
const NAME: &str = "spare";

/// The spare worker, or when there will be one.
pub struct Spare {
    directory: PathBuf,
    worker: Option<Waiting>,
    /// When to start one; `None` while there is one, and when none is wanted.
    due: Option<Instant>,
    retry: Duration,
    dismissed: bool,
}

/// A worker without an instance.
struct Waiting {
    worker: Worker,
    /// Whether it has sent `Hello`.
    ready: bool,
    /// Its standard output and error, until there is a name to log them under.
    pipes: Vec<(OwnedFd, OutputStream)>,
}

impl Spare {
    /// No spare yet; workers would start in `directory`.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, worker: None, due: None, retry: RETRY, dismissed: false }
    }

    /// From now on there is to be one.
    pub fn wanted(&mut self, now: Instant) {
        if self.worker.is_none() && !self.dismissed {
            self.due.get_or_insert(now);
        }
    }

    /// From now on there is to be none.
    pub fn dismiss(&mut self) {
        self.dismissed = true;
        self.due = None;
        if let Some(waiting) = &mut self.worker {
            waiting.worker.kill();
        }
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.worker.is_none()
    }

    /// When [`Spare::tick`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Whether a worker is the spare.
    #[must_use]
    pub fn is(&self, worker_id: WorkerId) -> bool {
        self.worker.as_ref().is_some_and(|waiting| waiting.worker.id == worker_id)
    }

    /// Gives the spare away, if it is ready; what it prints is logged under `name` from then on. One
    /// that was stopped would not import anything before `start-timeout`, so it is killed instead.
    pub fn take(&mut self, name: &str, script_output: &ScriptOutput, now: Instant) -> Option<Worker> {
        let ready = self.worker.as_mut().filter(|waiting| waiting.ready)?;
        if ready.worker.pid().is_some_and(|pid| is_stopped(pid.as_raw())) {
            ready.ready = false;
            ready.worker.kill();
            return None;
        }
        let waiting = self.worker.take_if(|waiting| waiting.ready)?;
        for (pipe, stream) in waiting.pipes {
            script_output.add(name.to_owned(), waiting.worker.id, pipe, stream);
        }
        self.due = Some(now + REFILL);
        self.retry = RETRY;
        Some(waiting.worker)
    }

    /// Starts one if it is time to; `id` is the number that it gets.
    pub fn tick(&mut self, id: impl FnOnce() -> WorkerId, launcher: &mut WorkerLauncher, now: Instant) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.due = None;
        match Worker::begin(launcher, id(), self.directory.clone(), None) {
            Ok(worker) => {
                self.worker = Some(Waiting { worker, ready: false, pipes: Vec::new() });
            }
            Err(error) => self.failed(&error.to_string(), now),
        }
    }

    /// The spare itself.
    pub fn worker(&mut self) -> Option<&mut Worker> {
        self.worker.as_mut().map(|waiting| &mut waiting.worker)
    }

    /// Something happened to the spare.
    pub fn event(&mut self, event: WorkerEvent, poller: &Poller, script_output: &ScriptOutput, now: Instant) {
        if let WorkerEvent::Exited(how) = event {
            self.exited(how, poller, script_output, now);
            return;
        }
        let Some(waiting) = &mut self.worker else { return };
        match event {
            WorkerEvent::Spawned(Ok(Spawned { pid, pidfd, stdout, stderr })) => {
                waiting.pipes = vec![(stdout, OutputStream::Stdout), (stderr, OutputStream::Stderr)];
                waiting.worker.arrived(pid, pidfd, poller);
            }
            WorkerEvent::Spawned(Err(error)) => {
                waiting.worker.never_arrived();
                self.failed(&error.to_string(), now);
            }
            WorkerEvent::Message(FromWorker::Hello { protocol: PROTOCOL, .. }) => {
                waiting.ready = true;
            }
            // Before its boot a worker sends nothing else.
            WorkerEvent::Message(_) => waiting.worker.kill(),
            // Its exit follows.
            WorkerEvent::ChannelClosed(_) | WorkerEvent::Exited(_) => {
                waiting.ready = false;
                waiting.worker.kill();
            }
        }
    }

    /// The spare's process has ended, which it should not.
    fn exited(&mut self, how: WaitStatus, poller: &Poller, script_output: &ScriptOutput, now: Instant) {
        let Some(mut waiting) = self.worker.take() else { return };
        for (pipe, stream) in waiting.pipes {
            script_output.add(NAME.to_owned(), waiting.worker.id, pipe, stream);
        }
        waiting.worker.exited(how);
        let ending = waiting.worker.ended(poller);
        script_output.remove(waiting.worker.id);
        if !self.dismissed {
            self.failed(&ending.to_string(), now);
        }
    }

    fn failed(&mut self, why: &str, now: Instant) {
        self.worker = None;
        let wait = self.retry;
        tracing::warn!(
            event = "spare_not_started",
            "there is no spare worker: {why}; the next try is in {} s",
            wait.as_secs()
        );
        self.due = (!self.dismissed).then_some(now + wait);
        self.retry = (wait * 2).min(LONGEST_RETRY);
    }
}
