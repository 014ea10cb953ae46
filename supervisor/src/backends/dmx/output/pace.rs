//! When frames of one universe may leave, and when one has to.
//!
//! Two limits hold for the frame of a change:
//!
//! - Changes leave one frame time apart, on average: 44.1 frames/s, the rate of ANSI E1.11 for 512
//!   slots, which ANSI E1.31, 6.6.1 makes the limit. Such a frame may be 8 ms early: a source that
//!   sends 44 frames/s has jitter, and without that one late frame of it would delay all that follow.
//! - Where changes come faster than frames may leave, at most 44 leave in any second. The times of
//!   the last 44 frames are kept for that. A change that waits for less than half a frame time is
//!   none of those: it is of a source that keeps the rate by itself, and whose late frames must not
//!   move those one second later. With those there are at most 45.
//!
//! A repetition must not delay a change. So it waits longer than the next change of a source with 30
//! frames/s or more takes, and while a slower stream of changes runs, at most [`STREAM_REPETITIONS`]
//! leave in any second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many frames leave in any [`WINDOW`] where changes come faster.
const WINDOW_FRAMES: usize = 44;
const WINDOW: Duration = Duration::from_secs(1);

/// How many frames leave in any [`WINDOW`], those of a source that keeps the rate by itself included.
const WINDOW_FRAMES_LIMIT: usize = WINDOW_FRAMES + 1;

/// The time of one frame at the full rate: of a break of 92 µs, a mark of 12 µs, the start code and
/// 512 slots of 44 µs each (ANSI E1.11, table 6).
pub const FRAME_INTERVAL: Duration = Duration::from_micros(22_676);

/// How much earlier than [`FRAME_INTERVAL`] after the one before a change may leave.
const JITTER: Duration = Duration::from_millis(8);

/// How often the frame of a change is repeated before the keep-alive begins: receivers get three
/// frames with the same levels (ANSI E1.31, 6.6.2).
const REPETITIONS: u8 = 2;

/// How long after a change its first repetition leaves; the others follow at the full rate.
const FIRST_REPETITION: Duration = Duration::from_millis(34);

/// Changes that are closer to each other are a stream.
const STREAM_PAUSE: Duration = Duration::from_millis(100);

/// How many repetitions leave in any [`WINDOW`] of a stream: 44, less the changes of the fastest
/// stream that has pauses for repetitions.
const STREAM_REPETITIONS: usize = 12;

/// The range of the pause between keep-alive frames, in microseconds. ANSI E1.31, 6.6.2 and Art-Net 4
/// ask for 800 to 1000 ms; the rest is for delays on the way.
const KEEP_ALIVE_FROM: u64 = 820_000;
const KEEP_ALIVE_SPAN: u64 = 140_000;

/// The pacing of one universe.
#[derive(Debug)]
pub struct FramePace {
    is_realtime: bool,
    /// The times of the last frames, at most [`WINDOW_FRAMES_LIMIT`].
    recent: VecDeque<Instant>,
    /// When the next change leaves without being early.
    next_change: Option<Instant>,
    last_change: Option<Instant>,
    is_stream: bool,
    /// How many more times the frame is repeated.
    repetitions: u8,
    /// The times of the last repetitions, at most [`STREAM_REPETITIONS`].
    repeated: VecDeque<Instant>,
    /// When the next frame leaves without a change.
    next_idle: Option<Instant>,
    keep_alive: Duration,
}

impl FramePace {
    /// `number` tells universes apart.
    pub fn new(is_realtime: bool, number: u16) -> Self {
        // Multiples of an odd number that is about 0.618 of the range lie far from each other.
        let spread = u64::from(number) * 86_525 % KEEP_ALIVE_SPAN;
        Self {
            is_realtime,
            recent: VecDeque::with_capacity(WINDOW_FRAMES_LIMIT),
            next_change: None,
            last_change: None,
            is_stream: false,
            repetitions: 0,
            repeated: VecDeque::with_capacity(STREAM_REPETITIONS),
            next_idle: None,
            keep_alive: Duration::from_micros(KEEP_ALIVE_FROM + spread),
        }
    }

    pub fn set_realtime(&mut self, is_realtime: bool) {
        self.is_realtime = is_realtime;
    }

    /// When the next frame may leave, where levels have changed at `changed_at`, or has to leave.
    pub fn deadline(&self, changed_at: Option<Instant>) -> Option<Instant> {
        let change = changed_at.map(|at| self.change_due(at));
        let idle = self.next_idle.map(|at| match self.repetitions {
            0 => at,
            _ => self.repetition_due(at),
        });
        [change, idle].into_iter().flatten().min()
    }

    /// When a change of the levels at `changed_at` may leave.
    pub fn change_due(&self, changed_at: Instant) -> Instant {
        if self.is_realtime {
            return changed_at;
        }
        let early = self.next_change.and_then(|at| at.checked_sub(JITTER));
        let at = changed_at.max(early.unwrap_or(changed_at));
        let keeps_rate = at < changed_at + FRAME_INTERVAL / 2;
        let limit = if keeps_rate { WINDOW_FRAMES_LIMIT } else { WINDOW_FRAMES };
        at.max(free_from(&self.recent, limit).unwrap_or(at))
    }

    fn repetition_due(&self, at: Instant) -> Instant {
        let quota = free_from(&self.repeated, STREAM_REPETITIONS).filter(|_| self.is_stream);
        // The stream may be over.
        let end = self.last_change.map(|last| last + STREAM_PAUSE);
        let stream = quota.map(|quota| end.map_or(quota, |end| quota.min(end)));
        [stream, free_from(&self.recent, WINDOW_FRAMES)].into_iter().flatten().fold(at, Instant::max)
    }

    /// A frame leaves now.
    pub fn note_sent(&mut self, now: Instant, is_change: bool) {
        keep_last(&mut self.recent, WINDOW_FRAMES_LIMIT, now);
        if is_change {
            self.is_stream = self.last_change.is_some_and(|last| now < last + STREAM_PAUSE);
            self.last_change = Some(now);
            // Without pacing, changes must not run up a debt.
            let due = self.next_change.filter(|_| !self.is_realtime);
            self.next_change = Some(due.map_or(now, |at| at.max(now)) + FRAME_INTERVAL);
            self.repetitions = REPETITIONS;
            self.next_idle = Some(now + FIRST_REPETITION);
        } else {
            if self.repetitions > 0 {
                keep_last(&mut self.repeated, STREAM_REPETITIONS, now);
            }
            self.repetitions = self.repetitions.saturating_sub(1);
            let pause = if self.repetitions > 0 { FRAME_INTERVAL } else { self.keep_alive };
            self.next_idle = Some(now + pause);
        }
    }
}

/// When one more may leave, if at most `limit` do in any [`WINDOW`]. `times` are those of the last
/// ones.
fn free_from(times: &VecDeque<Instant>, limit: usize) -> Option<Instant> {
    let first = times.len().checked_sub(limit).and_then(|place| times.get(place));
    first.map(|first| *first + WINDOW)
}

fn keep_last(times: &mut VecDeque<Instant>, limit: usize, now: Instant) {
    if times.len() == limit {
        times.pop_front();
    }
    times.push_back(now);
}
