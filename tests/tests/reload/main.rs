//! Faults `reload-fails` and `reload-under-load`, and all ways to a reload: no event is lost,
//! doubled or overtaken, and a new worker that fails changes nothing.

mod last_good;
mod load;
mod outcomes;
mod overlap;
mod storm;
mod unique;
mod watch;

use mm_tests::osc::F;
use mm_tests::{BackgroundTraffic, Running, TestShow};

/// A script that says which version of it answers.
fn script(version: &str) -> String {
    format!(
        "
import midimonster
def ask(value):
    midimonster.output('{version}', value)
"
    )
}

const MAPPINGS: &str = "net./ask > py.h.ask\npy.one > net./one\npy.two > net./two\n";

/// A running show of `py` with version `one` and these options, and of the others.
fn run(options: &str) -> (Running, BackgroundTraffic) {
    let stage = TestShow::new();
    stage.python("h.py", &script("one"));
    BackgroundTraffic::show(&stage, &format!("[python py]\nmodule = h\n{options}\n[map]\n{MAPPINGS}"));
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    assert_answers(&show, "/one", 0.25);
    (show, others)
}

/// `value` differs from call to call.
fn assert_answers(show: &Running, path: &str, value: f32) {
    show.send("/ask", &[F(value)]);
    show.expect(path, &[F(value)]);
}

fn finish(show: Running, others: BackgroundTraffic) {
    others.finish(&show);
    show.stop();
}
