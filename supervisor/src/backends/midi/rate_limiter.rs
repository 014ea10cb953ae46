//! How fast messages may leave, so that nothing behind us loses one. Pure: the time is an argument.
//!
//! Three queues behind us are small, and lose silently what does not fit. A kernel driver keeps 4096 bytes for a
//! device (1365 messages) and empties them at the speed of the cable, a thousand messages a second. Between two
//! periods of JACK there is space for 2047 messages. A program that listens to ALSA has 200 places, and takes a
//! moment to wake up. So:
//!
//! - at most [`BURST`] messages leave faster than the cable carries them; `rate` of them a second are made up for,
//! - and never more than [`SPURT`] within a millisecond, which is also what USB carries in that time.

use std::time::{Duration, Instant};

/// Messages that may leave at once after a pause, in spurts.
const BURST: u32 = 1000;
/// Messages that may leave within [`WINDOW`].
const SPURT: u32 = 16;
const WINDOW: Duration = Duration::from_millis(1);

/// RxCounts what has left.
#[derive(Debug)]
pub struct RateLimiter {
    /// The time that one message takes on the cable.
    each: Duration,
    /// When the cable will have carried all that has left.
    carried: Instant,
    window: Instant,
    in_window: u32,
}

impl RateLimiter {
    /// `rate` is in messages a second.
    pub fn new(rate: u32, now: Instant) -> Self {
        Self { each: Duration::from_secs(1) / rate.max(1), carried: now, window: now, in_window: 0 }
    }

    /// When the next message may leave; a time that has come means at once.
    pub fn next(&self, now: Instant) -> Instant {
        let full = now + self.each * BURST;
        let behind = self.carried.saturating_duration_since(full);
        let spurt = if self.in_window >= SPURT { self.window + WINDOW } else { now };
        (now + behind).max(spurt)
    }

    /// `count` messages have left.
    pub fn left(&mut self, count: u32, now: Instant) {
        self.carried = self.carried.max(now) + self.each * count;
        if now.saturating_duration_since(self.window) >= WINDOW {
            self.window = now;
            self.in_window = 0;
        }
        self.in_window += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `count` messages leaves, in time since the start.
    fn departures(rate: u32, count: u32) -> Vec<Duration> {
        let start = Instant::now();
        let mut now = start;
        let mut pace = RateLimiter::new(rate, now);
        (0..count)
            .map(|_| {
                now = now.max(pace.next(now));
                pace.left(1, now);
                now - start
            })
            .collect()
    }

    /// The most messages that leave within any time of this length.
    fn most_within(departures: &[Duration], time: Duration) -> usize {
        let within =
            |from: &Duration| departures.iter().filter(|at| *at >= from && **at < *from + time).count();
        departures.iter().map(within).max().unwrap_or(0)
    }

    #[test]
    fn a_single_message_never_waits() {
        let now = Instant::now();
        assert_eq!(RateLimiter::new(1, now).next(now), now);
    }

    #[test]
    fn a_burst_leaves_in_spurts_that_every_listener_can_follow() {
        let times = departures(1000, 1000);
        assert!(times[999] < Duration::from_millis(70), "{:?}", times[999]);
        assert!(most_within(&times, WINDOW) <= 2 * SPURT as usize);
        assert!(most_within(&times, Duration::from_millis(10)) <= 176);
    }

    #[test]
    fn what_goes_beyond_a_burst_leaves_at_the_rate() {
        let times = departures(1000, 4000);
        let (burst, last) = (times[1000], times[3999]);
        assert!(last - burst > Duration::from_millis(2900), "{:?}", last - burst);
        assert!(last < Duration::from_millis(3100), "{last:?}");
    }

    #[test]
    fn the_buffer_of_a_device_never_overflows() {
        // 4096 bytes, three a message, emptied at 3125 bytes a second
        let mut fill = 0.0;
        let mut before = Duration::ZERO;
        for at in departures(1000, 6000) {
            fill = f64::max(0.0, fill - (at - before).as_secs_f64() * 3125.0) + 3.0;
            before = at;
            assert!(fill <= 4096.0);
        }
    }

    #[test]
    fn a_pause_makes_room_for_the_next_burst() {
        let start = Instant::now();
        let mut pace = RateLimiter::new(1000, start);
        pace.left(1500, start);
        assert!(pace.next(start) > start + Duration::from_millis(400));
        let later = start + Duration::from_secs(2);
        assert_eq!(pace.next(later), later);
    }
}
