//! What the supervisor's threads send to the event loop: one enum, the whole list.

use crate::control::request::LoopRequest;
use crate::ids::WorkerId;
use crate::reaper::{ReaperEvent, Spawned, WaitStatus};
use crate::show_reload::LoadedShow;
use crate::worker_binary::WorkerBinaryError;
use mm_shared::control::FromWorker;
use std::io;
use std::path::PathBuf;

/// A message to the event loop.
#[derive(Debug)]
pub enum LoopMessage {
    /// Something happened to a worker.
    Worker {
        /// Which worker.
        worker_id: WorkerId,
        /// What happened.
        event: WorkerEvent,
    },
    /// The show file was read again: what can take the place of the running show, or why nothing does.
    ShowRead(Result<Box<LoadedShow>, String>),
    /// A client of the control socket asks for something.
    Control(LoopRequest),
    /// The script of the instance of this name has changed on disk.
    ScriptChanged(String),
    /// The worker's program was looked for.
    WorkerProgram(Result<PathBuf, WorkerBinaryError>),
}

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
