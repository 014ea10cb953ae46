//! What goes out: the levels of a universe, and when a frame of them is due.
//!
//! - Nothing is due before the first value. Then each change is due at once, or as soon as the
//!   pacing permits: at most 44 frames in any second, unless `realtime`. A frame carries the latest
//!   levels, so the last values always go out.
//! - The frame of a change is sent three times (ANSI E1.31, 6.6.2), then every 820 to 960 ms.
//! - With a `hold` time, each level of a channel stays for that time, and for a frame time at least,
//!   before the next one of that channel goes out. Other channels do not wait for it.
//! - Levels that belong together may come in several steps, from a script for instance. While more is
//!   expected, a frame waits until none has come for [`QUIET_TIME`], for at most [`WHOLE_LIMIT`]: one
//!   that left with half of them would have the other half wait for the time of a frame.
//! - A frame is always the whole universe. So its length is even, as Art-Net requires; receivers
//!   that treat a shorter frame as "the rest is unknown" keep nothing old; and a channel that is
//!   mapped by a reload changes no frame's length.

mod hold;
mod pace;

use super::{ChannelSlots, Levels, SLOTS};
use hold::LevelHold;
use pace::FramePace;
use std::time::{Duration, Instant};

/// How long a frame waits for more levels after the last ones.
const QUIET_TIME: Duration = Duration::from_micros(500);
/// How long it waits after the first ones, and after the pacing would let it leave.
const WHOLE_LIMIT: Duration = Duration::from_millis(10);
/// A timer that fires later than this after its time shows that this process was not running: what
/// came in the meantime is still to be routed.
const LATE: Duration = Duration::from_micros(300);

pub use hold::HOLD_QUEUE_CAPACITY;
pub use pace::FRAME_INTERVAL;

/// What the show file says about an output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputOptions {
    /// Whether each change is due at once, however many there are.
    pub is_realtime: bool,
    /// How long a level stays at least; `None`: until the next frame.
    pub hold: Option<Duration>,
}

/// The levels of one universe that goes out.
#[derive(Debug)]
pub struct UniverseOutput {
    levels: Box<Levels>,
    /// Whether a value was set: from then on frames are sent.
    is_started: bool,
    /// Since when levels differ from those of the last frame.
    changed_at: Option<Instant>,
    /// Until when a frame waits for more levels.
    more_until: Option<Instant>,
    /// Whether that was put off because this process had not been running.
    is_put_off: bool,
    pace: FramePace,
    hold: Option<LevelHold>,
    /// Of holds that have ended with a reload.
    conflated: u64,
    frames: u64,
    last_frame: Option<Instant>,
}

impl UniverseOutput {
    /// An output with all levels at 0, of which nothing is sent yet. `number` spreads the keep-alive
    /// frames of many universes over time.
    #[must_use]
    pub fn new(options: OutputOptions, number: u16) -> Self {
        Self {
            levels: Box::new([0; SLOTS]),
            is_started: false,
            changed_at: None,
            more_until: None,
            is_put_off: false,
            pace: FramePace::new(options.is_realtime, number),
            hold: options.hold.map(LevelHold::new),
            conflated: 0,
            frames: 0,
            last_frame: None,
        }
    }

    /// Applies other options. Levels that are held back by a hold that ends are set at once.
    pub fn apply_options(&mut self, options: OutputOptions, now: Instant) {
        self.pace.set_realtime(options.is_realtime);
        match (&mut self.hold, options.hold) {
            (Some(hold), Some(time)) => hold.set_time(time),
            (None, Some(time)) => self.hold = Some(LevelHold::new(time)),
            (Some(hold), None) => {
                let is_changed = hold.release_all(&mut self.levels);
                self.conflated += hold.conflated();
                self.hold = None;
                if is_changed {
                    self.changed_at.get_or_insert(now);
                }
            }
            (None, None) => {}
        }
    }

    /// Sets a channel. The first value of a universe is due also where it is 0.
    pub fn set(&mut self, slots: ChannelSlots, value: f64, now: Instant) {
        let raw = slots.raw(value);
        let is_first = !std::mem::replace(&mut self.is_started, true);
        let is_changed = match &mut self.hold {
            Some(hold) => hold.set(slots, raw, &mut self.levels, now),
            None if slots.read(&self.levels) == raw => false,
            None => {
                slots.write(raw, &mut self.levels);
                true
            }
        };
        if is_first || is_changed {
            self.changed_at.get_or_insert(now);
        }
    }

    /// More levels are likely to follow those that were set so far.
    pub fn expect_more(&mut self, now: Instant) {
        // The pacing may have held a part of a frame back until the next frame comes: it leaves whole
        // with that, and those that follow do too.
        let latest = |at| self.pace.change_due(at) + WHOLE_LIMIT;
        self.more_until = self.changed_at.map(|at| (now + QUIET_TIME).min(latest(at)));
    }

    /// No more levels are likely to follow.
    pub fn expect_no_more(&mut self) {
        self.more_until = None;
    }

    /// A channel had this value in the last run. It is in the frames from the first value on, which
    /// the event loop sends when scripts have had time for one of their own.
    pub fn restore(&mut self, slots: ChannelSlots, value: f64) {
        if !self.is_started {
            slots.write(slots.raw(value), &mut self.levels);
        }
    }

    /// Sets the slots to 0 for which `is_mapped` (of an index) is false: no mapping could ever change
    /// them again.
    pub fn clear_unmapped(&mut self, is_mapped: impl Fn(usize) -> bool, now: Instant) {
        let mut is_changed = false;
        for (index, level) in self.levels.iter_mut().enumerate() {
            if *level != 0 && !is_mapped(index) {
                *level = 0;
                is_changed = true;
            }
        }
        if let Some(hold) = &mut self.hold {
            hold.retain(|slots| slots.each().all(|slot| is_mapped(usize::from(slot))));
        }
        if is_changed && self.is_started {
            self.changed_at.get_or_insert(now);
        }
    }

    /// Makes a frame due as if a level had changed: there is a new receiver.
    pub fn refresh(&mut self, now: Instant) {
        if self.is_started {
            self.changed_at.get_or_insert(now);
        }
    }

    /// Whether frames are sent: a value was set.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.is_started
    }

    /// When [`UniverseOutput::take`] has a frame, or a level that waits is released. Not before the
    /// first value.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if !self.is_started {
            return None;
        }
        let hold = self.hold.as_ref().and_then(LevelHold::deadline);
        [self.pace.deadline(self.change_ready_at()), hold].into_iter().flatten().min()
    }

    /// The frame that is due, which the caller sends: all 512 levels.
    pub fn take(&mut self, now: Instant) -> Option<&[u8]> {
        if !self.is_started {
            return None;
        }
        if let Some(hold) = &mut self.hold
            && hold.release(&mut self.levels, now)
        {
            self.changed_at.get_or_insert(now);
        }
        if let Some(until) = self.more_until
            && now > until + LATE
            && !std::mem::replace(&mut self.is_put_off, true)
        {
            self.more_until = Some(now + QUIET_TIME);
        }
        if self.pace.deadline(self.change_ready_at()).is_none_or(|due| due > now) {
            return None;
        }
        let is_change = self.changed_at.take().is_some();
        self.note_sent(now, is_change);
        Some(self.levels.as_slice())
    }

    /// The frame of a universe that ends, where its last levels have not been sent. Neither the
    /// pacing nor a hold delays it.
    pub fn take_last(&mut self, now: Instant) -> Option<&[u8]> {
        let is_released = self.hold.as_mut().is_some_and(|hold| hold.release_all(&mut self.levels));
        if !self.is_started || (self.changed_at.take().is_none() && !is_released) {
            return None;
        }
        self.note_sent(now, true);
        Some(self.levels.as_slice())
    }

    /// When the levels of a change are whole.
    fn change_ready_at(&self) -> Option<Instant> {
        self.changed_at.map(|at| self.more_until.map_or(at, |until| until.max(at)))
    }

    fn note_sent(&mut self, now: Instant, is_change: bool) {
        (self.more_until, self.is_put_off) = (None, false);
        if let Some(hold) = &mut self.hold {
            hold.note_sent(now);
        }
        self.pace.note_sent(now, is_change);
        self.frames += 1;
        self.last_frame = Some(now);
    }

    /// The levels as they would go out now.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// How many frames were taken.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// When the last frame was taken.
    #[must_use]
    pub fn last_frame(&self) -> Option<Instant> {
        self.last_frame
    }

    /// Levels that a hold had no room for, and that later ones replaced.
    #[must_use]
    pub fn conflated(&self) -> u64 {
        self.conflated + self.hold.as_ref().map_or(0, LevelHold::conflated)
    }
}

#[cfg(test)]
mod tests;
