//! Whether a consumer without work polls for a moment before it sleeps.
//!
//! Waking a thread that sleeps costs tens of microseconds on a core that has gone idle; a thread
//! that polls notices an event within a fraction of one. But polling only pays when the other side
//! is quick, and it harms when both share a core, since then the one that polls keeps the other
//! from running. So:
//!
//! - A side does not spin while the other side last ran on the same CPU.
//! - By default it does not spin, except for a short probe at every 16th wait; the longer probes
//!   find nothing, the rarer they get.
//! - A spin that finds work makes the next waits spin too; a few in a row that find nothing end
//!   that.
//! - An interruption ends it at once: another thread has work for this CPU, perhaps the other side
//!   itself.
//! - A side that has just handled many events does not spin: there is a queue then, and one wake-up
//!   serves many.
//!
//! Polling for packets from outside ([`Spinner::spin_outside`]) follows the same rules, except that
//! each look is a system call, and that the CPU on which the next packet arrives is not known.
//!
//! An idle show therefore costs nothing, and one whose events come close together is served without
//! wake-ups.

use super::WakeupMode;
use super::constants::{
    CLOCK_READ_INTERVAL, FIRST_PROBE_INTERVAL, INTERRUPTION_LIMIT, LONG_INTERRUPTION_LIMIT, MISS_LIMIT,
    PROBE_INTERVAL_LIMIT, SPIN_TIMEOUT, STEADY_HITS_LIMIT,
};
use crate::sys::clock::monotonic_ns;

/// Decides for one consumer.
#[derive(Debug, Clone)]
pub struct Spinner {
    mode: WakeupMode,
    /// Waits since the last probe.
    waits: u32,
    /// After so many of them the next one is a probe.
    probe_interval: u32,
    /// How many spins may still find nothing; 0 while only probes spin.
    credit: u32,
    /// Spins in a row that found work.
    hits: u32,
}

impl Spinner {
    /// A consumer that probes at first.
    #[must_use]
    pub fn new(mode: WakeupMode) -> Self {
        Self { mode, waits: 0, probe_interval: FIRST_PROBE_INTERVAL, credit: 0, hits: 0 }
    }

    /// Counts a wait, and returns whether to spin in it. The CPUs are those that the two sides last
    /// ran on; unless both are known the answer is no.
    #[inline]
    pub fn wants_to_spin(&mut self, own: Option<u32>, peer: Option<u32>) -> bool {
        let is_apart = own.zip(peer).is_some_and(|(own, peer)| own != peer);
        self.is_due() && is_apart
    }

    fn is_due(&mut self) -> bool {
        self.waits = self.waits.saturating_add(1);
        self.mode.is_adaptive() && (self.credit > 0 || self.waits >= self.probe_interval)
    }

    /// Polls until `has_work` is true or [`SPIN_TIMEOUT`] is over; returns whether there is work.
    #[inline]
    pub fn spin(&mut self, has_work: impl FnMut() -> bool) -> bool {
        self.spin_for(SPIN_TIMEOUT, has_work)
    }

    fn spin_for(&mut self, timeout: u64, has_work: impl FnMut() -> bool) -> bool {
        let outcome = poll(has_work, timeout, CLOCK_READ_INTERVAL, monotonic_ns);
        self.learn(&outcome, 0);
        matches!(outcome, SpinOutcome::Work | SpinOutcome::Interrupted { has_work: true, .. })
    }

    /// Counts a wait, polls for what comes from outside if that is due, and returns whether the
    /// next waits are to do so too; `None`: it did not poll. A short interruption counts like a
    /// spin without result here, since no thread that shares this CPU has to wait for more than
    /// that.
    #[inline]
    pub fn spin_outside(&mut self, has_work: impl FnMut() -> bool) -> Option<bool> {
        self.is_due().then(|| {
            let outcome = poll(has_work, SPIN_TIMEOUT, 1, monotonic_ns);
            self.learn_outside(&outcome)
        })
    }

    fn learn_outside(&mut self, outcome: &SpinOutcome) -> bool {
        let is_long =
            matches!(outcome, SpinOutcome::Interrupted { time, .. } if *time >= LONG_INTERRUPTION_LIMIT);
        self.learn(outcome, if is_long { 0 } else { self.credit.saturating_sub(1) });
        self.credit > 0
    }

    /// Learns from a spin; `after_interruption` is the credit that an interruption leaves.
    fn learn(&mut self, outcome: &SpinOutcome, after_interruption: u32) {
        self.waits = 0;
        self.credit = match outcome {
            SpinOutcome::Work => MISS_LIMIT,
            SpinOutcome::Nothing => self.credit.saturating_sub(1),
            SpinOutcome::Interrupted { .. } => after_interruption,
        };
        if self.credit == 0 {
            self.hits = 0;
            self.probe_interval = (self.probe_interval * 2).min(PROBE_INTERVAL_LIMIT);
        } else if *outcome == SpinOutcome::Work {
            self.hits = self.hits.saturating_add(1);
            if self.hits >= STEADY_HITS_LIMIT {
                self.probe_interval = FIRST_PROBE_INTERVAL;
            }
        }
    }
}

/// How a spin ended.
#[derive(Debug, PartialEq, Eq)]
enum SpinOutcome {
    Work,
    Nothing,
    /// The thread did not run for `time` nanoseconds.
    Interrupted {
        has_work: bool,
        time: u64,
    },
}

/// Polls for `timeout` nanoseconds; reads the clock once in `interval` looks.
fn poll(
    mut has_work: impl FnMut() -> bool,
    timeout: u64,
    interval: u32,
    clock: impl Fn() -> u64,
) -> SpinOutcome {
    let mut now = clock();
    let end = now + timeout;
    loop {
        let mut looks = 0;
        let found = loop {
            if has_work() {
                break true;
            }
            looks += 1;
            if looks == interval {
                break false;
            }
            std::hint::spin_loop();
        };
        let before = std::mem::replace(&mut now, clock());
        if now - before > INTERRUPTION_LIMIT {
            return SpinOutcome::Interrupted { has_work: found, time: now - before };
        }
        if found {
            return SpinOutcome::Work;
        }
        if now >= end {
            return SpinOutcome::Nothing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adaptive() -> Spinner {
        Spinner::new(WakeupMode::Adaptive)
    }

    /// How many of `count` waits spin, each with this outcome.
    fn spins(spinner: &mut Spinner, count: u32, own: u32, peer: u32, hit: bool) -> u32 {
        (0..count)
            .filter(|_| spinner.wants_to_spin(Some(own), Some(peer)) && spinner.spin_for(0, || hit) == hit)
            .count() as u32
    }

    #[test]
    fn without_hits_a_wait_looks_now_and_then_and_ever_more_rarely() {
        let mut spinner = adaptive();
        assert_eq!(spins(&mut spinner, FIRST_PROBE_INTERVAL, 0, 1, false), 1);
        assert_eq!(spins(&mut spinner, 2 * FIRST_PROBE_INTERVAL, 0, 1, false), 1);
        spins(&mut spinner, 100_000, 0, 1, false);
        assert_eq!(spins(&mut spinner, 10 * PROBE_INTERVAL_LIMIT, 0, 1, false), 10);
    }

    #[test]
    fn after_a_hit_every_wait_looks_until_some_were_in_vain() {
        let mut spinner = adaptive();
        spins(&mut spinner, FIRST_PROBE_INTERVAL, 0, 1, true);
        assert_eq!(spins(&mut spinner, 100, 0, 1, true), 100);
        let in_vain = spins(&mut spinner, FIRST_PROBE_INTERVAL - 1, 0, 1, false);
        assert!((MISS_LIMIT..=MISS_LIMIT + 1).contains(&in_vain), "{in_vain}");
    }

    #[test]
    fn a_spin_that_was_interrupted_is_the_last() {
        let time = std::cell::Cell::new(0);
        let clock = || time.replace(time.get() + 2 * INTERRUPTION_LIMIT);
        let time = 2 * INTERRUPTION_LIMIT;
        let outcome = |hit| poll(|| hit, SPIN_TIMEOUT, CLOCK_READ_INTERVAL, clock);
        assert_eq!(outcome(false), SpinOutcome::Interrupted { has_work: false, time });
        assert_eq!(outcome(true), SpinOutcome::Interrupted { has_work: true, time });
    }

    #[test]
    fn outside_is_looked_at_after_a_hit_until_some_looks_were_in_vain() {
        let mut spinner = adaptive();
        let mut spun =
            |count: u32, hit| (0..count).filter(|_| spinner.spin_outside(|| hit).is_some()).count();
        assert_eq!(spun(FIRST_PROBE_INTERVAL, true), 1);
        assert_eq!(spun(100, true), 100);
        assert_eq!(spun(FIRST_PROBE_INTERVAL - 1, false), MISS_LIMIT as usize);
    }

    #[test]
    fn outside_a_short_interruption_is_a_miss_and_a_long_one_the_end() {
        let mut spinner = Spinner { credit: MISS_LIMIT, ..adaptive() };
        let mut after = |time| {
            let outcome = SpinOutcome::Interrupted { has_work: true, time };
            (spinner.learn_outside(&outcome), spinner.credit)
        };
        assert_eq!(after(2 * INTERRUPTION_LIMIT), (true, MISS_LIMIT - 1));
        assert_eq!(after(LONG_INTERRUPTION_LIMIT - 1), (true, MISS_LIMIT - 2));
        assert_eq!(after(LONG_INTERRUPTION_LIMIT), (false, 0));
        let outlast = || {
            let began = monotonic_ns();
            while monotonic_ns() - began <= LONG_INTERRUPTION_LIMIT {
                std::hint::spin_loop();
            }
            true
        };
        let mut spinner = Spinner { credit: MISS_LIMIT, ..adaptive() };
        assert_eq!(spinner.spin_outside(outlast), Some(false));
    }

    #[test]
    fn nobody_looks_on_a_shared_or_unknown_cpu() {
        assert_eq!(spins(&mut adaptive(), 100, 1, 1, true), 0);
        let mut spinner = Spinner { credit: MISS_LIMIT, ..adaptive() };
        assert!(!spinner.wants_to_spin(None, Some(1)) && spinner.wants_to_spin(Some(0), Some(1)));
    }

    #[test]
    fn in_plain_mode_no_wait_spins() {
        let mut spinner = Spinner::new(WakeupMode::Plain);
        assert_eq!(spins(&mut spinner, 100_000, 0, 1, true), 0);
        assert_eq!((0..100_000).find_map(|_| spinner.spin_outside(|| true)), None);
    }
}
