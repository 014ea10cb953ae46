//! Failsafe: what output channels are set to while their instance does not run. Fault
//! `failsafe-then-back`.

use mm_tests::osc::{F, Message};
use mm_tests::{Running, TestShow};
use std::time::Duration;

const SCRIPT: &str = "
    import midimonster
    def set(value):
        midimonster.output('a', value)
        midimonster.output('b', value)
";

fn start(options: &str) -> Running {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(&format!(
        "[python py]\nmodule = h\nfailsafe-after = 100ms\n{options}\n[map]\nnet./set > py.h.set\n\
         py.a > net./a\npy.b > net./b\nnet./echo > net./echoed\n"
    ));
    let show = stage.run();
    show.send("/set", &[F(0.5)]);
    show.expect("/a", &[F(0.5)]);
    show.expect("/b", &[F(0.5)]);
    show
}

/// The next messages, in any order of their paths.
fn messages(show: &Running, count: usize) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..count).map(|_| show.peer().receive()).collect();
    messages.sort_by(|one, two| one.path.cmp(&two.path));
    messages
}

fn message(path: &str, value: f32) -> Message {
    Message { path: path.into(), arguments: vec![F(value)] }
}

#[test]
fn zero_sets_all_outputs_and_running_again_sends_the_last_values() {
    let show = start("failsafe = zero");
    show.ask(&["stop", "py"]).assert(0, &[]);
    assert_eq!(messages(&show, 2), [message("/a", 0.0), message("/b", 0.0)]);
    show.ask(&["start", "py"]).assert(0, &[]);
    assert_eq!(messages(&show, 2), [message("/a", 0.5), message("/b", 0.5)]);
    show.stop();
}

#[test]
fn a_channel_has_a_value_of_its_own_and_the_others_hold() {
    let show = start("failsafe.b = 0.75");
    show.ask(&["stop", "py"]).assert(0, &[]);
    assert_eq!(messages(&show, 1), [message("/b", 0.75)]);
    // The other one stays as it is: nothing but the next message comes.
    show.send("/echo", &[F(0.125)]);
    assert_eq!(messages(&show, 1), [message("/echoed", 0.125)]);
    show.ask(&["start", "py"]).assert(0, &[]);
    assert_eq!(messages(&show, 1), [message("/b", 0.5)]);
    show.stop();
}

#[test]
fn an_instance_that_has_failed_is_set_as_well() {
    let show = start("failsafe = zero\nrestart = never");
    show.worker("py").signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(messages(&show, 2), [message("/a", 0.0), message("/b", 0.0)]);
    show.stop();
}

#[test]
fn a_value_that_the_script_sends_itself_is_not_overruled_by_the_last_one() {
    let show = start("failsafe = zero");
    show.ask(&["stop", "py"]).assert(0, &[]);
    assert_eq!(messages(&show, 2), [message("/a", 0.0), message("/b", 0.0)]);
    let script = "import midimonster\nmidimonster.output('a', 1.0)\ndef set(value): pass\n";
    show.stage().replace("h.py", script);
    show.ask(&["start", "py"]).assert(0, &[]);
    assert_eq!(messages(&show, 2), [message("/a", 1.0), message("/b", 0.5)]);
    show.stop();
}

#[test]
fn a_restart_that_is_quick_sets_nothing() {
    let show = start("failsafe = zero\nfailsafe-after = 1m");
    show.ask(&["restart", "py"]).assert(0, &[]);
    show.send("/echo", &[F(0.125)]);
    assert_eq!(messages(&show, 1), [message("/echoed", 0.125)]);
    assert_eq!(show.peer().receive_within(Duration::from_millis(1)), None);
    show.stop();
}

#[test]
fn outputs_flow_at_once_after_the_values_were_given_back() {
    let show = start("failsafe = zero");
    show.ask(&["stop", "py"]).assert(0, &[]);
    assert_eq!(messages(&show, 2), [message("/a", 0.0), message("/b", 0.0)]);
    show.ask(&["start", "py"]).assert(0, &[]);
    assert_eq!(messages(&show, 2), [message("/a", 0.5), message("/b", 0.5)]);
    // nothing else happens in this show, so what the script sends has to wake the loop by itself
    for value in [0.25, 0.75, 1.0] {
        show.send("/set", &[F(value)]);
        assert_eq!(messages(&show, 2), [message("/a", value), message("/b", value)]);
    }
    show.stop();
}
