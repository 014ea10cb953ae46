//! The workers of one instance: which there are, the role of each, and how far each has been
//! pressed to end.
//!
//! The role is the only place that knows whether a worker serves. At most one worker is *attached*,
//! which means that events flow through its rings: [`WorkerTable::serve_next`] is the only way to
//! become attached, and it refuses while another worker is. So no worker serves beside another, and
//! a worker that waits for its predecessor serves exactly once.

use super::health::{HealthMonitor, Limits};
use super::stop::StopStage;
use crate::ids::WorkerId;
use std::time::{Duration, Instant};

/// What supervision does to a worker.
pub trait WorkerHandle {
    /// Its id.
    fn id(&self) -> WorkerId;
    /// Asks it to take no more events, to run its cleanup handler and to exit.
    fn request_stop(&mut self);
    /// Asks it for the stacks of its threads.
    fn dump_stacks(&mut self);
    /// Sends TERM.
    fn terminate(&mut self);
    /// Sends KILL.
    fn kill(&mut self);
}

/// What a worker is to its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Imports its modules and serves next.
    Starting,
    /// Has imported its modules, and serves as soon as no other worker is attached.
    Ready,
    /// Handles the events of the instance.
    Serving,
    /// Has handled its last event; the state machine waits for its exit.
    Stopping,
    /// Imports its modules while another worker serves.
    Replacement,
    /// Finishes its last handler before the next worker serves.
    HandingOver,
    /// Handles no event; the state machine does not wait for it.
    Retiring,
}

impl Role {
    /// Whether the state machine is about this worker. There is one at most.
    #[must_use]
    pub fn is_main(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Serving | Self::Stopping)
    }

    /// Whether events flow through its rings. There is one at most.
    #[must_use]
    pub fn is_attached(self) -> bool {
        matches!(self, Self::Serving | Self::HandingOver)
    }
}

/// One worker of an instance.
#[derive(Debug)]
pub struct Member<W> {
    /// The process and what belongs to it.
    pub worker: W,
    role: Role,
    stage: Option<StopStage>,
    health: Option<HealthMonitor>,
    is_trusted: bool,
}

impl<W: WorkerHandle> Member<W> {
    /// Its role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// How far it has been pressed to end.
    #[must_use]
    pub fn stage(&self) -> Option<StopStage> {
        self.stage
    }

    /// It has imported its modules: it is the next to serve.
    pub(super) fn note_ready(&mut self) {
        if matches!(self.role, Role::Starting | Role::Replacement) {
            self.role = Role::Ready;
        }
    }

    /// The worker that it was to replace has ended: the state machine is about this one now.
    pub(super) fn promote(&mut self) {
        if self.role == Role::Replacement {
            self.role = Role::Starting;
        }
    }

    /// It finishes its handler, and the next worker serves after that.
    pub(super) fn hand_over(&mut self) {
        if self.role == Role::Serving {
            self.role = Role::HandingOver;
        }
    }

    /// It handles no more events. `settle` takes what is left in the rings of one that was
    /// attached.
    pub(super) fn detach(&mut self, settle: impl FnOnce(&mut W)) {
        if self.role.is_attached() {
            settle(&mut self.worker);
        }
        self.role = match self.role {
            Role::HandingOver | Role::Retiring | Role::Replacement => Role::Retiring,
            Role::Starting | Role::Ready | Role::Serving | Role::Stopping => Role::Stopping,
        };
    }

    /// The state machine is no longer about this worker, to which no events flow.
    pub(super) fn retire(&mut self) {
        if !self.role.is_attached() {
            self.role = Role::Retiring;
        }
    }

    /// Presses the worker to end, up to `stage`. A worker never moves down the ladder.
    pub(super) fn press(&mut self, stage: StopStage) {
        let before = self.stage;
        if before.is_some_and(|before| !stage.exceeds(before)) {
            return;
        }
        self.stage = Some(stage);
        match stage {
            StopStage::Requested { .. } if before.is_some() => {}
            StopStage::Yielding | StopStage::Requested { .. } => self.worker.request_stop(),
            StopStage::Overdue { .. } | StopStage::DumpingStacks { .. } => self.worker.dump_stacks(),
            StopStage::Terminated { .. } => self.worker.terminate(),
            StopStage::Killed => self.worker.kill(),
        }
    }

    /// Moves to the next stage if it is time to; returns that stage.
    pub(super) fn escalate(&mut self, now: Instant, stop_timeout: Duration) -> Option<StopStage> {
        let stage = self.stage?.escalate(now, stop_timeout)?;
        self.press(stage);
        Some(stage)
    }

    /// The worker broke a rule: nothing that it sends is believed from now on.
    pub(super) fn distrust(&mut self) {
        self.is_trusted = false;
    }

    /// Whether what it sends is believed.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    fn watch(&mut self, limits: Limits, now: Instant) {
        self.health = Some(HealthMonitor::new(limits, now));
    }

    /// Whether the watchdog applies: a worker that is ending has other
    /// deadlines.
    fn is_watched(&self) -> bool {
        self.role.is_attached() && matches!(self.stage, None | Some(StopStage::Yielding))
    }

    /// Its health monitor, if the watchdog applies to it.
    pub(super) fn health(&mut self) -> Option<(&mut W, &mut HealthMonitor)> {
        let is_watched = self.is_watched();
        let health = self.health.as_mut().filter(|_| is_watched)?;
        Some((&mut self.worker, health))
    }

    pub(super) fn set_limits(&mut self, limits: Limits, now: Instant) {
        if self.health.is_some() {
            self.watch(limits, now);
        }
    }

    /// When [`Member::escalate`] or its health monitor has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stage = self.stage.and_then(StopStage::deadline);
        let health = self.health.as_ref().filter(|_| self.is_watched()).and_then(HealthMonitor::deadline);
        [stage, health].into_iter().flatten().min()
    }
}

/// All workers of an instance.
#[derive(Debug)]
pub struct WorkerTable<W> {
    members: Vec<Member<W>>,
}

impl<W> Default for WorkerTable<W> {
    fn default() -> Self {
        Self { members: Vec::new() }
    }
}

impl<W: WorkerHandle> WorkerTable<W> {
    /// Takes a worker in that was just begun.
    pub(super) fn add(&mut self, worker: W, role: Role) {
        debug_assert!(!role.is_attached(), "`serve_next` attaches");
        self.members.push(Member { worker, role, stage: None, health: None, is_trusted: true });
    }

    /// Takes out a worker that has ended.
    pub(super) fn remove(&mut self, id: WorkerId) -> Option<Member<W>> {
        let index = self.members.iter().position(|member| member.worker.id() == id)?;
        Some(self.members.swap_remove(index))
    }

    /// A worker by id.
    #[must_use]
    pub fn get(&self, id: WorkerId) -> Option<&Member<W>> {
        self.members.iter().find(|member| member.worker.id() == id)
    }

    /// A worker by id.
    pub fn get_mut(&mut self, id: WorkerId) -> Option<&mut Member<W>> {
        self.members.iter_mut().find(|member| member.worker.id() == id)
    }

    /// The worker that the state machine is about.
    #[must_use]
    pub fn main(&self) -> Option<&Member<W>> {
        self.members.iter().find(|member| member.role.is_main())
    }

    pub(super) fn main_mut(&mut self) -> Option<&mut Member<W>> {
        self.members.iter_mut().find(|member| member.role.is_main())
    }

    /// The worker, if there is one only.
    pub fn only_mut(&mut self) -> Option<&mut Member<W>> {
        match self.members.as_mut_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    pub(super) fn replacement_mut(&mut self) -> Option<&mut Member<W>> {
        self.members.iter_mut().find(|member| member.role == Role::Replacement)
    }

    pub(super) fn attached_mut(&mut self) -> Option<&mut Member<W>> {
        self.members.iter_mut().find(|member| member.role.is_attached())
    }

    /// Whether a worker is attached.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.members.iter().any(|member| member.role.is_attached())
    }

    /// Whether a worker still has to hand over to the next.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        self.members.iter().any(|member| member.role == Role::HandingOver)
    }

    /// The worker that takes new events: it serves and has not been asked to stop.
    #[inline]
    pub fn receiver(&mut self) -> Option<&mut W> {
        let mut members = self.members.iter_mut();
        let member = members.find(|member| member.role == Role::Serving && member.stage.is_none())?;
        Some(&mut member.worker)
    }

    /// The worker whose events are collected. One that is ending is read until it yields or exits,
    /// since one that waits for space in its ring would not get that far otherwise. One that broke
    /// a rule is not read.
    #[inline]
    pub fn sender(&mut self) -> Option<&mut W> {
        let mut members = self.members.iter_mut();
        let member = members.find(|member| member.role.is_attached() && member.is_trusted)?;
        Some(&mut member.worker)
    }

    /// Attaches the worker that is ready, unless another one is attached. The only way to
    /// [`Role::Serving`].
    pub(super) fn serve_next(&mut self, limits: Limits, now: Instant) -> Option<&mut W> {
        if self.is_attached() {
            return None;
        }
        let mut members = self.members.iter_mut();
        let next = members.find(|member| member.role == Role::Ready && member.stage.is_none())?;
        next.role = Role::Serving;
        next.watch(limits, now);
        Some(&mut next.worker)
    }

    /// All workers.
    pub fn iter(&self) -> impl Iterator<Item = &Member<W>> {
        self.members.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member<W>> {
        self.members.iter_mut()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}
