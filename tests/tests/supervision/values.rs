//! Values survive the worker, whatever way it goes.

use mm_tests::osc::F;
use mm_tests::{Event, Running, TestShow};
use nix::sys::signal::Signal;

const SCRIPT: &str = "
    import midimonster
    print('values', midimonster.inputvalue('h.set'), midimonster.outputvalue('x'), midimonster.outputvalue('own'))
    def set(value):
        midimonster.output('own', value / 4)
        midimonster.output('x', value / 2)
    def ask(value):
        midimonster.output('answer', value)
";

fn start() -> Running {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(
        "[python py]\nmodule = h\n[map]\nnet./set > py.h.set\npy.x > net./x\nnet./ask > py.h.ask\npy.answer > net./answer\n",
    );
    let show = stage.run();
    show.send("/set", &[F(0.5)]);
    show.expect("/x", &[F(0.25)]);
    // An event later its handler has returned for certain.
    show.send("/ask", &[F(0.5)]);
    show.expect("/answer", &[F(0.5)]);
    show
}

#[test]
fn a_restart_keeps_them() {
    let show = start();
    show.ask(&["restart", "py"]).assert(0, &[]);
    show.wait_for(Event::printed("py", "values 0.5 0.25 0.125"));
    show.stop();
}

#[test]
fn a_stop_and_a_start_later_keep_them() {
    let show = start();
    show.ask(&["stop", "py"]).assert(0, &[]);
    show.ask(&["start", "py"]).assert(0, &[]);
    show.wait_for(Event::printed("py", "values 0.5 0.25 0.125"));
    show.stop();
}

#[test]
fn kill_keeps_them() {
    let show = start();
    show.worker("py").signal(Signal::SIGKILL);
    show.wait_for(Event::printed("py", "values 0.5 0.25 0.125"));
    show.stop();
}

#[test]
fn a_reload_keeps_them() {
    let show = start();
    show.ask(&["reload", "py"]).assert(0, &[]);
    show.wait_for(Event::printed("py", "values 0.5 0.25 0.125"));
    show.stop();
}
