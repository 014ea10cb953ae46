//! What an instance has been through: its starts, how its last worker ended, and the transitions
//! that clients wait for.

use super::exit::{ExitReason, ExitRecord};
use super::transition::{Reached, StartNumber, Transition};

/// The history of one instance.
#[derive(Debug, Default)]
pub struct History {
    starts: u64,
    /// The last start of a worker, replacements included.
    last_start: StartNumber,
    /// Errors of the script that were counted by workers that have ended.
    errors: u64,
    last_exit: Option<ExitRecord>,
    transitions: Vec<Reached>,
}

impl History {
    /// A worker was started to serve.
    pub fn note_start(&mut self) {
        self.starts += 1;
    }

    /// A worker is begun, to serve or as a replacement.
    pub fn note_begin(&mut self) -> StartNumber {
        self.last_start = self.last_start.next();
        self.last_start
    }

    /// The last start of a worker.
    #[must_use]
    pub fn last_start(&self) -> StartNumber {
        self.last_start
    }

    /// A worker that has counted so many errors of the script has ended.
    pub fn note_errors(&mut self, errors: u64) {
        self.errors = self.errors.saturating_add(errors);
    }

    /// The worker of the instance has ended.
    pub fn note_exit(&mut self, exit: ExitRecord) {
        self.last_exit = Some(exit);
    }

    /// No worker could be started, and the instance has none.
    pub fn note_failed_start(&mut self, error: &str) {
        let exit = ExitRecord::now(&ExitReason::NotStarted(error.to_owned()), "");
        let failed = Transition::Failed { reason: exit.reason.clone(), traceback: None };
        self.reach(self.last_start, failed);
        self.last_exit = Some(exit);
    }

    /// The instance has come to something that a client may wait for, by this start of a worker.
    pub fn reach(&mut self, start: StartNumber, transition: Transition) {
        self.transitions.push(Reached { start, transition });
    }

    /// What was reached since this was asked last.
    pub fn take_transitions(&mut self) -> Vec<Reached> {
        std::mem::take(&mut self.transitions)
    }

    /// How often a worker was started again.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    /// Errors of the script, those of the present worker apart.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// How the last worker ended.
    #[must_use]
    pub fn last_exit(&self) -> Option<&ExitRecord> {
        self.last_exit.as_ref()
    }
}
