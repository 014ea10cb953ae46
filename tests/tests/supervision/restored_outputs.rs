//! `state-file`: after a restart, devices get the values that they had, unless the show sends
//! others. Fault `power-cut`.

use mm_tests::osc::{F, Message};
use mm_tests::{Running, TestShow, wait_until};
use std::fs;

const SCRIPT: &str = "
    import midimonster
    def set(value):
        midimonster.output('x', value / 2)
        midimonster.output('y', value / 4)
";

fn start() -> Running {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(
        "[supervisor]\nstate-file = state\n[python py]\nmodule = h\n[loopback mix]\n[map]\nnet./set > py.h.set\n\
         py.x > net./x\npy.y > mix.y\nmix.y > net./y\npy.never > net./never\nnet./direct > net./straight\n\
         net./echo > net./echoed\n",
    );
    stage.run()
}

fn message(path: &str, value: f32) -> Message {
    Message { path: path.into(), arguments: vec![F(value)] }
}

/// The next messages, in any order of their paths.
fn messages(show: &Running, count: usize) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..count).map(|_| show.peer().receive()).collect();
    messages.sort_by(|one, two| one.path.cmp(&two.path));
    messages
}

/// Sends values, waits until they are on disk, and cuts the power.
fn cut(show: &mut Running) {
    show.send("/set", &[F(0.5)]);
    show.send("/direct", &[F(0.75)]);
    messages(show, 3);
    kill_when_kept(show, &[0.25, 0.125, 0.75]);
}

fn kill_when_kept(show: &mut Running, values: &[f64]) {
    let state = show.stage().path("state");
    wait_until("the values on disk", || {
        let bytes = fs::read(&state).unwrap_or_default();
        values.iter().all(|value| bytes.windows(8).any(|window| window == value.to_le_bytes()))
    });
    show.kill();
}

#[test]
fn outputs_come_back_as_they_were_and_nothing_else_is_sent() {
    let mut show = start();
    cut(&mut show);
    let mut again = show.run_again();
    let all = [message("/straight", 0.75), message("/x", 0.25), message("/y", 0.125)];
    assert_eq!(messages(&again, 3), all);
    // `/never` was not sent before, so it is not sent now.
    again.send("/echo", &[F(0.375)]);
    again.expect("/echoed", &[F(0.375)]);
    // The values are kept although nothing has sent them since.
    kill_when_kept(&mut again, &[0.25, 0.125, 0.75, 0.375]);
    let once_more = again.run_again();
    assert_eq!(messages(&once_more, 4)[1..], all);
    once_more.stop();
}

#[test]
fn what_the_script_sends_at_its_import_is_not_overruled() {
    let mut show = start();
    cut(&mut show);
    show.stage().replace("h.py", &format!("{SCRIPT}    midimonster.output('x', 1.0)\n"));
    let again = show.run_again();
    let all = [message("/straight", 0.75), message("/x", 1.0), message("/y", 0.125)];
    assert_eq!(messages(&again, 3), all);
    again.send("/echo", &[F(0.5)]);
    again.expect("/echoed", &[F(0.5)]);
    again.stop();
}

#[test]
fn a_script_that_cannot_be_imported_leaves_its_outputs_as_they_were() {
    let mut show = start();
    cut(&mut show);
    show.stage().replace("h.py", "raise ValueError('broken')\n");
    let again = show.run_again();
    let all = [message("/straight", 0.75), message("/x", 0.25), message("/y", 0.125)];
    assert_eq!(messages(&again, 3), all);
    again.stop();
}

#[test]
fn an_output_waits_for_the_scripts_that_may_send_on_it_and_no_other_does() {
    let mut show = start();
    cut(&mut show);
    let waiting = "
        import os, time
        while not os.path.exists('go'):
            time.sleep(0.01)
    ";
    show.stage().replace("h.py", waiting);
    let again = show.start_again(&[], &[]);
    assert_eq!(messages(&again, 1), [message("/straight", 0.75)]);
    again.send("/echo", &[F(0.5)]);
    again.expect("/echoed", &[F(0.5)]);
    again.stage().write("go", "");
    assert_eq!(messages(&again, 2), [message("/x", 0.25), message("/y", 0.125)]);
    again.stop();
}

#[test]
fn a_value_of_failsafe_is_not_what_an_output_comes_back_with() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(
        "[supervisor]\nstate-file = state\n[python py]\nmodule = h\nfailsafe.x = 0.875\nfailsafe-after = 500ms\n\
         [map]\nnet./set > py.h.set\npy.x > net./x\nnet./echo > net./echoed\n",
    );
    let mut show = stage.run();
    show.send("/set", &[F(0.5)]);
    show.expect("/x", &[F(0.25)]);
    show.ask(&["stop", "py"]).assert(0, &[]);
    show.expect("/x", &[F(0.875)]);
    show.send("/echo", &[F(0.375)]);
    show.expect("/echoed", &[F(0.375)]);
    kill_when_kept(&mut show, &[0.25, 0.375]);
    let again = show.run_again();
    // Where the start takes longer than `failsafe-after`, failsafe comes first.
    wait_until("the value from before failsafe", || again.peer().receive() == message("/x", 0.25));
    again.stop();
}
