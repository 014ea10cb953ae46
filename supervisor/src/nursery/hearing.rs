//! The supervisor's ear for a nursery: what it answers becomes notices for the loop, and so does its loss.

use super::client::Spawned;
use super::protocol::{Answer, How, Received, Wire};
use super::sweep;
use crate::notices::{News, Notice, Post};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

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
        let fault = self.hear().err();
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

    fn hear(&self) -> io::Result<()> {
        while let Some(Received { message, descriptors }) = self.wire.receive()? {
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
                        continue;
                    }
                    (incarnation, News::Exited(how))
                }
            };
            self.post.leave(Notice::Worker { incarnation, news });
        }
        Ok(())
    }

    /// A worker whose descriptors do not arrive finds its control channel abandoned, and ends by itself.
    fn arrived(&self, incarnation: u64, pid: i32, descriptors: Vec<OwnedFd>) -> io::Result<Spawned> {
        let Ok([pidfd, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
            self.wards.dismiss(incarnation);
            return Err(io::Error::from(nix::errno::Errno::EMFILE));
        };
        self.wards.arrived(incarnation);
        Ok(Spawned { pid: Pid::from_raw(pid), pidfd, stdout, stderr })
    }
}

/// The incarnations that a nursery answers for, and whether they have a process; nothing after it was lost.
#[derive(Clone)]
pub struct Wards(Arc<Mutex<Option<HashMap<u64, bool>>>>);

impl Default for Wards {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(HashMap::new()))))
    }
}

impl Wards {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u64, bool>) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }

    /// Adds one without a process; false: the nursery was lost.
    pub fn admit(&self, incarnation: u64) -> bool {
        self.with(|wards| wards.insert(incarnation, false)).is_some()
    }

    fn arrived(&self, incarnation: u64) {
        self.with(|wards| wards.insert(incarnation, true));
    }

    /// Removes one; false: it was not there.
    pub fn dismiss(&self, incarnation: u64) -> bool {
        self.with(|wards| wards.remove(&incarnation)).flatten().is_some()
    }

    /// The nursery was lost: those that it answered for.
    pub fn close(&self) -> HashMap<u64, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}
