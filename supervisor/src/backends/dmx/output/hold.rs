//! Keeps each level of a channel for a time, so that receivers see also a level that is followed by
//! another one within a frame time: a pulse.
//!
//! Levels of one channel that come too soon wait in order, at most [`HOLD_QUEUE_CAPACITY`] of them;
//! beyond that the last one is replaced, and counted.

use super::FRAME_INTERVAL;
use crate::backends::dmx::{ChannelSlots, Levels};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// How many levels of a channel wait. At one frame each the last of them is 0.73 s late.
pub const HOLD_QUEUE_CAPACITY: usize = 32;

/// The channels of a universe whose level must stay, and the levels that wait for that.
#[derive(Debug)]
pub struct LevelHold {
    time: Duration,
    channels: HashMap<ChannelSlots, HeldChannel>,
    conflated: u64,
}

#[derive(Debug, Default)]
struct HeldChannel {
    /// When the first frame with its level left; `None`: none has yet.
    since: Option<Instant>,
    waiting: VecDeque<u16>,
}

impl HeldChannel {
    /// When its next level may be set.
    fn end(&self, time: Duration) -> Option<Instant> {
        self.since.map(|since| since + time)
    }

    fn is_over(&self, time: Duration, now: Instant) -> bool {
        self.end(time).is_some_and(|end| end <= now)
    }
}

impl LevelHold {
    /// Levels stay for `time`, and for the time of a frame at least.
    pub fn new(time: Duration) -> Self {
        Self { time: time.max(FRAME_INTERVAL), channels: HashMap::new(), conflated: 0 }
    }

    pub fn set_time(&mut self, time: Duration) {
        self.time = time.max(FRAME_INTERVAL);
    }

    /// Sets the level of a channel, or has it wait. Returns whether `levels` have changed.
    pub fn set(&mut self, slots: ChannelSlots, raw: u16, levels: &mut Levels, now: Instant) -> bool {
        let channel = self.channels.get_mut(&slots);
        let last = channel.as_ref().and_then(|channel| channel.waiting.back().copied());
        if last.unwrap_or_else(|| slots.read(levels)) == raw {
            return false;
        }
        match channel {
            Some(channel) if !channel.waiting.is_empty() || !channel.is_over(self.time, now) => {
                if channel.waiting.len() >= HOLD_QUEUE_CAPACITY {
                    channel.waiting.pop_back();
                    self.conflated += 1;
                }
                channel.waiting.push_back(raw);
                false
            }
            Some(channel) => {
                channel.since = None;
                slots.write(raw, levels);
                true
            }
            None => {
                self.channels.insert(slots, HeldChannel::default());
                slots.write(raw, levels);
                true
            }
        }
    }

    /// Sets the next level of each channel whose level has stayed long enough. Returns whether there
    /// is one.
    pub fn release(&mut self, levels: &mut Levels, now: Instant) -> bool {
        let mut is_changed = false;
        for (slots, channel) in &mut self.channels {
            if channel.is_over(self.time, now)
                && let Some(raw) = channel.waiting.pop_front()
            {
                slots.write(raw, levels);
                channel.since = None;
                is_changed = true;
            }
        }
        is_changed
    }

    /// Sets the last level of each channel. Returns whether there was one that waited.
    pub fn release_all(&mut self, levels: &mut Levels) -> bool {
        let mut is_changed = false;
        for (slots, channel) in self.channels.drain() {
            if let Some(raw) = channel.waiting.back() {
                slots.write(*raw, levels);
                is_changed = true;
            }
        }
        is_changed
    }

    /// When [`LevelHold::release`] has a level.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.channels.values().filter(|channel| !channel.waiting.is_empty());
        waiting.filter_map(|channel| channel.end(self.time)).min()
    }

    /// A frame with the levels leaves.
    pub fn note_sent(&mut self, now: Instant) {
        let time = self.time;
        self.channels.retain(|_, channel| {
            channel.since.get_or_insert(now);
            !channel.waiting.is_empty() || !channel.is_over(time, now)
        });
    }

    /// Forgets the channels for which `is_kept` is false.
    pub fn retain(&mut self, is_kept: impl Fn(ChannelSlots) -> bool) {
        self.channels.retain(|slots, _| is_kept(*slots));
    }

    /// Levels that found no room to wait.
    pub fn conflated(&self) -> u64 {
        self.conflated
    }
}
