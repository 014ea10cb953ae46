//! Messages from the supervisor. The channel has no descriptor to wait for, so a thread receives
//! and rings.
//!
//! When the supervisor closes the channel, it has no more use for this process. The thread then
//! ends it at once, also when Python is stuck in a loop and will never look at its inbox again.

use super::wait_for;
use mm_shared::Doorbell;
use mm_shared::control::ToWorker;
use mm_shared::control_link::{LinkError, ToWorkerListener, ToWorkerReceiver};
use pyo3::Python;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::{io, thread};

/// Exit status when the supervisor is gone.
const ORPHANED: i32 = 1;

/// Messages from the supervisor that the main loop has not read yet.
pub struct Inbox {
    messages: mpsc::Receiver<ToWorker>,
    bell: Arc<Doorbell>,
    leaving: Arc<AtomicBool>,
}

impl Inbox {
    /// Starts the thread that waits for the supervisor to connect, and then receives.
    pub fn start(listener: ToWorkerListener) -> io::Result<Inbox> {
        let (sender, messages) = mpsc::channel();
        let bell = Arc::new(Doorbell::new()?);
        let leaving = Arc::new(AtomicBool::new(false));
        let inbox = Inbox { messages, bell: bell.clone(), leaving: leaving.clone() };
        thread::Builder::new().name("mm-control-in".into()).spawn(move || {
            let error = match listener.accept() {
                Ok(receiver) => forward(&receiver, &sender, &bell),
                Err(error) => error,
            };
            if !leaving.load(Ordering::Acquire) {
                abandon(&error);
            }
        })?;
        Ok(inbox)
    }

    /// The next message, if one has come.
    pub fn take(&self) -> Option<ToWorker> {
        self.messages.try_recv().ok()
    }

    /// Waits for the next message, without the interpreter lock.
    pub fn wait(&self, py: Python<'_>) -> ToWorker {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            let bell = &self.bell;
            py.detach(|| wait_for(bell));
            self.bell.clear();
        }
    }

    /// From now on the end of the channel does not end the process, which is about to exit in good
    /// order.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}

impl AsFd for Inbox {
    /// Readable (to be watched by edge) when messages have come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Forwards messages until there are no more; returns why.
fn forward(receiver: &ToWorkerReceiver, messages: &mpsc::Sender<ToWorker>, bell: &Doorbell) -> LinkError {
    loop {
        match receiver.recv() {
            Ok(message) => {
                // If the main loop takes it no more, the process is about to exit.
                let _ = messages.send(message);
                bell.ring();
            }
            Err(error) => return error,
        }
    }
}

fn abandon(error: &LinkError) -> ! {
    // A supervisor that closes the channel does so on purpose; any other end needs an explanation.
    if !matches!(error, LinkError::Closed) {
        eprintln!("mm-worker: {error}");
    }
    signal_hook::low_level::exit(ORPHANED)
}
