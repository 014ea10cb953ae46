//! What can happen to a worker, as its instance is told.

use crate::reaper::{ReaperEvent, Spawned, WaitStatus};
use mm_shared::control::FromWorker;
use std::io;

/// What can happen to a worker.
#[derive(Debug)]
pub enum WorkerEvent {
    /// Its process was started, or could not be.
    Spawned(io::Result<Spawned>),
    /// Its process has ended, and what was left of its group was killed.
    Exited(WaitStatus),
    /// It has sent a message.
    Message(FromWorker),
    /// Its control channel has ended; the text is what was wrong, unless the worker just closed it.
    ChannelClosed(Option<String>),
}

impl From<ReaperEvent> for WorkerEvent {
    fn from(event: ReaperEvent) -> Self {
        match event {
            ReaperEvent::Spawned(outcome) => Self::Spawned(outcome),
            ReaperEvent::Exited(status) => Self::Exited(status),
        }
    }
}
