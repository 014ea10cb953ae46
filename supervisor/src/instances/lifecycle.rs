//! The life of an instance as one pure function: a state and an event give the next state and what to do.
//!
//! Nothing here touches a process or a clock, so every transition can be tested with invented times. What
//! the user wants is kept apart from what is: a stop or restart that comes while a worker is still ending changes
//! only what happens next (`Then`), so the last word counts and there is never more than one incarnation, but for a
//! reload, which starts the next one beside the one that serves.
//!
//! ```text
//!               start, restart                 ready
//!   Stopped ───────────────────► Starting ─────────────► Running ◄──── beside ready (swap), beside failed
//!   Failed  ◄──┐                  │  ▲                    │    │ reload       ▲
//!      ▲       │ too many         │  │ until              │    └─────────► Reloading
//!      │       │                  ▼  │                    ▼
//!      └── restart rule ◄─── exited: Backoff      fault, stop, restart: Stopping ── exited ─► Stopped, Starting, …
//! ```

use super::backoff::{Intensity, delay};
use crate::instances::options::RestartRule;
use std::time::{Duration, Instant};

/// What the show file says about an instance's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Which ends of a worker are followed by a start.
    pub restart: RestartRule,
    /// Delay before the second restart in a row; it doubles from there.
    pub backoff: Duration,
    /// The longest delay.
    pub backoff_max: Duration,
    /// After running this long from ready on, an instance counts as stable and its failures are forgotten.
    pub stable: Duration,
    /// At most so many restarts within so long; `None` never gives up.
    pub max_restarts: Option<(u32, Duration)>,
    /// How long imports may take.
    pub start_timeout: Duration,
    /// How long the cleanup handler may take before TERM.
    pub stop_timeout: Duration,
}

/// The longest time between TERM and KILL; `stop-timeout` where that is shorter.
pub const TERM_GRACE: Duration = Duration::from_secs(1);

/// How long a worker that hangs has to write its stacks before KILL, or TERM if it is to stop.
pub const STACKS_TIME: Duration = Duration::from_millis(300);

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    /// No worker, and none wanted.
    Stopped,
    /// A worker is being started and imports its modules.
    Starting {
        /// When it has taken too long.
        deadline: Instant,
    },
    /// A worker serves.
    Running {
        /// Since it was ready.
        since: Instant,
    },
    /// A worker serves, and its successor is being started beside it.
    Reloading {
        /// Since the serving one was ready.
        since: Instant,
        /// When the successor has taken too long.
        deadline: Instant,
    },
    /// The worker has been told to end.
    Stopping {
        /// How hard it has been told so far.
        pressure: Pressure,
        /// What follows its end.
        then: Then,
    },
    /// No worker; the next start waits.
    Backoff {
        /// For this time.
        until: Instant,
    },
    /// No worker; restarted too often.
    Failed,
}

/// How hard a worker has been told to end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pressure {
    /// Asked to run its cleanup handler; its stacks and TERM follow.
    Asked(Instant),
    /// Not ended in time, and asked for its stacks; TERM follows, which would cut them off if it came at once.
    Overdue(Instant),
    /// Asked for its stacks, which show where it hangs; KILL follows.
    Stacks(Instant),
    /// Sent TERM; KILL follows.
    Terminated(Instant),
    /// Sent KILL; nothing is left but to wait.
    Killed,
}

impl Pressure {
    /// When to press harder.
    #[must_use]
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Pressure::Asked(at) | Pressure::Overdue(at) | Pressure::Stacks(at) | Pressure::Terminated(at) => {
                Some(at)
            }
            Pressure::Killed => None,
        }
    }
}

/// What follows the end of a worker that was told to end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Then {
    /// Nothing: the user stopped the instance.
    Stay,
    /// A start: the user restarted it.
    Start,
    /// What the restart rule says: it ended by a fault of its own.
    Rule,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// The user wants it to run.
    Start,
    /// The user, or the end of the show, wants it to stop.
    Stop,
    /// The user wants a new worker.
    Restart,
    /// The user wants a new worker that replaces the old one only when it is ready.
    Reload,
    /// The worker has imported its modules.
    Ready,
    /// The worker has ended and was reaped.
    Exited {
        /// With status 0.
        clean: bool,
    },
    /// No worker could be started.
    SpawnFailed,
    /// The worker makes no progress.
    Hang,
    /// The worker broke a rule of the shared memory or grew too large.
    Fault,
    /// The successor has imported its modules.
    BesideReady,
    /// The successor failed to import, or ended.
    BesideFailed,
    /// Some time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Start a worker.
    Spawn,
    /// Let the worker serve.
    Serve,
    /// Ask the worker to run its cleanup handler and end.
    Ask,
    /// Send TERM to the worker's process group.
    Terminate,
    /// Send KILL to the worker's process group.
    Kill,
    /// Say that the worker was not stopped within `stop-timeout`.
    NameStopTimeout,
    /// Ask the worker for its stacks; TERM or a kill follows.
    Stacks,
    /// The worker did not get ready in time.
    NameStartTimeout,
    /// Start a successor beside the worker.
    SpawnBeside,
    /// Let the successor serve and ask the worker to end.
    Swap,
    /// The worker is gone; the successor is the worker now.
    Promote,
    /// The successor did not get ready in time: ask it for its stacks, and end it.
    NameBesideTimeout,
    /// End the successor.
    DropBeside,
    /// Restarted too often: tell the user.
    GiveUp,
}

/// What a step may look at besides the state.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time.
    pub now: Instant,
    /// A random number from 0.0 to 1.0.
    pub jitter: f64,
    /// The instance's options.
    pub policy: &'a Policy,
}

/// The life of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifecycle {
    state: State,
    /// Ends since the instance last ran stably.
    failures: u32,
    intensity: Intensity,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { state: State::Stopped, failures: 0, intensity: Intensity::default() }
    }
}

impl Lifecycle {
    /// Where the instance stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When [`Event::Tick`] has to come next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { deadline } | State::Reloading { deadline, .. } => Some(deadline),
            State::Backoff { until } => Some(until),
            State::Stopping { pressure, .. } => pressure.deadline(),
            State::Stopped | State::Running { .. } | State::Failed => None,
        }
    }

    /// Takes one event in and says what to do.
    pub fn step(&mut self, event: Event, context: Context<'_>) -> Vec<Action> {
        match event {
            Event::Start => self.start(context),
            Event::Restart => self.restart(context),
            Event::Stop => self.stop(context),
            Event::Reload => self.reload(context),
            Event::Ready => self.ready(context),
            Event::Exited { clean } => self.exited(clean, context),
            Event::SpawnFailed => self.exited(false, context),
            Event::Hang => self.hang(context),
            Event::Fault => self.fault(context),
            Event::BesideReady => self.beside_ready(context),
            Event::BesideFailed => self.beside_failed(),
            Event::Tick => self.tick(context),
        }
    }

    fn forgive(&mut self) {
        self.failures = 0;
        self.intensity.clear();
    }

    fn spawn(&mut self, context: Context<'_>) -> Vec<Action> {
        self.state = State::Starting { deadline: context.now + context.policy.start_timeout };
        vec![Action::Spawn]
    }

    fn ask(&mut self, then: Then, context: Context<'_>) -> Vec<Action> {
        let pressure = Pressure::Asked(context.now + context.policy.stop_timeout);
        self.state = State::Stopping { pressure, then };
        vec![Action::Ask]
    }

    fn kill(&mut self, then: Then) -> Vec<Action> {
        self.state = State::Stopping { pressure: Pressure::Killed, then };
        vec![Action::Kill]
    }

    fn start(&mut self, context: Context<'_>) -> Vec<Action> {
        match self.state {
            State::Stopped | State::Failed | State::Backoff { .. } => {
                self.forgive();
                self.spawn(context)
            }
            State::Stopping { pressure, .. } => {
                self.forgive();
                self.state = State::Stopping { pressure, then: Then::Start };
                Vec::new()
            }
            State::Starting { .. } | State::Running { .. } | State::Reloading { .. } => Vec::new(),
        }
    }

    fn restart(&mut self, context: Context<'_>) -> Vec<Action> {
        self.forgive();
        match self.state {
            State::Running { .. } => self.ask(Then::Start, context),
            State::Reloading { .. } => drop_beside(self.ask(Then::Start, context)),
            // an importing worker runs no cleanup handler, so there is nothing to wait for
            State::Starting { .. } => self.kill(Then::Start),
            State::Stopped | State::Failed | State::Backoff { .. } | State::Stopping { .. } => {
                self.start(context)
            }
        }
    }

    fn stop(&mut self, context: Context<'_>) -> Vec<Action> {
        match self.state {
            State::Running { .. } => self.ask(Then::Stay, context),
            State::Reloading { .. } => drop_beside(self.ask(Then::Stay, context)),
            State::Starting { .. } => self.kill(Then::Stay),
            State::Stopping { pressure, .. } => {
                self.state = State::Stopping { pressure, then: Then::Stay };
                Vec::new()
            }
            State::Backoff { .. } | State::Failed | State::Stopped => {
                self.state = State::Stopped;
                Vec::new()
            }
        }
    }

    fn reload(&mut self, context: Context<'_>) -> Vec<Action> {
        match self.state {
            State::Running { since } => {
                let deadline = context.now + context.policy.start_timeout;
                self.state = State::Reloading { since, deadline };
                vec![Action::SpawnBeside]
            }
            State::Reloading { since, .. } => {
                let deadline = context.now + context.policy.start_timeout;
                self.state = State::Reloading { since, deadline };
                vec![Action::DropBeside, Action::SpawnBeside]
            }
            // nothing serves that could be kept
            _ => self.restart(context),
        }
    }

    fn ready(&mut self, context: Context<'_>) -> Vec<Action> {
        match self.state {
            State::Starting { .. } => {
                self.state = State::Running { since: context.now };
                vec![Action::Serve]
            }
            _ => Vec::new(),
        }
    }

    fn exited(&mut self, clean: bool, context: Context<'_>) -> Vec<Action> {
        match self.state {
            State::Running { since } => {
                self.forget_failures_if_stable(since, context);
                self.follow_rule(clean, context)
            }
            State::Starting { .. } => self.follow_rule(clean, context),
            State::Reloading { deadline, .. } => {
                self.state = State::Starting { deadline };
                vec![Action::Promote]
            }
            State::Stopping { then: Then::Stay, .. } => {
                self.state = State::Stopped;
                Vec::new()
            }
            State::Stopping { then: Then::Start, .. } => self.spawn(context),
            State::Stopping { then: Then::Rule, .. } => self.follow_rule(false, context),
            State::Stopped | State::Backoff { .. } | State::Failed => Vec::new(),
        }
    }

    fn forget_failures_if_stable(&mut self, since: Instant, context: Context<'_>) {
        if context.now.duration_since(since) >= context.policy.stable {
            self.failures = 0;
        }
    }

    fn follow_rule(&mut self, clean: bool, context: Context<'_>) -> Vec<Action> {
        let again = match context.policy.restart {
            RestartRule::Always => true,
            RestartRule::OnFailure => !clean,
            RestartRule::Never => false,
        };
        if !again {
            self.state = if clean { State::Stopped } else { State::Failed };
            return Vec::new();
        }
        if self.intensity.exceeded(context.now, context.policy.max_restarts) {
            self.state = State::Failed;
            return vec![Action::GiveUp];
        }
        let wait = delay(self.failures, context.policy.backoff, context.policy.backoff_max, context.jitter);
        self.failures = self.failures.saturating_add(1);
        if wait.is_zero() {
            return self.spawn(context);
        }
        self.state = State::Backoff { until: context.now + wait };
        Vec::new()
    }

    fn hang(&mut self, context: Context<'_>) -> Vec<Action> {
        match self.state {
            State::Running { since } => {
                self.forget_failures_if_stable(since, context);
                self.ask_for_stacks(context)
            }
            // the start that follows finds on disk what the successor was loaded from
            State::Reloading { since, .. } => {
                self.forget_failures_if_stable(since, context);
                drop_beside(self.ask_for_stacks(context))
            }
            State::Starting { .. } => self.ask_for_stacks(context),
            // whoever is ending has a time limit already
            State::Stopping { .. } | State::Stopped | State::Backoff { .. } | State::Failed => Vec::new(),
        }
    }

    fn ask_for_stacks(&mut self, context: Context<'_>) -> Vec<Action> {
        let pressure = Pressure::Stacks(context.now + STACKS_TIME);
        self.state = State::Stopping { pressure, then: Then::Rule };
        vec![Action::Stacks]
    }

    fn fault(&mut self, context: Context<'_>) -> Vec<Action> {
        match self.state {
            // the successor stays: it takes over when the faulty one is gone
            State::Reloading { .. } => vec![Action::Kill],
            State::Running { since } => {
                self.forget_failures_if_stable(since, context);
                self.kill(Then::Rule)
            }
            State::Starting { .. } => self.kill(Then::Rule),
            State::Stopping { pressure: Pressure::Killed, .. } => Vec::new(),
            State::Stopping { then, .. } => self.kill(then),
            State::Stopped | State::Backoff { .. } | State::Failed => Vec::new(),
        }
    }

    fn beside_ready(&mut self, context: Context<'_>) -> Vec<Action> {
        match self.state {
            State::Reloading { .. } => {
                self.state = State::Running { since: context.now };
                vec![Action::Swap]
            }
            _ => Vec::new(),
        }
    }

    fn beside_failed(&mut self) -> Vec<Action> {
        match self.state {
            State::Reloading { since, .. } => {
                self.state = State::Running { since };
                vec![Action::DropBeside]
            }
            _ => Vec::new(),
        }
    }

    fn tick(&mut self, context: Context<'_>) -> Vec<Action> {
        if self.deadline().is_none_or(|deadline| context.now < deadline) {
            return Vec::new();
        }
        match self.state {
            State::Starting { .. } => {
                let mut actions = vec![Action::NameStartTimeout];
                actions.extend(self.ask_for_stacks(context));
                actions
            }
            State::Reloading { since, .. } => {
                self.state = State::Running { since };
                vec![Action::NameBesideTimeout]
            }
            State::Backoff { .. } => self.spawn(context),
            State::Stopping { pressure: Pressure::Asked(_), then } => {
                let pressure = Pressure::Overdue(context.now + STACKS_TIME);
                self.state = State::Stopping { pressure, then };
                vec![Action::NameStopTimeout, Action::Stacks]
            }
            State::Stopping { pressure: Pressure::Overdue(_), then } => {
                let grace = context.policy.stop_timeout.min(TERM_GRACE);
                self.state = State::Stopping { pressure: Pressure::Terminated(context.now + grace), then };
                vec![Action::Terminate]
            }
            State::Stopping { then, .. } => self.kill(then),
            State::Stopped | State::Running { .. } | State::Failed => Vec::new(),
        }
    }
}

fn drop_beside(mut actions: Vec<Action>) -> Vec<Action> {
    actions.insert(0, Action::DropBeside);
    actions
}

#[cfg(test)]
mod tests;
