//! How long to wait before a worker is started again, and when to give up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The largest share of a delay that is left out at random, so that instances that died together do
/// not all come back at once.
const JITTER: f64 = 0.2;

/// The delay before restart number `failures` since the instance last ran stably: none for the
/// first, then `base` doubled each time up to `max`, less up to a fifth by `jitter` (0.0 to 1.0).
#[must_use]
pub fn delay(failures: u32, base: Duration, max: Duration, jitter: f64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let full = base.checked_mul(factor).unwrap_or(max).min(max);
    full.mul_f64(1.0 - JITTER * jitter.clamp(0.0, 1.0))
}

/// Counts restarts in a sliding window: the restart intensity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Intensity {
    restarts: VecDeque<Instant>,
}

impl Intensity {
    /// Notes a restart at `now`. Returns whether it is one too many: more than `limit.0` within
    /// `limit.1`.
    pub fn exceeded(&mut self, now: Instant, limit: Option<(u32, Duration)>) -> bool {
        let Some((most, window)) = limit else { return false };
        while self.restarts.front().is_some_and(|at| now.duration_since(*at) >= window) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= most as usize {
            return true;
        }
        self.restarts.push_back(now);
        false
    }

    /// Forgets all restarts, after a command of the user.
    pub fn clear(&mut self) {
        self.restarts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_double_up_to_the_maximum() {
        let delays: Vec<u128> = (0..12).map(|n| delay(n, BASE, MAX, 0.0).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
    }

    #[test]
    fn any_number_of_failures_stays_at_the_maximum() {
        for failures in [33, 64, 65, u32::MAX] {
            assert_eq!(delay(failures, BASE, MAX, 0.0), MAX);
        }
    }

    #[test]
    fn jitter_takes_away_a_fifth_at_most() {
        assert_eq!(delay(1, BASE, MAX, 1.0), Duration::from_millis(80));
        assert_eq!(delay(1, BASE, MAX, 7.0), Duration::from_millis(80));
    }

    #[test]
    fn the_intensity_counts_only_what_is_inside_the_window() {
        let start = Instant::now();
        let limit = Some((2, Duration::from_secs(10)));
        let mut intensity = Intensity::default();
        assert!(!intensity.exceeded(start, limit));
        assert!(!intensity.exceeded(start + Duration::from_secs(9), limit));
        assert!(intensity.exceeded(start + Duration::from_millis(9_999), limit));
        assert!(!intensity.exceeded(start + Duration::from_secs(10), limit));
        assert!(!intensity.exceeded(start, None));
    }
}
