//! The script instances of a show, each with its worker processes.
//!
//! Reading order: [`instance`] connects three owners, [`supervision`] decides what happens to
//! workers, [`data_plane`] has the events, [`history`] what a client may ask for afterwards.
//! [`worker`] and what follows it start processes.

pub mod instance;

pub mod supervision;

pub mod data_plane;

pub mod history;

pub mod exit;
pub mod transition;

pub mod message_pace;
pub mod script_sources;
pub mod script_worker;
pub mod worker;
pub mod worker_event;
pub mod worker_message;
pub mod worker_spec;

mod control_messages;
pub mod launcher;
pub mod launcher_thread;
pub mod link;
pub mod memory_watch;
pub mod spare;
pub mod start_queue;

pub mod apply;
pub mod context;
pub mod options;
pub mod show_check;

use crate::backends::PYTHON;
use crate::ids::{InstanceId, WorkerId};
use crate::instances::worker_event::WorkerEvent;
use crate::script_output::ScriptOutput;
use crate::show::LiveShow;
use crate::state::SavedChannel;
use crate::status::{InstanceState, InstanceStatus};
use context::{LoopContext, Registry};
use data_plane::values::Values;
use instance::ScriptInstance;
use memory_watch::OverMemory;
use mm_shared::wakeup::IdleMode;
use mm_shared::{ChannelId, Event};
use std::time::Instant;
use supervision::lifecycle::LifeEvent;
use transition::{Reached, StartNumber};

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
            self.index[instance.id().0] = Some(index);
        }
    }

    /// The instance of a worker, also one that the show no longer has.
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
            instance.command(LifeEvent::Start, cx);
        }
    }

    /// Stops all instances.
    pub fn stop(&mut self, cx: &mut LoopContext<'_>) {
        for instance in &mut self.instances {
            instance.command(LifeEvent::Stop, cx);
        }
    }

    /// Ends all workers at once; for after [`InstanceSet::stop`].
    pub fn kill(&mut self, cx: &mut LoopContext<'_>) {
        for instance in self.instances.iter_mut().chain(&mut self.removed) {
            instance.kill(cx);
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
        let serving = self.instances.iter().filter(|instance| instance.is_serving()).count();
        (self.instances.len(), serving)
    }

    /// Takes an event that was routed to an instance.
    #[inline]
    pub fn accept(&mut self, no: InstanceId, event: Event) {
        if let Some(instance) = self.find(no) {
            instance.accept(event);
        }
    }

    /// Delivers to the workers what waits for them, and wakes each at most once. Returns whether
    /// anything waited.
    pub fn deliver(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let mut any = false;
        for instance in &mut self.instances {
            any |= instance.deliver(cx);
        }
        any
    }

    /// Polls for what a worker sends, if exactly one was just handed a few events and is likely to
    /// answer soon.
    pub fn spin(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let mut soon = None;
        for (index, instance) in self.instances.iter_mut().enumerate() {
            if instance.answers_soon() && soon.replace(index).is_some() {
                return false;
            }
        }
        let instance = soon.and_then(|index| self.instances.get_mut(index));
        instance.is_some_and(|instance| instance.spin(cx))
    }

    /// Whether a worker has events to handle, so that more of it is likely to come.
    pub fn is_working(&mut self) -> bool {
        self.instances.iter_mut().any(|instance| instance.is_working())
    }

    /// A worker has rung.
    pub fn rung(&mut self, worker_id: WorkerId, cx: &mut LoopContext<'_>) {
        let id = cx.registry.owner(worker_id);
        if let Some(instance) = id.and_then(|id| self.find(id)) {
            instance.rung(cx);
        }
    }

    /// Takes what the workers have sent, a share from each. Returns whether there may be more.
    pub fn collect(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let mut more = false;
        let mut position = 0;
        while let Some(id) = cx.registry.hot.get(position) {
            position += 1;
            if let Some(instance) = self.find(id) {
                more |= instance.collect(cx);
            }
        }
        more
    }

    /// Asks all workers to ring when they send something. Returns how the loop may wait.
    pub fn rest(&mut self, cx: &mut LoopContext<'_>) -> IdleMode {
        let mut hot = std::mem::take(&mut cx.registry.hot);
        let mode = hot.rest(|id| self.find(id).map_or(IdleMode::Block, |instance| instance.rest(cx)));
        hot.add_all(std::mem::take(&mut cx.registry.hot));
        cx.registry.hot = hot;
        mode
    }

    /// A script has changed on disk: the instance of that name gets a new worker.
    pub fn changed(&mut self, name: &str, cx: &mut LoopContext<'_>) {
        if let Some(instance) = self.instances.iter_mut().find(|instance| instance.name() == name) {
            instance.script_changed(cx);
        }
    }

    /// Starts workers of the instances whose turn it is now.
    fn start_waiting(&mut self, cx: &mut LoopContext<'_>) {
        while let Some(id) = cx.registry.starts.next(cx.now) {
            if let Some(instance) = self.find(id) {
                instance.start_wanted(cx);
            }
            if cx.registry.starts.next(cx.now) == Some(id) {
                // It no longer wants a worker.
                cx.registry.starts.withdraw(id);
            }
        }
    }

    /// A worker uses more memory than it may.
    pub fn over_memory(&mut self, over: OverMemory, cx: &mut LoopContext<'_>) {
        if let Some(instance) = self.owner(over.worker_id, cx.registry) {
            instance.over_memory(over, cx);
        }
    }

    /// Lets the instances act whose time has come.
    pub fn tick(&mut self, cx: &mut LoopContext<'_>) {
        let due: Vec<InstanceId> = std::iter::from_fn(|| cx.registry.timers.pop_due(cx.now)).collect();
        for id in due {
            let index = self.index.get(id.0).copied().flatten();
            let instance = match index {
                Some(index) => self.instances.get_mut(index),
                None => self.removed.iter_mut().find(|instance| instance.id() == id),
            };
            if let Some(instance) = instance {
                instance.tick(cx);
            }
        }
        self.start_waiting(cx);
    }

    /// Something happened to a worker.
    pub fn worker_event(&mut self, worker_id: WorkerId, event: WorkerEvent, cx: &mut LoopContext<'_>) {
        if let WorkerEvent::Exited(_) = event {
            self.receive_last(worker_id, cx);
        }
        if cx.spare.is(worker_id) {
            cx.spare.event(event, cx.poller, cx.script_output, cx.now);
            return;
        }
        if let Some(instance) = self.owner(worker_id, cx.registry) {
            instance.worker_event(worker_id, event, cx);
        }
        self.removed.retain(|instance| !instance.is_gone());
    }

    /// The status of an instance; `None` if it is not a script instance.
    #[must_use]
    pub fn status(
        &mut self,
        id: InstanceId,
        script_output: &ScriptOutput,
        now: Instant,
    ) -> Option<InstanceStatus> {
        Some(self.find(id)?.status(script_output, now))
    }

    /// The number that the next start of an instance's worker gets.
    #[must_use]
    pub fn next_start(&self, id: InstanceId) -> StartNumber {
        self.get(id).map_or(StartNumber::default(), ScriptInstance::next_start)
    }

    /// What instances have come to since this was asked last.
    pub fn transitions(&mut self) -> Vec<(InstanceId, Reached)> {
        let mut all = Vec::new();
        for instance in &mut self.instances {
            let id = instance.id();
            all.extend(instance.take_transitions().into_iter().map(|reached| (id, reached)));
        }
        all
    }

    /// A command of a user to an instance.
    pub fn command(&mut self, id: InstanceId, event: LifeEvent, cx: &mut LoopContext<'_>) {
        if let Some(instance) = self.find(id) {
            instance.command(event, cx);
        }
    }

    /// The state of an instance, and the process id of its worker.
    #[must_use]
    pub fn state(&self, id: InstanceId) -> Option<(InstanceState, Option<i32>)> {
        Some(self.get(id)?.state())
    }

    /// Brings the values of all instances up to date. Returns whether events are under way that
    /// will change them.
    pub fn update_values(&mut self) -> bool {
        let mut under_way = false;
        for instance in &mut self.instances {
            under_way |= instance.update_values();
        }
        under_way
    }

    /// The last values of an instance's channels; `None` if it is not a script instance.
    #[must_use]
    pub fn values(&self, id: InstanceId) -> Option<&Values> {
        Some(self.get(id)?.values())
    }

    /// Puts back the values of an instance's channels from the last run. Returns whether it is a
    /// script instance.
    pub fn restore(&mut self, id: InstanceId, saved: &[&SavedChannel]) -> bool {
        let Some(instance) = self.find(id) else { return false };
        instance.restore(saved);
        true
    }

    /// Whether what a script instance sends at its start has been collected, or its start has
    /// failed. True for what is not a script instance.
    #[must_use]
    pub fn has_settled(&self, id: InstanceId, now: Instant) -> bool {
        self.get(id).is_none_or(|instance| instance.has_settled(now))
    }

    /// The channels of all instances that failsafe has set: what to, and their last values of their
    /// own.
    pub fn failsafe_values(&self) -> impl Iterator<Item = (InstanceId, ChannelId, f64, f64)> {
        self.instances.iter().flat_map(|instance| {
            let id = instance.id();
            instance.failsafe_values().map(move |(channel, value, own)| (id, channel, value, own))
        })
    }

    fn get(&self, id: InstanceId) -> Option<&ScriptInstance> {
        self.instances.get(self.index.get(id.0).copied().flatten()?)
    }
}
