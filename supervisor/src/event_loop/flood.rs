//! How the core loop is scheduled while events flood in: as a batch job.
//!
//! Usually whoever wakes the core loop is interrupted by it at once, which is what makes a single event quick. In a flood
//! it is what makes everything slow: the sender is interrupted after its first message, and so is a worker after its
//! first answer; the loop then serves turns of an event or two, each with wake-ups of its own. A batch job lets
//! whoever runs finish what it has begun, and finds many events when its turn comes.
//!
//! This is for floods alone, where events wait for each other anyway. It changes neither the loop's share of the CPU nor
//! its nice value, and is not done at all where the show asks for a `priority`.

use mm_shared::sys::priority::{Class, class_of_this_thread, schedule_this_thread};
use rustix::process::getpriority_process;
use std::time::{Duration, Instant};

/// How long events are counted.
const PERIOD: Duration = Duration::from_millis(10);
/// Events a second that make a flood; a round trip after the other, the quickest that may be, stays below it.
const FLOOD: u64 = 150_000;
/// Below so many it is over.
const CALM: u64 = 50_000;

/// Notices floods.
#[derive(Debug)]
pub struct Flood {
    since: Instant,
    events: u64,
    flooded: bool,
    /// What the system refused once is not asked for again.
    refused: bool,
}

impl Flood {
    /// Calm so far.
    pub fn new(now: Instant) -> Self {
        Self { since: now, events: 0, flooded: false, refused: false }
    }

    /// So many events were routed; to be called by the core loop's own thread.
    #[inline]
    pub fn count(&mut self, events: usize, now: Instant) {
        self.events += events as u64;
        let passed = now.duration_since(self.since);
        if passed >= PERIOD {
            let rate = rate(self.events, passed);
            (self.since, self.events) = (now, 0);
            self.judge(rate);
        }
    }

    /// Whether one is under way.
    pub fn is_on(&self) -> bool {
        self.flooded
    }

    fn judge(&mut self, rate: u64) {
        let flooded = rate >= if self.flooded { CALM } else { FLOOD };
        if flooded == self.flooded || self.refused {
            return;
        }
        if flooded && !is_ordinary() {
            self.refused = true;
            return;
        }
        let class = if flooded { Class::Batch } else { Class::Normal };
        match schedule_this_thread(class) {
            Ok(()) => self.flooded = flooded,
            Err(_) => self.refused = true,
        }
    }
}

fn rate(events: u64, passed: Duration) -> u64 {
    let nanos = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX).max(1);
    events.saturating_mul(1_000_000_000) / nanos
}

/// Whether nobody has asked for a priority of this thread.
fn is_ordinary() -> bool {
    let class = class_of_this_thread().map(|(class, _)| class);
    class.is_ok_and(|class| class == Class::Normal) && getpriority_process(None).is_ok_and(|nice| nice == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// The class of a thread after these numbers of events, one for each period.
    fn class_after(counts: &'static [usize]) -> Option<Class> {
        let thread = thread::spawn(move || {
            let mut now = Instant::now();
            let mut flood = Flood::new(now);
            for count in counts {
                now += PERIOD;
                flood.count(*count, now);
            }
            class_of_this_thread().ok().map(|(class, _)| class)
        });
        thread.join().ok().flatten()
    }

    #[test]
    fn a_flood_makes_the_thread_a_batch_job_until_it_is_over() {
        assert_eq!(class_after(&[10_000]), Some(Class::Batch));
        assert_eq!(class_after(&[10_000, 1_000]), Some(Class::Batch));
        assert_eq!(class_after(&[10_000, 1_000, 100]), Some(Class::Normal));
    }

    #[test]
    fn events_one_at_a_time_are_no_flood() {
        assert_eq!(class_after(&[100, 1_000, 1_000]), Some(Class::Normal));
    }

    #[test]
    fn a_thread_with_a_priority_keeps_it() {
        let thread = thread::spawn(|| {
            let set = rustix::process::setpriority_process(None, 5);
            let mut flood = Flood::new(Instant::now());
            flood.count(10_000, Instant::now() + PERIOD);
            set.is_ok().then(class_of_this_thread)
        });
        let class = thread.join().ok().flatten().and_then(Result::ok).map(|(class, _)| class);
        assert_eq!(class, Some(Class::Normal));
    }
}
