//! The event, which is what travels through the rings.

use std::fmt;

/// The number of a channel within its instance: its index in the instance's list of channels.
///
/// Both sides number the channels of the show alike, from 0. Names that the script adds follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u32);

impl ChannelId {
    /// The index in tables of all channels of the instance.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A channel took a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// Which channel of the instance that the ring belongs to.
    pub channel: ChannelId,
    /// The value: finite, and 0.0 to 1.0 from a sender that follows the rules.
    pub value: f64,
}
