//! One script instance: it connects its three owners, each of which keeps its fields to itself.
//!
//! - [`Supervision`] knows the state and the workers, and decides what happens to them.
//! - [`DataPlane`] has the events and the values.
//! - [`History`] has what a client may ask for afterwards.
//!
//! Every entry ends with [`ScriptInstance::follow_up`], which does what supervision has left to do.
//! What comes from workers is in [`worker_events`].

mod apply;
mod memory;
mod overflow;
mod reloads;
mod reports;
mod starts;
mod status;
mod versions;
mod worker_events;

use super::context::LoopContext;
use super::data_plane::failsafe::Failsafe;
use super::data_plane::values::Values;
use super::data_plane::{DataPlane, Expectation};
use super::exit::ExitReason;
use super::history::History;
use super::options::{PythonOptions, ReloadRule};
use super::script_worker::ScriptWorker;
use super::supervision::health::{Hang, Limits};
use super::supervision::lifecycle::{AfterExit, LifeEvent, LifeState, Policy};
use super::supervision::watchdog::Look;
use super::supervision::workers::WorkerHandle;
use super::supervision::{Moment, Supervision, Task};
use super::transition::{Reached, Transition};
use super::worker_spec::WorkerSpec;
use crate::ids::{InstanceId, WorkerId};
use crate::script_output::ScriptOutput;
use crate::show::{LiveInstance, LiveShow};
use crate::state::SavedChannel;
use crate::status::{InstanceState, InstanceStatus};
use apply::NextSpec;
use mm_shared::wakeup::IdleMode;
use mm_shared::{Event, LogThrottle, Violation};
use overflow::OverflowWatch;
use std::time::{Duration, Instant};
use versions::{ReloadCause, Versions};

/// One script instance.
pub struct ScriptInstance {
    id: InstanceId,
    name: String,
    supervision: Supervision<ScriptWorker>,
    data: DataPlane,
    history: History,
    spec: WorkerSpec,
    memory_limit: Option<u64>,
    versions: Versions,
    reload_rule: ReloadRule,
    /// What a new show file says of its workers, until one that was started with it serves.
    next: Option<NextSpec>,
    /// Counts the specifications of its workers.
    generation: u64,
    /// The state after the last event.
    last_state: LifeState,
    /// Warnings about names that the script sends on and no mapping uses.
    unmapped_outputs: LogThrottle,
    /// Warnings about events that were conflated.
    overflows: OverflowWatch,
}

/// So many warnings about unmapped outputs in [`UNMAPPED_INTERVAL`].
const UNMAPPED_LIMIT: u32 = 10;
const UNMAPPED_INTERVAL: Duration = Duration::from_secs(60);

impl ScriptInstance {
    /// An instance as the show file has it; nothing is started yet.
    #[must_use]
    pub fn new(show: &LiveShow, live: LiveInstance<'_>) -> Self {
        let options = PythonOptions::of(show, live.instance);
        let names = live.instance.channels.iter().map(|channel| channel.name.clone());
        let failsafe = Failsafe::new(show, live.place, &options);
        Self {
            id: live.id,
            name: live.instance.name.clone(),
            supervision: Supervision::new(policy(&options), limits(&options)),
            data: DataPlane::new(live.id, Values::new(names), options.queue, failsafe),
            history: History::default(),
            spec: WorkerSpec::new(show, live, &options),
            memory_limit: options.memory_limit,
            versions: Versions::default(),
            reload_rule: options.reload,
            next: None,
            generation: 0,
            last_state: LifeState::Stopped,
            unmapped_outputs: LogThrottle::new(UNMAPPED_LIMIT, UNMAPPED_INTERVAL),
            overflows: OverflowWatch::default(),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> InstanceId {
        self.id
    }

    /// Its name in the show.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether one of its workers has this id.
    #[must_use]
    pub fn has(&self, id: WorkerId) -> bool {
        self.supervision.workers().get(id).is_some()
    }

    /// Whether it has no worker left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.supervision.workers().is_empty()
    }

    /// Whether the spare worker can become one of this instance.
    #[must_use]
    pub fn fits_spare(&self) -> bool {
        self.spec.fits_spare()
    }

    /// Whether a worker serves.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.supervision.is_serving()
    }

    /// Whether its first start has come to an end, good or bad.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.history.restarts() > 0 || !matches!(self.supervision.state(), LifeState::Starting { .. })
    }

    /// What clients may wait for and what was reached since this was asked last.
    pub fn take_transitions(&mut self) -> Vec<Reached> {
        self.history.take_transitions()
    }

    /// Names and last values of its channels.
    #[must_use]
    pub fn values(&self) -> &Values {
        self.data.values()
    }

    /// Puts back the values of its channels from the last run.
    pub fn restore(&mut self, saved: &[&SavedChannel]) {
        let saved = saved.iter().map(|saved| (&saved.channel, saved.input, saved.output));
        let left_out = self.data.values_mut().restore(saved);
        reports::names_left_out(&self.name, left_out);
    }

    /// Its status, for clients.
    pub fn status(&mut self, script_output: &ScriptOutput, now: Instant) -> InstanceStatus {
        let waiting = self.waiting();
        status::status(self, waiting, script_output, now)
    }

    /// The state, and the process of the main worker.
    #[must_use]
    pub fn state(&self) -> (InstanceState, Option<i32>) {
        (status::state(&self.supervision), status::pid(&self.supervision))
    }

    /// Brings the values up to date. Returns whether events are under way that will change them.
    pub fn update_values(&mut self) -> bool {
        let waiting = self.waiting();
        let worker = self.supervision.workers_mut().sender();
        waiting > 0 || worker.is_some_and(|worker| worker.rings().down.in_hand().is_some())
    }

    /// How many events the worker has not taken yet. A broken cursor counts as none: it is found
    /// when events are delivered.
    fn waiting(&mut self) -> usize {
        let worker = self.supervision.workers_mut().sender();
        worker.map_or(0, |worker| self.data.waiting(worker.rings()).unwrap_or(0))
    }

    // The life of the instance.

    /// A command of the user, or of the show.
    pub fn command(&mut self, event: LifeEvent, cx: &mut LoopContext<'_>) {
        self.forget_failed_next();
        self.history.note_request();
        match event {
            LifeEvent::Reload => self.note_reload(ReloadCause::User),
            LifeEvent::Restart => self.versions.ask_for_start(),
            LifeEvent::Start if !self.has_begun() => self.versions.ask_for_start(),
            _ => {}
        }
        self.supervision.command(event, moment(cx));
        self.follow_up(cx);
    }

    /// Kills all workers at once.
    pub fn kill(&mut self, cx: &mut LoopContext<'_>) {
        self.supervision.kill(moment(cx));
        self.follow_up(cx);
    }

    /// The script has changed on disk.
    pub fn script_changed(&mut self, cx: &mut LoopContext<'_>) {
        // A user who has stopped the instance does not start it by saving a file.
        let is_stopped = matches!(
            self.supervision.state(),
            LifeState::Stopped | LifeState::Stopping { after: AfterExit::StayStopped }
        );
        if is_stopped || self.wanted_spec().watched_files().is_none() {
            return;
        }
        tracing::info!(event = "script_changed", instance = %self.name, "the script has changed, reloading");
        self.forget_failed_next();
        self.history.note_request();
        self.note_reload(ReloadCause::FileChange);
        self.supervision.command(LifeEvent::Reload, moment(cx));
        self.follow_up(cx);
    }

    /// Whether it runs, or a start is under way.
    fn has_begun(&self) -> bool {
        let state = self.supervision.state();
        matches!(state, LifeState::Starting { .. } | LifeState::Running { .. } | LifeState::Reloading { .. })
    }

    fn note_reload(&mut self, cause: ReloadCause) {
        match self.supervision.state() {
            LifeState::Running { .. } => self.versions.ask_for_reload(cause, false),
            LifeState::Reloading { .. } => self.versions.ask_for_reload(cause, true),
            // No worker runs that could be kept, so this is a start.
            _ if cause == ReloadCause::User => self.versions.ask_for_start(),
            _ => {}
        }
    }

    /// When [`ScriptInstance::tick`] has to be called next.
    fn deadline(&self) -> Option<Instant> {
        let paused =
            self.supervision.workers().iter().filter_map(|member| member.worker.process.paused_until());
        let deadlines = [self.supervision.deadline(), self.data.failsafe_deadline()];
        deadlines.into_iter().flatten().chain(paused).min()
    }

    /// Some time has passed.
    pub fn tick(&mut self, cx: &mut LoopContext<'_>) {
        self.resume_messages(cx);
        self.check_health(cx);
        self.apply_failsafe(cx);
        self.look_for_overflow(cx.now);
        self.supervision.tick(moment(cx));
        self.follow_up(cx);
    }

    /// Does what supervision has left to do, starts the worker that it wants if it is its turn, then
    /// lets the worker serve that can.
    fn follow_up(&mut self, cx: &mut LoopContext<'_>) {
        loop {
            while let Some(task) = self.supervision.next_task() {
                self.perform(task);
            }
            if self.begin_wanted(cx) {
                continue;
            }
            let Some(worker) = self.supervision.serve_next(cx.now) else { break };
            let id = worker.id();
            self.serve(id, cx);
        }
        let state = self.supervision.state();
        let reason = match (self.last_state, state) {
            (LifeState::Stopping { after: AfterExit::StayStopped }, LifeState::Stopped) => {
                let exit = self.history.last_exit();
                Some(exit.map_or_else(|| "stopped".to_owned(), |exit| exit.reason.clone()))
            }
            (LifeState::Starting { import: None }, LifeState::Stopped) => Some("stopped".to_owned()),
            _ => None,
        };
        if let Some(reason) = reason {
            self.history.reach(self.history.last_start(), Transition::Stopped { reason });
        }
        self.last_state = state;
        let expectation = match state {
            _ if self.supervision.workers().is_attached() => Expectation::Attached,
            LifeState::Stopped | LifeState::Failed => Expectation::NoWorker,
            _ => Expectation::NextWorker,
        };
        self.data.expect(expectation, cx.now);
        cx.registry.timers.set(self.id, self.deadline());
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::NoteStart => self.history.note_start(),
            Task::ReportStartTimeout(id) => {
                reports::start_timeout(&self.name);
                if let Some(member) = self.supervision.workers_mut().get_mut(id) {
                    member.worker.process.ending = Some(ExitReason::StartTimeout);
                }
            }
            Task::ReportReplacementTimeout(id) => {
                reports::replacement_timeout(&self.name);
                let reason = ExitReason::StartTimeout.to_string();
                let start = self.start_of(id);
                self.note_failed_next(id, &reason);
                self.history.reach(start, Transition::ReloadFailed { reason, traceback: None });
            }
            Task::ReportStopTimeout(_) => reports::stop_timeout(&self.name),
            Task::ReportGivingUp => reports::giving_up(&self.name),
        }
    }

    // Its events.

    /// Takes an event that was routed here.
    #[inline]
    pub fn accept(&mut self, event: Event) {
        let receiver = self.supervision.workers_mut().receiver();
        self.data.accept(event, receiver.map(ScriptWorker::rings));
    }

    /// Hands over to the worker what waits for it. Returns whether anything waited.
    pub fn deliver(&mut self, cx: &mut LoopContext<'_>) -> bool {
        if !self.data.has_work() {
            return false;
        }
        self.look_for_overflow(cx.now);
        let Some(worker) = self.supervision.workers_mut().receiver() else { return false };
        if let Err(violation) = self.data.deliver(worker.rings(), cx.is_pinned) {
            let id = worker.id();
            self.violated(id, &violation.to_string(), cx);
        }
        true
    }

    fn look_for_overflow(&mut self, now: Instant) {
        let keeps_order = !matches!(self.supervision.state(), LifeState::Stopped | LifeState::Failed);
        let ((_, conflated), limit) = (self.data.queue(), self.data.queue_limit());
        self.overflows.look(&self.name, limit, conflated, keeps_order, now);
    }

    /// Whether the worker was just handed so few events that its answer may be there in a moment.
    pub fn answers_soon(&mut self) -> bool {
        self.data.answers_soon() && self.supervision.workers_mut().receiver().is_some()
    }

    /// Whether the worker has events to handle.
    pub fn is_working(&mut self) -> bool {
        let Some(worker) = self.supervision.workers_mut().receiver() else { return false };
        self.data.is_working(worker.rings())
    }

    /// Looks a moment longer for what the worker sends, if that is likely to pay. Returns whether
    /// it has sent something.
    pub fn spin(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let Some(worker) = self.supervision.workers_mut().receiver() else { return false };
        self.data.spin(worker.rings(), cx)
    }

    /// Takes what the worker has sent, a share of it. Returns whether there may be more.
    pub fn collect(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let Some(worker) = self.supervision.workers_mut().sender() else { return false };
        let id = worker.id();
        self.data.collect(worker.rings(), cx).unwrap_or_else(|violation| {
            self.violated(id, &violation.to_string(), cx);
            false
        })
    }

    /// The worker has rung.
    pub fn rung(&mut self, cx: &mut LoopContext<'_>) {
        if let Some(worker) = self.supervision.workers_mut().sender() {
            self.data.rung(worker.rings(), cx);
        }
    }

    /// Asks the worker to ring from now on; returns how the loop may wait so that nothing is
    /// overlooked.
    pub fn rest(&mut self, cx: &mut LoopContext<'_>) -> IdleMode {
        let Some(worker) = self.supervision.workers_mut().sender() else { return IdleMode::Block };
        let id = worker.id();
        self.data.rest(worker.rings(), cx.now).unwrap_or_else(|violation| {
            self.violated(id, &violation.to_string(), cx);
            IdleMode::Busy
        })
    }

    fn apply_failsafe(&mut self, cx: &mut LoopContext<'_>) {
        if self.data.gives_back_now(cx.now) {
            let worker = self.supervision.workers_mut().sender();
            if let Some(worker) = worker.filter(|worker| worker.has_begun_to_serve()) {
                // What the script has sent at its import is in the ring by now.
                let id = worker.id();
                if let Err(violation) = self.data.collect_all(worker.rings(), cx) {
                    self.violated(id, &violation.to_string(), cx);
                }
            } else {
                self.data.postpone_failsafe(cx.now);
            }
        }
        self.data.apply_failsafe(cx.now, cx.router);
    }

    /// Reads the messages of workers again that had sent too many.
    fn resume_messages(&mut self, cx: &LoopContext<'_>) {
        let members = self.supervision.workers().iter();
        let paused = members.filter(|member| member.worker.process.paused_until().is_some());
        let ids: Vec<WorkerId> = paused.map(|member| member.worker.id()).collect();
        for id in ids {
            if let Some(worker) = self.worker(id) {
                worker.resume(cx.poller, cx.now);
            }
        }
    }

    // The health of its worker.

    fn check_health(&mut self, cx: &mut LoopContext<'_>) {
        let Some((worker, health)) = self.supervision.watched() else { return };
        let (id, pid, data) = (worker.id(), worker.pid(), &mut self.data);
        let look = || {
            let waiting = data.waiting(worker.rings())?;
            Ok::<_, Violation>(Look { doing: worker.process.end.progress.activity(), waiting })
        };
        match health.check(pid, cx.now, look) {
            Ok(None) => {}
            Ok(Some(Hang { look, time })) => {
                let in_hand = worker.rings().down.in_hand();
                let callable = worker.process.end.progress.callable();
                let place = reports::hang_place(look, callable.as_deref(), in_hand, self.data.values());
                reports::hang(&self.name, time, &place);
                worker.process.ending = Some(ExitReason::Hang(place));
                self.supervision.hangs(id, moment(cx));
            }
            Err(violation) => self.violated(id, &violation.to_string(), cx),
        }
    }
}

fn moment(cx: &LoopContext<'_>) -> Moment {
    Moment { now: cx.now, jitter: cx.jitter() }
}

fn limits(options: &PythonOptions) -> Limits {
    Limits { watchdog: options.watchdog }
}

fn policy(options: &PythonOptions) -> Policy {
    Policy {
        restart: options.restart,
        backoff: options.backoff,
        backoff_max: options.backoff_max,
        stable: options.stable,
        max_restarts: options.max_restarts,
        start_timeout: options.start_timeout,
        stop_timeout: options.stop_timeout,
    }
}
