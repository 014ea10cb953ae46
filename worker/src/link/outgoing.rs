//! Messages to the supervisor. A message is sent at once if that does not block: what a worker has
//! to say before it is killed or exits then arrives, such as the name of a channel whose values are
//! in the ring already. Sending blocks when the supervisor does not read, so the script's side puts
//! what does not fit into a queue, which a thread of its own empties.
//!
//! What decides the life of the worker is never dropped. Errors and warnings are, when the
//! queue is full.

use mm_shared::control::FromWorker;
use mm_shared::control_link::{FromWorkerSender, LinkError};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, process, thread};

/// How many errors and warnings may wait.
const WAITING: usize = 256;

/// The queue towards the supervisor; clones share it.
#[derive(Clone)]
pub struct Outgoing(Arc<Shared>);

struct Shared {
    /// Written to under the lock of `queue`, or while `sending` is set.
    sender: FromWorkerSender,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// The process of the worker: one that a script forks off it has nothing to say.
    process: u32,
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
        let (queue, changed, process) = (Mutex::default(), Condvar::new(), process::id());
        let outgoing = Outgoing(Arc::new(Shared { sender, queue, changed, process }));
        let shared = outgoing.0.clone();
        thread::Builder::new().name("mm-control-out".into()).spawn(move || shared.send_all())?;
        Ok(outgoing)
    }

    /// Sends or queues a message that must arrive.
    pub fn send(&self, message: FromWorker) {
        if self.0.is_forked() {
            return;
        }
        let mut queue = self.0.lock();
        if !self.0.send_at_once(&queue, &message) {
            queue.messages.push_back(message);
            self.0.changed.notify_all();
        }
    }

    /// Sends or queues a message that may be lost; says whether there was room for it.
    pub fn offer(&self, message: FromWorker) -> bool {
        if self.0.is_forked() {
            return false;
        }
        let mut queue = self.0.lock();
        if self.0.send_at_once(&queue, &message) {
            return true;
        }
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

    fn is_forked(&self) -> bool {
        process::id() != self.process
    }

    /// Whether a message was sent, ahead of none that waits. One that is for no supervisor counts
    /// as sent.
    fn send_at_once(&self, queue: &Queue, message: &FromWorker) -> bool {
        // a supervisor that is gone is noticed by the receiving thread
        queue.messages.is_empty() && !queue.sending && self.sender.try_send(message).unwrap_or(true)
    }

    fn send_all(&self) {
        loop {
            let message = self.next();
            // the same
            if let Err(error @ LinkError::TooLong) = self.sender.send(&message) {
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
                if is_optional(&message) {
                    queue.optional = queue.optional.saturating_sub(1);
                }
                return message;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Whether a message is one of those that [`Outgoing::offer`] takes.
fn is_optional(message: &FromWorker) -> bool {
    matches!(message, FromWorker::Error { .. } | FromWorker::Warning(_) | FromWorker::HandlerWarning { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mm_shared::control_link::{FromWorkerReceiver, pair};

    fn outgoing() -> (FromWorkerReceiver, Outgoing) {
        let (receiver, pipe) = pair().expect("descriptors");
        (receiver, Outgoing::start(pipe.into()).expect("a thread"))
    }

    fn receive(receiver: &mut FromWorkerReceiver) -> Option<FromWorker> {
        receiver.try_recv(&mut usize::MAX.clone()).expect("a message or none")
    }

    #[test]
    fn a_message_can_be_read_when_it_was_sent() {
        let (mut receiver, outgoing) = outgoing();
        for number in 0..100 {
            outgoing.send(FromWorker::Channel { number, name: "name".into() });
            let received = receive(&mut receiver);
            assert!(matches!(received, Some(FromWorker::Channel { number: n, .. }) if n == number));
        }
        assert!(outgoing.offer(FromWorker::Warning("text".into())));
        assert!(matches!(receive(&mut receiver), Some(FromWorker::Warning(_))));
    }

    #[test]
    fn messages_that_do_not_fit_arrive_in_their_order() {
        let (mut receiver, outgoing) = outgoing();
        // Some are too long to be sent at once; all together are more than a pipe holds.
        let length = |number: u32| if number.is_multiple_of(3) { 5_000 } else { 1_000 };
        for number in 0..100 {
            outgoing.send(FromWorker::Channel { number, name: "n".repeat(length(number)) });
        }
        let mut received = 0;
        while received < 100 {
            let Some(message) = receive(&mut receiver) else {
                thread::yield_now();
                continue;
            };
            assert!(
                matches!(message, FromWorker::Channel { number, name } if number == received && name.len() == length(number))
            );
            received += 1;
        }
    }
}
