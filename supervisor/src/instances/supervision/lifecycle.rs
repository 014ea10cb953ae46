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

mod rollback;
mod terms;

use super::backoff::{Intensity, delay};
use crate::instances::options::RestartRule;
use std::time::{Duration, Instant};
pub use terms::{Action, AfterExit, Import, LifeEvent, LifeState, Policy, StepContext};

/// How long an import may be under way before a further reload ends it instead of waiting for it:
/// it may hang, and the user who reloads again may have corrected that.
const IMPORT_PATIENCE: Duration = Duration::from_secs(5);

/// The life of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifecycle {
    state: LifeState,
    /// Ends since the instance last ran stably.
    failures: u32,
    intensity: Intensity,
    /// A reload was asked for after the import that is under way had begun: one more follows it.
    reload_again: bool,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { state: LifeState::Stopped, failures: 0, intensity: Intensity::default(), reload_again: false }
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
            LifeState::Starting { import } | LifeState::Reloading { import, .. } => {
                import.map(|import| import.deadline)
            }
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
            LifeEvent::Start => self.start(),
            LifeEvent::Restart => self.restart(),
            LifeEvent::Stop => self.stop(context),
            LifeEvent::Reload => self.reload(context),
            LifeEvent::Begun => self.begun(context),
            LifeEvent::Ready => self.ready(context),
            LifeEvent::Yielded => self.yielded(context),
            LifeEvent::Exited { clean } => self.exited(clean, context),
            LifeEvent::Lost => self.lost(context),
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

    /// Wants a worker. Its import follows every reload that was asked for until now.
    fn spawn(&mut self) -> Vec<Action> {
        self.reload_again = false;
        self.state = LifeState::Starting { import: None };
        vec![Action::Spawn]
    }

    fn spawn_replacement(&mut self, since: Instant) -> Vec<Action> {
        self.reload_again = false;
        self.state = LifeState::Reloading { since, import: None };
        vec![Action::SpawnReplacement]
    }

    /// The worker that was ready at `since` runs alone, unless it is to be reloaded once more.
    fn run(&mut self, since: Instant, action: Action) -> Vec<Action> {
        self.state = LifeState::Running { since };
        let mut actions = vec![action];
        if self.reload_again {
            actions.extend(self.spawn_replacement(since));
        }
        actions
    }

    fn begun(&mut self, context: StepContext<'_>) -> Vec<Action> {
        if let LifeState::Starting { import } | LifeState::Reloading { import, .. } = &mut self.state {
            let deadline = context.now + context.policy.start_timeout;
            import.get_or_insert(Import { began_at: context.now, deadline });
        }
        Vec::new()
    }

    fn request_stop(&mut self, after: AfterExit) -> Vec<Action> {
        self.reload_again = false;
        self.state = LifeState::Stopping { after };
        vec![Action::RequestStop]
    }

    fn kill(&mut self, after: AfterExit) -> Vec<Action> {
        self.reload_again &= after == AfterExit::ApplyPolicy;
        self.state = LifeState::Stopping { after };
        vec![Action::Kill]
    }

    fn start(&mut self) -> Vec<Action> {
        match self.state {
            LifeState::Stopped | LifeState::Failed | LifeState::Backoff { .. } => {
                self.forgive();
                self.spawn()
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

    fn restart(&mut self) -> Vec<Action> {
        self.forgive();
        match self.state {
            LifeState::Running { .. } => self.request_stop(AfterExit::Restart),
            LifeState::Reloading { .. } => drop_replacement(self.request_stop(AfterExit::Restart)),
            // An importing worker runs no cleanup handler, so there is nothing to wait for.
            LifeState::Starting { import: Some(_) } => self.kill(AfterExit::Restart),
            LifeState::Starting { import: None } => Vec::new(),
            LifeState::Stopped
            | LifeState::Failed
            | LifeState::Backoff { .. }
            | LifeState::Stopping { .. } => self.start(),
        }
    }

    fn stop(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Running { .. } => self.request_stop(AfterExit::StayStopped),
            LifeState::Reloading { .. } => drop_replacement(self.request_stop(AfterExit::StayStopped)),
            LifeState::Starting { import: Some(_) } => self.kill(AfterExit::StayStopped),
            LifeState::Starting { import: None } => {
                let mut actions = vec![Action::CancelSpawn];
                self.state = LifeState::Stopped;
                if context.is_handing_over {
                    actions.extend(self.request_stop(AfterExit::StayStopped));
                }
                actions
            }
            LifeState::Stopping { .. } => {
                self.reload_again = false;
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
            LifeState::Running { since } => self.spawn_replacement(since),
            // What waits for its turn imports what is there then.
            LifeState::Starting { import: None } | LifeState::Reloading { import: None, .. } => Vec::new(),
            LifeState::Starting { import: Some(import) } if !is_patient(import, context) => self.restart(),
            LifeState::Reloading { since, import: Some(import) } if !is_patient(import, context) => {
                drop_replacement(self.spawn_replacement(since))
            }
            LifeState::Starting { .. } | LifeState::Reloading { .. } => {
                self.reload_again = true;
                Vec::new()
            }
            // No worker runs that could be kept.
            LifeState::Stopped
            | LifeState::Failed
            | LifeState::Backoff { .. }
            | LifeState::Stopping { .. } => self.restart(),
        }
    }

    fn ready(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Starting { .. } => self.run(context.now, Action::Serve),
            _ => Vec::new(),
        }
    }

    fn yielded(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Running { since } => {
                self.forget_failures_if_stable(since, context);
                self.request_stop(AfterExit::ApplyPolicy)
            }
            LifeState::Reloading { import, .. } => self.promote(import),
            _ => Vec::new(),
        }
    }

    fn promote(&mut self, import: Option<Import>) -> Vec<Action> {
        self.state = LifeState::Starting { import };
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
            LifeState::Reloading { import, .. } => self.promote(import),
            LifeState::Stopping { after: AfterExit::StayStopped } => {
                self.state = LifeState::Stopped;
                Vec::new()
            }
            LifeState::Stopping { after: AfterExit::Restart } => self.spawn(),
            LifeState::Stopped | LifeState::Backoff { .. } | LifeState::Failed => Vec::new(),
        }
    }

    /// What the rules about restarts and their number are for, a script's own ends, did not happen:
    /// an instance that was to run is started again. It waits as after a fault, since a script that
    /// kills the reaper would else do so without a pause.
    fn lost(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Running { since } if !self.reload_again => {
                self.forget_failures_if_stable(since, context);
                self.start_again(context)
            }
            LifeState::Starting { .. } if !self.reload_again => self.start_again(context),
            _ => self.exited(false, context),
        }
    }

    fn forget_failures_if_stable(&mut self, since: Instant, context: StepContext<'_>) {
        if context.now.duration_since(since) >= context.policy.stable {
            self.failures = 0;
        }
    }

    fn apply_policy(&mut self, clean: bool, context: StepContext<'_>) -> Vec<Action> {
        if self.reload_again {
            self.forgive();
            return self.spawn();
        }
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
        self.start_again(context)
    }

    fn start_again(&mut self, context: StepContext<'_>) -> Vec<Action> {
        let wait = delay(self.failures, context.policy.backoff, context.policy.backoff_max, context.jitter);
        self.failures = self.failures.saturating_add(1);
        if wait.is_zero() {
            return self.spawn();
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
            LifeState::Starting { import: Some(_) } => self.dump_stacks(),
            // A worker that is ending has a deadline already.
            LifeState::Starting { import: None }
            | LifeState::Stopping { .. }
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
            LifeState::Starting { import: Some(_) } => self.kill(AfterExit::ApplyPolicy),
            LifeState::Stopping { after } => self.kill(after),
            LifeState::Starting { import: None }
            | LifeState::Stopped
            | LifeState::Backoff { .. }
            | LifeState::Failed => Vec::new(),
        }
    }

    fn replacement_ready(&mut self, context: StepContext<'_>) -> Vec<Action> {
        match self.state {
            LifeState::Reloading { .. } => self.run(context.now, Action::Swap),
            _ => Vec::new(),
        }
    }

    fn replacement_failed(&mut self) -> Vec<Action> {
        match self.state {
            LifeState::Reloading { since, .. } => self.run(since, Action::DropReplacement),
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
            LifeState::Reloading { since, .. } => self.run(since, Action::LogReplacementTimeout),
            LifeState::Backoff { .. } => self.spawn(),
            LifeState::Stopping { .. }
            | LifeState::Stopped
            | LifeState::Running { .. }
            | LifeState::Failed => Vec::new(),
        }
    }
}

/// Whether an import is to be waited for although a further reload was asked for.
fn is_patient(import: Import, context: StepContext<'_>) -> bool {
    context.now.duration_since(import.began_at) < IMPORT_PATIENCE
}

fn drop_replacement(mut actions: Vec<Action>) -> Vec<Action> {
    actions.insert(0, Action::DropReplacement);
    actions
}

#[cfg(test)]
pub(super) mod tests;
