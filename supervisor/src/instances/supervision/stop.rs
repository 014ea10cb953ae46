//! The one ladder by which a worker is brought to its end, whatever its role: asked, its stacks,
//! TERM, KILL.
//!
//! A worker only ever moves up the ladder. Each rung but the last has a deadline, so a worker that
//! does not react to one meets the next. The exception is [`StopStage::Yielding`]: the handler that
//! a reload waits for has as long as `watchdog` allows, and the watchdog moves such a worker on.

use std::time::{Duration, Instant};

/// The longest time between TERM and KILL; `stop-timeout` where that is shorter.
pub const TERM_GRACE: Duration = Duration::from_secs(1);

/// How long a worker has to write its stacks before TERM or KILL, either of which would cut them
/// off.
pub const STACKS_TIMEOUT: Duration = Duration::from_millis(300);

/// How far a worker has been pressed to end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StopStage {
    /// Asked to stop by a reload: it finishes its handler first, however long `watchdog` lets it.
    Yielding,
    /// Asked to stop; its cleanup handler runs.
    Requested {
        /// When `stop-timeout` is over.
        until: Instant,
    },
    /// Has not stopped within `stop-timeout`: asked for its stacks, TERM follows.
    Overdue {
        /// When TERM follows.
        until: Instant,
    },
    /// Hangs: asked for its stacks, KILL follows.
    DumpingStacks {
        /// When KILL follows.
        until: Instant,
    },
    /// Sent TERM; KILL follows.
    Terminated {
        /// When KILL follows.
        until: Instant,
    },
    /// Sent KILL; only its exit is awaited.
    Killed,
}

impl StopStage {
    /// The stage of a worker that is asked to stop at `now`.
    #[must_use]
    pub fn requested(now: Instant, stop_timeout: Duration) -> Self {
        Self::Requested { until: now + stop_timeout }
    }

    /// The stage of a worker that is found to hang at `now`.
    #[must_use]
    pub fn dumping_stacks(now: Instant) -> Self {
        Self::DumpingStacks { until: now + STACKS_TIMEOUT }
    }

    /// When [`StopStage::escalate`] moves on.
    #[must_use]
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Requested { until }
            | Self::Overdue { until }
            | Self::DumpingStacks { until }
            | Self::Terminated { until } => Some(until),
            Self::Yielding | Self::Killed => None,
        }
    }

    /// The next stage, if the deadline of this one has come.
    #[must_use]
    pub fn escalate(self, now: Instant, stop_timeout: Duration) -> Option<Self> {
        self.deadline().filter(|until| *until <= now)?;
        Some(match self {
            Self::Yielding | Self::Requested { .. } => Self::Overdue { until: now + STACKS_TIMEOUT },
            Self::Overdue { .. } => Self::Terminated { until: now + stop_timeout.min(TERM_GRACE) },
            Self::DumpingStacks { .. } | Self::Terminated { .. } | Self::Killed => Self::Killed,
        })
    }

    /// Whether this stage is further up than `other`.
    #[must_use]
    pub fn exceeds(self, other: Self) -> bool {
        self.rank() > other.rank()
    }

    fn rank(self) -> u8 {
        match self {
            Self::Yielding => 0,
            Self::Requested { .. } => 1,
            Self::Overdue { .. } => 2,
            Self::DumpingStacks { .. } => 3,
            Self::Terminated { .. } => 4,
            Self::Killed => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP_TIMEOUT: Duration = Duration::from_secs(2);

    /// The stages that follow, each with the time since the first.
    fn climb(mut stage: StopStage, start: Instant) -> Vec<(StopStage, Duration)> {
        let mut stages = Vec::new();
        while let Some(until) = stage.deadline() {
            assert_eq!(stage.escalate(until - Duration::from_nanos(1), STOP_TIMEOUT), None);
            let next = stage.escalate(until, STOP_TIMEOUT).expect("a next stage");
            assert!(next.exceeds(stage), "{next:?} after {stage:?}");
            stages.push((next, until - start));
            stage = next;
        }
        stages
    }

    #[test]
    fn a_worker_that_does_not_stop_is_terminated_and_then_killed() {
        let start = Instant::now();
        let overdue = start + STOP_TIMEOUT;
        let terminated = overdue + STACKS_TIMEOUT;
        let expected = [
            (StopStage::Overdue { until: terminated }, STOP_TIMEOUT),
            (StopStage::Terminated { until: terminated + TERM_GRACE }, STOP_TIMEOUT + STACKS_TIMEOUT),
            (StopStage::Killed, STOP_TIMEOUT + STACKS_TIMEOUT + TERM_GRACE),
        ];
        assert_eq!(climb(StopStage::requested(start, STOP_TIMEOUT), start), expected);
    }

    #[test]
    fn a_worker_that_hangs_is_killed_as_soon_as_its_stacks_are_written() {
        let start = Instant::now();
        assert_eq!(climb(StopStage::dumping_stacks(start), start), [(StopStage::Killed, STACKS_TIMEOUT)]);
    }

    #[test]
    fn a_handler_that_a_reload_waits_for_has_no_deadline_here() {
        assert_eq!(StopStage::Yielding.deadline(), None);
    }
}
