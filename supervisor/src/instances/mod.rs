//! The Python instances of a show, each with its worker processes.
//!
//! Reading order: [`lifecycle`] says what is to happen, [`instance`] does it, [`worker_events`] takes in what comes back
//! from processes, [`reload`] swaps one worker for the next; [`flow`] and [`values`] are the instance's events.

pub mod lifecycle;

pub mod backoff;

pub mod instance;

pub mod failsafe;
pub mod health;
pub mod reload;
pub mod watchdog;
pub mod worker_events;

pub mod data_plane;

pub mod flow;
pub mod values;

pub mod apply;
pub mod link;
pub mod retiring;
mod script_watch;
pub mod spare;
pub mod worker;
pub mod worker_spec;

pub mod context;
pub mod exit;
pub mod launcher;
pub mod options;
pub mod status;
pub mod transition;

use crate::backends::PYTHON;
use crate::event_loop::message::WorkerEvent;
use crate::ids::{InstanceId, WorkerId};
use crate::show::LiveShow;
use context::{LoopContext, Registry};
use flow::SHARE;
use instance::ScriptInstance;
use mm_shared::Event;
use mm_shared::wakeup::IdleMode;
use std::time::Instant;

/// All Python instances.
pub struct InstanceSet {
    instances: Vec<ScriptInstance>,
    /// Where an instance of the show stands in `instances`, if it is one of these.
    index: Vec<Option<usize>>,
    /// Instances that the show no longer has, until their workers have ended.
    removed: Vec<ScriptInstance>,
}

impl InstanceSet {
    /// The Python instances of a show; nothing is started yet.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        let mut set = Self { instances: Vec::new(), index: Vec::new(), removed: Vec::new() };
        for live in show.instances_of(PYTHON) {
            set.instances.push(ScriptInstance::new(show, live));
        }
        set.build_index(show);
        set
    }

    fn build_index(&mut self, show: &LiveShow) {
        self.index = vec![None; show.id_limit()];
        for (instance, index) in self.instances.iter().zip(0..) {
            self.index[instance.no.0] = Some(index);
        }
    }

    /// The instance that an incarnation belongs to, also one that the show no longer has.
    fn owner(&mut self, worker_id: WorkerId, registry: &Registry) -> Option<&mut ScriptInstance> {
        let no = registry.owner(worker_id)?;
        match self.index.get(no.0).copied().flatten() {
            Some(index) => self.instances.get_mut(index),
            None => self.removed.iter_mut().find(|instance| instance.has(worker_id)),
        }
    }

    fn find(&mut self, no: InstanceId) -> Option<&mut ScriptInstance> {
        let index = self.index.get(no.0).copied().flatten()?;
        self.instances.get_mut(index)
    }

    /// Starts all instances.
    pub fn start(&mut self, cx: &mut LoopContext<'_>) {
        for instance in &mut self.instances {
            instance.step(lifecycle::Event::Start, cx);
        }
    }

    /// Stops all instances.
    pub fn stop(&mut self, cx: &mut LoopContext<'_>) {
        for instance in &mut self.instances {
            instance.step(lifecycle::Event::Stop, cx);
        }
    }

    /// Ends all workers at once; for after [`InstanceSet::stop`].
    pub fn kill(&mut self, cx: &mut LoopContext<'_>) {
        for instance in self.instances.iter_mut().chain(&mut self.removed) {
            instance.step(lifecycle::Event::Fault, cx);
            instance.kill_leaving();
        }
    }

    /// Whether no worker is left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.instances.iter().chain(&self.removed).all(ScriptInstance::is_gone)
    }

    /// Whether an instance could take the spare worker.
    #[must_use]
    pub fn wants_spare(&self) -> bool {
        self.instances.iter().any(ScriptInstance::fits_spare)
    }

    /// Whether every instance has come to a first end of its start: it runs, or has failed to.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.instances.iter().all(ScriptInstance::has_started)
    }

    /// How many instances there are, and how many of them serve.
    #[must_use]
    pub fn serving(&self) -> (usize, usize) {
        let serving = self.instances.iter().filter(|instance| instance.serving).count();
        (self.instances.len(), serving)
    }

    /// Takes an event that was routed to an instance.
    #[inline]
    pub fn accept(&mut self, no: InstanceId, event: Event) {
        if let Some(instance) = self.find(no) {
            instance.accept(event);
        }
    }

    /// Hands over to the workers what waits for them, and wakes each at most once; says whether anything waited.
    pub fn deliver(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let mut any = false;
        for instance in self.instances.iter_mut().filter(|instance| instance.has_work()) {
            instance.deliver(cx);
            any = true;
        }
        any
    }

    /// Looks a little longer for what a worker sends, if one was just handed a few events and its answer is likely
    /// to come soon. With several such workers nobody is waited for.
    pub fn spin(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let mut soon = None;
        for (index, instance) in self.instances.iter_mut().enumerate() {
            if instance.answers_soon() && soon.replace(index).is_some() {
                return false;
            }
        }
        let Some(instance) = soon.and_then(|index| self.instances.get_mut(index)) else { return false };
        if !instance.wants_to_spin(cx) {
            return false;
        }
        // it is asked to ring again when this side sleeps
        cx.registry.mark_hot(instance.no);
        instance.spin()
    }

    /// The worker of an incarnation has rung.
    pub fn rung(&mut self, worker_id: WorkerId, cx: &mut LoopContext<'_>) {
        let Some(no) = cx.registry.owner(worker_id) else { return };
        if let Some(instance) = self.find(no) {
            instance.rung();
        }
        cx.registry.mark_hot(no);
    }

    /// Takes in what the workers have sent, a share from each; says whether there may be more.
    pub fn collect(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let mut more = false;
        for position in 0..cx.registry.hot.len() {
            let no = cx.registry.hot[position];
            if let Some(instance) = self.find(no) {
                more |= instance.collect(SHARE, cx);
            }
        }
        more
    }

    /// Asks all workers to ring when they send something, and says how this side may rest.
    pub fn rest(&mut self, cx: &mut LoopContext<'_>) -> IdleMode {
        let mut rest = IdleMode::Block;
        let mut hot = std::mem::take(&mut cx.registry.hot);
        hot.retain(|no| {
            let own = self.find(*no).map_or(IdleMode::Block, |instance| instance.rest(cx));
            rest = rest.max(own);
            own != IdleMode::Block
        });
        // what came about meanwhile has its place too
        cx.registry.hot.extend(hot);
        rest
    }

    /// A script has changed on disk: the instance of that name gets a new worker.
    pub fn changed(&mut self, name: &str, cx: &mut LoopContext<'_>) {
        if let Some(instance) = self.instances.iter_mut().find(|instance| instance.name == name) {
            instance.changed(cx);
        }
    }

    /// When [`InstanceSet::tick`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.instances.iter().chain(&self.removed).filter_map(ScriptInstance::deadline).min()
    }

    /// Some time has passed.
    pub fn tick(&mut self, cx: &mut LoopContext<'_>) {
        for instance in self.instances.iter_mut().chain(&mut self.removed) {
            if instance.deadline().is_some_and(|deadline| deadline <= cx.now) {
                instance.tick(cx);
            }
        }
    }

    /// There is event of a worker.
    pub fn event(&mut self, worker_id: WorkerId, event: WorkerEvent, cx: &mut LoopContext<'_>) {
        if cx.spare.is(worker_id) {
            cx.spare.message(event, cx.poller, cx.drain, cx.now);
            return;
        }
        let Some(instance) = self.owner(worker_id, cx.registry) else {
            if let WorkerEvent::ChannelClosed(_) = event {
                cx.registry.forget(worker_id);
            }
            return;
        };
        match event {
            WorkerEvent::Spawned(outcome) => instance.spawned(worker_id, outcome, cx),
            WorkerEvent::Exited(how) => instance.exited(worker_id, how, cx),
            WorkerEvent::Message(message) => instance.said(worker_id, message, cx),
            WorkerEvent::ChannelClosed(fault) => instance.closed(worker_id, fault, cx),
        }
        self.removed.retain(|instance| !instance.is_gone());
    }
}
