//! What an instance has come to, for those who wait for it: clients that have asked for a restart, a reload, a stop.

/// A point in the life of an instance that somebody may wait for.
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
    /// A reload was given up; the old worker goes on.
    ReloadFailed {
        /// Why.
        reason: String,
        /// The exception, if it was one at import.
        traceback: Option<String>,
    },
    /// A reload has become a restart, because the script cannot run twice at once.
    Fallback {
        /// What tells.
        reason: String,
    },
}
