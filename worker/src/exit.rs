//! The end of a process that cannot go on.

use std::fmt::Display;

/// Logs why, and ends the process without touching what may be damaged.
pub fn fail(error: &dyn Display) -> ! {
    eprintln!("mm-worker: {error}");
    signal_hook::low_level::exit(1)
}
