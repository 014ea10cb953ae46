//! What an instance has been through: its starts, how its last worker ended, and the transitions
//! that clients wait for.

use super::exit::{ExitReason, ExitRecord};
use super::transition::{Reached, StartNumber, Transition};
use jiff::Timestamp;
use mm_shared::control::Failure;

/// The history of one instance.
#[derive(Debug, Default)]
pub struct History {
    starts: u64,
    /// Starts that followed a fault.
    starts_by_fault: u64,
    /// The last worker has ended by a fault, and none was started since.
    is_faulty: bool,
    /// The last start of a worker, replacements included.
    last_start: StartNumber,
    /// Errors of the script that were counted by workers that have ended.
    errors: u64,
    last_error: Option<ErrorRecord>,
    /// How the last worker ended that had served.
    last_exit: Option<ExitRecord>,
    /// Why the last start did not succeed, until one does.
    failed_start: Option<ExitRecord>,
    /// The last failure of an import, and how often it came since a worker served.
    import_failure: Option<(Failure, u64)>,
    transitions: Vec<Reached>,
}

/// An error of a script that goes on.
#[derive(Debug, Clone)]
pub struct ErrorRecord {
    /// The exception and where it was raised, in one line.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// The longest text of an [`ErrorRecord`], in characters.
const ERROR_TEXT_LIMIT: usize = 300;

impl History {
    /// A worker was started to serve.
    pub fn note_start(&mut self) {
        self.starts += 1;
        self.starts_by_fault += u64::from(std::mem::take(&mut self.is_faulty));
    }

    /// The instance's worker has ended, or could not be started, without being asked to.
    pub fn note_fault(&mut self) {
        self.is_faulty = true;
    }

    /// A user, a changed file or a new show asks for what follows.
    pub fn note_request(&mut self) {
        self.is_faulty = false;
        self.import_failure = None;
    }

    /// A worker serves.
    pub fn note_serving(&mut self) {
        self.failed_start = None;
        self.import_failure = None;
    }

    /// An import has failed. Returns how often it has failed in the same way before.
    pub fn note_import_failure(&mut self, failure: &Failure) -> u64 {
        match &mut self.import_failure {
            Some((known, count)) if known == failure => {
                *count += 1;
                *count
            }
            known => {
                *known = Some((failure.clone(), 0));
                0
            }
        }
    }

    /// The script has raised, and goes on: `place` and the traceback.
    pub fn note_error(&mut self, place: &str, traceback: &str) {
        let is_exception = |line: &&str| !line.trim().is_empty() && !line.starts_with("hint: ");
        let exception = traceback.lines().rfind(is_exception).unwrap_or("exception");
        let text = format!("{} in {place}", exception.trim());
        let text = text.chars().take(ERROR_TEXT_LIMIT).collect();
        self.last_error = Some(ErrorRecord { text, at: Timestamp::now() });
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

    /// The worker of the instance has ended; whether it `has_served`.
    pub fn note_exit(&mut self, exit: ExitRecord, has_served: bool) {
        let place = if has_served { &mut self.last_exit } else { &mut self.failed_start };
        *place = Some(exit);
    }

    /// No worker could be started, and the instance has none.
    pub fn note_failed_start(&mut self, error: &str) {
        let exit = ExitRecord::now(&ExitReason::NotStarted(error.to_owned()), "");
        let failed = Transition::Failed { reason: exit.reason.clone(), traceback: None };
        self.reach(self.last_start, failed);
        self.failed_start = Some(exit);
        self.note_fault();
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

    /// How often a worker was started again because the one before it had ended by itself, hung, or
    /// could not be started.
    #[must_use]
    pub fn restarts_by_fault(&self) -> u64 {
        self.starts_by_fault
    }

    /// The last error of the script.
    #[must_use]
    pub fn last_error(&self) -> Option<&ErrorRecord> {
        self.last_error.as_ref()
    }

    /// Errors of the script, those of the present worker apart.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// How the last worker ended. One that has never served counts until another one serves.
    #[must_use]
    pub fn last_exit(&self) -> Option<&ExitRecord> {
        self.failed_start.as_ref().or(self.last_exit.as_ref())
    }
}
