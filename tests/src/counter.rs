//! A stream of numbered events, and the script at its far end that counts them.

use crate::log_event::Event;
use crate::osc::{Argument, F};
use crate::running::Running;

/// The script: its handler `tick` takes the stream, and `report` prints what it has seen.
pub const COUNTER: &str = include_str!("scripts/counter.py");

/// The argument that carries the number of an event, from 1 to 2^23.
///
/// # Panics
///
/// When the number is larger than 2^24, where a float can no longer tell it from its neighbour.
#[must_use]
pub fn numbered(number: u32) -> Argument {
    let (high, low) = (number >> 8, number.to_le_bytes()[0]);
    let high = f32::from(u16::try_from(high).expect("fewer events than that"));
    F(high.mul_add(256.0, f32::from(low)) / 8_388_608.0)
}

/// Makes sure that the script of this instance, asked for its report, has seen all events in their
/// order.
///
/// # Panics
///
/// When it has not.
#[track_caller]
pub fn assert_complete(show: &Running, instance: &str, sent: u32) {
    let printed = show.wait_for(Event::printed(instance, "").message(" seen, "));
    assert_eq!(printed.message, format!("{sent} seen, 0 out of place"));
}
