//! The event loop: waits, takes in what happened, routes it, and sends it on. Nothing in it blocks
//! but the one wait.
//!
//! One turn, in this order:
//!
//! ```text
//! wait ─► dispatch (backends receive, workers ring, exit, send messages) ─► timers ─► routing
//! routing: collect from workers ─► route ─► deliver to workers, flush backends
//! ```
//!
//! [`control_requests`] serves clients, [`state_file`] and [`service_manager`] keep those two up to
//! date, [`show_reload`] is for HUP. [`BusyPoller`] may put the wait off for a moment.

pub mod message;

mod dispatch;
mod routing;
mod step;

mod control_requests;
mod details;
mod restored_outputs;
mod service_manager;
mod show_reload;
mod state_file;
mod supervisor_options;

use crate::backends::Incoming;
use crate::backends::set::{BackendSet, LoopAccess};
use crate::event_loop::message::LoopMessage;
use crate::instances::InstanceSet;
use crate::instances::context::{LoopContext, Registry};
use crate::instances::launcher::WorkerLauncher;
use crate::instances::memory_watch::MemoryWatch;
use crate::instances::spare::Spare;
use crate::last_good::LastGood;
use crate::mailbox::{Mailbox, MailboxSender};
use crate::poller::{Interest, Poller, Wake};
use crate::realtime::Realtime;
use crate::router::Router;
use crate::router::conflation_monitor::ConflationMonitor;
use crate::router::cycles::LoopMonitor;
use crate::script_output::ScriptOutput;
use crate::script_watch::ScriptWatch;
use crate::show_reload::Origin;
use crate::signals::Signals;
use crate::state::{Saved, StateFile};
use crate::systemd::Systemd;
use control_requests::ControlRequests;
use mm_config::SupervisorOptions;
use mm_shared::wakeup::{BusyPoller, IdleMode, WakeupMode};
use restored_outputs::RestoredOutputs;
use show_reload::ShowReload;
use state_file::SharedNames;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};
use step::StepBudget;

/// Told to a client that ends the show of a service.
const SERVICE_HINT: &str = "systemd may start it again; `systemctl stop` stops its service";

/// All that a running show consists of.
pub struct EventLoop {
    backends: BackendSet,
    instances: InstanceSet,
    router: Router,
    launcher: WorkerLauncher,
    mailbox: Mailbox<LoopMessage>,
    sender: MailboxSender<LoopMessage>,
    signals: Signals,
    script_output: ScriptOutput,
    poller: Poller,
    busy_poller: BusyPoller,
    realtime: Realtime,
    registry: Registry,
    spare: Spare,
    script_watch: ScriptWatch,
    memory_watch: MemoryWatch,
    origin: Origin,
    state_file: Option<StateFile>,
    restored: RestoredOutputs,
    last_good: LastGood,
    systemd: Systemd,
    systemd_status_is_old: bool,
    show_reload: ShowReload,
    names: SharedNames,
    control: ControlRequests,
    loop_monitor: LoopMonitor,
    conflation_monitor: ConflationMonitor,
    step_budget: StepBudget,
    /// Sources of backends that are ready and were not read yet.
    ready: VecDeque<Wake>,
    /// Events that came in through backends, on their way to the router.
    incoming: Vec<Incoming>,
    /// Something has gone out, and no worker was handed anything since.
    answered: bool,
    phase: Phase,
}

/// How far the show is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Instances are being started for the first time.
    Starting,
    /// All have been started, and have served or failed.
    Running,
    /// It has been asked to end.
    Ending,
}

/// What an event loop is made of.
pub struct Parts {
    /// The backends and their instances.
    pub backends: BackendSet,
    /// The Python instances.
    pub instances: InstanceSet,
    /// The mappings.
    pub router: Router,
    /// What it takes to start workers.
    pub launcher: WorkerLauncher,
    /// What threads have to say.
    pub mailbox: Mailbox<LoopMessage>,
    /// How threads send them.
    pub sender: MailboxSender<LoopMessage>,
    /// What the system has to say.
    pub signals: Signals,
    /// What scripts print.
    pub script_output: ScriptOutput,
    /// A worker for the first instance that needs one.
    pub spare: Spare,
    /// Where the show came from.
    pub origin: Origin,
    /// Keeps the last values on disk.
    pub state_file: Option<StateFile>,
    /// The values from before the show was started again.
    pub saved: Saved,
    /// Keeps the show file, or knows why a copy of it runs.
    pub last_good: LastGood,
}

impl EventLoop {
    /// A loop over these parts.
    ///
    /// # Errors
    ///
    /// The process has no descriptor left.
    pub fn new(parts: Parts) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.watch(parts.signals.descriptor(), Interest::Read, Wake::Signal)?;
        poller.watch(parts.mailbox.descriptor(), Interest::ReadEdge, Wake::Mailbox)?;
        parts.launcher.reaper.watch(&poller)?;
        let Parts {
            mut backends,
            instances,
            router,
            launcher,
            mailbox,
            sender,
            signals,
            script_output,
            spare,
            origin,
            state_file,
            saved,
            last_good,
        } = parts;
        let mut incoming = Vec::new();
        backends.start(&mut LoopAccess { poller: &poller, events: &mut incoming })?;
        let (names, control) = (SharedNames::new(&origin.show), ControlRequests::new(&origin.show));
        let loop_monitor = LoopMonitor::new(&origin.show);
        let options = SupervisorOptions::of(&origin.show);
        let to_loop = sender.clone();
        let script_watch = ScriptWatch::new(move |instance| {
            // Without a loop there is nothing to reload.
            let _ = to_loop.send(LoopMessage::ScriptChanged(instance));
        });
        let to_loop = sender.clone();
        let memory_watch = MemoryWatch::new(move |over| {
            // Without a loop there is no worker.
            let _ = to_loop.send(LoopMessage::OverMemory(over));
        });
        let mut this = Self {
            backends,
            instances,
            router,
            launcher,
            mailbox,
            sender,
            signals,
            script_output,
            poller,
            busy_poller: BusyPoller::new(WakeupMode::of_process(), options.low_latency),
            realtime: Realtime::request(&options),
            registry: Registry::default(),
            spare,
            script_watch,
            memory_watch,
            origin,
            state_file,
            restored: RestoredOutputs::default(),
            last_good,
            systemd: Systemd::from_env(Instant::now()),
            systemd_status_is_old: true,
            show_reload: ShowReload::default(),
            names,
            control,
            loop_monitor,
            conflation_monitor: ConflationMonitor::default(),
            step_budget: StepBudget::default(),
            ready: VecDeque::new(),
            incoming,
            answered: false,
            phase: Phase::Starting,
        };
        this.restore(&saved);
        Ok(this)
    }

    /// Runs the show until it is asked to end.
    ///
    /// # Errors
    ///
    /// The system refuses to wait for events; all workers end with this process then.
    pub fn run(mut self) -> io::Result<()> {
        let started = Instant::now();
        self.with_instances(started, InstanceSet::start);
        let mut wakes = Vec::new();
        let mut rest = IdleMode::Block;
        loop {
            self.note_start(started);
            if self.phase == Phase::Ending && self.instances.is_gone() && self.spare.is_gone() {
                self.record_transitions();
                self.save_last_values();
                self.backends.close_all(&mut self.poller);
                self.control.answer_quits(self.systemd.is_service().then_some(SERVICE_HINT));
                return Ok(());
            }
            let now = self.wait(rest, &mut wakes)?;
            self.router.set_time(now);
            self.dispatch_all(&mut wakes, now);
            self.tick(now);
            self.send_restored(now);
            let busy = self.pass_on(now);
            self.record_transitions();
            self.control.flush_monitors();
            self.save_values(now);
            self.loop_monitor.check(&self.router, now);
            self.conflation_monitor.check(&self.router, &self.origin.show, now);
            self.notify_service_manager(now);
            rest = if busy { IdleMode::Busy } else { self.with_instances(now, InstanceSet::rest) };
        }
    }

    /// Waits for something to do; returns when that came, which is the time of the turn.
    fn wait(&mut self, rest: IdleMode, wakes: &mut Vec<Wake>) -> io::Result<Instant> {
        let polls = self.answered && rest == IdleMode::Block;
        let (busy_poller, poller) = (&mut self.busy_poller, &mut self.poller);
        let look = || poller.wait(Some(Duration::ZERO), wakes).map(|_| !wakes.is_empty());
        if !polls || !busy_poller.look(look)? {
            let timeout = self.timeout(rest);
            self.poller.wait(timeout, wakes)?;
        }
        let now = Instant::now();
        let events_only = wakes.iter().all(|wake| matches!(wake, Wake::Backend { .. } | Wake::Bell(_)));
        if self.busy_poller.is_pinned() && (!events_only || self.deadline().is_some_and(|at| at <= now)) {
            self.busy_poller.leave();
        }
        Ok(now)
    }

    fn with_backends<R>(&mut self, act: impl FnOnce(&mut BackendSet, &mut LoopAccess<'_>) -> R) -> R {
        let mut access = LoopAccess { poller: &self.poller, events: &mut self.incoming };
        act(&mut self.backends, &mut access)
    }

    fn with_instances<R>(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut InstanceSet, &mut LoopContext<'_>) -> R,
    ) -> R {
        let mut cx = LoopContext {
            launcher: &mut self.launcher,
            poller: &self.poller,
            router: &mut self.router,
            script_output: &self.script_output,
            registry: &mut self.registry,
            spare: &mut self.spare,
            script_watch: &mut self.script_watch,
            memory_watch: &mut self.memory_watch,
            is_pinned: self.busy_poller.is_pinned(),
            now,
        };
        act(&mut self.instances, &mut cx)
    }

    /// Says once that the show runs.
    fn note_start(&mut self, started: Instant) {
        if self.phase != Phase::Starting || !self.instances.has_started() {
            return;
        }
        self.phase = Phase::Running;
        self.last_good.keep();
        self.systemd_status_is_old = true;
        if self.instances.wants_spare() {
            self.spare.wanted(Instant::now());
        }
        let (all, serving) = self.instances.serving();
        let took = started.elapsed().as_millis();
        if all == 0 {
            tracing::info!(event = "show_running", "show is running");
        } else if serving == all {
            tracing::info!(
                event = "show_running",
                "show is running: all Python instances ready ({all}) after {took} ms"
            );
        } else {
            tracing::warn!(
                event = "show_running",
                "show is running: {serving} of {all} Python instances ready after {took} ms"
            );
        }
    }

    /// How long nothing needs to be done; `None` is for ever.
    fn timeout(&self, rest: IdleMode) -> Option<Duration> {
        let nap = match rest {
            IdleMode::Busy => return Some(Duration::ZERO),
            IdleMode::PollUntil(Reverse(until)) => Some(until),
            IdleMode::Block => None,
        };
        let deadline = [nap, self.deadline()].into_iter().flatten().min()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// When something is to be done whatever happens until then.
    fn deadline(&self) -> Option<Instant> {
        let state_file = self.state_file.as_ref().and_then(StateFile::deadline);
        let (instances, backends) = (self.registry.deadline(), self.backends.deadline());
        let (spare, reaper) = (self.spare.deadline(), self.launcher.reaper.deadline());
        let (systemd, restored) = (self.systemd.deadline(), self.restored.deadline());
        let show_reload = self.show_reload.deadline();
        let parts = [instances, backends, spare, reaper, systemd, state_file, restored, show_reload];
        parts.into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant) {
        self.check_show_reload(now);
        self.with_instances(now, InstanceSet::tick);
        self.with_instances(now, |_, cx| cx.tick_spare());
        self.launcher.reaper.tick(&self.poller, now);
        self.take_reaper_events(now);
        self.with_backends(|backends, access| backends.tick(now, access));
        self.repeat_outputs();
        self.route_incoming();
    }
}
