//! Warns when more events wait for an instance than its queue keeps in order.

use super::reports;
use mm_shared::LogThrottle;
use std::time::{Duration, Instant};

/// How often that is logged.
const INTERVAL: Duration = Duration::from_secs(60);

/// Looks at the count of conflated events.
#[derive(Debug)]
pub struct OverflowWatch {
    seen: u64,
    throttle: LogThrottle,
}

impl Default for OverflowWatch {
    fn default() -> Self {
        Self { seen: 0, throttle: LogThrottle::new(1, INTERVAL) }
    }
}

impl OverflowWatch {
    /// `conflated` events were replaced by later ones so far. An instance that is not to run keeps
    /// no order; that is not worth a warning.
    #[inline]
    pub fn look(&mut self, name: &str, limit: usize, conflated: u64, keeps_order: bool, now: Instant) {
        if conflated != self.seen {
            self.changed(name, limit, conflated, keeps_order, now);
        }
    }

    #[cold]
    fn changed(&mut self, name: &str, limit: usize, conflated: u64, keeps_order: bool, now: Instant) {
        self.seen = conflated;
        if keeps_order && self.throttle.hit(now).is_some() {
            reports::queue_overflowed(name, limit, conflated);
        }
    }
}
