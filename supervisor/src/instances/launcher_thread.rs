//! The thread that does for workers what the event loop must not, in the order in which the loop
//! asks for it: it runs the worker's program to ask for its version, starts the reaper, and encodes
//! and sends messages to workers. Those go over `ipc-channel`, which works in the file system and makes
//! memory files.
//!
//! It is started before the event loop claims its priority, which neither the reaper nor workers
//! are to inherit.
//!
//! No worker can hold the thread up: a socket whose queue is full is not waited for, a worker is
//! never sent more than fits into its channel unread, and it cannot send descriptors whose end would
//! take long ([`mm_shared::control_link`]). One that cannot be reached is reported, and ended.

use super::worker_message::WorkerMessage;
use crate::ids::WorkerId;
use crate::reaper::Job;
use crate::worker_binary::{self, WorkerBinaryError};
use mm_shared::control_link::{LinkError, ToWorkerConnector, ToWorkerSender};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// What the thread does.
pub enum LauncherCommand {
    /// Start a reaper, or clear away what a lost one left.
    Reaper(Job),
    /// Find the worker's program, and check its version.
    FindProgram,
    /// Work for the control channel to a worker.
    Link(WorkerId, LinkCommand),
}

/// What is done for the control channel to a worker.
#[derive(Debug)]
pub enum LinkCommand {
    /// Connect to the worker, which listens at this address.
    Connect(String),
    /// Send a message, as soon as the worker is connected.
    Send(WorkerMessage),
    /// The worker has ended, or is given up.
    Close,
}

/// What the thread reports to the event loop.
#[derive(Debug)]
pub enum LauncherReport {
    /// The worker's program was looked for.
    WorkerProgram(Result<PathBuf, WorkerBinaryError>),
    /// A worker cannot be sent messages; the text says why.
    LinkFailed(WorkerId, String),
}

/// Starts the thread, which ends when nothing can send a command any more. It makes a socket in
/// `runtime_dir`, and leaves nothing there.
///
/// # Errors
///
/// The system refuses a thread.
pub fn start(
    runtime_dir: PathBuf,
    report: impl Fn(LauncherReport) + Send + 'static,
) -> io::Result<Sender<LauncherCommand>> {
    let (commands, queue) = channel();
    thread::Builder::new().name("launcher".into()).spawn(move || {
        // Early, while there are descriptors. If it fails, the next worker tries again.
        let connector = ToWorkerConnector::new(&runtime_dir).ok();
        let mut links = ControlLinks { links: HashMap::new(), report, runtime_dir, connector };
        while let Ok(command) = queue.recv() {
            match command {
                LauncherCommand::FindProgram => {
                    (links.report)(LauncherReport::WorkerProgram(worker_binary::find()));
                }
                LauncherCommand::Reaper(job) => job(),
                LauncherCommand::Link(worker_id, command) => links.execute(worker_id, command),
            }
        }
    })?;
    Ok(commands)
}

/// The control channels to all workers.
struct ControlLinks<R> {
    links: HashMap<WorkerId, Link>,
    report: R,
    runtime_dir: PathBuf,
    connector: Option<ToWorkerConnector>,
}

enum Link {
    /// Not connected yet: the messages that wait for it.
    Waiting(Vec<WorkerMessage>),
    Connected(ToWorkerSender),
    /// A fault was reported, and the worker's end follows.
    Broken,
}

impl<R: Fn(LauncherReport)> ControlLinks<R> {
    fn execute(&mut self, worker_id: WorkerId, command: LinkCommand) {
        let entry = self.links.entry(worker_id);
        let outcome = match command {
            LinkCommand::Connect(address) => {
                connector(&mut self.connector, &self.runtime_dir).and_then(|connector| {
                    entry.or_insert(Link::Waiting(Vec::new())).connect(connector, &address)
                })
            }
            LinkCommand::Send(message) => entry.or_insert(Link::Waiting(Vec::new())).send(message),
            LinkCommand::Close => {
                if let Entry::Occupied(link) = entry {
                    link.remove();
                }
                Ok(())
            }
        };
        // A worker that has ended is reported by the reaper.
        if let Err(error) = outcome
            && !matches!(error, LinkError::Closed)
        {
            self.links.insert(worker_id, Link::Broken);
            let fault = format!("it cannot be sent messages: {error}");
            (self.report)(LauncherReport::LinkFailed(worker_id, fault));
        }
    }
}

fn connector<'a>(
    made: &'a mut Option<ToWorkerConnector>,
    runtime_dir: &Path,
) -> Result<&'a ToWorkerConnector, LinkError> {
    Ok(match made.take() {
        Some(connector) => made.insert(connector),
        None => made.insert(ToWorkerConnector::new(runtime_dir)?),
    })
}

impl Link {
    fn connect(&mut self, connector: &ToWorkerConnector, address: &str) -> Result<(), LinkError> {
        let Link::Waiting(messages) = self else { return Ok(()) };
        let mut sender = connector.connect(address)?;
        for message in messages.drain(..) {
            sender.send(&message.encode()?)?;
        }
        *self = Link::Connected(sender);
        Ok(())
    }

    fn send(&mut self, message: WorkerMessage) -> Result<(), LinkError> {
        match self {
            Link::Waiting(messages) => messages.push(message),
            Link::Connected(sender) => sender.send(&message.encode()?)?,
            Link::Broken => {}
        }
        Ok(())
    }
}
