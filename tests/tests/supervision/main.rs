//! How instances are kept running: restart policy, values, failsafe, SIGHUP, the spare worker, the
//! environment, systemd, the switch of the latency heuristics.

mod clients;
mod environment;
mod failsafe;
mod first_instance;
mod install;
mod last_good;
mod policy;
mod restored_outputs;
mod show_reload;
mod show_reload_channels;
mod show_reload_kinds;
mod spare;
mod state_file;
mod systemd;
mod values;
mod wakeup;

use mm_tests::osc::F;
use mm_tests::{Running, TestShow};

const MAPPINGS: &str = "net./ask > py.h.ask\nnet./die > py.h.die\npy.answer > net./answer\n";

/// What the tests' scripts share.
const SCRIPT: &str = "
import midimonster, os
def ask(value):
    midimonster.output('answer', value)
def die(value):
    os._exit(round(value * 8))
";

/// A stage with a show of `net` and of `py`, with these options.
fn stage(options: &str) -> TestShow {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(&format!("[python py]\nmodule = h\n{options}\n[map]\n{MAPPINGS}"));
    stage
}

/// `value` differs from call to call.
fn assert_answers(show: &Running, value: f32) {
    show.send("/ask", &[F(value)]);
    show.expect("/answer", &[F(value)]);
}
