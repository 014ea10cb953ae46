//! What users rely on, from outside: real programs, real packets, real scripts.

mod check;
mod check_warnings;
mod command_line;
mod examples;
mod logs;
mod loopback;
mod osc;
mod osc_patterns;
mod processes;
mod python_api;
mod python_callbacks;
mod python_modules;
mod routing;
mod stop;

use mm_tests::TestShow;

/// A show of an OSC instance `net` and a Python instance `py`, with this script as module `h` and
/// these mappings.
fn python(script: &str, mappings: &str) -> TestShow {
    python_with("", script, mappings)
}

/// The same with more options of the Python instance.
fn python_with(options: &str, script: &str, mappings: &str) -> TestShow {
    let stage = TestShow::new();
    stage.python("h.py", script);
    stage.osc_show(&format!("[python py]\nmodule = h\n{options}\n[map]\n{mappings}"));
    stage
}
