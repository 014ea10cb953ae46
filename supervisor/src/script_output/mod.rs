//! What scripts print: standard output and error of the workers, written to the log.
//!
//! One thread reads all pipes, so that a worker never waits for the log and the event loop never
//! reads a pipe. A script may print anything, without limit. The rules:
//!
//! - A pipe is read as fast as it fills, even where the log drops it. Memory is bounded for each
//!   pipe.
//! - Each line is an event of the log with the field `instance`: standard output as `info`,
//!   standard error as `warn`, unless the line begins with a level of its own. A line without its
//!   end is shown after a short pause, a long one is cut.
//! - A stream has a budget for a burst and a smaller one for the long run, see [`budget`]. Lines
//!   and blocks of lines that repeat are counted, see [`repeats`]. The log has the number of what
//!   it does not show.
//! - A pipe does not outlive its worker: its children may hold it open, so [`ScriptOutput::remove`]
//!   reads what is there and closes it.
//!
//! The last lines of standard error are also kept in memory, for the reason of an exit.

mod budget;
mod level;
mod limiter;
mod line_splitter;
mod reader;
mod repeats;
mod tails;

use crate::ids::WorkerId;
use mm_shared::Doorbell;
use reader::{Command, OutputReader};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use tails::Tails;
use tracing::dispatcher;

/// Which of a worker's streams a pipe carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Logged as `info`, where a line has no level of its own.
    Stdout,
    /// Logged as `warn`, in the same way; its tail is kept.
    Stderr,
}

impl OutputStream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The thread that reads the pipes. Dropping it logs what is in them and closes them, without
/// waiting for a writer.
pub struct ScriptOutput {
    commands: Sender<Command>,
    doorbell: Doorbell,
    tails: Arc<Tails>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptOutput {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system refuses a descriptor or the thread.
    pub fn start() -> io::Result<Self> {
        let doorbell = Doorbell::new()?;
        let tails = Arc::new(Tails::default());
        let (commands, receiver) = mpsc::channel();
        let reader = OutputReader::new(&doorbell, receiver, Arc::clone(&tails))?;
        // The thread logs where the calling one does.
        let log = dispatcher::get_default(Clone::clone);
        let work = move || dispatcher::with_default(&log, || reader.run());
        let thread = thread::Builder::new().name("output".into()).spawn(work)?;
        Ok(Self { commands, doorbell, tails, thread: Some(thread) })
    }

    /// Takes over the reading end of a worker's pipe.
    pub fn add(&self, instance: String, worker_id: WorkerId, pipe: OwnedFd, stream: OutputStream) {
        self.tails.open(worker_id);
        self.send(Command::Add { instance, worker_id, pipe, stream });
    }

    /// The worker is gone: logs what it left in its pipes and closes them, even if another process
    /// holds them open.
    pub fn remove(&self, worker_id: WorkerId) {
        self.send(Command::Remove(worker_id));
    }

    /// The last lines, 4 KiB at most, that the worker wrote to standard error. They are kept for
    /// the last 512 workers after [`ScriptOutput::remove`]; empty when nothing was written or is
    /// known.
    #[must_use]
    pub fn tail(&self, worker_id: WorkerId) -> String {
        self.tails.text(worker_id)
    }

    fn send(&self, command: Command) {
        // Where the thread has ended, the pipe is closed here, which a worker survives.
        let _ = self.commands.send(command);
        self.doorbell.ring();
    }
}

impl Drop for ScriptOutput {
    fn drop(&mut self) {
        self.send(Command::Close);
        if let Some(thread) = self.thread.take() {
            // A panic there was logged by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
