//! Limits how fast messages leave, so that no queue behind the supervisor overflows. Pure: the time
//! is an argument.
//!
//! Three queues behind us are small and drop silently what does not fit. A kernel driver keeps 4096
//! bytes per device (1365 messages) and sends them at the speed of the cable, a thousand messages
//! per second. Between two periods of JACK there is space for 2047 messages. A program that listens
//! to ALSA has 200 places, and takes a moment to wake up. So:
//!
//! - at most [`BURST_LIMIT`] messages are ahead of what the cable has carried at `rate`,
//! - and at most [`WINDOW_LIMIT`] leave within a millisecond, which is also what USB carries.

use std::time::{Duration, Instant};

/// Messages that may leave at once after a pause, spread over windows.
const BURST_LIMIT: u32 = 1000;
/// Messages that may leave within one window.
const WINDOW_LIMIT: u32 = 16;
const WINDOW: Duration = Duration::from_millis(1);

/// Counts the messages that were sent.
#[derive(Debug)]
pub struct RateLimiter {
    /// The time that one message takes on the cable.
    message_time: Duration,
    /// When the cable will have carried all messages that were sent.
    carried_at: Instant,
    window_start: Instant,
    sent_in_window: u32,
}

impl RateLimiter {
    /// `rate` is in messages per second.
    pub fn new(rate: u32, now: Instant) -> Self {
        let message_time = Duration::from_secs(1) / rate.max(1);
        Self { message_time, carried_at: now, window_start: now, sent_in_window: 0 }
    }

    /// When the next message may be sent; a time in the past means now.
    pub fn next_allowed(&self, now: Instant) -> Instant {
        let full = now + self.message_time * BURST_LIMIT;
        let behind = self.carried_at.saturating_duration_since(full);
        let window = if self.sent_in_window >= WINDOW_LIMIT { self.window_start + WINDOW } else { now };
        (now + behind).max(window)
    }

    /// Counts `count` messages as sent.
    pub fn record_sent(&mut self, count: u32, now: Instant) {
        self.carried_at = self.carried_at.max(now) + self.message_time * count;
        if now.saturating_duration_since(self.window_start) >= WINDOW {
            self.window_start = now;
            self.sent_in_window = 0;
        }
        self.sent_in_window += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of `count` messages leaves, in time since the start.
    fn departures(rate: u32, count: u32) -> Vec<Duration> {
        let start = Instant::now();
        let mut now = start;
        let mut limiter = RateLimiter::new(rate, now);
        (0..count)
            .map(|_| {
                now = now.max(limiter.next_allowed(now));
                limiter.record_sent(1, now);
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
        assert_eq!(RateLimiter::new(1, now).next_allowed(now), now);
    }

    #[test]
    fn a_burst_leaves_in_spurts_that_every_listener_can_follow() {
        let times = departures(1000, 1000);
        assert!(times[999] < Duration::from_millis(70), "{:?}", times[999]);
        assert!(most_within(&times, WINDOW) <= 2 * WINDOW_LIMIT as usize);
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
        // 4096 bytes, three per message, sent at 3125 bytes per second
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
        let mut limiter = RateLimiter::new(1000, start);
        limiter.record_sent(1500, start);
        assert!(limiter.next_allowed(start) > start + Duration::from_millis(400));
        let later = start + Duration::from_secs(2);
        assert_eq!(limiter.next_allowed(later), later);
    }
}
