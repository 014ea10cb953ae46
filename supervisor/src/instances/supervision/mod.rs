//! Supervision of one instance: its state machine, the table of its workers, and the ladder that
//! brings a worker to its end.
//!
//! It acts on workers through [`WorkerHandle`] only, so tests run it without processes. What needs
//! more than a worker, such as starting one, is left as a [`Task`] for the instance. Two rules are
//! kept here, after every event:
//!
//! - The worker that is ready serves when no other worker is attached
//!   ([`Supervision::serve_next`]). A reload therefore needs not name its successor: whatever is
//!   started, stopped or lost while the predecessor finishes its handler, the one worker that is
//!   ready then serves, once, and with the values of that moment.
//! - A stop is over when no worker is left that handles events, a predecessor included. A restart
//!   starts the next worker when no worker is left at all, since any of them may hold what the
//!   script needs.

pub mod backoff;
pub mod health;
pub mod lifecycle;
mod rollback;
pub mod stop;
#[cfg(test)]
mod tests;
pub mod watchdog;
pub mod workers;

use crate::ids::WorkerId;
use health::{HealthMonitor, Limits};
use lifecycle::{Action, AfterExit, LifeEvent, LifeState, Lifecycle, Policy, StepContext};
use std::collections::VecDeque;
use std::time::Instant;
use stop::StopStage;
use workers::{Member, Role, WorkerHandle, WorkerTable};

/// What supervision leaves to the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A replacement becomes the main worker.
    NoteStart,
    /// The worker did not get ready in time.
    ReportStartTimeout(WorkerId),
    /// The replacement did not get ready in time.
    ReportReplacementTimeout(WorkerId),
    /// The worker did not stop in time.
    ReportStopTimeout(WorkerId),
    /// The instance was restarted too often.
    ReportGivingUp,
}

/// A worker that is to be started as soon as it is its turn. [`Supervision::spawned`] takes it, or
/// [`Supervision::spawn_failed`] if it could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedWorker {
    /// The main worker: the instance has none that serves.
    Main,
    /// A replacement; the main worker serves until it is ready.
    Replacement,
}

/// The most workers of an instance beside which a replacement is started: the one that serves, its
/// predecessor that finishes a handler, and two that run their cleanup handlers. Otherwise reloads
/// that follow each other would add workers as fast as they import.
const WORKERS_LIMIT: usize = 4;

/// What is random and what passes, for one event.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time.
    pub now: Instant,
    /// A random number from 0.0 to 1.0.
    pub jitter: f64,
}

/// The supervision of one instance.
pub struct Supervision<W> {
    lifecycle: Lifecycle,
    workers: WorkerTable<W>,
    policy: Policy,
    limits: Limits,
    tasks: VecDeque<Task>,
    /// The main worker has exited, in this way, and the state machine does not know yet.
    unreported_exit: Option<LifeEvent>,
}

impl<W: WorkerHandle> Supervision<W> {
    /// No worker yet.
    #[must_use]
    pub fn new(policy: Policy, limits: Limits) -> Self {
        Self {
            lifecycle: Lifecycle::default(),
            workers: WorkerTable::default(),
            policy,
            limits,
            tasks: VecDeque::new(),
            unreported_exit: None,
        }
    }

    /// Applies other options; workers that run are watched with the new limits.
    pub fn apply(&mut self, policy: Policy, limits: Limits, now: Instant) {
        self.policy = policy;
        if self.limits != limits {
            self.limits = limits;
            self.workers.iter_mut().for_each(|member| member.set_limits(limits, now));
        }
    }

    /// The state of the instance.
    #[must_use]
    pub fn state(&self) -> LifeState {
        self.lifecycle.state()
    }

    /// Whether a worker serves.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.workers.iter().any(|member| member.role() == Role::Serving)
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> &WorkerTable<W> {
        &self.workers
    }

    /// The workers, for the data that they hold; roles change through [`Supervision`] only.
    pub fn workers_mut(&mut self) -> &mut WorkerTable<W> {
        &mut self.workers
    }

    /// When [`Supervision::tick`] or [`Supervision::watched`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let workers = self.workers.iter().filter_map(Member::deadline);
        workers.chain(self.lifecycle.deadline()).min()
    }

    /// The worker that waits for its turn to be started.
    #[must_use]
    pub fn wanted_worker(&self) -> Option<WantedWorker> {
        match self.lifecycle.state() {
            LifeState::Starting { import: None } => Some(WantedWorker::Main),
            LifeState::Reloading { import: None, .. } if self.workers.iter().count() < WORKERS_LIMIT => {
                Some(WantedWorker::Replacement)
            }
            _ => None,
        }
    }

    /// What the instance has to do next.
    pub fn next_task(&mut self) -> Option<Task> {
        self.tasks.pop_front()
    }

    /// The worker that is to serve from now on, if one is ready and no other one is attached.
    pub fn serve_next(&mut self, now: Instant) -> Option<&mut W> {
        match self.lifecycle.state() {
            LifeState::Running { .. } | LifeState::Reloading { .. } => {
                self.workers.serve_next(self.limits, now)
            }
            _ => None,
        }
    }

    /// A command of the user.
    pub fn command(&mut self, event: LifeEvent, moment: Moment) {
        self.step(event, moment);
    }

    /// A worker was begun.
    pub fn spawned(&mut self, worker: W, wanted: WantedWorker, moment: Moment) {
        let role = match wanted {
            WantedWorker::Main => Role::Starting,
            WantedWorker::Replacement => Role::Replacement,
        };
        self.workers.add(worker, role);
        self.step(LifeEvent::Begun, moment);
    }

    /// No worker could be begun.
    pub fn spawn_failed(&mut self, wanted: WantedWorker, moment: Moment) {
        let event = match wanted {
            WantedWorker::Main => LifeEvent::SpawnFailed,
            WantedWorker::Replacement => LifeEvent::ReplacementFailed,
        };
        self.step(event, moment);
    }

    /// A worker has imported its modules.
    pub fn ready(&mut self, id: WorkerId, moment: Moment) {
        let Some(member) = self.workers.get_mut(id) else { return };
        match member.role() {
            Role::Starting => {
                member.note_ready();
                self.step(LifeEvent::Ready, moment);
            }
            Role::Replacement => self.step(LifeEvent::ReplacementReady, moment),
            _ => {}
        }
    }

    /// A worker takes no more events. `settle` takes what is left in the rings of one that was
    /// attached.
    pub fn yielded(&mut self, id: WorkerId, moment: Moment, settle: impl FnOnce(&mut W)) {
        let stage = StopStage::requested(moment.now, self.policy.stop_timeout);
        let Some(member) = self.workers.get_mut(id) else { return };
        if !matches!(member.role(), Role::Serving | Role::HandingOver | Role::Ready) {
            return;
        }
        let was_asked = member.stage().is_some();
        member.detach(settle);
        // The handler is over; the cleanup handler has its time limit from now on.
        member.press(stage);
        if was_asked {
            self.report_exit(moment);
        } else {
            self.step(LifeEvent::Yielded, moment);
        }
    }

    /// A worker that has ended, whose rings were settled, is taken out of the table.
    pub fn exited(&mut self, id: WorkerId, clean: bool, moment: Moment) -> Option<W> {
        self.ended(id, LifeEvent::Exited { clean }, moment)
    }

    /// The same for one that has ended with the reaper.
    pub fn lost(&mut self, id: WorkerId, moment: Moment) -> Option<W> {
        self.ended(id, LifeEvent::Lost, moment)
    }

    fn ended(&mut self, id: WorkerId, how: LifeEvent, moment: Moment) -> Option<W> {
        let member = self.workers.remove(id)?;
        match member.role() {
            Role::Replacement => self.step(LifeEvent::ReplacementFailed, moment),
            role if role.is_main() => {
                self.unreported_exit = Some(how);
                self.report_exit(moment);
            }
            _ => self.report_exit(moment),
        }
        Some(member.worker)
    }

    /// The worker that the watchdog applies to, with its health monitor.
    pub fn watched(&mut self) -> Option<(&mut W, &mut HealthMonitor)> {
        self.workers.attached_mut()?.health()
    }

    /// A worker makes no progress.
    pub fn hangs(&mut self, id: WorkerId, moment: Moment) {
        let Some(member) = self.workers.get_mut(id) else { return };
        if member.role().is_main() {
            self.step(LifeEvent::Hang, moment);
        } else {
            member.press(StopStage::dumping_stacks(moment.now));
        }
    }

    /// A worker has to be killed; `is_trusted`: what it has sent until now still counts.
    pub fn fault(&mut self, id: WorkerId, is_trusted: bool, moment: Moment) {
        let Some(member) = self.workers.get_mut(id) else { return };
        if !is_trusted {
            member.distrust();
        }
        if member.role().is_main() {
            self.step(LifeEvent::Fault, moment);
        } else {
            member.press(StopStage::Killed);
        }
    }

    /// Kills all workers at once.
    pub fn kill(&mut self, moment: Moment) {
        self.step(LifeEvent::Fault, moment);
        self.workers.iter_mut().for_each(|member| member.press(StopStage::Killed));
    }

    /// Some time has passed.
    pub fn tick(&mut self, moment: Moment) {
        for member in self.workers.iter_mut() {
            let stage = member.escalate(moment.now, self.policy.stop_timeout);
            if let Some(StopStage::Overdue { .. }) = stage {
                self.tasks.push_back(Task::ReportStopTimeout(member.worker.id()));
            }
        }
        self.step(LifeEvent::Tick, moment);
    }

    fn step(&mut self, event: LifeEvent, moment: Moment) {
        let Moment { now, jitter } = moment;
        let is_handing_over = self.workers.is_handing_over();
        let context = StepContext { now, jitter, policy: &self.policy, is_handing_over };
        for action in self.lifecycle.step(event, context) {
            self.perform(action, now);
        }
        self.report_exit(moment);
    }

    fn perform(&mut self, action: Action, now: Instant) {
        let requested = StopStage::requested(now, self.policy.stop_timeout);
        match action {
            // The state says so, and the instance does it when it is its turn.
            Action::Spawn | Action::CancelSpawn | Action::SpawnReplacement => {}
            // The table does, as soon as it can.
            Action::Serve => {}
            Action::RequestStop => self.press_main(requested),
            Action::DumpStacks => self.press_main(StopStage::dumping_stacks(now)),
            Action::Kill => self.press_main(StopStage::Killed),
            Action::LogStartTimeout => {
                let id = self.workers.main().map(|member| member.worker.id());
                self.tasks.extend(id.map(Task::ReportStartTimeout));
            }
            Action::Swap => self.swap(requested),
            Action::Promote => self.promote(),
            Action::LogReplacementTimeout => {
                let id = self.drop_replacement(StopStage::dumping_stacks(now));
                self.tasks.extend(id.map(Task::ReportReplacementTimeout));
            }
            Action::DropReplacement => {
                self.drop_replacement(StopStage::Killed);
            }
            Action::GiveUp => self.tasks.push_back(Task::ReportGivingUp),
        }
    }

    fn press_main(&mut self, stage: StopStage) {
        if let Some(main) = self.workers.main_mut() {
            main.press(stage);
        }
    }

    /// The replacement is ready: it serves when the main worker, or the predecessor that this one
    /// itself waits for, has finished its handler.
    fn swap(&mut self, requested: StopStage) {
        if let Some(main) = self.workers.main_mut() {
            if main.role() == Role::Serving {
                main.hand_over();
                main.press(StopStage::Yielding);
            } else {
                main.retire();
                main.press(requested);
            }
        }
        if let Some(replacement) = self.workers.replacement_mut() {
            replacement.note_ready();
            self.tasks.push_back(Task::NoteStart);
        }
    }

    /// The main worker ends or has ended: the replacement takes its place.
    fn promote(&mut self) {
        if let Some(main) = self.workers.main_mut() {
            main.retire();
        }
        if let Some(replacement) = self.workers.replacement_mut() {
            replacement.promote();
            self.tasks.push_back(Task::NoteStart);
        }
    }

    fn drop_replacement(&mut self, stage: StopStage) -> Option<WorkerId> {
        let replacement = self.workers.replacement_mut()?;
        replacement.retire();
        replacement.press(stage);
        Some(replacement.worker.id())
    }

    /// Tells the state machine that its worker has exited. While it waits to be stopped, that is
    /// when no predecessor handles events either; to be restarted, when no worker is left.
    fn report_exit(&mut self, moment: Moment) {
        if let LifeState::Stopping { after } = self.lifecycle.state() {
            if self.workers.main().is_none() {
                self.unreported_exit.get_or_insert(LifeEvent::Exited { clean: false });
            }
            let waits = match after {
                AfterExit::ApplyPolicy => false,
                AfterExit::StayStopped => self.workers.is_handing_over(),
                AfterExit::Restart => !self.workers.is_empty(),
            };
            if waits {
                self.limit_hand_over(moment.now);
                return;
            }
        }
        if let Some(how) = self.unreported_exit.take() {
            self.step(how, moment);
        }
    }

    /// The user does not want to wait for a handler any longer than `stop-timeout` allows.
    fn limit_hand_over(&mut self, now: Instant) {
        let requested = StopStage::requested(now, self.policy.stop_timeout);
        let attached = self.workers.attached_mut().filter(|member| member.role() == Role::HandingOver);
        if let Some(predecessor) = attached {
            predecessor.press(requested);
        }
    }
}
