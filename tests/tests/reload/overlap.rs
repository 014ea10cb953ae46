//! Faults `reload-during-handler`, `worker-dies-during-reload` and `worker-stops-unasked`: one
//! worker serves, and events keep their order, whatever coincides with a slow handler.

use crate::{assert_answers, finish, run, script};
use mm_tests::osc::F;
use mm_tests::{BackgroundTraffic, Event, Running, TestShow};
use nix::sys::signal::Signal;
use serde_json::json;

/// A script that takes `SECONDS` for the value 0.5, longer than the `stop-timeout` of these tests.
const SLOW: &str = "
    import midimonster, time
    print('imported')
    def ask(value):
        if value == 0.5:
            print('handling')
            time.sleep(SECONDS)
        print('handled', value)
        midimonster.output('one', value)
";

const OPTIONS: &str = "stop-timeout = 100ms\n";

/// A running show whose worker handles a slow event; two more wait. Workers have little time to
/// end: one that has handed over may be killed for that.
fn handling() -> (Running, BackgroundTraffic) {
    handling_with(OPTIONS, 1)
}

/// The same with a `stop-timeout` in which a worker ends however busy the machine is, so that one
/// is killed only if the time of its handler counts.
fn handling_with_time_to_end() -> (Running, BackgroundTraffic) {
    handling_with("stop-timeout = 4s\n", 5)
}

fn handling_with(options: &str, seconds: u32) -> (Running, BackgroundTraffic) {
    let (show, others) = run(options);
    show.stage().replace("h.py", &SLOW.replace("SECONDS", &seconds.to_string()));
    show.ask(&["reload", "py"]).assert(0, &[]);
    show.wait_for(Event::printed("py", "imported"));
    for value in [0.5, 0.25, 0.75] {
        show.send("/ask", &[F(value)]);
    }
    show.wait_for(Event::printed("py", "handling"));
    (show, others)
}

/// These values are handled, in this order, each once; then one more event is.
fn assert_handled(show: &Running, values: &[&str]) {
    assert_answers(show, "/one", 0.125);
    show.wait_for(Event::printed("py", "handled 0.125"));
    let printed = show.log().all(Event::printed("py", "handled "));
    let handled = printed.iter().filter_map(|printed| printed.message.strip_prefix("handled "));
    assert_eq!(handled.collect::<Vec<_>>(), [values, &["0.125"]].concat());
    assert_eq!(show.log().count(Event::named("protocol_violated")), 0);
}

/// All three events are handled in order, and no worker was killed for it.
fn assert_order(show: &Running) {
    assert_handled(show, &["0.5", "0.25", "0.75"]);
    for event in ["worker_exited", "stop_timed_out"] {
        assert_eq!(show.log().count(Event::named(event).instance("py")), 0, "{event}");
    }
}

#[test]
fn a_reload_waits_for_a_handler_that_takes_longer_than_stop_timeout() {
    let (show, others) = handling_with_time_to_end();
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    assert_order(&show);
    finish(show, others);
}

#[test]
fn reloads_while_the_predecessor_of_the_last_one_still_handles_keep_the_order() {
    let (show, others) = handling_with_time_to_end();
    let mut controls = Vec::new();
    for number in 2..5 {
        let mut control = show.control();
        control.send(&json!({ "verb": "reload", "instances": ["py"] }));
        controls.push(control);
        show.log().wait_for_nth(number, Event::printed("py", "imported"));
    }
    assert_order(&show);
    assert_eq!(show.control().standing("py")["state"], "running");
    finish(show, others);
}

#[test]
fn a_restart_while_a_reload_waits_for_a_handler_leaves_one_worker() {
    let (show, others) = handling();
    let mut control = show.control();
    control.send(&json!({ "verb": "reload", "instances": ["py"] }));
    show.log().wait_for_nth(2, Event::printed("py", "imported"));
    show.ask(&["restart", "py"]).assert(0, &["py: running, pid "]);
    // The handler was cut off, and named; the events behind it wait for the new worker.
    show.wait_for(Event::named("worker_exited").instance("py").level("error").message("`h.ask` = 0.5"));
    assert_handled(&show, &["0.25", "0.75"]);
    finish(show, others);
}

#[test]
fn a_successor_that_dies_while_it_waits_for_a_handler_is_followed_by_another() {
    let (show, others) = handling();
    let mut control = show.control();
    control.send(&json!({ "verb": "reload", "instances": ["py"] }));
    show.log().wait_for_nth(2, Event::printed("py", "imported"));
    let standing = show.control().wait_for("the successor", "py", |py| py["uptime_s"].is_null());
    let pid = standing["pid"].as_i64().and_then(|pid| pid.try_into().ok()).expect("a process");
    mm_tests::processes::Process::of(pid).expect("the successor").signal(Signal::SIGKILL);
    assert_handled(&show, &["0.5", "0.25", "0.75"]);
    finish(show, others);
}

#[test]
fn a_worker_that_dies_while_its_replacement_imports_leaves_it_the_newest_values() {
    let (show, others) = run("");
    let before = show.worker("py");
    let text = format!(
        "import midimonster, os, time\nprint('importing')\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n{}",
        script("two").replace(
            "def ask(value):",
            "def ask(value):\n    print('before', midimonster.inputvalue('h.ask'))"
        )
    );
    show.stage().replace("h.py", &text);
    let mut control = show.control();
    control.send(&json!({ "verb": "reload", "instances": ["py"] }));
    show.wait_for(Event::printed("py", "importing"));
    // Where the last of them is answered, the handler of the one before has returned.
    assert_answers(&show, "/one", 0.75);
    assert_answers(&show, "/one", 0.375);
    assert_answers(&show, "/one", 0.625);
    before.signal(Signal::SIGKILL);
    show.wait_for(Event::named("worker_exited").instance("py").message("its replacement takes over"));
    show.stage().write("go", "");
    assert_answers(&show, "/two", 0.5);
    let printed = show.wait_for(Event::printed("py", "before "));
    assert!(["before 0.375", "before 0.625"].contains(&printed.message.as_str()), "{}", printed.message);
    let answer = control.receive().to_string();
    assert!(answer.contains("running, pid "), "{answer}");
    finish(show, others);
}

#[test]
fn a_worker_that_gets_term_and_does_not_end_is_pressed_to_its_end_and_restarted() {
    let stage = TestShow::new();
    let text = "
        import midimonster, threading, time
        def run():
            while True:
                time.sleep(1)
        threading.Thread(target=run).start()
        def ask(value):
            midimonster.output('one', value)
    ";
    stage.python("h.py", text);
    stage.osc_show(&format!(
        "[python py]\nmodule = h\n{OPTIONS}\n[map]\nnet./ask > py.h.ask\npy.one > net./one\n"
    ));
    let show = stage.run();
    assert_answers(&show, "/one", 0.25);
    let before = show.worker("py");
    before.signal(Signal::SIGTERM);
    show.wait_for(Event::named("worker_stopping_unasked").instance("py"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert!(!before.is_alive());
    assert_answers(&show, "/one", 0.5);
    show.stop();
}
