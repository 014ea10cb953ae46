//! Tests that need what this machine does not have or this user may not do: [`skip!`](crate::skip).

use std::env;
use std::fmt::Arguments;
use std::fs::OpenOptions;
use std::io::{self, Write as _};

/// Names a file to which each skipped test adds a line; `make test` counts them at its end.
pub const LIST: &str = "MM_SKIPPED_TESTS";

/// Ends a test that cannot run here, with its name and the reason on standard error, also where the
/// output of tests that pass is not shown. The reason says what is missing, for instance
/// ``skip!("`tshark` is not installed")``. It stands in the test function itself.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        fn here() {}
        $crate::skip::report(::std::any::type_name_of_val(&here), ::std::format_args!($($reason)+));
        return;
    }};
}

/// Reports that the test in which `place` is was skipped.
pub fn report(place: &str, reason: Arguments<'_>) {
    let line = format!("SKIPPED: {}: {reason}\n", test_name(place));
    // Written at once and past the test harness, which keeps what is printed by a test that passes.
    let _ = io::stderr().write_all(line.as_bytes());
    let Some(list) = env::var_os(LIST) else { return };
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(list) {
        let _ = file.write_all(line.as_bytes());
    }
}

/// The name of a test as its program lists it, from that of a type inside of it.
///
/// ```
/// assert_eq!(mm_tests::skip::test_name("faults::disk::a_test::here"), "disk::a_test");
/// assert_eq!(mm_tests::skip::test_name("dmx::a_test::{{closure}}"), "a_test");
/// ```
#[must_use]
pub fn test_name(place: &str) -> &str {
    let place = place.trim_end_matches("::{{closure}}").trim_end_matches("::here");
    place.split_once("::").map_or(place, |(_, name)| name)
}
