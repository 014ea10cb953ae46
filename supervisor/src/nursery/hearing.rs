//! The supervisor's ear for a nursery: what it answers becomes notices for the loop, and so does its loss.
//!
//! A nursery that was stopped, or is stuck in the kernel, answers no more, and nobody else would notice: workers that
//! end stay as they are, new ones do not come. So one that owes an answer and says nothing for [`PATIENCE`] is killed,
//! which is a loss like any other. The time is counted in short looks, so that it does not run while this process, or
//! the whole machine, stands still.

use super::client::Spawned;
use super::protocol::{Answer, How, Received, Wire};
use super::sweep;
use super::wards::Wards;
use crate::instances::watchdog::is_traced;
use crate::notices::{News, Notice, Post};
use nix::unistd::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a nursery may owe an answer. Long: all workers go with it, and a machine can be very busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one that is to end may take for it. It limits itself to a second.
const LAST_PATIENCE: Duration = Duration::from_millis(1500);

/// How often a nursery that owes an answer is looked at, in milliseconds.
const LOOK: u16 = 250;

/// Hears what a nursery answers.
pub struct Hearing {
    /// The socket.
    pub wire: Arc<Wire<OwnedFd>>,
    /// Whom it answers for.
    pub wards: Wards,
    /// How the loop is told.
    pub post: Post,
}

impl Hearing {
    /// Hears answers until the nursery ends, and then settles what it leaves.
    pub fn serve(self, mut child: Child, keep: &[i32]) {
        let fault = self.hear(child.id().cast_signed()).err();
        if fault.is_some() {
            let _ = child.kill();
        }
        let status = child.wait();
        let lost = self.wards.close();
        if lost.is_empty() && fault.is_none() && status.as_ref().is_ok_and(|status| status.success()) {
            return;
        }
        let how = match (fault, status) {
            (Some(fault), _) => fault.to_string(),
            (None, Ok(status)) => status.to_string(),
            (None, Err(error)) => error.to_string(),
        };
        tracing::error!("the nursery was lost, the parent of all workers, and they with it: {how}");
        // whatever it was the parent of is now a child of this process
        sweep::clear(keep);
        for (incarnation, arrived) in lost {
            let news = if arrived {
                News::Exited(How::Lost)
            } else {
                News::Spawned(Err(io::Error::other("the nursery was lost")))
            };
            self.post.leave(Notice::Worker { incarnation, news });
        }
    }

    fn hear(&self, nursery: i32) -> io::Result<()> {
        let mut silent = Duration::ZERO;
        loop {
            let (waiting, start) = (self.wards.are_waiting(), Instant::now());
            if self.wards.wait(LOOK)? {
                silent = Duration::ZERO;
                let Some(answer) = self.wire.receive()? else { return Ok(()) };
                self.take(answer);
            } else if waiting && !is_traced(nursery) {
                silent += start.elapsed().min(Duration::from_millis(LOOK.into()));
            } else {
                silent = Duration::ZERO;
            }
            let patience = if self.wards.are_closed() { LAST_PATIENCE } else { PATIENCE };
            if silent >= patience {
                return Err(io::Error::other(format!("it has not answered for {patience:?}")));
            }
        }
    }

    fn take(&self, Received { message, descriptors }: Received<Answer>) {
        let (incarnation, news) = match message {
            Answer::Spawned { incarnation, pid } => {
                (incarnation, News::Spawned(self.arrived(incarnation, pid, descriptors)))
            }
            Answer::Failed { incarnation, error } => {
                self.wards.dismiss(incarnation);
                (incarnation, News::Spawned(Err(io::Error::other(error))))
            }
            Answer::Exited { incarnation, how } => {
                if !self.wards.dismiss(incarnation) {
                    return;
                }
                (incarnation, News::Exited(how))
            }
        };
        self.post.leave(Notice::Worker { incarnation, news });
    }

    /// A worker whose descriptors do not arrive finds its control channel abandoned, and ends by itself.
    fn arrived(&self, incarnation: u64, pid: i32, descriptors: Vec<OwnedFd>) -> io::Result<Spawned> {
        let Ok([pidfd, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
            self.wards.dismiss(incarnation);
            return Err(io::Error::from(nix::errno::Errno::EMFILE));
        };
        let pidfd = self.wards.arrived(incarnation, pidfd);
        Ok(Spawned { pid: Pid::from_raw(pid), pidfd, stdout, stderr })
    }
}
