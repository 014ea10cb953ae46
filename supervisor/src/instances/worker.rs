//! One life of a worker: its process, its segments and its control channel.

use super::data_plane::rings::WorkerRings;
use super::exit::ExitReason;
use super::launcher::WorkerLauncher;
use super::link::Link;
use crate::ids::WorkerId;
use crate::poller::Poller;
use crate::reaper::{SpawnRequest, WaitStatus};
use mm_shared::control::ToWorker;
use mm_shared::sys::stacks::ask_for_stacks;
use nix::unistd::Pid;
use rustix::process::{Signal as PidfdSignal, pidfd_send_signal};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The process behind an incarnation.
#[derive(Debug)]
enum Process {
    /// The reaper has the order; a kill has to wait for what comes of it.
    Ordered { kill_on_arrival: bool },
    /// It runs, or its end has not been told yet.
    Alive { pid: Pid, pidfd: Arc<OwnedFd> },
    /// It has ended.
    Ended(WaitStatus),
}

/// One life of a worker.
pub struct Worker {
    /// Unique in the life of the supervisor.
    pub id: WorkerId,
    /// Its data plane.
    pub end: WorkerRings,
    /// Why it ends, where the process's status does not tell.
    pub ending: Option<ExitReason>,
    /// Whether its control channel has ended, after which nothing more comes from it.
    pub closed: bool,
    /// The process has ended, but what it has said may not have been read yet: until when that is waited for.
    pub last_words_until: Option<Instant>,
    process: Process,
    link: Link,
}

impl Worker {
    /// Makes segments and control channel, and orders the process.
    ///
    /// # Errors
    ///
    /// The system has no descriptor, memory or thread left.
    pub fn begin(
        tools: &WorkerLauncher,
        id: WorkerId,
        directory: PathBuf,
        venv: Option<PathBuf>,
    ) -> io::Result<Self> {
        let (end, descriptors) = mm_shared::create(tools.ring_sizes)?;
        let (link, server) = Link::open(&tools.rendezvous, id, tools.post.clone())?;
        let program = tools.program.clone();
        let ring_sizes = tools.ring_sizes;
        let order = SpawnRequest { worker_id: id, program, directory, server, descriptors, ring_sizes, venv };
        if !tools.spawner.order(order) {
            link.process_ended();
            return Err(io::Error::other("the thread that starts processes has ended"));
        }
        let process = Process::Ordered { kill_on_arrival: false };
        Ok(Self { id, end: end.into(), ending: None, closed: false, last_words_until: None, process, link })
    }

    /// The process is there.
    pub fn arrived(&mut self, pid: Pid, pidfd: Arc<OwnedFd>) {
        let kill = matches!(self.process, Process::Ordered { kill_on_arrival: true });
        self.process = Process::Alive { pid, pidfd };
        if kill {
            self.kill();
        }
    }

    /// The process has ended. What it has said may not have been read yet.
    pub fn exited(&mut self, how: WaitStatus) {
        self.process = Process::Ended(how);
        self.link.process_ended();
    }

    /// Whether the process has ended.
    #[must_use]
    pub fn has_exited(&self) -> bool {
        matches!(self.process, Process::Ended(_))
    }

    /// The process's number, once it is there.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match &self.process {
            Process::Alive { pid, .. } => Some(*pid),
            Process::Ordered { .. } | Process::Ended(_) => None,
        }
    }

    /// Queues a message.
    pub fn send(&self, message: ToWorker) {
        self.link.send(message);
    }

    /// Sends TERM to the worker.
    pub fn terminate(&self) {
        if let Process::Alive { pidfd, .. } = &self.process {
            // it may have ended meanwhile, which is what is wanted
            let _ = pidfd_send_signal(pidfd, PidfdSignal::TERM);
        }
    }

    /// Asks the worker for the Python stacks of all its threads, which go to its standard error. One that was stopped
    /// is let go on for that.
    pub fn ask_for_stacks(&self) {
        if let Process::Alive { pidfd, .. } = &self.process {
            // it may have ended meanwhile, which is what is wanted
            let _ = ask_for_stacks(pidfd);
            let _ = pidfd_send_signal(pidfd, PidfdSignal::CONT);
        }
    }

    /// Sends KILL to the worker, as soon as there is one. What is left of its process group then, the reaper kills.
    pub fn kill(&mut self) {
        match &mut self.process {
            Process::Ordered { kill_on_arrival } => *kill_on_arrival = true,
            Process::Alive { pidfd, .. } => {
                // it may have ended meanwhile, which is what is wanted
                let _ = pidfd_send_signal(pidfd, PidfdSignal::KILL);
            }
            Process::Ended(_) => {}
        }
    }

    /// The process has ended, and all that it said is known: lets go of its data plane, and says why it ended.
    pub fn ended(&mut self, poller: &Poller) -> ExitReason {
        poller.forget(&self.end.bell_from_worker);
        let told = self.ending.take();
        told.unwrap_or_else(|| match self.process {
            Process::Ended(how) => ExitReason::of_process(how),
            Process::Ordered { .. } | Process::Alive { .. } => ExitReason::Unknown,
        })
    }

    /// The process could not be started.
    pub fn never_arrived(&mut self) {
        self.exited(WaitStatus::Unknown);
    }
}
