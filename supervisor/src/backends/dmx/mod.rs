//! What the DMX protocols share: universes of levels, and what happens to them on their way between
//! packets and channels. No protocol is known here.
//!
//! A *universe* has 512 *slots*, each with a level of one byte. A *frame* is the levels of a universe
//! at one time, starting with slot 1. In: a protocol merges its sources into one frame, and
//! [`UniverseInput`] turns that into events; [`SourceWatch`] knows who sends. Out:
//! [`UniverseOutput`] collects levels, and says when a frame of them is due.
//!
//! Nothing in these types reads a clock or does I/O: times are arguments, and the protocol sends,
//! through the sockets of [`net`].

pub mod destination;
pub mod input;
pub mod input_pace;
pub mod output;
pub mod slots;
pub mod source_watch;

pub mod net;
pub mod pause;

pub use input::{InputLoss, UniverseInput};
pub use input_pace::InputPace;
pub use output::{OutputOptions, UniverseOutput};
pub use slots::{ChannelSlots, SlotMap};
pub use source_watch::{SourceInfo, SourceWatch};

/// The slots of a universe (ANSI E1.11, 8.5).
pub const SLOTS: usize = 512;

/// The levels of a universe: a whole frame.
pub type Levels = [u8; SLOTS];

#[cfg(test)]
pub mod trace;
