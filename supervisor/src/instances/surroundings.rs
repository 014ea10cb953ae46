//! What an instance may touch while it handles something: lent to it by the loop, for that long.

use super::incarnation::Incarnation;
use super::script_watch::ScriptWatch;
use super::spare::Spare;
use super::tools::Tools;
use crate::backends::InstanceNo;
use crate::poller::Poller;
use crate::router::Router;
use crate::stdio::Drain;
use std::collections::HashMap;
use std::time::Instant;

/// What all instances share.
#[derive(Debug, Default)]
pub struct Registry {
    /// Which instance an incarnation belongs to, from its start until its process is reaped and its control channel closed.
    owners: HashMap<u64, InstanceNo>,
    last: u64,
    /// Instances whose workers may have sent something.
    pub hot: Vec<InstanceNo>,
}

/// The number of instances that the show no longer has.
const GONE: InstanceNo = InstanceNo(usize::MAX);

impl Registry {
    /// The instance that an incarnation belongs to.
    #[must_use]
    pub fn owner(&self, incarnation: u64) -> Option<InstanceNo> {
        self.owners.get(&incarnation).copied()
    }

    /// The show was read again: instances have other numbers, or none.
    pub fn renumber(&mut self, number: impl Fn(InstanceNo) -> Option<InstanceNo>) {
        self.owners.values_mut().for_each(|no| *no = number(*no).unwrap_or(GONE));
        self.hot = self.hot.drain(..).filter_map(number).collect();
    }

    /// Nothing more can come from an incarnation.
    pub fn forget(&mut self, incarnation: u64) {
        self.owners.remove(&incarnation);
    }
}

/// What an instance may touch.
pub struct Surroundings<'a> {
    /// What it takes to start a worker.
    pub tools: &'a Tools,
    /// Watches descriptors.
    pub poller: &'a Poller,
    /// Takes what workers send.
    pub router: &'a mut Router,
    /// Takes what workers print.
    pub drain: &'a Drain,
    /// What all instances share.
    pub registry: &'a mut Registry,
    /// A worker for whoever needs one first.
    pub spare: &'a mut Spare,
    /// Tells of scripts that have changed.
    pub watch: &'a mut ScriptWatch,
    /// Whether the loop stays on its core, and wants workers that have little to do there.
    pub stays: bool,
    /// The time.
    pub now: Instant,
}

impl Surroundings<'_> {
    /// A number for a new incarnation of `owner`, never used before.
    pub fn next_incarnation(&mut self, owner: InstanceNo) -> u64 {
        self.registry.last += 1;
        self.registry.owners.insert(self.registry.last, owner);
        self.registry.last
    }

    /// The spare worker, if there is one, as one of `owner`.
    pub fn take_spare(&mut self, owner: InstanceNo, name: &str) -> Option<Incarnation> {
        let worker = self.spare.take(name, self.drain, self.now)?;
        self.registry.owners.insert(worker.id, owner);
        Some(worker)
    }

    /// Starts a spare if it is time to.
    pub fn tick_spare(&mut self) {
        let last = &mut self.registry.last;
        let id = || {
            *last += 1;
            *last
        };
        self.spare.tick(id, self.tools, self.now);
    }

    /// A random number from 0.0 to 1.0.
    #[must_use]
    pub fn jitter(&self) -> f64 {
        fastrand::f64()
    }
}
