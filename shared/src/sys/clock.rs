//! The monotonic clocks. Neither follows the wall clock.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since some fixed moment, the same for all processes. Stands still while the machine is
/// suspended.
pub fn monotonic() -> Duration {
    now(ClockId::CLOCK_MONOTONIC)
}

/// The same in nanoseconds, which last for 584 years.
#[inline]
pub fn monotonic_ns() -> u64 {
    u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX)
}

/// Time since the machine was started, suspended or not.
pub fn since_boot() -> Duration {
    now(ClockId::CLOCK_BOOTTIME)
}

/// Linux always has both clocks, so there is no error to return.
#[inline]
fn now(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_goes_on() {
        let before = super::monotonic_ns();
        assert!(super::monotonic_ns() >= before);
        assert!(super::since_boot() >= super::monotonic() - std::time::Duration::from_secs(1));
    }
}
