//! The Python instances of a show, each with its worker processes.
//!
//! Reading order: [`lifecycle`] says what is to happen, [`instance`] does it, [`happenings`] takes in what comes back
//! from processes, [`reload`] swaps one worker for the next; [`flow`] and [`values`] are the instance's events.

pub mod lifecycle;

pub mod backoff;

pub mod instance;

pub mod failsafe;
pub mod happenings;
pub mod patrol;
pub mod reload;
pub mod watchdog;

pub mod transit;

pub mod flow;
pub mod rest;
pub mod values;

pub mod incarnation;
pub mod leaving;
pub mod link;
pub mod recipe;
pub mod renewal;
pub mod script_watch;
pub mod spare;

pub mod ending;
pub mod milestone;
pub mod standing;
pub mod surroundings;
pub mod tools;

use crate::backends::{InstanceNo, numbered};
use crate::notices::News;
use flow::SHARE;
use instance::PythonInstance;
use mm_config::{Kind, Show};
use mm_shared::Event;
use rest::Rest;
use std::time::Instant;
use surroundings::{Registry, Surroundings};

/// All Python instances.
pub struct Fleet {
    instances: Vec<PythonInstance>,
    /// Where an instance of the show stands in `instances`, if it is one of these.
    index: Vec<Option<usize>>,
    /// Instances that the show no longer has, until their workers have ended.
    removed: Vec<PythonInstance>,
}

impl Fleet {
    /// The Python instances of a show; nothing is started yet.
    #[must_use]
    pub fn new(show: &Show) -> Self {
        let mut index = vec![None; show.instances.len()];
        let mut instances = Vec::new();
        for numbered in numbered(show, Kind::Python) {
            index[numbered.no.0] = Some(instances.len());
            instances.push(PythonInstance::new(show, numbered));
        }
        Self { instances, index, removed: Vec::new() }
    }

    /// The instance that an incarnation belongs to, also one that the show no longer has.
    fn owner(&mut self, incarnation: u64, registry: &Registry) -> Option<&mut PythonInstance> {
        let no = registry.owner(incarnation)?;
        match self.index.get(no.0).copied().flatten() {
            Some(index) => self.instances.get_mut(index),
            None => self.removed.iter_mut().find(|instance| instance.has(incarnation)),
        }
    }

    fn find(&mut self, no: InstanceNo) -> Option<&mut PythonInstance> {
        let index = self.index.get(no.0).copied().flatten()?;
        self.instances.get_mut(index)
    }

    /// Starts all instances.
    pub fn start(&mut self, surroundings: &mut Surroundings<'_>) {
        for instance in &mut self.instances {
            instance.step(lifecycle::Event::Start, surroundings);
        }
    }

    /// Stops all instances.
    pub fn stop(&mut self, surroundings: &mut Surroundings<'_>) {
        for instance in &mut self.instances {
            instance.step(lifecycle::Event::Stop, surroundings);
        }
    }

    /// Ends all workers at once; for after [`Fleet::stop`].
    pub fn kill(&mut self, surroundings: &mut Surroundings<'_>) {
        for instance in self.instances.iter_mut().chain(&mut self.removed) {
            instance.step(lifecycle::Event::Fault, surroundings);
            instance.kill_leaving();
        }
    }

    /// Whether no worker is left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.instances.iter().chain(&self.removed).all(PythonInstance::is_gone)
    }

    /// Whether an instance could take the spare worker.
    #[must_use]
    pub fn wants_spare(&self) -> bool {
        self.instances.iter().any(PythonInstance::fits_spare)
    }

    /// Whether every instance has come to a first end of its start: it runs, or has failed to.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.instances.iter().all(PythonInstance::has_started)
    }

    /// How many instances there are, and how many of them serve.
    #[must_use]
    pub fn serving(&self) -> (usize, usize) {
        let serving = self.instances.iter().filter(|instance| instance.serving).count();
        (self.instances.len(), serving)
    }

    /// Takes an event that was routed to an instance.
    #[inline]
    pub fn accept(&mut self, no: InstanceNo, event: Event) {
        if let Some(instance) = self.find(no) {
            instance.accept(event);
        }
    }

    /// Hands over to the workers what waits for them, and wakes each at most once; says whether anything waited.
    pub fn deliver(&mut self, surroundings: &mut Surroundings<'_>) -> bool {
        let mut any = false;
        for instance in self.instances.iter_mut().filter(|instance| instance.has_work()) {
            instance.deliver(surroundings);
            any = true;
        }
        any
    }

    /// Looks a little longer for what a worker sends, if one was just handed a few events and its answer is likely
    /// to come soon. With several such workers nobody is waited for.
    pub fn spin(&mut self, surroundings: &mut Surroundings<'_>) -> bool {
        let mut soon = None;
        for (index, instance) in self.instances.iter_mut().enumerate() {
            if instance.answers_soon() && soon.replace(index).is_some() {
                return false;
            }
        }
        let Some(instance) = soon.and_then(|index| self.instances.get_mut(index)) else { return false };
        let Some(plan) = instance.plan_spin(surroundings) else { return false };
        // it is asked to ring again when this side sleeps
        if !surroundings.registry.hot.contains(&instance.no) {
            surroundings.registry.hot.push(instance.no);
        }
        instance.spin(plan)
    }

    /// The worker of an incarnation has rung.
    pub fn rung(&mut self, incarnation: u64, surroundings: &mut Surroundings<'_>) {
        let Some(no) = surroundings.registry.owner(incarnation) else { return };
        if let Some(instance) = self.find(no) {
            instance.rung();
        }
        if !surroundings.registry.hot.contains(&no) {
            surroundings.registry.hot.push(no);
        }
    }

    /// Takes in what the workers have sent, a share from each; says whether there may be more.
    pub fn collect(&mut self, surroundings: &mut Surroundings<'_>) -> bool {
        let mut more = false;
        for position in 0..surroundings.registry.hot.len() {
            let no = surroundings.registry.hot[position];
            if let Some(instance) = self.find(no) {
                more |= instance.collect(SHARE, surroundings);
            }
        }
        more
    }

    /// Asks all workers to ring when they send something, and says how this side may rest.
    pub fn rest(&mut self, surroundings: &mut Surroundings<'_>) -> Rest {
        let mut rest = Rest::Sleep;
        let mut hot = std::mem::take(&mut surroundings.registry.hot);
        hot.retain(|no| {
            let own = self.find(*no).map_or(Rest::Sleep, |instance| instance.rest(surroundings));
            rest = rest.max(own);
            own != Rest::Sleep
        });
        // what came about meanwhile has its place too
        surroundings.registry.hot.extend(hot);
        rest
    }

    /// A script has changed on disk: the instance of that name gets a new worker.
    pub fn changed(&mut self, name: &str, surroundings: &mut Surroundings<'_>) {
        if let Some(instance) = self.instances.iter_mut().find(|instance| instance.name == name) {
            instance.changed(surroundings);
        }
    }

    /// When [`Fleet::tick`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.instances.iter().chain(&self.removed).filter_map(PythonInstance::deadline).min()
    }

    /// Some time has passed.
    pub fn tick(&mut self, surroundings: &mut Surroundings<'_>) {
        for instance in self.instances.iter_mut().chain(&mut self.removed) {
            if instance.deadline().is_some_and(|deadline| deadline <= surroundings.now) {
                instance.tick(surroundings);
            }
        }
    }

    /// There is news of a worker.
    pub fn news(&mut self, incarnation: u64, news: News, surroundings: &mut Surroundings<'_>) {
        if surroundings.spare.is(incarnation) {
            surroundings.spare.notice(news, surroundings.poller, surroundings.drain, surroundings.now);
            return;
        }
        let Some(instance) = self.owner(incarnation, surroundings.registry) else {
            if let News::Closed(_) = news {
                surroundings.registry.forget(incarnation);
            }
            return;
        };
        match news {
            News::Spawned(outcome) => instance.spawned(incarnation, outcome, surroundings),
            News::Exited(how) => instance.exited(incarnation, how, surroundings),
            News::Said(message) => instance.said(incarnation, message, surroundings),
            News::Closed(fault) => instance.closed(incarnation, fault, surroundings),
        }
        self.removed.retain(|instance| !instance.is_gone());
    }
}
