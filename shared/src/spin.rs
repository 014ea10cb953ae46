//! Whether a consumer that has nothing to do should look again and again for a moment before it sleeps.
//!
//! Waking a process that sleeps costs tens of microseconds on a core that has gone idle; a process that still looks
//! notices within a fraction of one. But looking is only worth it when the other side will be quick, and it is harmful
//! when both share a core, since then the one that looks keeps the other from running. So:
//!
//! - Nobody spins while the other side last ran on the same CPU.
//! - By default nobody spins at all, but for a short probe at every 16th wait; the longer that is in vain, the rarer.
//! - A wait that ends within the time that a spin may take makes the next ones spin; a few that do not end it.
//! - One that was interrupted ends it at once: somebody else has work for this CPU, perhaps the other side itself.
//! - Whoever has just done much at a time does not spin: then there is a queue, and the wake-up is one for many events.
//!
//! Looking for what comes from outside is the same ([`Spinner::look_outside`]), but that each look is a system call, and that
//! nobody knows on which CPU the next packet comes in.
//!
//! An idle show therefore costs nothing, and one whose events come close together is served without wake-ups.

use crate::sys::clock::monotonic_ns;

/// Every so many waits one is a probe, at first.
const PROBE_EVERY: u32 = 16;
/// And every so many at the least: what looks in vain only takes time away from others.
const PROBE_SELDOM: u32 = 1024;
/// After so many hits in a row, all that came before is forgotten.
const STEADY: u32 = 256;
/// How long a probe lasts, in nanoseconds.
const PROBE: u64 = 60_000;
/// How long a spin lasts at the most, in nanoseconds.
const SPIN: u64 = 60_000;
/// So many spins in vain in a row, and it is over.
const MISSES: u32 = 4;
/// How often the clock is looked at: once in so many looks at the ring.
const LOOKS: u32 = 32;
/// So long between two looks at the clock, in nanoseconds, and this thread was not running.
const GAP: u64 = 10_000;
/// An interruption of this length, in nanoseconds, was for somebody who has much to do on this CPU.
const LONG: u64 = 500_000;
/// After at most so many events the next ones, or the answer to these, are looked for.
pub const FEW: usize = 8;

/// Decides for one consumer.
#[derive(Debug, Clone)]
pub struct Spinner {
    /// Waits since the last probe.
    waits: u32,
    /// So many of them make the next one a probe.
    every: u32,
    /// Spins in vain that are still allowed; 0 while it blocks.
    credit: u32,
    hits: u32,
}

impl Default for Spinner {
    fn default() -> Spinner {
        Spinner { waits: 0, every: PROBE_EVERY, credit: 0, hits: 0 }
    }
}

impl Spinner {
    /// For how long to look at this wait, in nanoseconds; `None`: sleep. The CPUs are those that the two sides last
    /// ran on; nobody spins where either is not known.
    #[inline]
    pub fn plan(&mut self, own: Option<u32>, peer: Option<u32>) -> Option<u64> {
        let apart = own.zip(peer).is_some_and(|(own, peer)| own != peer);
        self.due().filter(|_| apart)
    }

    fn due(&mut self) -> Option<u64> {
        self.waits = self.waits.saturating_add(1);
        match self.credit {
            0 => (self.waits >= self.every).then_some(PROBE),
            _ => Some(SPIN),
        }
    }

    /// Looks until `found` says that there is work, for as long as was planned.
    #[inline]
    pub fn look(&mut self, plan: u64, found: impl FnMut() -> bool) -> bool {
        let seen = look(found, plan, LOOKS, monotonic_ns);
        self.judge(&seen, 0);
        matches!(seen, Seen::Work | Seen::Interruption { work: true, .. })
    }

    /// Looks for what comes from outside, if that is due, and says whether the next waits are to do so as well; `None`: it
    /// did not look. A short interruption is no more than a spin in vain here, since nobody who shares this CPU has to
    /// wait for more than that.
    #[inline]
    pub fn look_outside(&mut self, found: impl FnMut() -> bool) -> Option<bool> {
        let plan = self.due()?;
        Some(self.judge_outside(&look(found, plan, 1, monotonic_ns)))
    }

    fn judge_outside(&mut self, seen: &Seen) -> bool {
        let long = matches!(seen, Seen::Interruption { time, .. } if *time >= LONG);
        self.judge(seen, if long { 0 } else { self.credit.saturating_sub(1) });
        self.credit > 0
    }

    /// Learns from a spin; `interrupted` is the credit that an interruption leaves.
    fn judge(&mut self, seen: &Seen, interrupted: u32) {
        self.waits = 0;
        self.credit = match seen {
            Seen::Work => MISSES,
            Seen::Nothing => self.credit.saturating_sub(1),
            Seen::Interruption { .. } => interrupted,
        };
        if self.credit == 0 {
            self.hits = 0;
            self.every = (self.every * 2).min(PROBE_SELDOM);
        } else if *seen == Seen::Work {
            self.hits = self.hits.saturating_add(1);
            if self.hits >= STEADY {
                self.every = PROBE_EVERY;
            }
        }
    }
}

/// How a spin ended.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Work,
    Nothing,
    /// This thread was kept from running for so many nanoseconds.
    Interruption {
        work: bool,
        time: u64,
    },
}

/// Looks for so long; the clock is looked at once in `looks` looks.
fn look(mut found: impl FnMut() -> bool, time: u64, looks: u32, clock: impl Fn() -> u64) -> Seen {
    let mut now = clock();
    let end = now + time;
    loop {
        let mut looked = 0;
        let work = loop {
            if found() {
                break true;
            }
            looked += 1;
            if looked == looks {
                break false;
            }
            std::hint::spin_loop();
        };
        let before = std::mem::replace(&mut now, clock());
        if now - before > GAP {
            return Seen::Interruption { work, time: now - before };
        }
        if work {
            return Seen::Work;
        }
        if now >= end {
            return Seen::Nothing;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `count` waits look at all.
    fn looked(spinner: &mut Spinner, count: u32, own: u32, peer: u32, hit: bool) -> u32 {
        (0..count)
            .filter(|_| {
                let plan = spinner.plan(Some(own), Some(peer));
                plan.is_some_and(|_| spinner.look(0, || hit) == hit)
            })
            .count() as u32
    }

    #[test]
    fn without_hits_a_wait_looks_now_and_then_and_ever_more_rarely() {
        let mut spinner = Spinner::default();
        assert_eq!(looked(&mut spinner, PROBE_EVERY, 0, 1, false), 1);
        assert_eq!(looked(&mut spinner, 2 * PROBE_EVERY, 0, 1, false), 1);
        looked(&mut spinner, 100_000, 0, 1, false);
        assert_eq!(looked(&mut spinner, 10 * PROBE_SELDOM, 0, 1, false), 10);
    }

    #[test]
    fn after_a_hit_every_wait_looks_until_some_were_in_vain() {
        let mut spinner = Spinner::default();
        looked(&mut spinner, PROBE_EVERY, 0, 1, true);
        assert_eq!(looked(&mut spinner, 100, 0, 1, true), 100);
        let in_vain = looked(&mut spinner, PROBE_EVERY - 1, 0, 1, false);
        assert!((MISSES..=MISSES + 1).contains(&in_vain), "{in_vain}");
    }

    #[test]
    fn a_spin_that_was_interrupted_is_the_last() {
        let time = std::cell::Cell::new(0);
        let clock = || time.replace(time.get() + 2 * GAP);
        let time = 2 * GAP;
        assert_eq!(look(|| false, SPIN, LOOKS, clock), Seen::Interruption { work: false, time });
        assert_eq!(look(|| true, SPIN, LOOKS, clock), Seen::Interruption { work: true, time });
    }

    #[test]
    fn outside_is_looked_at_after_a_hit_until_some_looks_were_in_vain() {
        let mut spinner = Spinner::default();
        let mut looked =
            |count: u32, hit| (0..count).filter(|_| spinner.look_outside(|| hit).is_some()).count();
        assert_eq!(looked(PROBE_EVERY, true), 1);
        assert_eq!(looked(100, true), 100);
        assert_eq!(looked(PROBE_EVERY - 1, false), MISSES as usize);
    }

    #[test]
    fn outside_a_short_interruption_is_a_miss_and_a_long_one_the_end() {
        let mut spinner = Spinner { credit: MISSES, ..Spinner::default() };
        let mut after =
            |time| (spinner.judge_outside(&Seen::Interruption { work: true, time }), spinner.credit);
        assert_eq!(after(2 * GAP), (true, MISSES - 1));
        assert_eq!(after(LONG - 1), (true, MISSES - 2));
        assert_eq!(after(LONG), (false, 0));
        let outlast = || {
            let begun = monotonic_ns();
            while monotonic_ns() - begun <= LONG {
                std::hint::spin_loop();
            }
            true
        };
        let mut spinner = Spinner { credit: MISSES, ..Spinner::default() };
        assert_eq!(spinner.look_outside(outlast), Some(false));
    }

    #[test]
    fn nobody_looks_on_a_shared_or_unknown_cpu() {
        assert_eq!(looked(&mut Spinner::default(), 100, 1, 1, true), 0);
        assert_eq!(Spinner::default().plan(None, Some(1)), None);
    }
}
