//! Fault `reload-under-load`: reloads under load.

use mm_tests::TestShow;
use mm_tests::counter::{COUNTER, NumberedStream};
use std::time::Duration;

/// Each event carries its number, and is sent on.
const SCRIPT: &str = "
    import midimonster
    def tick(value):
        midimonster.output('x', value)
";

/// Events in one burst, and time between two: 5,000 events a second.
const BURST: u32 = 10;
const PERIOD: Duration = Duration::from_millis(2);

fn assert_lossless(verb: &str, times: usize) {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.write("w.py", COUNTER);
    stage.osc_show(
        "[python py]\nmodule = h\n[python witness]\nmodule = w\n[map]\nnet./tick > py.h.tick\n\
         py.x > witness.w.tick\nnet./report > witness.w.report\n",
    );
    let show = stage.run();
    let stream = NumberedStream::begin(&show, BURST, PERIOD);
    let mut control = show.control();
    for _ in 0..times {
        let outcome = control.act(verb, "py");
        assert_eq!(outcome["ok"], true, "{outcome}");
    }
    stream.finish(&show);
    show.stop();
}

#[test]
fn reloads_under_load_lose_double_and_reorder_nothing() {
    assert_lossless("reload", 20);
}

#[test]
fn restarts_under_load_lose_double_and_reorder_nothing() {
    assert_lossless("restart", 10);
}

#[test]
#[ignore = "takes long: the same as the test of 20"]
fn a_hundred_reloads_under_load_lose_double_and_reorder_nothing() {
    assert_lossless("reload", 100);
}
