//! On which core the main thread sleeps: on the supervisor's, as long as its work is short.
//!
//! Handing work to a sleeper on another core costs tens of microseconds, most of it for that core's way out of its idle
//! state; on the same core it is about one. The system wakes a thread where it ran last, if that core is free. So a worker
//! and the supervisor that have once come to run apart stay apart, and in a flood a worker keeps interrupting whoever
//! else is on its core. A worker that finds itself apart therefore moves over before it sleeps. That is a hint like that of
//! the pipes: it is free to be moved on at once.
//!
//! Where its work is long it stays away, since that is what a second core is for. Where the system moves it off again, for
//! reasons of its own, it insists ever more rarely; but where the supervisor says that it stays on its core, because events
//! follow each other closely, the worker stays there too for as long as it sleeps. It never does while a handler runs: what
//! that starts would inherit it.

use mm_shared::sys::clock::monotonic_ns;
use mm_shared::sys::cpu::{self, Stay};

/// Work for one wake-up that is longer on the average, in nanoseconds, is worth a core of its own.
const SHORT: u64 = 20_000;
/// The average moves towards each new figure by one part of so many.
const INERTIA: u64 = 8;
/// So many sleeps apart, at first, before it moves.
const PATIENCE: u32 = 16;
/// And so many at the most.
const MOST_PATIENCE: u32 = 65_536;
/// After so many sleeps together, all that came before is forgotten.
const SETTLED: u32 = 1024;

/// What is known of the last times that the thread was awake.
pub struct Affinity {
    /// When it woke, by the monotonic clock.
    woke: u64,
    /// How long it is awake on the average, in nanoseconds.
    work: u64,
    /// Sleeps in a row on another core than the supervisor's, since it moved.
    apart: u32,
    /// Sleeps in a row on the same core.
    together: u32,
    patience: u32,
}

impl Default for Affinity {
    fn default() -> Affinity {
        Affinity { woke: monotonic_ns(), work: SHORT, apart: 0, together: 0, patience: PATIENCE }
    }
}

impl Affinity {
    /// The thread is about to sleep, and is to hold what this returns until it wakes. `peer` is the CPU that the supervisor
    /// last ran on; `stays` says that it stays there.
    #[inline]
    #[must_use = "where it sleeps is decided for as long as this lives"]
    pub fn sleeps(&mut self, peer: Option<u32>, stays: bool) -> Option<Stay> {
        let (own, peer) = cpu::current().zip(peer)?;
        let moves = self.wants_to_move(monotonic_ns() - self.woke, own, peer);
        let stays = stays && self.work < SHORT;
        if !moves && !stays {
            return None;
        }
        // where it is refused, the thread is no worse off
        cpu::stay(peer).ok().filter(|_| stays)
    }

    /// The thread has slept.
    #[inline]
    pub fn wakes(&mut self) {
        self.woke = monotonic_ns();
    }

    fn wants_to_move(&mut self, worked: u64, own: u32, peer: u32) -> bool {
        self.work = (self.work * (INERTIA - 1) + worked.min(SHORT * INERTIA)) / INERTIA;
        if own == peer {
            (self.together, self.apart) = (self.together.saturating_add(1), 0);
            if self.together == SETTLED {
                self.patience = PATIENCE;
            }
            return false;
        }
        (self.together, self.apart) = (0, self.apart.saturating_add(1));
        let moves = self.apart >= self.patience && self.work < SHORT;
        if moves {
            self.apart = 0;
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many sleeps apart it moves.
    fn moves_after(nearness: &mut Affinity, worked: u64) -> Option<u32> {
        (1..=4 * MOST_PATIENCE).find(|_| nearness.wants_to_move(worked, 0, 1))
    }

    #[test]
    fn it_moves_when_it_finds_itself_apart_and_insists_ever_more_rarely() {
        let mut nearness = Affinity::default();
        assert_eq!(moves_after(&mut nearness, 0), Some(PATIENCE));
        assert_eq!(moves_after(&mut nearness, 0), Some(2 * PATIENCE));
        (0..20).for_each(|_| assert!(moves_after(&mut nearness, 0).is_some()));
        assert_eq!(moves_after(&mut nearness, 0), Some(MOST_PATIENCE));
    }

    #[test]
    fn once_it_has_stayed_all_is_forgotten() {
        let mut nearness = Affinity::default();
        (0..5).for_each(|_| assert!(moves_after(&mut nearness, 0).is_some()));
        (0..SETTLED).for_each(|_| assert!(!nearness.wants_to_move(0, 1, 1)));
        assert_eq!(moves_after(&mut nearness, 0), Some(PATIENCE));
    }

    #[test]
    fn long_work_keeps_it_away_and_short_work_brings_it_back() {
        let mut nearness = Affinity::default();
        assert_eq!(moves_after(&mut nearness, 2 * SHORT), None);
        assert!(moves_after(&mut nearness, SHORT / 10).is_some());
    }
}
