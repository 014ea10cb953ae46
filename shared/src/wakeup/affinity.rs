//! On which CPU a worker's main thread sleeps: on the supervisor's, as long as its work is short.
//!
//! Waking a thread on another core costs tens of microseconds, mostly for that core's way out of
//! its idle state; on the same core it costs about one. The kernel wakes a thread where it ran
//! last, if that core is free. So a worker and a supervisor that run on different cores once stay
//! apart, and in a flood the worker keeps interrupting the other threads on its core. A worker that
//! finds itself apart therefore moves over before it sleeps. That is a hint, like that of the
//! pipes: the kernel may move it again at once.
//!
//! Where its work is long it stays apart, since that is what a second core is for. Where the kernel
//! moves it away again, the intervals of its moves double. Where the supervisor is pinned to its
//! CPU, because events follow each other closely, the worker is pinned there too for as long as it
//! sleeps. It never is while a handler runs: threads that the handler starts would inherit the CPU.

use super::WakeupMode;
use super::constants::{
    FIRST_MOVE_INTERVAL, MOVE_INTERVAL_LIMIT, SHORT_WORK_LIMIT, TOGETHER_LIMIT, WORK_AVERAGE_PARTS,
};
use super::cpu::{self, CpuPin};
use crate::sys::clock::monotonic_ns;

/// What is known of the last times that the thread was awake.
#[derive(Debug)]
pub struct Affinity {
    mode: WakeupMode,
    /// When it woke, in nanoseconds of the monotonic clock.
    woke_at: u64,
    /// How long it is awake on average, in nanoseconds.
    average_work: u64,
    /// Sleeps in a row on another CPU than the supervisor's, since it moved.
    apart: u32,
    /// Sleeps in a row on the same CPU.
    together: u32,
    /// It moves after so many sleeps apart.
    move_interval: u32,
}

impl Affinity {
    /// Nothing known yet.
    #[must_use]
    pub fn new(mode: WakeupMode) -> Self {
        let (woke_at, average_work) = (monotonic_ns(), SHORT_WORK_LIMIT);
        Self { mode, woke_at, average_work, apart: 0, together: 0, move_interval: FIRST_MOVE_INTERVAL }
    }

    /// The thread is about to sleep, and keeps what this returns until it wakes. The supervisor
    /// last ran on `peer`; `is_pinned`: it is pinned there.
    #[inline]
    #[must_use = "the thread sleeps on that CPU for as long as this lives"]
    pub fn before_sleep(&mut self, peer: Option<u32>, is_pinned: bool) -> Option<CpuPin> {
        if !self.mode.is_adaptive() {
            return None;
        }
        let (own, peer) = cpu::current().zip(peer)?;
        let moves = self.wants_to_move(monotonic_ns() - self.woke_at, own, peer);
        let stays = is_pinned && self.average_work < SHORT_WORK_LIMIT;
        if !moves && !stays {
            return None;
        }
        // A thread that may not run there is as well off as before. A pin that is dropped at once
        // is a move.
        cpu::pin(peer).ok().filter(|_| stays)
    }

    /// The thread has slept.
    #[inline]
    pub fn after_sleep(&mut self) {
        if self.mode.is_adaptive() {
            self.woke_at = monotonic_ns();
        }
    }

    fn wants_to_move(&mut self, worked: u64, own: u32, peer: u32) -> bool {
        let worked = worked.min(SHORT_WORK_LIMIT * WORK_AVERAGE_PARTS);
        self.average_work = (self.average_work * (WORK_AVERAGE_PARTS - 1) + worked) / WORK_AVERAGE_PARTS;
        if own == peer {
            (self.together, self.apart) = (self.together.saturating_add(1), 0);
            if self.together == TOGETHER_LIMIT {
                self.move_interval = FIRST_MOVE_INTERVAL;
            }
            return false;
        }
        (self.together, self.apart) = (0, self.apart.saturating_add(1));
        let moves = self.apart >= self.move_interval && self.average_work < SHORT_WORK_LIMIT;
        if moves {
            self.apart = 0;
            self.move_interval = (self.move_interval * 2).min(MOVE_INTERVAL_LIMIT);
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adaptive() -> Affinity {
        Affinity::new(WakeupMode::Adaptive)
    }

    /// After how many sleeps apart it moves.
    fn moves_after(affinity: &mut Affinity, worked: u64) -> Option<u32> {
        (1..=4 * MOVE_INTERVAL_LIMIT).find(|_| affinity.wants_to_move(worked, 0, 1))
    }

    #[test]
    fn it_moves_when_it_finds_itself_apart_and_insists_ever_more_rarely() {
        let mut affinity = adaptive();
        assert_eq!(moves_after(&mut affinity, 0), Some(FIRST_MOVE_INTERVAL));
        assert_eq!(moves_after(&mut affinity, 0), Some(2 * FIRST_MOVE_INTERVAL));
        (0..20).for_each(|_| assert!(moves_after(&mut affinity, 0).is_some()));
        assert_eq!(moves_after(&mut affinity, 0), Some(MOVE_INTERVAL_LIMIT));
    }

    #[test]
    fn once_it_has_stayed_all_is_forgotten() {
        let mut affinity = adaptive();
        (0..5).for_each(|_| assert!(moves_after(&mut affinity, 0).is_some()));
        (0..TOGETHER_LIMIT).for_each(|_| assert!(!affinity.wants_to_move(0, 1, 1)));
        assert_eq!(moves_after(&mut affinity, 0), Some(FIRST_MOVE_INTERVAL));
    }

    #[test]
    fn long_work_keeps_it_away_and_short_work_brings_it_back() {
        let mut affinity = adaptive();
        assert_eq!(moves_after(&mut affinity, 2 * SHORT_WORK_LIMIT), None);
        assert!(moves_after(&mut affinity, SHORT_WORK_LIMIT / 10).is_some());
    }

    /// Whether one of many sleeps beside a pinned supervisor on this CPU is pinned too.
    fn is_ever_pinned(mut affinity: Affinity) -> bool {
        (0..100).any(|_| {
            affinity.after_sleep();
            affinity.before_sleep(cpu::current(), true).is_some()
        })
    }

    #[test]
    fn it_sleeps_pinned_beside_a_pinned_supervisor_and_never_in_plain_mode() {
        assert!(is_ever_pinned(adaptive()));
        assert!(!is_ever_pinned(Affinity::new(WakeupMode::Plain)));
    }
}
