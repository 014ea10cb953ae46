//! How the supervisor's threads tell the loop something: a bounded queue and a doorbell.
//!
//! A thread that is faster than the loop waits; the loop itself never waits for a thread.

use crate::control::ask::Asked;
use crate::nursery::{How, Spawned};
use crate::reread::Successor;
use mm_shared::Doorbell;
use mm_shared::control::FromWorker;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Notices that may wait for the loop.
const CAPACITY: usize = 1024;

/// What a thread has to say.
#[derive(Debug)]
pub enum Notice {
    /// There is news of a worker.
    Worker {
        /// Which one.
        incarnation: u64,
        /// What.
        news: News,
    },
    /// The show file was read again: what can take the place of the running show, or why nothing does.
    Reread(Result<Box<Successor>, String>),
    /// A client asks for something.
    Asked(Asked),
    /// The script of the instance of this name has changed on disk.
    Changed(String),
}

/// What threads have to say about a worker.
#[derive(Debug)]
pub enum News {
    /// Its process was started, or could not be.
    Spawned(io::Result<Spawned>),
    /// Its process has ended, and what was left of its group was killed.
    Exited(How),
    /// It has said something.
    Said(FromWorker),
    /// Its control channel has ended; nothing more comes from there. The text says what was wrong, unless the
    /// worker just closed it.
    Closed(Option<String>),
}

/// The loop's end.
pub struct Notices {
    receiver: Receiver<Notice>,
    bell: Arc<Doorbell>,
}

/// A thread's end.
#[derive(Clone)]
pub struct Post {
    sender: SyncSender<Notice>,
    bell: Arc<Doorbell>,
}

/// Makes both ends.
///
/// # Errors
///
/// The process has no descriptor left.
pub fn notices() -> io::Result<(Post, Notices)> {
    let (sender, receiver) = sync_channel(CAPACITY);
    let bell = Arc::new(Doorbell::new()?);
    Ok((Post { sender, bell: Arc::clone(&bell) }, Notices { receiver, bell }))
}

impl Post {
    /// Leaves a notice; waits while the queue is full. Says whether the loop still listens.
    pub fn leave(&self, notice: Notice) -> bool {
        let listened_to = self.sender.send(notice).is_ok();
        self.bell.ring();
        listened_to
    }
}

impl Notices {
    /// The descriptor that tells of notices, to be watched edge-triggered.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// The next notice, if there is one.
    pub fn next(&self) -> Option<Notice> {
        self.receiver.try_recv().ok()
    }

    /// Makes sure that the loop comes back for what it has left here.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// The next notice; waits for it until `timeout` is over. For use without a loop.
    pub fn wait(&self, timeout: std::time::Duration) -> Option<Notice> {
        self.receiver.recv_timeout(timeout).ok()
    }
}
