//! Transitions of an instance that clients wait for after a restart, a reload or a stop.

/// The number of a start of a worker within its instance, also of one that failed; they count from
/// 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StartNumber(pub u64);

impl StartNumber {
    /// Not before any start: for what does not come of one.
    pub const LAST: Self = Self(u64::MAX);

    /// The number of the next start.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A transition of an instance, and which start of a worker it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The start of the worker that it is about, or the last one before it.
    pub start: StartNumber,
    /// What the instance has come to.
    pub transition: Transition,
}

/// A transition that a client may wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// A worker serves.
    Serves {
        /// Its process.
        pid: i32,
        /// How long it took to start, in milliseconds.
        took: u128,
    },
    /// A worker has ended by a fault, or could not be started.
    Failed {
        /// Why.
        reason: String,
        /// The exception, if it was one at import.
        traceback: Option<String>,
    },
    /// The instance has stopped, as a user wants it.
    Stopped {
        /// How the worker ended.
        reason: String,
    },
    /// A reload failed; the previous worker keeps running.
    ReloadFailed {
        /// Why.
        reason: String,
        /// The exception, if it was one at import.
        traceback: Option<String>,
    },
    /// The script could not be started, so the last version that worked is.
    RolledBack {
        /// Why it could not.
        reason: String,
        /// The exception, if it was one at import.
        traceback: Option<String>,
    },
}
