//! The life of an instance as a state machine: a state and an event give the next state and what to
//! do.
//!
//! Nothing here touches a process or a clock, so every transition can be tested with invented
//! times. What the user wants is kept apart from what is: a stop or restart that comes while a
//! worker is ending changes only what happens after its exit ([`AfterExit`]), so the last command
//! counts. How a worker is pressed to end is the stop ladder's part ([`super::stop`]), which worker
//! serves is the worker table's ([`super::workers`]).
//!
//! ```text
//!               start, restart                 ready
//!   Stopped ───────────────────► Starting ─────────────► Running ◄── replacement ready (swap), failed
//!   Failed  ◄──┐                  │  ▲                    │    │ reload       ▲
//!      ▲       │ too many         │  │ until              │    └─────────► Reloading
//!      │       │                  ▼  │                    ▼
//!      └── restart policy ◄── exited: Backoff   fault, stop, restart: Stopping ── exited ─► Stopped, Starting, …
//! ```

use super::backoff::{Intensity, delay};
use crate::instances::options::RestartRule;
use std::time::{Duration, Instant};

/// The options that decide about an instance's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Which ends of a worker are followed by a start.
    pub restart: RestartRule,
    /// Delay before the second restart in a row; it doubles from there.
    pub backoff: Duration,
    /// The longest delay.
    pub backoff_max: Duration,
    /// After running this long from ready on, an instance counts as stable and its failures are
    /// forgotten.
    pub stable: Duration,
    /// At most so many restarts within so long; `None` never gives up.
    pub max_restarts: Option<(u32, Duration)>,
    /// How long imports may take.
    pub start_timeout: Duration,
    /// How long the cleanup handler may take before TERM.
    pub stop_timeout: Duration,
}

/// The state of an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LifeState {
    /// No worker, and none wanted.
    Stopped,
    /// A worker is being started and imports its modules.
    Starting {
        /// When it has taken too long.
        deadline: Instant,
    },
    /// A worker has imported its modules; it serves, or as soon as its predecessor has handed over.
    Running {
        /// Since it was ready.
        since: Instant,
    },
    /// A worker runs, and its replacement is being started.
    Reloading {
        /// Since the running one was ready.
        since: Instant,
        /// When the replacement has taken too long.
        deadline: Instant,
    },
    /// The worker has been told to end, or ends by itself.
    Stopping {
        /// What follows its exit.
        after: AfterExit,
    },
    /// No worker; the next start waits.
    Backoff {
        /// For this time.
        until: Instant,
    },
    /// No worker; restarted too often.
    Failed,
}

/// What follows the exit of a worker that is ending.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AfterExit {
    /// Nothing: the user stopped the instance.
    StayStopped,
    /// A start: the user restarted it.
    Restart,
    /// What the restart policy requires: it ends by a fault of its own, or by itself.
    ApplyPolicy,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LifeEvent {
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
    /// The worker takes no more events, although it was not asked to stop.
    Yielded,
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
    /// The replacement has imported its modules.
    ReplacementReady,
    /// The replacement failed to import, or ended.
    ReplacementFailed,
    /// Some time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Start a worker.
    Spawn,
    /// Let the worker serve as soon as no other one is attached.
    Serve,
    /// Ask the worker to run its cleanup handler and exit.
    RequestStop,
    /// Ask the worker for its stacks; KILL follows.
    DumpStacks,
    /// Send KILL to the worker.
    Kill,
    /// Log that the worker did not get ready in time.
    LogStartTimeout,
    /// Start a replacement while the worker runs on.
    SpawnReplacement,
    /// Let the worker finish its handler, and the replacement serve after that.
    Swap,
    /// The worker ends; the replacement is the worker now.
    Promote,
    /// Log that the replacement did not get ready in time, ask it for its stacks, and end it.
    LogReplacementTimeout,
    /// End the replacement.
    DropReplacement,
    /// Log that the instance was restarted too often.
    GiveUp,
}

/// What a step may look at besides the state.
#[derive(Debug, Clone, Copy)]
pub struct StepContext<'a> {
    /// The time.
    pub now: Instant,
    /// A random number from 0.0 to 1.0.
    pub jitter: f64,
    /// The instance's options.
    pub policy: &'a Policy,
    /// Whether a predecessor still handles its last event.
    pub is_handing_over: bool,
}

/// The life of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifecycle {
    state: LifeState,
    /// Ends since the instance last ran stably.
    failures: u32,
    intensity: Intensity,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { state: LifeState::Stopped, failures: 0, intensity: Intensity::default() }
    }
}

impl Lifecycle {
    /// The present state.
    #[must_use]
    pub fn state(&self) -> LifeState {
        self.state
    }

    /// When [`LifeEvent::Tick`] has to come next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            LifeState::Starting { deadline } | LifeState::Reloading { deadline, .. } => Some(deadline),
            LifeState::Backoff { until } => Some(until),
            LifeState::Stopping { .. }
            | LifeState::Stopped
            | LifeState::Running { .. }
            | LifeState::Failed => None,
        }
    }

    /// Takes one event and returns what to do.
    pub fn step(&mut self, event: LifeEvent, context: StepContext<'_>) -> Vec<Action> {
        match event {
            LifeEvent::Start => self.start(context),
            LifeEvent::Restart => self.restart(context),
            LifeEvent::Stop => self.stop(context),
            LifeEvent::Reload => self.reload(context),
            LifeEvent::Ready => self.ready(context),
            LifeEvent::Yielded => self.yielded(context),
            LifeEvent::Exited { clean } => self.exited(clean, context),
            LifeEvent::SpawnFailed => self.exited(false, context),
            LifeEvent::Hang => self.hang(context),
            LifeEvent::Fault => self.fault(context),
            LifeEvent::ReplacementReady => self.replacement_ready(context),
            LifeEvent::ReplacementFailed => self.replacement_failed(),
            LifeEvent::Tick => self.tick(context),
        }
    }

    fn forgive(&mut self) {
        self.failures = 0;
        self.intensity.clear();
    }

    fn spawn(&mut self, context: StepContext<'_>) -> Vec<Action> {
        self.state = LifeState::Starting { deadline: context.now + context.policy.start_timeout };
        vec![Action::Spawn]
    }

    fn request_stop(&mut self, after: AfterExit) -> Vec<Action> {
        self.state = LifeState::Stopping { after };
        vec![Action::RequestStop]
    }

    fn kill(&mut self, after: AfterExit) -> Vec<Action> {
        self.state = LifeState::Stopping { after };
        vec![Action::Kill]
    }

    fn start(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Stopped | LifeState::Failed | LifeState::Backoff { .. } => {
                self.forgive();
                self.spawn(context)
            }
            LifeState::Stopping { .. } => {
                self.forgive();
                self.state = LifeState::Stopping { after: AfterExit::Restart };
                Vec::new()
            }
            LifeState::Starting { .. } | LifeState::Running { .. } | LifeState::Reloading { .. } => {
                Vec::new()
            }
        }
    }

    fn restart(&mut self, context: StepContext<'_>) -> Vec<Action> {
        self.forgive();
        match self.state {
            LifeState::Running { .. } => self.request_stop(AfterExit::Restart),
            LifeState::Reloading { .. } => drop_replacement(self.request_stop(AfterExit::Restart)),
            // An importing worker runs no cleanup handler, so there is nothing to wait for.
            LifeState::Starting { .. } => self.kill(AfterExit::Restart),
            LifeState::Stopped
            | LifeState::Failed
            | LifeState::Backoff { .. }
            | LifeState::Stopping { .. } => self.start(context),
        }
    }

    fn stop(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Running { .. } => self.request_stop(AfterExit::StayStopped),
            LifeState::Reloading { .. } => drop_replacement(self.request_stop(AfterExit::StayStopped)),
            LifeState::Starting { .. } => self.kill(AfterExit::StayStopped),
            LifeState::Stopping { .. } => {
                self.state = LifeState::Stopping { after: AfterExit::StayStopped };
                Vec::new()
            }
            // Its worker is gone, but not the one before it.
            LifeState::Backoff { .. } | LifeState::Failed if context.is_handing_over => {
                self.request_stop(AfterExit::StayStopped)
            }
            LifeState::Backoff { .. } | LifeState::Failed | LifeState::Stopped => {
                self.state = LifeState::Stopped;
                Vec::new()
            }
        }
    }

    fn reload(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Running { since } => {
                let deadline = context.now + context.policy.start_timeout;
                self.state = LifeState::Reloading { since, deadline };
                vec![Action::SpawnReplacement]
            }
            LifeState::Reloading { since, .. } => {
                let deadline = context.now + context.policy.start_timeout;
                self.state = LifeState::Reloading { since, deadline };
                vec![Action::DropReplacement, Action::SpawnReplacement]
            }
            // No worker runs that could be kept.
            _ => self.restart(context),
        }
    }

    fn ready(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Starting { .. } => {
                self.state = LifeState::Running { since: context.now };
                vec![Action::Serve]
            }
            _ => Vec::new(),
        }
    }

    fn yielded(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Running { since } => {
                self.forget_failures_if_stable(since, context);
                self.request_stop(AfterExit::ApplyPolicy)
            }
            LifeState::Reloading { deadline, .. } => self.promote(deadline),
            _ => Vec::new(),
        }
    }

    fn promote(&mut self, deadline: Instant) -> Vec<Action> {
        self.state = LifeState::Starting { deadline };
        vec![Action::Promote]
    }

    fn exited(&mut self, clean: bool, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Running { since } => {
                self.forget_failures_if_stable(since, context);
                self.apply_policy(clean, context)
            }
            LifeState::Starting { .. } | LifeState::Stopping { after: AfterExit::ApplyPolicy } => {
                self.apply_policy(clean, context)
            }
            LifeState::Reloading { deadline, .. } => self.promote(deadline),
            LifeState::Stopping { after: AfterExit::StayStopped } => {
                self.state = LifeState::Stopped;
                Vec::new()
            }
            LifeState::Stopping { after: AfterExit::Restart } => self.spawn(context),
            LifeState::Stopped | LifeState::Backoff { .. } | LifeState::Failed => Vec::new(),
        }
    }

    fn forget_failures_if_stable(&mut self, since: Instant, context: StepContext<'_>) {
        if context.now.duration_since(since) >= context.policy.stable {
            self.failures = 0;
        }
    }

    fn apply_policy(&mut self, clean: bool, context: StepContext<'_>) -> Vec<Action> {
        let again = match context.policy.restart {
            RestartRule::Always => true,
            RestartRule::OnFailure => !clean,
            RestartRule::Never => false,
        };
        if !again {
            self.state = if clean { LifeState::Stopped } else { LifeState::Failed };
            return Vec::new();
        }
        if self.intensity.exceeded(context.now, context.policy.max_restarts) {
            self.state = LifeState::Failed;
            return vec![Action::GiveUp];
        }
        let wait = delay(self.failures, context.policy.backoff, context.policy.backoff_max, context.jitter);
        self.failures = self.failures.saturating_add(1);
        if wait.is_zero() {
            return self.spawn(context);
        }
        self.state = LifeState::Backoff { until: context.now + wait };
        Vec::new()
    }

    fn hang(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Running { since } => {
                self.forget_failures_if_stable(since, context);
                self.dump_stacks()
            }
            // The start that follows imports what the replacement was to import.
            LifeState::Reloading { since, .. } => {
                self.forget_failures_if_stable(since, context);
                drop_replacement(self.dump_stacks())
            }
            LifeState::Starting { .. } => self.dump_stacks(),
            // A worker that is ending has a deadline already.
            LifeState::Stopping { .. }
            | LifeState::Stopped
            | LifeState::Backoff { .. }
            | LifeState::Failed => Vec::new(),
        }
    }

    fn dump_stacks(&mut self) -> Vec<Action> {
        self.state = LifeState::Stopping { after: AfterExit::ApplyPolicy };
        vec![Action::DumpStacks]
    }

    fn fault(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            // The replacement stays: it takes over when the faulty one has ended.
            LifeState::Reloading { .. } => vec![Action::Kill],
            LifeState::Running { since } => {
                self.forget_failures_if_stable(since, context);
                self.kill(AfterExit::ApplyPolicy)
            }
            LifeState::Starting { .. } => self.kill(AfterExit::ApplyPolicy),
            LifeState::Stopping { after } => self.kill(after),
            LifeState::Stopped | LifeState::Backoff { .. } | LifeState::Failed => Vec::new(),
        }
    }

    fn replacement_ready(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Reloading { .. } => {
                self.state = LifeState::Running { since: context.now };
                vec![Action::Swap]
            }
            _ => Vec::new(),
        }
    }

    fn replacement_failed(&mut self) -> Vec<Action> {
        match self.state {
            LifeState::Reloading { since, .. } => {
                self.state = LifeState::Running { since };
                vec![Action::DropReplacement]
            }
            _ => Vec::new(),
        }
    }

    fn tick(&mut self, context: StepContext<'_>) -> Vec<Action> {
        if self.deadline().is_none_or(|deadline| context.now < deadline) {
            return Vec::new();
        }
        match self.state {
            LifeState::Starting { .. } => {
                let mut actions = vec![Action::LogStartTimeout];
                actions.extend(self.dump_stacks());
                actions
            }
            LifeState::Reloading { since, .. } => {
                self.state = LifeState::Running { since };
                vec![Action::LogReplacementTimeout]
            }
            LifeState::Backoff { .. } => self.spawn(context),
            LifeState::Stopping { .. }
            | LifeState::Stopped
            | LifeState::Running { .. }
            | LifeState::Failed => Vec::new(),
        }
    }
}

fn drop_replacement(mut actions: Vec<Action>) -> Vec<Action> {
    actions.insert(0, Action::DropReplacement);
    actions
}

#[cfg(test)]
pub(super) mod tests;
