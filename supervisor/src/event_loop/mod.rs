//! The event loop: waits, takes in what happened, routes it, and sends it on. Nothing in it blocks but the one wait.
//!
//! One turn, in this order:
//!
//! ```text
//! wait ─► dispatch (backends receive, workers ring, exit and speak) ─► timers ─► collect ─► route ─► deliver, flush
//! ```
//!
//! [`desk`] is what it does for clients, `chores` for the state file and the service manager, `renewal` on HUP; `lookout`
//! may put the wait off for a moment.

mod chores;
mod desk;
mod lookout;
mod renewal;

use crate::backends::Inlet;
use crate::control::protocol::Way;
use crate::hosts::Hosts;
use crate::instances::Fleet;
use crate::instances::rest::Rest;
use crate::instances::script_watch::ScriptWatch;
use crate::instances::spare::Spare;
use crate::instances::surroundings::{Registry, Surroundings};
use crate::instances::tools::Tools;
use crate::notices::{Notice, Notices};
use crate::poller::{Poller, Trigger, Wake};
use crate::reread::Origin;
use crate::router::cycles::Rounds;
use crate::router::{Routed, Router, STEP_BUDGET};
use crate::signals::{Request, Signals};
use crate::state::{Saved, Store};
use crate::stdio::Drain;
use crate::systemd::Systemd;
use chores::SharedNames;
use desk::Desk;
use lookout::Lookout;
use mm_config::SupervisorOptions;
use mm_shared::Event;
use std::cmp::Reverse;
use std::io;
use std::time::{Duration, Instant};

/// Notices that are taken in between two looks at the events.
const NOTICES_A_TURN: usize = 64;

/// The most answers of workers that are waited for in one turn.
const SPINS: usize = 16;

/// Routing takes no longer than this between two looks at the outside: events of a loop may each have many targets. What
/// comes from outside waits for it up to three times on its way through a script, which is to add up to less than 1 ms.
const STEP_TIME: Duration = Duration::from_micros(200);
/// So many events are routed between two looks at the clock.
const STEPS_A_LOOK: usize = 64;

/// All that a running show consists of.
pub struct EventLoop {
    hosts: Hosts,
    fleet: Fleet,
    router: Router,
    tools: Tools,
    notices: Notices,
    signals: Signals,
    drain: Drain,
    poller: Poller,
    lookout: Lookout,
    registry: Registry,
    spare: Spare,
    watch: ScriptWatch,
    origin: Origin,
    store: Option<Store>,
    systemd: Systemd,
    systemd_status_is_old: bool,
    rereading: bool,
    reread_again: bool,
    names: SharedNames,
    desk: Desk,
    rounds: Rounds,
    inlet: Inlet,
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
    pub hosts: Hosts,
    /// The Python instances.
    pub fleet: Fleet,
    /// The mappings.
    pub router: Router,
    /// What it takes to start workers.
    pub tools: Tools,
    /// What threads have to say.
    pub notices: Notices,
    /// What the system has to say.
    pub signals: Signals,
    /// What scripts print.
    pub drain: Drain,
    /// A worker for whoever needs one first.
    pub spare: Spare,
    /// Where the show came from.
    pub origin: Origin,
    /// Keeps the last values on disk.
    pub store: Option<Store>,
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
        poller.watch(parts.signals.descriptor(), Trigger::Level, Wake::Signal)?;
        poller.watch(parts.notices.descriptor(), Trigger::Edge, Wake::Notice)?;
        parts.hosts.watch(&poller)?;
        let Parts { hosts, fleet, router, tools, notices, signals, drain, spare, origin, store, saved } =
            parts;
        let (names, desk) = (SharedNames::new(&origin.show), Desk::new(&origin.show));
        let rounds = Rounds::new(&origin.show);
        let watch = ScriptWatch::new(tools.post.clone());
        let mut this = Self {
            hosts,
            fleet,
            router,
            tools,
            notices,
            signals,
            drain,
            poller,
            lookout: Lookout::new(SupervisorOptions::of(&origin.show).low_latency),
            registry: Registry::default(),
            spare,
            watch,
            origin,
            store,
            systemd: Systemd::from_env(Instant::now()),
            systemd_status_is_old: true,
            rereading: false,
            reread_again: false,
            names,
            desk,
            rounds,
            inlet: Inlet::default(),
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
        self.with_fleet(started, Fleet::start);
        let mut wakes = Vec::new();
        let mut rest = Rest::Sleep;
        loop {
            self.note_start(started);
            if self.phase == Phase::Ending && self.fleet.is_gone() && self.spare.is_gone() {
                self.keep_promises();
                self.keep_last_state();
                return Ok(());
            }
            let now = self.wait(rest, &mut wakes)?;
            for wake in wakes.drain(..) {
                self.dispatch(wake, now);
            }
            self.tick(now);
            let busy = self.pass_on(now);
            self.keep_promises();
            self.desk.watchers.wake();
            self.keep_state(now);
            self.rounds.look(&self.router, now);
            self.tell_systemd(now);
            rest = if busy { Rest::No } else { self.with_fleet(now, Fleet::rest) };
        }
    }

    /// Waits for something to do; returns when that came, which is the time of the turn.
    fn wait(&mut self, rest: Rest, wakes: &mut Vec<Wake>) -> io::Result<Instant> {
        let looks = self.answered && rest == Rest::Sleep;
        if !looks || !self.lookout.look(&mut self.poller, wakes)? {
            let timeout = self.timeout(rest);
            self.poller.wait(timeout, wakes)?;
        }
        let now = Instant::now();
        let events_only = wakes.iter().all(|wake| matches!(wake, Wake::Backend { .. } | Wake::Bell(_)));
        if self.lookout.stays() && (!events_only || self.deadline().is_some_and(|at| at <= now)) {
            self.lookout.leave();
        }
        Ok(now)
    }

    /// Takes what workers have sent, routes what waits and hands it on; says whether there is more to do. Where an
    /// answer of a worker is likely to come at once, it is waited for and passed on as well.
    fn pass_on(&mut self, now: Instant) -> bool {
        for _ in 0..SPINS {
            let more = self.with_fleet(now, Fleet::collect);
            self.route();
            let handed = self.with_fleet(now, Fleet::deliver);
            self.answered = self.hosts.flush() && !handed;
            if more || !self.router.is_idle() {
                return true;
            }
            if !self.with_fleet(now, Fleet::spin) {
                return false;
            }
        }
        true
    }

    fn with_fleet<R>(&mut self, now: Instant, act: impl FnOnce(&mut Fleet, &mut Surroundings<'_>) -> R) -> R {
        let mut surroundings = Surroundings {
            tools: &self.tools,
            poller: &self.poller,
            router: &mut self.router,
            drain: &self.drain,
            registry: &mut self.registry,
            spare: &mut self.spare,
            watch: &mut self.watch,
            stays: self.lookout.stays(),
            now,
        };
        act(&mut self.fleet, &mut surroundings)
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
            tracing::info!("show is running");
        } else if serving == all {
            tracing::info!("show is running: all Python instances ready ({all}) after {took} ms");
        } else {
            tracing::warn!("show is running: {serving} of {all} Python instances ready after {took} ms");
        }
    }

    /// How long nothing needs to be done; `None` is for ever.
    fn timeout(&self, rest: Rest) -> Option<Duration> {
        let nap = match rest {
            Rest::No => return Some(Duration::ZERO),
            Rest::Nap(Reverse(until)) => Some(until),
            Rest::Sleep => None,
        };
        let deadline = [nap, self.deadline()].into_iter().flatten().min()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// When something is to be done whatever happens until then.
    fn deadline(&self) -> Option<Instant> {
        let store = self.store.as_ref().and_then(Store::deadline);
        let (fleet, hosts) = (self.fleet.deadline(), self.hosts.deadline());
        [fleet, hosts, self.spare.deadline(), self.systemd.deadline(), store].into_iter().flatten().min()
    }

    fn dispatch(&mut self, wake: Wake, now: Instant) {
        match wake {
            Wake::Signal => self.signalled(now),
            Wake::Notice => self.take_notices(now),
            Wake::Backend { index, token } => {
                self.hosts.receive(index, token, &mut self.inlet);
                self.let_in();
            }
            Wake::Bell(incarnation) => self.with_fleet(now, |fleet, surroundings| {
                fleet.rung(incarnation, surroundings);
            }),
        }
    }

    fn take_notices(&mut self, now: Instant) {
        for _ in 0..NOTICES_A_TURN {
            let Some(notice) = self.notices.next() else { return };
            match notice {
                Notice::Reread(outcome) => self.reread(outcome, now),
                Notice::Asked(asked) => self.asked(asked, now),
                Notice::Changed(instance) => self.with_fleet(now, |fleet, surroundings| {
                    fleet.changed(&instance, surroundings);
                }),
                Notice::Worker { incarnation, news } => self.with_fleet(now, |fleet, surroundings| {
                    fleet.news(incarnation, news, surroundings);
                }),
            }
        }
        // the doorbell is told of once for each ring, so what is left needs one of its own
        self.notices.ring();
    }

    fn signalled(&mut self, now: Instant) {
        for request in self.signals.pending() {
            match (request, self.phase) {
                (Request::End, Phase::Ending) => {
                    tracing::warn!("asked again to stop, ending all workers at once");
                    self.with_fleet(now, Fleet::kill);
                }
                (Request::End, _) => {
                    tracing::info!("stopping");
                    self.phase = Phase::Ending;
                    self.systemd_status_is_old = true;
                    self.spare.dismiss();
                    self.with_fleet(now, Fleet::stop);
                }
                (Request::Reread, Phase::Ending) => {}
                (Request::Reread, _) => self.begin_reread(),
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.with_fleet(now, Fleet::tick);
        self.with_fleet(now, |_, surroundings| surroundings.tick_spare());
        self.hosts.tick(now, &mut self.inlet, &self.poller);
        self.let_in();
    }

    fn let_in(&mut self) {
        for incoming in self.inlet.drain() {
            self.router.accept(incoming);
        }
    }

    /// Routes what waits, a bounded amount of it.
    fn route(&mut self) {
        let Self { router, hosts, fleet, inlet, desk, store, .. } = self;
        if let Some(store) = store.as_mut().filter(|_| !router.is_idle()) {
            store.touch();
        }
        let watched = !desk.watchers.is_empty();
        let began = Instant::now();
        for step in 1..=STEP_BUDGET {
            if step.is_multiple_of(STEPS_A_LOOK) && began.elapsed() > STEP_TIME {
                break;
            }
            let Some(Routed { channel, value, targets }) = router.next_event() else { break };
            for target in targets {
                if watched {
                    desk.watchers.pass(&desk.names, target.instance, target.channel, Way::In, value);
                }
                if !hosts.handle(target.instance, target.channel, value, inlet) {
                    fleet.accept(target.instance, Event { channel: target.channel, value });
                }
            }
            if watched && let Some(origin) = router.origin(channel) {
                desk.watchers.pass(&desk.names, origin.instance, origin.channel, Way::Out, value);
            }
            for incoming in inlet.drain() {
                router.accept(incoming);
            }
        }
        router.settle();
    }
}
