//! What the loop lends to an instance while that handles an event.

use super::data_plane::hot::HotInstances;
use super::launcher::WorkerLauncher;
use super::memory_watch::MemoryWatch;
use super::spare::Spare;
use super::start_queue::StartQueue;
use super::worker::Worker;
use crate::ids::{InstanceId, WorkerId};
use crate::poller::Poller;
use crate::router::Router;
use crate::script_output::ScriptOutput;
use crate::script_watch::ScriptWatch;
use crate::timers::Timers;
use std::collections::HashMap;
use std::time::Instant;

/// What all instances share.
#[derive(Debug, Default)]
pub struct Registry {
    /// Which instance a worker belongs to, from its start until its process is reaped.
    owners: HashMap<WorkerId, InstanceId>,
    last: u64,
    /// Instances whose workers do not ring.
    pub hot: HotInstances,
    /// Whose turn it is to have a worker started.
    pub starts: StartQueue,
    /// When each instance has something to do, whatever happens until then.
    pub timers: Timers<InstanceId>,
}

impl Registry {
    /// The instance of a worker.
    #[must_use]
    pub fn owner(&self, worker_id: WorkerId) -> Option<InstanceId> {
        self.owners.get(&worker_id).copied()
    }

    fn next_id(&mut self) -> WorkerId {
        self.last += 1;
        WorkerId(self.last)
    }

    /// When an instance has something to do, or has its turn to be started.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [self.timers.next(), self.starts.deadline()].into_iter().flatten().min()
    }

    /// A worker has ended.
    pub fn forget(&mut self, worker_id: WorkerId) {
        self.starts.finished(worker_id);
        self.owners.remove(&worker_id);
    }
}

/// What the loop lends to an instance.
pub struct LoopContext<'a> {
    /// What it takes to start a worker.
    pub launcher: &'a mut WorkerLauncher,
    /// Watches descriptors.
    pub poller: &'a Poller,
    /// Takes what workers send.
    pub router: &'a mut Router,
    /// Takes what workers print.
    pub script_output: &'a ScriptOutput,
    /// What all instances share.
    pub registry: &'a mut Registry,
    /// A worker for the first instance that needs one.
    pub spare: &'a mut Spare,
    /// Reports scripts that have changed.
    pub script_watch: &'a mut ScriptWatch,
    /// Reports workers that use too much memory.
    pub memory_watch: &'a mut MemoryWatch,
    /// Whether the loop is pinned to its CPU; workers whose work is short are to sleep there too.
    pub is_pinned: bool,
    /// The time.
    pub now: Instant,
}

impl LoopContext<'_> {
    /// An id for a new worker of `owner`, never used before.
    pub fn next_worker_id(&mut self, owner: InstanceId) -> WorkerId {
        let id = self.registry.next_id();
        self.registry.owners.insert(id, owner);
        id
    }

    /// The spare worker, if there is one, as one of `owner`.
    pub fn take_spare(&mut self, owner: InstanceId, name: &str) -> Option<Worker> {
        let worker = self.spare.take(name, self.script_output, self.now)?;
        self.registry.owners.insert(worker.id, owner);
        Some(worker)
    }

    /// Starts a spare if it is time to.
    pub fn tick_spare(&mut self) {
        let registry = &mut *self.registry;
        self.spare.tick(|| registry.next_id(), self.launcher, self.now);
    }

    /// A random number from 0.0 to 1.0.
    #[must_use]
    pub fn jitter(&self) -> f64 {
        fastrand::f64()
    }
}
