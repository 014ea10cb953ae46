//! The supervisor's ear for a reaper: what it answers becomes messages to the loop, and so does its loss.
//!
//! A reaper that was stopped, or is stuck in the kernel, answers no more, and nobody else would message: workers that
//! end stay as they are, new ones do not come. So one that owes an answer and says nothing for [`PATIENCE`] is killed,
//! which is a loss like any other. The time is counted in short looks, so that it does not run while this process, or
//! the whole machine, stands still.

use super::client::Spawned;
use super::orphans;
use super::pending::PendingSpawns;
use super::protocol::{FdSocket, Received, Reply, WaitStatus};
use crate::event_loop::message::{LoopMessage, WorkerEvent};
use crate::ids::WorkerId;
use crate::mailbox::MailboxSender;
use mm_shared::sys::process::is_traced;
use nix::unistd::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a reaper may owe an answer. Long: all workers go with it, and a machine can be very busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one that is to end may take for it. It limits itself to a second.
const LAST_PATIENCE: Duration = Duration::from_millis(1500);

/// How often a reaper that owes an answer is looked at, in milliseconds.
const LOOK: u16 = 250;

/// Hears what a reaper answers.
pub struct ReplyReader {
    /// The socket.
    pub socket: Arc<FdSocket<OwnedFd>>,
    /// Whom it answers for.
    pub pending: PendingSpawns,
    /// How the loop is told.
    pub post: MailboxSender<LoopMessage>,
}

impl ReplyReader {
    /// Hears answers until the reaper ends, and then settles what it leaves.
    pub fn serve(self, mut child: Child, keep: &[i32]) {
        let fault = self.hear(child.id().cast_signed()).err();
        if fault.is_some() {
            let _ = child.kill();
        }
        let status = child.wait();
        let lost = self.pending.close();
        if lost.is_empty() && fault.is_none() && status.as_ref().is_ok_and(|status| status.success()) {
            return;
        }
        let how = match (fault, status) {
            (Some(fault), _) => fault.to_string(),
            (None, Ok(status)) => status.to_string(),
            (None, Err(error)) => error.to_string(),
        };
        tracing::error!("the reaper was lost, the parent of all workers, and they with it: {how}");
        // whatever it was the parent of is now a child of this process
        orphans::clear(keep);
        for (worker_id, arrived) in lost {
            let event = if arrived {
                WorkerEvent::Exited(WaitStatus::Lost)
            } else {
                WorkerEvent::Spawned(Err(io::Error::other("the reaper was lost")))
            };
            self.post.send(LoopMessage::Worker { worker_id, event });
        }
    }

    fn hear(&self, reaper: i32) -> io::Result<()> {
        let mut silent = Duration::ZERO;
        loop {
            let (waiting, start) = (self.pending.are_waiting(), Instant::now());
            if self.pending.wait(LOOK)? {
                silent = Duration::ZERO;
                let Some(answer) = self.socket.receive()? else { return Ok(()) };
                self.take(answer);
            } else if waiting && !is_traced(reaper) {
                silent += start.elapsed().min(Duration::from_millis(LOOK.into()));
            } else {
                silent = Duration::ZERO;
            }
            let patience = if self.pending.are_closed() { LAST_PATIENCE } else { PATIENCE };
            if silent >= patience {
                return Err(io::Error::other(format!("it has not answered for {patience:?}")));
            }
        }
    }

    fn take(&self, Received { message, descriptors }: Received<Reply>) {
        let (worker_id, event) = match message {
            Reply::Spawned { worker_id, pid } => {
                (worker_id, WorkerEvent::Spawned(self.arrived(worker_id, pid, descriptors)))
            }
            Reply::Failed { worker_id, error } => {
                self.pending.dismiss(worker_id);
                (worker_id, WorkerEvent::Spawned(Err(io::Error::other(error))))
            }
            Reply::Exited { worker_id, status } => {
                if !self.pending.dismiss(worker_id) {
                    return;
                }
                (worker_id, WorkerEvent::Exited(status))
            }
        };
        self.post.send(LoopMessage::Worker { worker_id, event });
    }

    /// A worker whose descriptors do not arrive finds its control channel abandoned, and ends by itself.
    fn arrived(&self, worker_id: WorkerId, pid: i32, descriptors: Vec<OwnedFd>) -> io::Result<Spawned> {
        let Ok([pidfd, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
            self.pending.dismiss(worker_id);
            return Err(io::Error::from(nix::errno::Errno::EMFILE));
        };
        let pidfd = self.pending.arrived(worker_id, pidfd);
        Ok(Spawned { pid: Pid::from_raw(pid), pidfd, stdout, stderr })
    }
}
