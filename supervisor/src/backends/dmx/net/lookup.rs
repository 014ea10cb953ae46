//! When to look up the host of a `bind`, which has no interface of that name.
//!
//! Until an address of the host is one of this machine it is looked up again, ever more rarely, at
//! least every 10 s; after that every minute.

use std::time::{Duration, Instant};

const FIRST_INTERVAL: Duration = Duration::from_millis(500);
const LAST_INTERVAL: Duration = Duration::from_secs(10);
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// The look-ups of one host.
#[derive(Debug)]
pub struct BindLookup {
    pause: Duration,
    next: Instant,
}

impl BindLookup {
    pub fn new(now: Instant) -> Self {
        Self { pause: FIRST_INTERVAL, next: now }
    }

    /// Whether to look up the host now. `is_found`: its address is known to be of this machine.
    pub fn is_due(&mut self, is_found: bool, now: Instant) -> bool {
        if self.next > now {
            return false;
        }
        self.next = now + if is_found { REFRESH_INTERVAL } else { self.pause };
        self.pause = if is_found { FIRST_INTERVAL } else { (self.pause * 2).min(LAST_INTERVAL) };
        true
    }

    pub fn deadline(&self) -> Instant {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_is_not_found_is_looked_up_ever_more_rarely() {
        let mut now = Instant::now();
        let mut lookup = BindLookup::new(now);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(lookup.is_due(false, now) && !lookup.is_due(false, now));
            pauses.push(lookup.deadline().duration_since(now).as_millis());
            now = lookup.deadline();
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert!(lookup.is_due(true, now));
        assert_eq!(lookup.deadline(), now + REFRESH_INTERVAL);
    }
}
