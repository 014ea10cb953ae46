//! What the reaper is asked to start, and what becomes of it.

use super::protocol::{Packet, Request, SpawnCommand, WaitStatus};
use crate::ids::WorkerId;
use mm_shared::{RingSizes, WorkerFds};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A worker to be started.
#[derive(Debug)]
pub struct SpawnRequest {
    /// The worker that it will be.
    pub worker_id: WorkerId,
    /// The working directory.
    pub directory: PathBuf,
    /// The private directory where the worker listens for its supervisor.
    pub runtime_dir: PathBuf,
    /// The descriptors that it inherits besides its standard ones.
    pub descriptors: WorkerFds,
    /// Sizes of the rings behind them.
    pub ring_sizes: RingSizes,
    /// The virtual environment that its interpreter belongs to.
    pub venv: Option<PathBuf>,
}

impl SpawnRequest {
    /// The request as it goes to the reaper, and the descriptors beside it.
    pub(super) fn into_packet(self, program: &Path) -> io::Result<(Packet, WorkerFds)> {
        let mut arguments: Vec<OsString> = vec![
            "--directory".into(),
            self.runtime_dir.into(),
            "--ring-sizes".into(),
            self.ring_sizes.to_string().into(),
        ];
        if let Some(venv) = self.venv {
            arguments.extend(["--venv".into(), venv.into()]);
        }
        let (program, directory) = (program.into(), self.directory.into());
        let command = SpawnCommand { worker_id: self.worker_id, program, directory, arguments };
        Ok((Packet::new(&Request::Spawn(command))?, self.descriptors))
    }
}

/// A process that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its number, which may be another process's once its exit was reported.
    pub pid: Pid,
    /// Takes signals.
    pub pidfd: Arc<OwnedFd>,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

/// What becomes of a worker.
#[derive(Debug)]
pub enum ReaperEvent {
    /// Its process was started, or could not be.
    Spawned(io::Result<Spawned>),
    /// Its process has ended; what it has left is being killed.
    Exited(WaitStatus),
}
