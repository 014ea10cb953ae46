//! Finds workers that hang, from what they say of themselves in shared memory: no message has to be sent for it.
//!
//! A worker hangs when it has been at the same thing for longer than `watchdog`, and that thing is a callable of the
//! script, or it has events to take. It does not when this process was late itself, when the machine slept, or when
//! somebody looks at the worker with a debugger: then the time begins anew.

use mm_shared::Activity;
use mm_shared::progress::ActivitySnapshot;
use mm_shared::sys::clock;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Looks at a worker are this far apart at the most.
const LONGEST_PERIOD: Duration = Duration::from_millis(500);
/// And this far at the least.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// How much later than planned a look may be before its time no longer counts.
const LATE: Duration = Duration::from_millis(500);

/// What a look at a worker shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What it says that it does.
    pub doing: ActivitySnapshot,
    /// Events that it has not taken yet.
    pub waiting: usize,
}

/// Watches one worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Watchdog {
    limit: Duration,
    seen: Option<Look>,
    /// Since when the worker has been at what was seen.
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

    /// Takes in what a look at `now` shows. `Some` says how long the worker has hung.
    pub fn look(&mut self, look: Look, now: Instant) -> Option<Duration> {
        let asleep = time_asleep();
        let unfair = now.saturating_duration_since(self.next) > LATE || asleep > self.asleep + LATE;
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

/// Whether a worker that does this has to get on with it.
fn is_at_work(look: Look) -> bool {
    match look.doing.activity {
        // it waits for us, not we for it
        Some(Activity::Sending) => false,
        Some(activity) => activity.is_script() || look.waiting > 0,
        None => true,
    }
}

fn period(limit: Duration) -> Duration {
    (limit / 8).clamp(SHORTEST_PERIOD, LONGEST_PERIOD)
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
