//! Workers that are ending beside the one that serves: the predecessor after a reload, a successor that was dropped.

use super::lifecycle::{Pressure, STACKS_TIME, TERM_GRACE};
use super::worker::Worker;
use std::time::{Duration, Instant};

/// A worker that is ending.
pub struct RetiringWorker {
    /// Its process and all that belongs to it.
    pub worker: Worker,
    /// Whether its successor waits for it to take its last event.
    pub hands_over_events: bool,
    pressure: Pressure,
    grace: Duration,
}

impl RetiringWorker {
    /// A worker that has been killed, and only needs to be reaped.
    #[must_use]
    pub fn killed(worker: Worker) -> Self {
        Self { worker, hands_over_events: false, pressure: Pressure::Killed, grace: Duration::ZERO }
    }

    /// A worker that has to show its stacks before it is killed.
    #[must_use]
    pub fn hung(worker: Worker, now: Instant) -> Self {
        worker.ask_for_stacks();
        let pressure = Pressure::Stacks(now + STACKS_TIME);
        Self { worker, hands_over_events: false, pressure, grace: Duration::ZERO }
    }

    /// A worker that was asked to stop, and whose successor waits for what it does not take any more.
    #[must_use]
    pub fn predecessor(worker: Worker, now: Instant, stop_timeout: Duration) -> Self {
        let pressure = Pressure::Asked(now + stop_timeout);
        Self { worker, hands_over_events: true, pressure, grace: stop_timeout.min(TERM_GRACE) }
    }

    /// When [`RetiringWorker::tick`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.pressure.deadline()
    }

    /// Presses harder when its time is over.
    pub fn tick(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| now < at) {
            return;
        }
        match self.pressure {
            Pressure::Asked(_) => {
                self.worker.ask_for_stacks();
                self.pressure = Pressure::Overdue(now + STACKS_TIME);
            }
            Pressure::Overdue(_) => {
                self.worker.terminate();
                self.pressure = Pressure::Terminated(now + self.grace);
            }
            Pressure::Stacks(_) | Pressure::Terminated(_) | Pressure::Killed => self.kill(),
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.worker.kill();
        self.pressure = Pressure::Killed;
    }
}
