//! How a loop is scheduled while events flood in: as a batch job.
//!
//! Usually a thread that wakes up interrupts whoever runs on its CPU, which is what makes a single event quick. In a
//! flood it is what makes everything slow: the sender is interrupted after its first message, and so is a worker after
//! its first answer; then turns have an event or two each, with wake-ups of their own. A batch job lets whoever runs
//! finish what it has begun, and finds many events when its turn comes.
//!
//! This is for floods alone, where events wait for each other anyway. It changes neither the thread's share of the CPU nor
//! its nice value, and is not done at all where somebody has asked for a priority.

use crate::sys::priority::{Class, class_of_this_thread, nice_of_this_thread, schedule_this_thread};

/// How long events are counted, in nanoseconds.
const PERIOD: u64 = 10_000_000;
/// From so many events a period on it is a flood; one round trip after the other, the quickest that may be, stays below.
const FLOOD: u64 = 750;
/// Below so many it is over.
const CALM: u64 = 250;

/// Notices floods, for the thread that it is used in.
#[derive(Debug, Default)]
pub struct Flood {
    since: u64,
    events: u64,
    on: bool,
    /// What the system refused once is not asked for again.
    refused: bool,
}

impl Flood {
    /// So many events came in until `now`, a monotonic time in nanoseconds.
    #[inline]
    pub fn count(&mut self, events: usize, now: u64) {
        self.events += events as u64;
        let passed = now.saturating_sub(self.since);
        if passed >= PERIOD {
            let rate = self.events.saturating_mul(PERIOD) / passed;
            (self.since, self.events) = (now, 0);
            self.judge(rate);
        }
    }

    /// Whether one is under way.
    pub fn is_on(&self) -> bool {
        self.on
    }

    fn judge(&mut self, rate: u64) {
        let on = rate >= if self.on { CALM } else { FLOOD };
        if on == self.on || self.refused {
            return;
        }
        let (from, to) = if on { (Class::Normal, Class::Batch) } else { (Class::Batch, Class::Normal) };
        // whatever a script has asked for stays as it is
        let ours =
            class_of_this_thread().is_ok_and(|(class, _)| class == from) && nice_of_this_thread() == Some(0);
        if ours && schedule_this_thread(to).is_ok() {
            self.on = on;
        } else {
            (self.on, self.refused) = (false, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::priority::set_nice_of_this_thread;
    use std::thread;

    /// The class of a thread with a nice value after these numbers of events, one for each period.
    fn class_after(nice: i32, counts: &'static [usize]) -> Option<Class> {
        let thread = thread::spawn(move || {
            set_nice_of_this_thread(nice).ok()?;
            let mut flood = Flood::default();
            for (count, period) in counts.iter().zip(1..) {
                flood.count(*count, period * PERIOD);
            }
            class_of_this_thread().ok().map(|(class, _)| class)
        });
        thread.join().ok().flatten()
    }

    #[test]
    fn a_flood_makes_the_thread_a_batch_job_until_it_is_over() {
        assert_eq!(class_after(0, &[1_000]), Some(Class::Batch));
        assert_eq!(class_after(0, &[1_000, 500]), Some(Class::Batch));
        assert_eq!(class_after(0, &[1_000, 500, 100]), Some(Class::Normal));
    }

    #[test]
    fn events_one_at_a_time_are_no_flood() {
        assert_eq!(class_after(0, &[100, 500, 500]), Some(Class::Normal));
    }

    #[test]
    fn a_thread_with_a_priority_keeps_it() {
        assert_eq!(class_after(5, &[1_000, 1_000]), Some(Class::Normal));
    }
}
