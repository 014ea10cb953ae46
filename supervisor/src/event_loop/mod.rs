//! The event loop: waits, takes in what happened, routes it, and sends it on. Nothing in it blocks but the one wait.
//!
//! One turn, in this order:
//!
//! ```text
//! wait ─► dispatch (backends receive, workers ring, exit and speak) ─► timers ─► collect ─► route ─► deliver, flush
//! ```
//!
//! [`control_requests`] serves clients, [`state_file`] and [`service_manager`] keep those two up to date, [`show_reload`] is
//! for HUP. [`BusyPoller`] may put the wait off for a moment.

mod control_requests;
pub mod message;
mod service_manager;
mod show_reload;
mod state_file;
mod supervisor_options;

use crate::backends::Incoming;
use crate::backends::set::{BackendSet, LoopAccess};
use crate::control::protocol::EventDirection;
use crate::event_loop::message::{LoopMessage, WorkerEvent};
use crate::ids::WorkerId;
use crate::instances::InstanceSet;
use crate::instances::context::{LoopContext, Registry};
use crate::instances::launcher::WorkerLauncher;
use crate::instances::spare::Spare;
use crate::mailbox::Mailbox;
use crate::poller::{Interest, Poller, Wake};
use crate::realtime::Realtime;
use crate::router::cycles::LoopMonitor;
use crate::router::{Routed, Router, STEP_BUDGET};
use crate::script_output::Drain;
use crate::script_watch::ScriptWatch;
use crate::show_reload::Origin;
use crate::signals::{Request, Signals};
use crate::state::{Saved, StateFile};
use crate::systemd::Systemd;
use control_requests::ControlRequests;
use mm_config::SupervisorOptions;
use mm_shared::Event;
use mm_shared::wakeup::constants::LOOP_SPINS_LIMIT;
use mm_shared::wakeup::{BusyPoller, IdleMode, WakeupMode};
use show_reload::ShowReload;
use state_file::SharedNames;
use std::cmp::Reverse;
use std::io;
use std::time::{Duration, Instant};

/// Messages that are taken in between two looks at the events.
const MESSAGES_PER_TURN: usize = 64;

/// Events that a source of a backend may add in one turn.
const READ_BUDGET: usize = 4096;

/// Routing takes no longer than this between two looks at the outside: events of a loop may each have many targets. What
/// comes from outside waits for it up to three times on its way through a script, which is to add up to less than 1 ms.
const STEP_TIME: Duration = Duration::from_micros(200);
/// So many events are routed between two looks at the clock.
const STEPS_A_LOOK: usize = 64;

/// All that a running show consists of.
pub struct EventLoop {
    hosts: BackendSet,
    fleet: InstanceSet,
    router: Router,
    tools: WorkerLauncher,
    mailbox: Mailbox<LoopMessage>,
    signals: Signals,
    drain: Drain,
    poller: Poller,
    busy_poller: BusyPoller,
    realtime: Realtime,
    registry: Registry,
    spare: Spare,
    watch: ScriptWatch,
    origin: Origin,
    state_file: Option<StateFile>,
    systemd: Systemd,
    systemd_status_is_old: bool,
    show_reload: ShowReload,
    names: SharedNames,
    control: ControlRequests,
    loop_monitor: LoopMonitor,
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
    pub hosts: BackendSet,
    /// The Python instances.
    pub fleet: InstanceSet,
    /// The mappings.
    pub router: Router,
    /// What it takes to start workers.
    pub tools: WorkerLauncher,
    /// What threads have to say.
    pub mailbox: Mailbox<LoopMessage>,
    /// What the system has to say.
    pub signals: Signals,
    /// What scripts print.
    pub drain: Drain,
    /// A worker for whoever needs one first.
    pub spare: Spare,
    /// Where the show came from.
    pub origin: Origin,
    /// Keeps the last values on disk.
    pub state_file: Option<StateFile>,
    /// The values from before the show was started again.
    pub saved: Saved,
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
        parts.tools.reaper.watch(&poller)?;
        let Parts {
            mut hosts,
            fleet,
            router,
            tools,
            mailbox,
            signals,
            drain,
            spare,
            origin,
            state_file,
            saved,
        } = parts;
        let mut incoming = Vec::new();
        hosts.start(&mut LoopAccess { poller: &poller, events: &mut incoming })?;
        let (names, control) = (SharedNames::new(&origin.show), ControlRequests::new(&origin.show));
        let loop_monitor = LoopMonitor::new(&origin.show);
        let options = SupervisorOptions::of(&origin.show);
        let post = tools.post.clone();
        let watch = ScriptWatch::new(move |instance| {
            // Without a loop there is nothing to reload.
            let _ = post.send(LoopMessage::ScriptChanged(instance));
        });
        let mut this = Self {
            hosts,
            fleet,
            router,
            tools,
            mailbox,
            signals,
            drain,
            poller,
            busy_poller: BusyPoller::new(WakeupMode::of_process(), options.low_latency),
            realtime: Realtime::request(&options),
            registry: Registry::default(),
            spare,
            watch,
            origin,
            state_file,
            systemd: Systemd::from_env(Instant::now()),
            systemd_status_is_old: true,
            show_reload: ShowReload::Idle,
            names,
            control,
            loop_monitor,
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
            if self.phase == Phase::Ending && self.fleet.is_gone() && self.spare.is_gone() {
                self.record_transitions();
                self.save_last_values();
                self.hosts.close_all(&mut self.poller);
                return Ok(());
            }
            let now = self.wait(rest, &mut wakes)?;
            for wake in wakes.drain(..) {
                self.dispatch(wake, now);
            }
            self.tick(now);
            let busy = self.pass_on(now);
            self.record_transitions();
            self.control.flush_monitors();
            self.save_values(now);
            self.loop_monitor.check(&self.router, now);
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

    /// Takes what workers have sent, routes what waits and hands it on; says whether there is more to do. Where an
    /// answer of a worker is likely to come at once, it is waited for and passed on as well.
    fn pass_on(&mut self, now: Instant) -> bool {
        for _ in 0..LOOP_SPINS_LIMIT {
            let more = self.with_instances(now, InstanceSet::collect);
            self.route();
            let handed = self.with_instances(now, InstanceSet::deliver);
            self.answered = self.with_backends(BackendSet::flush) && !handed;
            if more || !self.router.is_idle() {
                return true;
            }
            if !self.with_instances(now, InstanceSet::spin) {
                return false;
            }
        }
        true
    }

    fn with_backends<R>(&mut self, act: impl FnOnce(&mut BackendSet, &mut LoopAccess<'_>) -> R) -> R {
        let mut access = LoopAccess { poller: &self.poller, events: &mut self.incoming };
        act(&mut self.hosts, &mut access)
    }

    fn with_instances<R>(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut InstanceSet, &mut LoopContext<'_>) -> R,
    ) -> R {
        let mut cx = LoopContext {
            tools: &mut self.tools,
            poller: &self.poller,
            router: &mut self.router,
            drain: &self.drain,
            registry: &mut self.registry,
            spare: &mut self.spare,
            watch: &mut self.watch,
            is_pinned: self.busy_poller.is_pinned(),
            now,
        };
        act(&mut self.fleet, &mut cx)
    }

    /// Says once that the show runs.
    fn note_start(&mut self, started: Instant) {
        if self.phase != Phase::Starting || !self.fleet.has_started() {
            return;
        }
        self.phase = Phase::Running;
        self.systemd_status_is_old = true;
        if self.fleet.wants_spare() {
            self.spare.wanted(Instant::now());
        }
        let (all, serving) = self.fleet.serving();
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
        let (fleet, hosts) = (self.fleet.deadline(), self.hosts.deadline());
        let (spare, reaper) = (self.spare.deadline(), self.tools.reaper.deadline());
        [fleet, hosts, spare, reaper, self.systemd.deadline(), state_file].into_iter().flatten().min()
    }

    fn dispatch(&mut self, wake: Wake, now: Instant) {
        match wake {
            Wake::Signal => self.signalled(now),
            Wake::Mailbox => self.take_messages(now),
            Wake::Backend { index, token } => {
                self.with_backends(|backends, access| backends.on_ready(index, token, READ_BUDGET, access));
                self.route_incoming();
            }
            Wake::Bell(worker_id) => self.with_instances(now, |fleet, cx| {
                fleet.rung(worker_id, cx);
            }),
            Wake::WorkerControl(worker_id) => self.with_instances(now, |fleet, cx| {
                fleet.receive(worker_id, cx);
            }),
            Wake::WorkerExit(worker_id) => self.tools.reaper.worker_exited(worker_id, &self.poller, now),
            Wake::Reaper => {
                self.tools.reaper.receive(&self.poller, now);
                self.take_reaper_events(now);
            }
        }
    }

    fn take_messages(&mut self, now: Instant) {
        for _ in 0..MESSAGES_PER_TURN {
            let Some(message) = self.mailbox.try_receive() else { return };
            match message {
                LoopMessage::ShowRead(outcome) => self.show_was_read(outcome, now),
                LoopMessage::Control(request) => self.handle_request(request, now),
                LoopMessage::ScriptChanged(instance) => self.with_instances(now, |fleet, cx| {
                    fleet.changed(&instance, cx);
                }),
                LoopMessage::Worker { worker_id, event } => self.worker_event(worker_id, event, now),
                LoopMessage::WorkerProgram(outcome) => {
                    for (worker_id, error) in self.tools.program_found(outcome) {
                        self.worker_event(worker_id, WorkerEvent::Spawned(Err(error)), now);
                    }
                }
            }
        }
        // the doorbell is told of once for each ring, so what is left needs one of its own
        self.mailbox.ring();
    }

    fn worker_event(&mut self, worker_id: WorkerId, event: WorkerEvent, now: Instant) {
        self.with_instances(now, |fleet, cx| fleet.worker_event(worker_id, event, cx));
    }

    fn take_reaper_events(&mut self, now: Instant) {
        while let Some((worker_id, event)) = self.tools.reaper.next_event() {
            self.worker_event(worker_id, event.into(), now);
        }
    }

    fn signalled(&mut self, now: Instant) {
        for request in self.signals.pending() {
            match (request, self.phase) {
                (Request::End, Phase::Ending) => {
                    tracing::warn!(event = "show_killed", "asked again to stop, ending all workers at once");
                    self.with_instances(now, InstanceSet::kill);
                }
                (Request::End, _) => {
                    tracing::info!(event = "show_stopping", "stopping");
                    self.phase = Phase::Ending;
                    self.systemd_status_is_old = true;
                    self.spare.dismiss();
                    self.with_instances(now, InstanceSet::stop);
                }
                (Request::Reread, Phase::Ending) => {}
                (Request::Reread, _) => self.begin_show_reload(),
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.with_instances(now, InstanceSet::tick);
        self.with_instances(now, |_, cx| cx.tick_spare());
        self.tools.reaper.tick(&self.poller, now);
        self.take_reaper_events(now);
        self.with_backends(|backends, access| backends.tick(now, access));
        self.route_incoming();
    }

    fn route_incoming(&mut self) {
        for incoming in self.incoming.drain(..) {
            self.router.accept(incoming);
        }
    }

    /// Routes what waits, a bounded amount of it.
    fn route(&mut self) {
        let Self { router, hosts, fleet, poller, incoming, control, state_file, .. } = self;
        if let Some(state_file) = state_file.as_mut().filter(|_| !router.is_idle()) {
            state_file.touch();
        }
        let watched = control.has_monitors();
        let began = Instant::now();
        for step in 1..=STEP_BUDGET {
            if step.is_multiple_of(STEPS_A_LOOK) && began.elapsed() > STEP_TIME {
                break;
            }
            let Some(Routed { source, value, targets }) = router.next_event() else { break };
            for target in targets {
                if watched {
                    control.monitor(target.instance, target.channel, EventDirection::In, value);
                }
                let mut access = LoopAccess { poller, events: incoming };
                if !hosts.handle(target.instance, target.channel, value, &mut access) {
                    fleet.accept(target.instance, Event { channel: target.channel, value });
                }
            }
            if watched && let Some(origin) = router.origin(source) {
                control.monitor(origin.instance, origin.channel, EventDirection::Out, value);
            }
            for event in incoming.drain(..) {
                router.accept(event);
            }
        }
        router.shrink();
    }
}
