//! The rig: starts the real programs with a show in a directory of its own, speaks OSC to them,
//! reads their log, and makes sure that nothing is left behind.
//!
//! A test reads like this:
//!
//! ```no_run
//! use mm_tests::{TestShow, osc::F};
//!
//! let stage = TestShow::new();
//! stage.python("h.py", "
//!     import midimonster
//!     def turn(value):
//!         midimonster.output('turned', 1 - value)
//! ");
//! stage.show("
//!     [osc net]
//!     bind = $IN
//!     dest = $OUT
//!     /* = f 0 1
//!     [python py]
//!     module = h
//!     [map]
//!     net./in > py.h.turn
//!     py.turned > net./out
//! ");
//! let show = stage.run();
//! show.send("/in", &[F(0.25)]);
//! show.expect("/out", &[F(0.75)]);
//! show.stop();
//! ```

pub mod background_traffic;
pub mod binaries;
pub mod control;
pub mod counter;
pub mod dmx;
pub mod log;
pub mod log_event;
pub mod netns;
pub mod osc;
pub mod other_user;
pub mod processes;
pub mod running;
pub mod skip;
pub mod test_show;
pub mod wait;

pub use background_traffic::BackgroundTraffic;
pub use binaries::{supervisor, worker};
pub use control::Control;
pub use log_event::Event;
pub use running::{Ended, Running};
pub use test_show::TestShow;
pub use wait::{PATIENCE, wait_for, wait_until};
