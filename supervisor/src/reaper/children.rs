//! The workers in the reaper: starting them, and taking their status when they have ended.

use super::process::Source;
use super::protocol::{SpawnCommand, WaitStatus};
use crate::ids::WorkerId;
use mm_shared::WorkerFds;
use mm_shared::sys::children::children;
use mm_shared::sys::poller::{Interest, Poller};
use nix::sys::signal::{Signal, killpg};
use rustix::process::{
    Pid, PidfdFlags, Signal as PidfdSignal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid,
};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

/// The living workers.
#[derive(Debug, Default)]
pub struct Children {
    workers: HashMap<WorkerId, Worker>,
}

#[derive(Debug)]
struct Worker {
    pid: Pid,
    pidfd: OwnedFd,
}

/// A worker that was started.
#[derive(Debug)]
pub struct Started {
    /// The number of its process.
    pub pid: i32,
    /// Becomes readable when it ends.
    pub pidfd: OwnedFd,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

impl Children {
    /// Starts a worker, whose end `poller` will report.
    ///
    /// # Errors
    ///
    /// The system has no descriptor or process left, or the program cannot be run. Nothing is left
    /// of it then.
    pub fn start(
        &mut self,
        command: SpawnCommand,
        descriptors: Vec<OwnedFd>,
        poller: &Poller<Source>,
    ) -> io::Result<Started> {
        let worker_id = command.worker_id;
        let place = format!("`{}` in `{}`", command.program.display(), command.directory.display());
        let mut child = spawn(command, descriptors).map_err(|error| match error.kind() {
            // Of the program, or of the directory: the system does not say which.
            ErrorKind::NotFound | ErrorKind::PermissionDenied => {
                io::Error::new(error.kind(), format!("{place}: {error}"))
            }
            _ => error,
        })?;
        let watched =
            Pid::from_raw(child.id().cast_signed()).ok_or(rustix::io::Errno::SRCH).map_err(io::Error::from);
        let watched = watched.and_then(|pid| {
            let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
            poller.watch(&pidfd, Interest::Read, Source::Worker(worker_id))?;
            Ok((pid, pidfd.try_clone()?, pidfd))
        });
        match (watched, child.stdout.take(), child.stderr.take()) {
            (Ok((pid, copy, pidfd)), Some(stdout), Some(stderr)) => {
                self.workers.insert(worker_id, Worker { pid, pidfd });
                let (stdout, stderr) = (stdout.into(), stderr.into());
                Ok(Started { pid: pid.as_raw_nonzero().get(), pidfd: copy, stdout, stderr })
            }
            (watched, ..) => {
                // Without the pidfd its end would not be noticed.
                let _ = child.kill();
                let _ = child.wait();
                Err(watched.err().unwrap_or_else(|| io::Error::other("no pipes")))
            }
        }
    }

    /// Ends a worker at once.
    pub fn kill(&self, worker_id: WorkerId) {
        if let Some(worker) = self.workers.get(&worker_id) {
            // It may have ended already.
            let _ = pidfd_send_signal(&worker.pidfd, PidfdSignal::KILL);
        }
    }

    /// Ends all workers at once.
    pub fn kill_all(&self) {
        self.workers.keys().for_each(|worker_id| self.kill(*worker_id));
    }

    /// A worker has ended: takes its status. What it leaves is for
    /// [`OrphanKiller`](super::orphans::OrphanKiller); where the system does not list orphans, what
    /// is left of its group is killed here.
    pub fn reap(&mut self, worker_id: WorkerId, poller: &Poller<Source>) -> Option<WaitStatus> {
        let Worker { pid, pidfd } = self.workers.remove(&worker_id)?;
        // The supervisor has the same pidfd, so closing this one does not end the watch.
        poller.forget(&pidfd);
        if children().is_err() {
            // As long as it is not reaped, its number cannot be that of another group.
            let _ = killpg(nix::unistd::Pid::from_raw(pid.as_raw_nonzero().get()), Signal::SIGKILL);
        }
        let status = waitpid(Some(pid), WaitOptions::NOHANG);
        Some(status.ok().flatten().map_or(WaitStatus::Unknown, |(_, status)| wait_status(status)))
    }

    /// The numbers of their processes.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        self.workers.values().map(|worker| worker.pid.as_raw_nonzero().get()).collect()
    }
}

fn wait_status(status: rustix::process::WaitStatus) -> WaitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => WaitStatus::Code(code),
        (None, Some(signal)) => WaitStatus::Signal(signal),
        (None, None) => WaitStatus::Unknown,
    }
}

fn spawn(command: SpawnCommand, descriptors: Vec<OwnedFd>) -> io::Result<Child> {
    // If this process has no room for all of them, only some arrive.
    let descriptors = descriptors.try_into().map_err(|_| io::Error::from(nix::errno::Errno::EMFILE))?;
    let descriptors = WorkerFds::from_array(descriptors);
    let mut process = Command::new(command.program);
    process
        .args(command.arguments)
        .arg("--parent")
        .arg(std::process::id().to_string())
        .arg("--fds")
        .arg(descriptors.raw().to_string())
        .current_dir(command.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    descriptors.pass_to(&mut process);
    process.spawn()
}
