//! Finds workers that hang, from the activity that they publish in shared memory. No message is
//! sent for it.
//!
//! A worker hangs when its activity has not changed for longer than `watchdog`, and that activity
//! is a callable of the script, or events wait for it. The time starts again when this process was
//! late itself, when the machine slept, or while a debugger holds the worker.

use mm_shared::Activity;
use mm_shared::progress::ActivitySnapshot;
use mm_shared::sys::clock;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The longest time between two looks at a worker.
const LONGEST_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest time between two looks at a worker.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// A look that is later than this counts from its own time on: this process was held up, or the
/// machine slept.
const LATE_LIMIT: Duration = Duration::from_millis(500);

/// What a look at a worker shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The activity that it publishes.
    pub doing: ActivitySnapshot,
    /// Events that it has not taken yet.
    pub waiting: usize,
}

/// Watches one worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Watchdog {
    limit: Duration,
    seen: Option<Look>,
    /// Since when the worker has been doing what was seen.
    since: Instant,
    next: Instant,
    asleep: Duration,
}

impl Watchdog {
    /// Watches a worker that serves from now on.
    #[must_use]
    pub fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, seen: None, since: now, next: next_look(limit, now), asleep: time_asleep() }
    }

    /// When to look next.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.next
    }

    /// Takes what a look at `now` shows. Returns how long the worker has hung, if it hangs.
    pub fn look(&mut self, look: Look, now: Instant) -> Option<Duration> {
        let asleep = time_asleep();
        let unfair =
            now.saturating_duration_since(self.next) > LATE_LIMIT || asleep > self.asleep + LATE_LIMIT;
        self.asleep = asleep;
        self.next = next_look(self.limit, now);
        let moved = self
            .seen
            .is_none_or(|seen| seen.doing != look.doing || look.waiting < seen.waiting || !is_at_work(seen));
        self.seen = Some(look);
        if moved || unfair || !is_at_work(look) {
            self.since = now;
            return None;
        }
        let hung = now.saturating_duration_since(self.since);
        (hung >= self.limit).then_some(hung)
    }
}

/// Whether a worker that does this is expected to make progress.
fn is_at_work(look: Look) -> bool {
    match look.doing.activity {
        // It waits for the supervisor.
        Some(Activity::Sending) => false,
        Some(activity) => activity.is_script() || look.waiting > 0,
        None => true,
    }
}

fn period(limit: Duration) -> Duration {
    (limit / 8).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
}

/// When to look after `now`: at a multiple of the period, so that one wake-up serves all workers.
fn next_look(limit: Duration, now: Instant) -> Instant {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let (begun, period) = (*BEGUN.get_or_init(|| now), period(limit));
    let before = now.saturating_duration_since(begun).as_nanos() % period.as_nanos();
    now + period - Duration::from_nanos(u64::try_from(before).unwrap_or(0))
}

/// How long the machine has slept since it was switched on.
fn time_asleep() -> Duration {
    clock::since_boot().saturating_sub(clock::monotonic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn look(activity: Activity, generation: u64, waiting: usize) -> Look {
        Look { doing: ActivitySnapshot { generation, activity: Some(activity), subject: 0 }, waiting }
    }

    /// Looks at the same worker, on time, for so long; returns the first hang.
    fn watched(look: Look, length: Duration) -> Option<Duration> {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(LIMIT, start);
        while watchdog.deadline() <= start + length {
            let now = watchdog.deadline();
            if let Some(hung) = watchdog.look(look, now) {
                return Some(hung);
            }
        }
        None
    }

    #[test]
    fn a_worker_that_stays_in_a_callable_hangs_after_the_limit() {
        for activity in [Activity::Handler, Activity::Interval, Activity::Socket] {
            assert_eq!(watched(look(activity, 7, 0), LIMIT * 2), Some(LIMIT));
        }
    }

    #[test]
    fn a_worker_that_does_not_take_its_events_hangs_too() {
        assert_eq!(watched(look(Activity::Idle, 7, 1), LIMIT * 2), Some(LIMIT));
    }

    #[test]
    fn an_idle_worker_and_one_that_waits_for_us_do_not_hang() {
        assert_eq!(watched(look(Activity::Idle, 7, 0), LIMIT * 100), None);
        assert_eq!(watched(look(Activity::Sending, 7, 3), LIMIT * 100), None);
    }

    #[test]
    fn every_bit_of_progress_counts() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(LIMIT, start);
        for generation in 0..1000 {
            let now = watchdog.deadline();
            assert_eq!(watchdog.look(look(Activity::Handler, generation, 5), now), None);
        }
    }

    #[test]
    fn a_supervisor_that_was_stopped_itself_does_not_blame_its_workers() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(LIMIT, start);
        let hung = look(Activity::Handler, 7, 0);
        assert_eq!(watchdog.look(hung, watchdog.deadline()), None);
        let late = watchdog.deadline() + LIMIT * 2;
        assert_eq!(watchdog.look(hung, late), None);
        assert_eq!(watchdog.look(hung, watchdog.deadline()), None);
    }
}
