//! Messages to the supervisor. Sending blocks when the supervisor does not read, so a thread of its
//! own does it and the script's side only ever puts a message into a queue.
//!
//! What decides the life of the worker is never dropped. Errors and warnings are, when the
//! queue is full.

use mm_shared::control::FromWorker;
use mm_shared::control_link::{FromWorkerSender, LinkError};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

/// How many errors and warnings may wait.
const WAITING: usize = 256;

/// The queue towards the supervisor; clones share it.
#[derive(Clone)]
pub struct Outgoing(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<FromWorker>,
    /// How many of `messages` could have been dropped.
    optional: usize,
    /// A message is being sent right now.
    sending: bool,
}

impl Outgoing {
    /// Starts the thread that sends.
    pub fn start(sender: FromWorkerSender) -> io::Result<Outgoing> {
        let outgoing = Outgoing(Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new() }));
        let shared = outgoing.0.clone();
        thread::Builder::new().name("mm-control-out".into()).spawn(move || shared.send_all(&sender))?;
        Ok(outgoing)
    }

    /// Queues a message that must arrive.
    pub fn send(&self, message: FromWorker) {
        self.0.lock().messages.push_back(message);
        self.0.changed.notify_all();
    }

    /// Queues a message that may be lost; says whether there was room for it.
    pub fn offer(&self, message: FromWorker) -> bool {
        let mut queue = self.0.lock();
        if queue.optional >= WAITING {
            return false;
        }
        queue.optional += 1;
        queue.messages.push_back(message);
        self.0.changed.notify_all();
        true
    }

    /// Waits until all is sent, at most for `limit`.
    pub fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut queue = self.0.lock();
        while !queue.messages.is_empty() || queue.sending {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.0.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_all(&self, sender: &FromWorkerSender) {
        loop {
            let message = self.next();
            // a supervisor that is gone is noticed by the receiving thread
            if let Err(error @ LinkError::TooLong) = sender.send(&message) {
                eprintln!("mm-worker: {error}");
            }
            self.lock().sending = false;
            self.changed.notify_all();
        }
    }

    fn next(&self) -> FromWorker {
        let mut queue = self.lock();
        loop {
            if let Some(message) = queue.messages.pop_front() {
                queue.sending = true;
                if matches!(message, FromWorker::Error { .. } | FromWorker::Warning(_)) {
                    queue.optional = queue.optional.saturating_sub(1);
                }
                return message;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
