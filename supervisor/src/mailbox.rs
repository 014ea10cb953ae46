//! A bounded queue with a doorbell, through which threads send messages to the event loop.
//!
//! A thread that is faster than the loop waits; the loop itself never waits for a thread.

use mm_shared::Doorbell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Messages that may wait for the loop.
const CAPACITY: usize = 1024;

/// The receiving end, which the loop holds.
#[derive(Debug)]
pub struct Mailbox<T> {
    receiver: Receiver<T>,
    bell: Arc<Doorbell>,
}

/// A sending end; each thread has its own.
#[derive(Debug)]
pub struct MailboxSender<T> {
    sender: SyncSender<T>,
    bell: Arc<Doorbell>,
}

// derived, it would ask for `T: Clone`
impl<T> Clone for MailboxSender<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), bell: Arc::clone(&self.bell) }
    }
}

/// Makes both ends.
///
/// # Errors
///
/// The process has no descriptor left.
pub fn mailbox<T>() -> io::Result<(MailboxSender<T>, Mailbox<T>)> {
    let (sender, receiver) = sync_channel(CAPACITY);
    let bell = Arc::new(Doorbell::new()?);
    Ok((MailboxSender { sender, bell: Arc::clone(&bell) }, Mailbox { receiver, bell }))
}

impl<T> MailboxSender<T> {
    /// Sends a message; waits while the queue is full. Returns whether the loop still receives.
    pub fn send(&self, message: T) -> bool {
        let received = self.sender.send(message).is_ok();
        self.bell.ring();
        received
    }
}

impl<T> Mailbox<T> {
    /// The descriptor that becomes readable when a message was sent, to be watched edge-triggered.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// The next message, if there is one.
    pub fn try_receive(&self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    /// Makes the descriptor readable again, for messages that are left for the next turn.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// The next message; waits for it for at most `timeout`. For use without an event loop.
    pub fn receive_within(&self, timeout: Duration) -> Option<T> {
        self.receiver.recv_timeout(timeout).ok()
    }
}
