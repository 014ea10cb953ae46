//! How much is routed in one step of the event loop: bounded in time, and by what it costs to send.
//!
//! What comes from outside waits for the rest of a step up to three times on its way through a
//! script, which is to add up to less than 1 ms, whatever a flood does.

use std::time::{Duration, Instant};

/// Routing takes no longer than this per step.
const STEP_TIMEOUT: Duration = Duration::from_micros(200);

/// The most targets that are routed to in a step.
const STEP_LIMIT: usize = 8_192;

/// So many targets are routed to between two looks at the clock.
const CLOCK_INTERVAL: usize = 64;

/// Sending what one step gave to backends takes no longer than about this.
const FLUSH_TIMEOUT: Duration = Duration::from_micros(150);

/// So many targets of backends are allowed in any step. To send fewer is too quick to be measured
/// for each step: 50 µs where each of them is a datagram of its own.
const FEW_SENT: usize = 64;

/// What is left of a step.
#[derive(Debug)]
pub struct Step {
    began: Instant,
    /// Targets until the step is over.
    left: usize,
    /// Targets of backends until the step is over.
    backend_left: usize,
    /// Targets of backends so far.
    backend_targets: usize,
    /// Targets until the next look at the clock.
    unclocked: usize,
}

impl Step {
    /// Counts targets, at least one, of which backends serve some.
    #[inline]
    pub fn count(&mut self, targets: usize, backend_targets: usize) {
        self.left = self.left.saturating_sub(targets);
        self.backend_left = self.backend_left.saturating_sub(backend_targets);
        self.backend_targets += backend_targets;
        self.unclocked = self.unclocked.saturating_sub(targets);
    }

    /// Whether backends have something to send.
    #[must_use]
    pub fn has_backend_targets(&self) -> bool {
        self.backend_targets > 0
    }

    /// Whether it is time to hand on what was routed, and to look outside.
    #[inline]
    pub fn is_over(&mut self) -> bool {
        if self.unclocked == 0 {
            self.unclocked = CLOCK_INTERVAL;
            if self.began.elapsed() > STEP_TIMEOUT {
                self.left = 0;
            }
        }
        self.left == 0 || self.backend_left == 0
    }
}

/// How many targets of backends a step may have.
///
/// A value for a backend costs little while it is routed, and more when the step is over and it is
/// sent: from nothing, where later values of its message follow in the same step, to a datagram
/// each. So the time that sending takes is measured, and the limit follows it.
#[derive(Debug)]
pub struct StepBudget {
    backend_limit: usize,
}

impl Default for StepBudget {
    fn default() -> Self {
        Self { backend_limit: STEP_LIMIT }
    }
}

impl StepBudget {
    /// Begins a step.
    #[must_use]
    pub fn begin(&self) -> Step {
        Step {
            began: Instant::now(),
            left: STEP_LIMIT,
            backend_left: self.backend_limit,
            backend_targets: 0,
            unclocked: CLOCK_INTERVAL,
        }
    }

    /// Lets the backends send what a step gave them.
    pub fn flush<R>(&mut self, step: &Step, flush: impl FnOnce() -> R) -> R {
        if step.backend_targets <= FEW_SENT {
            return flush();
        }
        let began = Instant::now();
        let result = flush();
        self.adapt(step.backend_targets, began.elapsed());
        result
    }

    fn adapt(&mut self, sent: usize, took: Duration) {
        if took > FLUSH_TIMEOUT {
            self.backend_limit = (self.backend_limit.min(sent) / 2).max(FEW_SENT);
        } else if took < FLUSH_TIMEOUT / 2 && sent >= self.backend_limit {
            self.backend_limit = (self.backend_limit * 2).min(STEP_LIMIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Duration = Duration::from_millis(5);
    const QUICK: Duration = Duration::from_micros(10);

    fn step(budget: &StepBudget) -> Step {
        budget.begin()
    }

    #[test]
    fn a_step_ends_after_so_many_targets() {
        let mut step = step(&StepBudget::default());
        step.began += Duration::from_secs(60);
        (0..STEP_LIMIT / 64).for_each(|_| step.count(64, 0));
        assert!(step.is_over());
    }

    #[test]
    fn a_step_whose_time_is_over_ends_at_the_next_look_at_the_clock() {
        let mut step = step(&StepBudget::default());
        step.began -= Duration::from_secs(1);
        step.count(CLOCK_INTERVAL - 1, 0);
        assert!(!step.is_over());
        step.count(1, 0);
        assert!(step.is_over());
    }

    #[test]
    fn where_sending_takes_long_a_step_gives_backends_less_until_it_is_quick_again() {
        let mut budget = StepBudget::default();
        (0..20).for_each(|_| budget.adapt(budget.backend_limit, SLOW));
        assert_eq!(budget.backend_limit, FEW_SENT);
        let mut least = step(&budget);
        least.count(FEW_SENT, FEW_SENT);
        assert!(least.is_over());
        budget.adapt(FEW_SENT - 1, QUICK);
        assert_eq!(budget.backend_limit, FEW_SENT, "a small step shows nothing");
        (0..20).for_each(|_| budget.adapt(budget.backend_limit, QUICK));
        assert_eq!(budget.backend_limit, STEP_LIMIT);
    }

    #[test]
    fn targets_of_scripts_do_not_count_for_what_backends_send() {
        let budget = StepBudget { backend_limit: FEW_SENT };
        let mut step = step(&budget);
        step.began += Duration::from_secs(60);
        step.count(STEP_LIMIT - 1, 0);
        assert!(!step.is_over());
    }
}
