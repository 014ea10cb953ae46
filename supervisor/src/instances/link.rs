//! The supervisor's end of an incarnation's control channel: two threads, since both directions may block.
//!
//! The reader accepts the worker's connection and turns what it says into notices. The writer waits for that
//! connection, then sends what the loop has queued. So the loop never touches the channel, and a worker that does not read,
//! or writes nonsense, holds up nobody but these two threads. They end with the incarnation.

use crate::event_loop::message::{LoopMessage, WorkerEvent};
use crate::ids::WorkerId;
use crate::mailbox::MailboxSender;
use mm_shared::control::ToWorker;
use mm_shared::control_link::{self, LinkError, Listener, Rendezvous, ToWorkerSender};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// The loop's end: messages to the worker.
#[derive(Debug)]
pub struct Link {
    messages: Sender<ToWorker>,
    server: String,
}

impl Link {
    /// Opens the channel's supervisor end. The text is the name that the worker connects to.
    ///
    /// # Errors
    ///
    /// The system refuses a socket or a thread.
    pub fn open(
        rendezvous: &Rendezvous,
        worker_id: WorkerId,
        post: MailboxSender<LoopMessage>,
    ) -> io::Result<(Link, String)> {
        let (listener, server) = rendezvous.listen()?;
        let (messages, queue) = channel();
        let (connected, connection) = channel();
        let reader = thread::Builder::new().name(format!("control-in-{worker_id}"));
        reader.spawn(move || {
            let fault = read(worker_id, listener, &connected, &post).err();
            let event = WorkerEvent::ChannelClosed(fault.map(|error| error.to_string()));
            post.send(LoopMessage::Worker { worker_id, event });
        })?;
        let link = Link { messages, server: server.clone() };
        let writer = thread::Builder::new().name(format!("control-out-{worker_id}"));
        match writer.spawn(move || write(&connection, &queue)) {
            Ok(_) => Ok((link, server)),
            Err(error) => {
                link.process_ended();
                Err(error)
            }
        }
    }

    /// Queues a message. The worker may be gone; then nobody needs it.
    pub fn send(&self, message: ToWorker) {
        let _ = self.messages.send(message);
    }

    /// The process has ended, perhaps before it connected: releases the thread that waits for that.
    pub fn process_ended(&self) {
        control_link::abandon(&self.server);
    }
}

/// Reads until the worker closes its end, which is no error.
fn read(
    worker_id: WorkerId,
    listener: Listener,
    connected: &Sender<ToWorkerSender>,
    post: &MailboxSender<LoopMessage>,
) -> Result<(), LinkError> {
    let (sender, receiver) = match listener.accept() {
        // it ended before it connected, and how is for its process to tell
        Err(LinkError::Closed) => return Ok(()),
        outcome => outcome?,
    };
    // the writer waits for this as long as the loop has a use for it
    let _ = connected.send(sender);
    loop {
        match receiver.recv() {
            Ok(message) => {
                if !post.send(LoopMessage::Worker { worker_id, event: WorkerEvent::Message(message) }) {
                    return Ok(());
                }
            }
            Err(LinkError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn write(connection: &Receiver<ToWorkerSender>, queue: &Receiver<ToWorker>) {
    let Ok(sender) = connection.recv() else { return };
    while let Ok(message) = queue.recv() {
        if sender.send(message).is_err() {
            return;
        }
    }
}
