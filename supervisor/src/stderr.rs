//! Lines for the person at the terminal, outside of the log: errors before it exists, results of
//! commands.

use std::io::{self, Write};

/// Writes a line to standard error, which may be closed.
pub fn print_line(text: &str) {
    // There is no other place to report that it cannot be written.
    let _ = writeln!(io::stderr(), "{text}");
}
