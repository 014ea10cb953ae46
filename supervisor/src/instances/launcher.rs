//! What it takes to start workers, the same for all instances of a show.
//!
//! The worker's program is looked up when the first worker is started, since a show may get its
//! first Python instance while it runs. If the program cannot be used, the workers that wait for it
//! are not started, and the next one looks again.

use super::launcher_thread::{self, LauncherCommand, LauncherReport};
use super::link::ControlLink;
use crate::ids::WorkerId;
use crate::reaper::{ReaperClient, SpawnRequest};
use crate::worker_binary::WorkerBinaryError;
use mm_shared::{RingSizes, WorkerFds};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::Sender;

/// What it takes to start a worker.
pub struct WorkerLauncher {
    /// Starts the processes.
    pub reaper: ReaperClient,
    /// Sizes of the rings.
    pub ring_sizes: RingSizes,
    program: Program,
    runtime_dir: PathBuf,
    commands: Sender<LauncherCommand>,
}

/// The `mm-worker` to run.
enum Program {
    Unknown,
    /// The thread looks for it: the workers that wait for that.
    Sought(Vec<SpawnRequest>),
    Found(PathBuf),
}

impl WorkerLauncher {
    /// Starts the thread. `program` is the worker's program if it is known already; workers listen
    /// in `runtime_dir`. `report` is called by the thread.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or a descriptor.
    pub fn start(
        program: Option<PathBuf>,
        runtime_dir: PathBuf,
        report: impl Fn(LauncherReport) + Send + 'static,
    ) -> io::Result<Self> {
        let commands = launcher_thread::start(runtime_dir.clone(), report)?;
        let helper = commands.clone();
        let reaper = ReaperClient::new(move |job| {
            // The thread lives as long as this.
            let _ = helper.send(LauncherCommand::Reaper(job));
        })?;
        Ok(Self {
            reaper,
            commands,
            ring_sizes: RingSizes::default(),
            program: program.map_or(Program::Unknown, Program::Found),
            runtime_dir,
        })
    }

    /// The control channel to a new worker.
    #[must_use]
    pub fn link(&self, worker_id: WorkerId) -> ControlLink {
        ControlLink::new(worker_id, self.commands.clone())
    }

    /// Requests the process of a worker.
    ///
    /// # Errors
    ///
    /// As for [`ReaperClient::spawn`].
    pub fn launch(
        &mut self,
        worker_id: WorkerId,
        descriptors: WorkerFds,
        directory: PathBuf,
        venv: Option<PathBuf>,
    ) -> io::Result<()> {
        let (runtime_dir, ring_sizes) = (self.runtime_dir.clone(), self.ring_sizes);
        let request = SpawnRequest { worker_id, directory, runtime_dir, descriptors, ring_sizes, venv };
        match &mut self.program {
            Program::Found(program) => self.reaper.spawn(program, request)?,
            Program::Sought(waiting) => waiting.push(request),
            Program::Unknown => {
                // The thread lives as long as this.
                let _ = self.commands.send(LauncherCommand::FindProgram);
                self.program = Program::Sought(vec![request]);
            }
        }
        Ok(())
    }

    /// The thread has found the worker's program, or has not. Returns the workers that cannot be
    /// started, and why.
    pub fn program_found(
        &mut self,
        outcome: Result<PathBuf, WorkerBinaryError>,
    ) -> Vec<(WorkerId, io::Error)> {
        let Program::Sought(waiting) = std::mem::replace(&mut self.program, Program::Unknown) else {
            return Vec::new();
        };
        let mut failed = Vec::new();
        match outcome {
            Ok(program) => {
                for request in waiting {
                    let worker_id = request.worker_id;
                    let outcome = self.reaper.spawn(&program, request);
                    failed.extend(outcome.err().map(|error| (worker_id, error)));
                }
                self.program = Program::Found(program);
            }
            Err(error) => {
                let error = |_| io::Error::other(error.to_string());
                failed.extend(waiting.iter().map(|request| (request.worker_id, error(()))));
            }
        }
        failed
    }
}
