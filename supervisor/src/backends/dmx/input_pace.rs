//! How often levels of one universe become events.
//!
//! A source sends at most 44 frames/s, and a few of them may merge. Whoever sends more is broken or a
//! stranger, and the channels of other universes must not wait behind those of a flood: not here, and
//! not in the queue to a script that handles both. So levels beyond a rate are not reported one by
//! one: the latest ones are, when there is room again.

use std::time::{Duration, Instant};

/// The time in which there is room for one more frame: 200 per second, those of four sources.
const INTERVAL: Duration = Duration::from_millis(5);
/// How many frames may come at once: what waits in the kernel after a pause, for instance.
const BURST: u32 = 16;

/// The rate of one universe.
#[derive(Debug)]
pub struct InputPace {
    /// When all frames of a burst have room again.
    full_at: Instant,
    is_pending: bool,
}

impl InputPace {
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { full_at: now, is_pending: false }
    }

    /// Levels have changed. Returns whether to report them now; if not, they are due at
    /// [`InputPace::deadline`].
    pub fn allows(&mut self, now: Instant) -> bool {
        let is_allowed = now >= self.room_at();
        if is_allowed {
            self.full_at = self.full_at.max(now) + INTERVAL;
        }
        self.is_pending = !is_allowed;
        is_allowed
    }

    /// Whether levels that were not reported are due now.
    pub fn is_due(&mut self, now: Instant) -> bool {
        self.is_pending && self.allows(now)
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.is_pending.then(|| self.room_at())
    }

    /// From when on one more frame has room.
    fn room_at(&self) -> Instant {
        self.full_at.checked_sub(INTERVAL * (BURST - 1)).unwrap_or(self.full_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `frames` are reported, which come so often.
    fn reported(pace: &mut InputPace, start: Instant, frames: u32, interval: Duration) -> u32 {
        (0..frames).map(|number| u32::from(pace.allows(start + interval * number))).sum()
    }

    #[test]
    fn all_frames_of_four_sources_are_reported_and_those_of_a_burst() {
        let start = Instant::now();
        let mut pace = InputPace::new(start);
        assert_eq!(reported(&mut pace, start, BURST, Duration::ZERO), BURST);
        let mut pace = InputPace::new(start);
        let interval = Duration::from_secs(1) / (4 * 44);
        assert_eq!(reported(&mut pace, start, 1000, interval), 1000);
        assert_eq!(pace.deadline(), None);
    }

    #[test]
    fn of_a_flood_a_few_are_reported_and_always_the_last() {
        let start = Instant::now();
        let mut pace = InputPace::new(start);
        let count = reported(&mut pace, start, 20_000, Duration::from_micros(50));
        assert!((200..=200 + BURST).contains(&count), "{count}");
        let last = start + Duration::from_micros(999_990);
        assert!(!pace.allows(last));
        let due = pace.deadline().expect("the last one waits");
        assert!(!pace.is_due(last) && pace.is_due(due) && !pace.is_due(due));
        assert_eq!(pace.deadline(), None);
    }
}
