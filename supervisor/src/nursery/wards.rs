//! The incarnations that a nursery answers for, and what it still owes an answer about.

use mm_shared::Doorbell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by the thread for orders and the one that hears answers. Closed once the nursery was lost or is to end.
#[derive(Clone)]
pub struct Wards {
    wards: Arc<Mutex<Option<HashMap<u64, Ward>>>>,
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

impl Wards {
    /// None yet.
    ///
    /// # Errors
    ///
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let wards = Arc::new(Mutex::new(Some(HashMap::new())));
        Ok(Self { wards, bell: Arc::new(Doorbell::new()?) })
    }

    /// Becomes readable when more answers are due than before.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Makes the bell unreadable until it is rung again.
    pub fn clear_bell(&self) {
        self.bell.clear();
    }

    /// Adds one without a process; false: the nursery was lost.
    pub fn admit(&self, incarnation: u64) -> bool {
        let admitted = self.with(|wards| wards.insert(incarnation, Ward::Ordered)).is_some();
        self.bell.ring();
        admitted
    }

    /// One has a process. Gives back its descriptor, to be shared.
    pub fn arrived(&self, incarnation: u64, pidfd: OwnedFd) -> Arc<OwnedFd> {
        let pidfd = Arc::new(pidfd);
        self.with(|wards| wards.insert(incarnation, Ward::Alive(Arc::clone(&pidfd))));
        pidfd
    }

    /// The process of one has ended.
    pub fn ended(&self, incarnation: u64) {
        self.with(|wards| wards.get_mut(&incarnation).map(|ward| *ward = Ward::Ended));
    }

    /// Removes one; false: it was not there.
    pub fn dismiss(&self, incarnation: u64) -> bool {
        self.with(|wards| wards.remove(&incarnation)).flatten().is_some()
    }

    /// The nursery was lost, or is to end: those that it answered for, and whether they have a process.
    pub fn close(&self) -> HashMap<u64, bool> {
        let wards = self.wards.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        self.bell.ring();
        let arrived = |ward: &Ward| !matches!(ward, Ward::Ordered);
        wards.into_iter().map(|(incarnation, ward)| (incarnation, arrived(&ward))).collect()
    }

    /// Whether the nursery has been told to end, or was lost.
    pub fn are_closed(&self) -> bool {
        self.with(|_| ()).is_none()
    }

    /// Whether the nursery owes an answer. A nursery that is to end owes its end.
    pub fn are_waiting(&self) -> bool {
        let is_due = |ward: &Ward| matches!(ward, Ward::Ordered | Ward::Ended);
        self.with(|wards| wards.values().any(is_due)).unwrap_or(true)
    }

    /// The processes that run, as far as is known.
    pub fn processes(&self) -> Vec<(u64, Arc<OwnedFd>)> {
        let process = |(incarnation, ward): (&u64, &Ward)| match ward {
            Ward::Alive(pidfd) => Some((*incarnation, Arc::clone(pidfd))),
            Ward::Ordered | Ward::Ended => None,
        };
        self.with(|wards| wards.iter().filter_map(process).collect()).unwrap_or_default()
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u64, Ward>) -> T) -> Option<T> {
        self.wards.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor() -> OwnedFd {
        Doorbell::new().expect("a descriptor").into()
    }

    #[test]
    fn an_answer_is_due_after_an_order_and_after_an_end() {
        let wards = Wards::new().expect("a descriptor");
        assert!(!wards.are_waiting());
        assert!(wards.admit(1) && wards.are_waiting());
        wards.arrived(1, descriptor());
        assert!(!wards.are_waiting());
        wards.ended(1);
        assert!(wards.are_waiting() && wards.processes().is_empty());
        assert!(wards.dismiss(1) && !wards.are_waiting());
    }

    #[test]
    fn who_is_lost_is_told_once() {
        let wards = Wards::new().expect("a descriptor");
        wards.admit(1);
        wards.admit(2);
        wards.arrived(2, descriptor());
        assert_eq!(wards.close(), HashMap::from([(1, false), (2, true)]));
        assert!(wards.are_closed() && wards.are_waiting() && !wards.admit(3));
        assert!(!wards.dismiss(1) && wards.close().is_empty());
    }
}
