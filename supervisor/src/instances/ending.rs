//! How a worker's life ended, in words.

use crate::nursery::How;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::fmt;

/// Why a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal that was not ours.
    Killed(Signal),
    /// Its modules could not be imported; the text names the exception.
    ImportFailed(String),
    /// Its modules were not imported in time.
    StartTimeout,
    /// It made no progress for so long; the text says where.
    Hang(String),
    /// It used more resident memory, in bytes, than `memory-limit` allows.
    OverMemory {
        /// What it used.
        used: u64,
        /// What it may use.
        limit: u64,
    },
    /// It broke a rule of the shared memory or of the control channel.
    Violation(String),
    /// The process could not be started.
    NotStarted(String),
    /// It was asked to.
    Stopped,
    /// With the process that all workers are children of.
    Lost,
    /// The system does not say.
    Unknown,
}

/// The end of a worker, for `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Why, in words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Which worker, unless none came to life.
    pub incarnation: Option<u64>,
    /// The exception, if it was one at import.
    pub traceback: Option<String>,
}

impl Exit {
    /// An end at this moment; `place` says what the worker was doing.
    #[must_use]
    pub fn now(ending: &Ending, place: &str) -> Self {
        let reason = format!("{ending}{place}");
        Self { reason, at: Timestamp::now(), incarnation: None, traceback: None }
    }
}

impl Ending {
    /// What the system says of a process that has ended.
    #[must_use]
    pub fn of_process(how: How) -> Self {
        match how {
            How::Code(code) => Ending::Exited(code),
            How::Signal(signal) => Signal::try_from(signal).map_or(Ending::Unknown, Ending::Killed),
            How::Lost => Ending::Lost,
            How::Unknown => Ending::Unknown,
        }
    }

    /// Whether it needs no further explanation.
    #[must_use]
    pub fn is_told(&self) -> bool {
        !matches!(self, Ending::Exited(_) | Ending::Killed(_) | Ending::Unknown | Ending::OverMemory { .. })
    }

    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, Ending::Exited(0) | Ending::Stopped)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Exited(code) => write!(f, "exit status {code}"),
            Ending::Killed(signal) => write!(f, "killed by {signal}"),
            Ending::ImportFailed(summary) => write!(f, "import failed: {summary}"),
            Ending::StartTimeout => f.write_str("modules not imported within `start-timeout`"),
            Ending::Hang(place) => write!(f, "killed because it hung {place}"),
            Ending::OverMemory { used, limit } => {
                write!(f, "killed over `memory-limit`: {} MiB of {} MiB", used >> 20, limit >> 20)
            }
            Ending::Violation(what) => write!(f, "killed for a violation: {what}"),
            Ending::NotStarted(error) => write!(f, "not started: {error}"),
            Ending::Stopped => f.write_str("stopped"),
            Ending::Lost => f.write_str("ended together with the nursery, the parent of all workers"),
            Ending::Unknown => f.write_str("ended"),
        }
    }
}
