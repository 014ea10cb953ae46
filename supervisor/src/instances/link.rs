//! The event loop's end of the control channel to a worker.

use super::launcher_thread::{LauncherCommand, LinkCommand};
use super::worker_message::WorkerMessage;
use crate::ids::WorkerId;
use std::sync::mpsc::Sender;

/// Messages to a worker. Dropping it closes the channel, which ends the worker.
#[derive(Debug)]
pub struct ControlLink {
    worker_id: WorkerId,
    commands: Sender<LauncherCommand>,
}

impl ControlLink {
    /// The channel to a worker that is not connected yet.
    #[must_use]
    pub fn new(worker_id: WorkerId, commands: Sender<LauncherCommand>) -> Self {
        Self { worker_id, commands }
    }

    /// Connects to the worker, which listens at `address`.
    pub fn connect(&self, address: String) {
        self.command(LinkCommand::Connect(address));
    }

    /// Queues a message.
    pub fn send(&self, message: WorkerMessage) {
        self.command(LinkCommand::Send(message));
    }

    fn command(&self, command: LinkCommand) {
        // The thread ends after all links.
        let _ = self.commands.send(LauncherCommand::Link(self.worker_id, command));
    }
}

impl Drop for ControlLink {
    fn drop(&mut self) {
        self.command(LinkCommand::Close);
    }
}
