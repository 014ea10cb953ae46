//! The last input and output value of every channel.
//!
//! Any thread of the script may read them at any time, so they are atomics. The table grows in
//! blocks, so that a value never moves and reading one takes no lock.

use mm_shared::ChannelId;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Channels of a block that is added while the instance runs.
const BLOCK_CAPACITY: usize = 1024;

/// Input and output values by channel number.
pub struct ChannelValues {
    first: Box<[ValueSlot]>,
    more: Box<[OnceLock<Box<[ValueSlot]>>]>,
}

/// The two values of a channel, as the bits of an `f64`.
#[derive(Default)]
struct ValueSlot {
    input: AtomicU64,
    output: AtomicU64,
}

impl ChannelValues {
    /// A table for the channels of the boot message, with room for `extra` more.
    pub fn new(channels: impl Iterator<Item = (f64, f64)>, extra: u32) -> ChannelValues {
        let slot = |(input, output): (f64, f64)| ValueSlot {
            input: AtomicU64::new(input.to_bits()),
            output: AtomicU64::new(output.to_bits()),
        };
        let blocks = (extra as usize).div_ceil(BLOCK_CAPACITY);
        ChannelValues {
            first: channels.map(slot).collect(),
            more: (0..blocks).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Last value that the channel's handler has finished with; 0.0 for a channel that does not
    /// exist.
    pub fn input(&self, channel: ChannelId) -> f64 {
        self.slot(channel).map_or(0.0, |slot| f64::from_bits(slot.input.load(Ordering::Relaxed)))
    }

    /// Last value that the script sent.
    pub fn output(&self, channel: ChannelId) -> f64 {
        self.slot(channel).map_or(0.0, |slot| f64::from_bits(slot.output.load(Ordering::Relaxed)))
    }

    /// Remembers an input value.
    pub fn set_input(&self, channel: ChannelId, value: f64) {
        if let Some(slot) = self.slot(channel) {
            slot.input.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// Remembers an output value.
    pub fn set_output(&self, channel: ChannelId, value: f64) {
        if let Some(slot) = self.slot(channel) {
            slot.output.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    fn slot(&self, channel: ChannelId) -> Option<&ValueSlot> {
        let number = channel.index();
        self.first.get(number).or_else(|| {
            let beyond = number - self.first.len();
            let block = self.more.get(beyond / BLOCK_CAPACITY)?;
            block
                .get_or_init(|| (0..BLOCK_CAPACITY).map(|_| ValueSlot::default()).collect())
                .get(beyond % BLOCK_CAPACITY)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_boot_channels_are_kept_up_to_the_bound() {
        let values = ChannelValues::new([(0.25, 0.5)].into_iter(), 2000);
        values.set_output(ChannelId(1999), 0.75);
        assert_eq!((values.input(ChannelId(0)), values.output(ChannelId(0))), (0.25, 0.5));
        assert_eq!((values.output(ChannelId(1999)), values.input(ChannelId(1999))), (0.75, 0.0));
        values.set_output(ChannelId(1_000_000), 1.0);
        assert_eq!(values.output(ChannelId(1_000_000)), 0.0);
    }
}
