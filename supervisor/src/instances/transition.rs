//! Transitions of an instance that clients wait for after a restart, a reload or a stop.

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
    /// A reload has become a restart, because the script cannot run twice at once.
    Fallback {
        /// The error that shows it.
        reason: String,
    },
}
