//! Why a worker ended, in words.

use crate::ids::WorkerId;
use crate::reaper::WaitStatus;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::fmt;

/// Why a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// It exited with this status.
    Exited(i32),
    /// By a signal that was not ours.
    Killed(Signal),
    /// By a signal of ours, since it did not stop when it was asked to.
    Pressed(Signal),
    /// Its modules could not be imported; the text names the exception.
    ImportFailed(String),
    /// Its modules lack the handlers of these channels, which those of the last worker had.
    HandlersMissing(String),
    /// Its modules were not imported in time.
    StartTimeout,
    /// It made no progress; the text is where.
    Hang(String),
    /// It used more memory, in bytes, than `memory-limit` allows.
    OverMemory {
        /// What it used.
        used: u64,
        /// What it may use.
        limit: u64,
        /// How many processes that was: its own and those of its script.
        processes: usize,
    },
    /// It broke a rule of the shared memory or of the control channel.
    Violation(String),
    /// The process could not be started.
    NotStarted(String),
    /// It was asked to.
    Stopped,
    /// Together with the reaper, the parent of all workers.
    Lost,
    /// The reason is not known.
    Unknown,
}

/// The end of a worker, for `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitRecord {
    /// Why, in words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Which worker, unless none came to life.
    pub worker_id: Option<WorkerId>,
    /// The exception, if it was one at import.
    pub traceback: Option<String>,
}

impl ExitRecord {
    /// An exit at this moment; `place` is what the worker was doing.
    #[must_use]
    pub fn now(ending: &ExitReason, place: &str) -> Self {
        let reason = format!("{ending}{place}");
        Self { reason, at: Timestamp::now(), worker_id: None, traceback: None }
    }
}

impl ExitReason {
    /// The reason that the wait status of a process gives.
    #[must_use]
    pub fn of_process(how: WaitStatus) -> Self {
        match how {
            WaitStatus::Code(code) => ExitReason::Exited(code),
            WaitStatus::Signal(signal) => {
                Signal::try_from(signal).map_or(ExitReason::Unknown, ExitReason::Killed)
            }
            WaitStatus::Lost => ExitReason::Lost,
            WaitStatus::Unknown => ExitReason::Unknown,
        }
    }

    /// Whether it needs no further explanation.
    #[must_use]
    pub fn is_self_explanatory(&self) -> bool {
        !matches!(
            self,
            ExitReason::Exited(_)
                | ExitReason::Killed(_)
                | ExitReason::Pressed(_)
                | ExitReason::Unknown
                | ExitReason::OverMemory { .. }
                | ExitReason::Violation(_)
        )
    }

    /// Whether it ended by a signal that the supervisor sends to a worker that is to stop.
    #[must_use]
    pub fn is_of_stop_ladder(&self) -> bool {
        matches!(self, ExitReason::Killed(Signal::SIGTERM | Signal::SIGKILL))
    }

    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, ExitReason::Exited(0) | ExitReason::Stopped)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::Exited(code) => write!(f, "exit status {code}"),
            ExitReason::Killed(signal) => write!(f, "killed by {signal}"),
            ExitReason::Pressed(signal) => write!(f, "ended with {signal}, since it did not stop in time"),
            ExitReason::ImportFailed(summary) => write!(f, "import failed: {summary}"),
            ExitReason::HandlersMissing(channels) => {
                write!(f, "without a handler for {channels}, which the script had")
            }
            ExitReason::StartTimeout => f.write_str("modules not imported within `start-timeout`"),
            ExitReason::Hang(place) => write!(f, "killed because it hung {place}"),
            ExitReason::OverMemory { used, limit, processes } => {
                write!(f, "killed over `memory-limit`: {} MiB of {} MiB", used >> 20, limit >> 20)?;
                if *processes > 1 { write!(f, " in {processes} processes") } else { Ok(()) }
            }
            ExitReason::Violation(what) => write!(f, "killed for a violation: {what}"),
            ExitReason::NotStarted(error) => write!(f, "could not be started: {error}"),
            ExitReason::Stopped => f.write_str("stopped"),
            ExitReason::Lost => f.write_str("ended together with the reaper, the parent of all workers"),
            ExitReason::Unknown => f.write_str("ended"),
        }
    }
}
