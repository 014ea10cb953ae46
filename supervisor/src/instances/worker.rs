//! A worker: its process, its segments and its control channel.

use super::data_plane::rings::WorkerRings;
use super::exit::ExitReason;
use super::launcher::WorkerLauncher;
use super::link::ControlLink;
use super::message_pace::MessagePace;
use super::worker_message::WorkerMessage;
use crate::ids::WorkerId;
use crate::poller::{Interest, Poller, Wake};
use crate::reaper::WaitStatus;
use mm_shared::control::{FromWorker, PROTOCOL};
use mm_shared::control_link::{FromWorkerReceiver, LinkError};
use mm_shared::sys::process::is_exiting;
use mm_shared::sys::stacks::ask_for_stacks;
use nix::unistd::Pid;
use rustix::process::{Signal as PidfdSignal, pidfd_send_signal};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The process behind a worker.
#[derive(Debug)]
enum Process {
    /// It is requested; a kill has to wait until it is there.
    Requested { kill_on_arrival: bool },
    /// It runs, or its end has not been reported yet.
    Alive { pid: Pid, pidfd: Arc<OwnedFd> },
    /// It has ended.
    Ended(WaitStatus),
}

/// A worker.
pub struct Worker {
    /// Unique in the life of the supervisor.
    pub id: WorkerId,
    /// Its data plane.
    pub end: WorkerRings,
    /// Why it ends, where the process's status does not tell.
    pub ending: Option<ExitReason>,
    process: Process,
    control: FromWorkerReceiver,
    pace: MessagePace,
    link: ControlLink,
}

impl Worker {
    /// Makes segments and control channel, and requests the process.
    ///
    /// # Errors
    ///
    /// The system has no descriptor or memory left, or as for [`WorkerLauncher::launch`].
    pub fn begin(
        launcher: &mut WorkerLauncher,
        id: WorkerId,
        directory: PathBuf,
        venv: Option<PathBuf>,
    ) -> io::Result<Self> {
        let (end, control, descriptors) = mm_shared::create(launcher.ring_sizes)?;
        launcher.launch(id, descriptors, directory, venv)?;
        let (process, link) = (Process::Requested { kill_on_arrival: false }, launcher.link(id));
        Ok(Self { id, end: end.into(), ending: None, process, control, pace: MessagePace::default(), link })
    }

    /// The next message from the worker, if there is one. Reads at most `budget` bytes, and takes
    /// them off it. A connection that has ended is not watched any more, and one on which too much
    /// comes not before [`Worker::resume`].
    ///
    /// # Errors
    ///
    /// The worker has closed its end, or has sent what is not a message.
    pub fn receive(
        &mut self,
        budget: &mut usize,
        poller: &Poller,
        now: Instant,
    ) -> Result<Option<FromWorker>, LinkError> {
        if self.pace.deadline().is_some() {
            return Ok(None);
        }
        let received = self.control.try_recv(budget);
        if let Ok(Some(message)) = &received
            && self.pace.count(message, now)
        {
            poller.forget(&self.control);
        }
        match &received {
            Ok(Some(FromWorker::Hello { protocol: PROTOCOL, address, .. })) if !self.control.is_closed() => {
                self.link.connect(address.clone());
            }
            Ok(_) => {}
            Err(_) => poller.forget(&self.control),
        }
        received
    }

    /// The next message of a worker that has ended.
    ///
    /// # Errors
    ///
    /// There is no other whole message.
    pub fn receive_last(&mut self, budget: &mut usize) -> Result<Option<FromWorker>, LinkError> {
        self.control.try_recv(budget)
    }

    /// When [`Worker::resume`] has to be called.
    #[must_use]
    pub fn paused_until(&self) -> Option<Instant> {
        self.pace.deadline()
    }

    /// Reads its messages again after a pause that is over.
    pub fn resume(&mut self, poller: &Poller, now: Instant) {
        if self.pace.deadline().is_some_and(|until| until <= now) && self.pace.resume() {
            // It was watched before, so it can be.
            let _ = poller.watch(&self.control, Interest::Read, Wake::WorkerControl(self.id));
        }
    }

    /// Whether the process runs and is not about to exit. An exiting process closes its descriptors
    /// first.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.pid().is_some_and(|pid| !is_exiting(pid.as_raw()))
    }

    /// The process is there. Its messages are read from now on: on a busy machine its first ones
    /// come before the reaper has told its number.
    pub fn arrived(&mut self, pid: Pid, pidfd: Arc<OwnedFd>, poller: &Poller) {
        let mut kill = matches!(self.process, Process::Requested { kill_on_arrival: true });
        self.process = Process::Alive { pid, pidfd };
        if let Err(error) = poller.watch(&self.control, Interest::Read, Wake::WorkerControl(self.id)) {
            self.ending = Some(ExitReason::NotStarted(error.to_string()));
            kill = true;
        }
        if kill {
            self.kill();
        }
    }

    /// The process has ended.
    pub fn exited(&mut self, how: WaitStatus) {
        self.process = Process::Ended(how);
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
            Process::Requested { .. } | Process::Ended(_) => None,
        }
    }

    /// Queues a message.
    pub fn send(&self, message: WorkerMessage) {
        self.link.send(message);
    }

    /// Sends TERM to the worker.
    pub fn terminate(&self) {
        if let Process::Alive { pidfd, .. } = &self.process {
            // It may have ended already.
            let _ = pidfd_send_signal(pidfd, PidfdSignal::TERM);
        }
    }

    /// Asks the worker for the Python stacks of all its threads, which go to its standard error.
    /// One that was stopped is continued for that.
    pub fn ask_for_stacks(&self) {
        if let Process::Alive { pidfd, .. } = &self.process {
            // It may have ended already.
            let _ = ask_for_stacks(pidfd);
            let _ = pidfd_send_signal(pidfd, PidfdSignal::CONT);
        }
    }

    /// Sends KILL to the worker, as soon as there is one. What is left of its process group then,
    /// the reaper kills.
    pub fn kill(&mut self) {
        match &mut self.process {
            Process::Requested { kill_on_arrival } => *kill_on_arrival = true,
            Process::Alive { pidfd, .. } => {
                // It may have ended already.
                let _ = pidfd_send_signal(pidfd, PidfdSignal::KILL);
            }
            Process::Ended(_) => {}
        }
    }

    /// The process has ended: lets go of its data plane, and returns why it ended.
    pub fn ended(&mut self, poller: &Poller) -> ExitReason {
        poller.forget(&self.end.bell_from_worker);
        poller.forget(&self.control);
        let told = self.ending.take();
        told.unwrap_or_else(|| match self.process {
            Process::Ended(how) => ExitReason::of_process(how),
            Process::Requested { .. } | Process::Alive { .. } => ExitReason::Unknown,
        })
    }

    /// The process could not be started.
    pub fn never_arrived(&mut self) {
        self.exited(WaitStatus::Unknown);
    }
}
