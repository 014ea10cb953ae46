//! The terms of an instance's life: its options, its states, what can happen, and what is to be
//! done.

use crate::instances::options::RestartRule;
use std::time::{Duration, Instant};

/// The options that decide about an instance's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Which ends of a worker are followed by a start.
    pub restart: RestartRule,
    /// Delay before the second restart in a row; it doubles from there.
    pub backoff: Duration,
    /// The longest delay.
    pub backoff_max: Duration,
    /// After running this long from ready on, an instance counts as stable and its failures are
    /// forgotten.
    pub stable: Duration,
    /// At most so many restarts within so long; `None` never gives up.
    pub max_restarts: Option<(u32, Duration)>,
    /// How long imports may take.
    pub start_timeout: Duration,
    /// How long the cleanup handler may take before TERM.
    pub stop_timeout: Duration,
}

/// The state of an instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LifeState {
    /// No worker, and none wanted.
    Stopped,
    /// A worker is being started and imports its modules.
    Starting {
        /// Its import; `None` while it waits for its turn to be started.
        import: Option<Import>,
    },
    /// A worker has imported its modules; it serves, or as soon as its predecessor has handed over.
    Running {
        /// Since it was ready.
        since: Instant,
    },
    /// A worker runs, and its replacement is being started.
    Reloading {
        /// Since the running one was ready.
        since: Instant,
        /// The import of the replacement; `None` while that waits for its turn to be started.
        import: Option<Import>,
    },
    /// The worker has been told to end, or ends by itself.
    Stopping {
        /// What follows its exit.
        after: AfterExit,
    },
    /// No worker; the next start waits.
    Backoff {
        /// For this time.
        until: Instant,
    },
    /// No worker; restarted too often.
    Failed,
}

/// An import that is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Import {
    /// When its worker was begun.
    pub began_at: Instant,
    /// When it has taken too long.
    pub deadline: Instant,
}

/// What follows the exit of a worker that is ending.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AfterExit {
    /// Nothing: the user stopped the instance.
    StayStopped,
    /// A start: the user restarted it.
    Restart,
    /// What the restart policy requires: it ends by a fault of its own, or by itself.
    ApplyPolicy,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LifeEvent {
    /// The user wants it to run.
    Start,
    /// The user, or the end of the show, wants it to stop.
    Stop,
    /// The user wants a new worker.
    Restart,
    /// The user wants a new worker that replaces the old one only when it is ready.
    Reload,
    /// The worker, or the replacement, that waited for its turn was begun.
    Begun,
    /// The worker has imported its modules.
    Ready,
    /// The worker takes no more events, although it was not asked to stop.
    Yielded,
    /// The worker has ended and was reaped.
    Exited {
        /// With status 0.
        clean: bool,
    },
    /// The worker has ended with the reaper, through no fault of its own.
    Lost,
    /// No worker could be started.
    SpawnFailed,
    /// The worker makes no progress.
    Hang,
    /// The worker broke a rule of the shared memory or grew too large.
    Fault,
    /// The replacement has imported its modules.
    ReplacementReady,
    /// The replacement failed to import, or ended.
    ReplacementFailed,
    /// Some time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// Start a worker as soon as it is its turn.
    Spawn,
    /// Do not start the worker that waits for its turn.
    CancelSpawn,
    /// Let the worker serve as soon as no other one is attached.
    Serve,
    /// Ask the worker to run its cleanup handler and exit.
    RequestStop,
    /// Ask the worker for its stacks; KILL follows.
    DumpStacks,
    /// Send KILL to the worker.
    Kill,
    /// Log that the worker did not get ready in time.
    LogStartTimeout,
    /// Start a replacement as soon as it is its turn, while the worker runs on.
    SpawnReplacement,
    /// Let the worker finish its handler, and the replacement serve after that.
    Swap,
    /// The worker ends; the replacement is the worker now.
    Promote,
    /// Log that the replacement did not get ready in time, ask it for its stacks, and end it.
    LogReplacementTimeout,
    /// End the replacement, or do not start the one that waits for its turn.
    DropReplacement,
    /// Log that the instance was restarted too often.
    GiveUp,
}

/// What a step may look at besides the state.
#[derive(Debug, Clone, Copy)]
pub struct StepContext<'a> {
    /// The time.
    pub now: Instant,
    /// A random number from 0.0 to 1.0.
    pub jitter: f64,
    /// The instance's options.
    pub policy: &'a Policy,
    /// Whether a predecessor still handles its last event.
    pub is_handing_over: bool,
}
