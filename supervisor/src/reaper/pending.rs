//! The incarnations that a reaper answers for, and what it still owes an answer about.

use crate::ids::WorkerId;
use mm_shared::Doorbell;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// What a wait takes in at once.
const BATCH: usize = 32;

/// The key of the socket among the numbers of incarnations, which count from 1.
const ANSWER: u64 = 0;
/// The key of the bell.
const BELL: u64 = u64::MAX;

/// Shared by the thread for orders and the one that hears answers. Closed once the reaper was lost or is to end.
#[derive(Clone)]
pub struct PendingSpawns {
    pending: Arc<Mutex<Option<HashMap<WorkerId, Ward>>>>,
    /// Watches the reaper's socket, the processes and the bell.
    epoll: Arc<Epoll>,
    /// Rung when more answers are due than before.
    bell: Arc<Doorbell>,
}

/// One incarnation.
enum Ward {
    /// An answer is due: whether there is a process now.
    Ordered,
    /// There is a process. The descriptor becomes readable when it ends.
    Alive(Arc<OwnedFd>),
    /// The process has ended, and an answer is due: that it has.
    Ended,
}

impl PendingSpawns {
    /// None yet; answers come over `socket`.
    ///
    /// # Errors
    ///
    /// The process has no descriptor left.
    pub fn new(socket: impl AsFd) -> io::Result<Self> {
        let (epoll, bell) = (Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?, Doorbell::new()?);
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, ANSWER))?;
        epoll.add(&bell, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, BELL))?;
        Ok(Self {
            pending: Arc::new(Mutex::new(Some(HashMap::new()))),
            epoll: Arc::new(epoll),
            bell: Arc::new(bell),
        })
    }

    /// Waits for an answer, for a moment only if one is due; false: there is none yet. Notes who has ended meanwhile.
    ///
    /// # Errors
    ///
    /// The system refuses to wait.
    pub fn wait(&self, moment: u16) -> io::Result<bool> {
        let timeout = if self.are_waiting() { moment.into() } else { EpollTimeout::NONE };
        let mut events = [EpollEvent::empty(); BATCH];
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            outcome => outcome?,
        };
        let mut answered = false;
        for key in events[..count].iter().map(EpollEvent::data) {
            match key {
                ANSWER => answered = true,
                BELL => {}
                worker_id => self.ended(WorkerId(worker_id)),
            }
        }
        Ok(answered)
    }

    /// Adds one without a process; false: the reaper was lost.
    pub fn admit(&self, worker_id: WorkerId) -> bool {
        let admitted = self.with(|pending| pending.insert(worker_id, Ward::Ordered)).is_some();
        self.bell.ring();
        admitted
    }

    /// One has a process. Gives back its descriptor, to be shared.
    pub fn arrived(&self, worker_id: WorkerId, pidfd: OwnedFd) -> Arc<OwnedFd> {
        let pidfd = Arc::new(pidfd);
        let once = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        // without it, its end is still told by the reaper
        let _ = self.epoll.add(&pidfd, EpollEvent::new(once, worker_id.0));
        self.with(|pending| pending.insert(worker_id, Ward::Alive(Arc::clone(&pidfd))));
        pidfd
    }

    /// The process of one has ended.
    fn ended(&self, worker_id: WorkerId) {
        let before =
            self.with(|pending| pending.get_mut(&worker_id).map(|ward| std::mem::replace(ward, Ward::Ended)));
        self.forget(before.flatten());
    }

    /// Removes one; false: it was not there.
    pub fn dismiss(&self, worker_id: WorkerId) -> bool {
        let ward = self.with(|pending| pending.remove(&worker_id)).flatten();
        let was_there = ward.is_some();
        self.forget(ward);
        was_there
    }

    /// The reaper has the same descriptor, so closing this one does not end the watch.
    fn forget(&self, ward: Option<Ward>) {
        if let Some(Ward::Alive(pidfd)) = ward {
            let _ = self.epoll.delete(pidfd);
        }
    }

    /// The reaper was lost, or is to end: those that it answered for, and whether they have a process.
    pub fn close(&self) -> HashMap<WorkerId, bool> {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        self.bell.ring();
        let arrived = |ward: &Ward| !matches!(ward, Ward::Ordered);
        pending.into_iter().map(|(worker_id, ward)| (worker_id, arrived(&ward))).collect()
    }

    /// Whether the reaper has been told to end, or was lost.
    pub fn are_closed(&self) -> bool {
        self.with(|_| ()).is_none()
    }

    /// Whether the reaper owes an answer. A reaper that is to end owes its end.
    pub fn are_waiting(&self) -> bool {
        let is_due = |ward: &Ward| matches!(ward, Ward::Ordered | Ward::Ended);
        self.with(|pending| pending.values().any(is_due)).unwrap_or(true)
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<WorkerId, Ward>) -> T) -> Option<T> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::thread;

    /// Two ends of a socket: what is written to one can be read from the other.
    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("descriptors")
    }

    #[test]
    fn an_answer_is_due_after_an_order_and_after_an_end() {
        let (ours, _reaper) = pair();
        let pending = PendingSpawns::new(ours).expect("descriptors");
        assert!(!pending.are_waiting());
        assert!(pending.admit(WorkerId(1)) && pending.are_waiting());
        let (pidfd, process) = pair();
        pending.arrived(WorkerId(1), pidfd.into());
        assert!(!pending.are_waiting());
        drop(process);
        assert!(!pending.wait(0).expect("it may wait"));
        assert!(pending.are_waiting());
        assert!(pending.dismiss(WorkerId(1)) && !pending.are_waiting());
    }

    #[test]
    fn waiting_ends_with_an_answer_and_with_an_order() {
        let (ours, mut reaper) = pair();
        let pending = PendingSpawns::new(&ours).expect("descriptors");
        let other = pending.clone();
        let order = thread::spawn(move || other.admit(WorkerId(1)));
        while !pending.are_waiting() {
            assert!(!pending.wait(1).expect("it may wait"));
        }
        assert!(order.join().expect("it only orders"));
        reaper.write_all(b"spawned").expect("connected");
        assert!(pending.wait(0).expect("it may wait"));
    }

    #[test]
    fn who_is_lost_is_told_once() {
        let (ours, _reaper) = pair();
        let pending = PendingSpawns::new(ours).expect("descriptors");
        pending.admit(WorkerId(1));
        pending.admit(WorkerId(2));
        pending.arrived(WorkerId(2), pair().0.into());
        assert_eq!(pending.close(), HashMap::from([(WorkerId(1), false), (WorkerId(2), true)]));
        assert!(pending.are_closed() && pending.are_waiting() && !pending.admit(WorkerId(3)));
        assert!(!pending.dismiss(WorkerId(1)) && pending.close().is_empty());
    }
}
