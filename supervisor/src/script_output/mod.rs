//! What scripts print: standard output and error of the workers, drained into the log.
//!
//! One thread reads all pipes, so that a worker never waits for the log and the event loop never reads a pipe. What a
//! script prints is foreign and without measure; the rules:
//!
//! - A pipe is read as fast as it fills, whatever the log does with it. Memory is bounded for each pipe.
//! - Each line is an event of the log with the field `instance`: standard output as `info`, standard error as `warn`.
//!   A line without its end shows after a short pause, a long one is cut.
//! - Too many lines are left out, equal ones in a row are counted; once a second the log says how many.
//! - A pipe does not outlive its worker: its children may hold it open, so [`Drain::retire`] reads what is there and
//!   closes it.
//!
//! The last of standard error is kept beside the log, for whoever asks why a worker died.

mod limiter;
mod line_splitter;
mod reader;
mod tails;

use crate::ids::WorkerId;
use nix::sys::eventfd::{EfdFlags, EventFd};
use reader::{Command, Pump};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use tails::Tails;
use tracing::dispatcher;

/// Which of a worker's streams a pipe carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Logged as `info`.
    Stdout,
    /// Logged as `warn`; its tail is kept.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The thread that drains pipes. Dropping it logs what is in them and closes them; that does not wait for anybody.
pub struct Drain {
    commands: Sender<Command>,
    bell: Arc<EventFd>,
    tails: Arc<Tails>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When there are no descriptors or no thread to be had.
    pub fn start() -> io::Result<Self> {
        let bell =
            Arc::new(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let tails = Arc::new(Tails::default());
        let (commands, orders) = mpsc::channel();
        let pump = Pump::new(Arc::clone(&bell), orders, Arc::clone(&tails))?;
        // The thread logs where the one that starts it does.
        let log = dispatcher::get_default(Clone::clone);
        let work = move || dispatcher::with_default(&log, || pump.run());
        let thread = thread::Builder::new().name("stdio".into()).spawn(work)?;
        Ok(Self { commands, bell, tails, thread: Some(thread) })
    }

    /// Takes over the reading end of a worker's pipe. `incarnation` is unique among all workers of the process.
    pub fn adopt(&self, instance: String, worker_id: WorkerId, pipe: OwnedFd, stream: Stream) {
        self.tails.open(worker_id);
        self.order(Command::Adopt { instance, worker_id, pipe, stream });
    }

    /// The worker is gone: logs what it left in its pipes and closes them, whoever else may hold them open.
    pub fn retire(&self, worker_id: WorkerId) {
        self.order(Command::Retire(worker_id));
    }

    /// The last lines, 4 KiB at most, that the worker wrote to standard error. It is kept for a while after
    /// [`Drain::retire`]; empty when nothing was written or is known.
    #[must_use]
    pub fn tail(&self, worker_id: WorkerId) -> String {
        self.tails.text(worker_id)
    }

    fn order(&self, command: Command) {
        // The other end is there as long as the thread is. Were it gone, the pipe is closed right here, which a worker
        // survives; and a bell that is full has rung.
        let _ = self.commands.send(command);
        let _ = self.bell.write(1);
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.order(Command::Close);
        if let Some(thread) = self.thread.take() {
            // A panic there was logged by the panic hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
