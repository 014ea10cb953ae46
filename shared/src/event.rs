//! The event: all that travels through the rings.

/// A channel took a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// The channel's number within its instance.
    pub channel: u32,
    /// The value, finite, 0.0 to 1.0 as far as the sender keeps to the rules.
    pub value: f64,
}
