//! The event, which is what travels through the rings.

/// A channel took a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// The channel's number within its instance.
    pub channel: u32,
    /// The value: finite, and 0.0 to 1.0 from a sender that follows the rules.
    pub value: f64,
}
