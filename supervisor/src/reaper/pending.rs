//! The workers that a reaper answers for, and what it still owes an answer about.

use crate::ids::WorkerId;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The workers of one reaper, from the request to start them until their exit is reported.
#[derive(Debug, Default)]
pub struct PendingWorkers(HashMap<WorkerId, Stage>);

/// How far a worker is.
#[derive(Debug)]
enum Stage {
    /// Requested: the reaper owes whether there is a process.
    Requested,
    /// There is a process. The descriptor becomes readable when it ends.
    Alive(Arc<OwnedFd>),
    /// The process has ended: the reaper owes how.
    Ended,
}

impl PendingWorkers {
    /// A worker was requested.
    pub fn requested(&mut self, worker_id: WorkerId) {
        self.0.insert(worker_id, Stage::Requested);
    }

    /// A worker has a process.
    pub fn spawned(&mut self, worker_id: WorkerId, pidfd: Arc<OwnedFd>) {
        self.0.insert(worker_id, Stage::Alive(pidfd));
    }

    /// The process of a worker has ended. Returns its descriptor, if it was alive.
    pub fn ended(&mut self, worker_id: WorkerId) -> Option<Arc<OwnedFd>> {
        match self.0.get_mut(&worker_id).map(|stage| std::mem::replace(stage, Stage::Ended)) {
            Some(Stage::Alive(pidfd)) => Some(pidfd),
            _ => None,
        }
    }

    /// Removes a worker; false: it was not there.
    pub fn remove(&mut self, worker_id: WorkerId) -> bool {
        self.0.remove(&worker_id).is_some()
    }

    /// Whether the reaper owes an answer.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.0.values().any(|stage| !matches!(stage, Stage::Alive(_)))
    }

    /// How many workers are requested and not started yet.
    #[must_use]
    pub fn starting(&self) -> usize {
        self.0.values().filter(|stage| matches!(stage, Stage::Requested)).count()
    }

    /// The workers of a reaper that was lost, and whether each had a process.
    #[must_use]
    pub fn lost(self) -> Vec<(WorkerId, bool)> {
        let mut lost: Vec<_> =
            self.0.into_iter().map(|(id, stage)| (id, !matches!(stage, Stage::Requested))).collect();
        lost.sort_unstable();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mm_shared::Doorbell;

    fn descriptor() -> Arc<OwnedFd> {
        Arc::new(Doorbell::new().expect("a descriptor").into())
    }

    #[test]
    fn an_answer_is_due_after_an_order_and_after_an_end() {
        let mut pending = PendingWorkers::default();
        assert!(!pending.is_owed());
        pending.requested(WorkerId(1));
        assert!(pending.is_owed() && pending.starting() == 1);
        pending.spawned(WorkerId(1), descriptor());
        assert!(!pending.is_owed() && pending.starting() == 0);
        assert!(pending.ended(WorkerId(1)).is_some());
        assert!(pending.is_owed());
        assert!(pending.remove(WorkerId(1)) && !pending.is_owed());
    }

    #[test]
    fn who_is_lost_is_told_once() {
        let mut pending = PendingWorkers::default();
        pending.requested(WorkerId(1));
        pending.requested(WorkerId(2));
        pending.spawned(WorkerId(2), descriptor());
        assert!(!pending.remove(WorkerId(3)));
        assert_eq!(pending.lost(), [(WorkerId(1), false), (WorkerId(2), true)]);
    }
}
