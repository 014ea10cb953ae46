//! Fault `concurrent-commands`: what users ask for while another command is under way. There is one
//! worker at most, and the last command counts.

use crate::{assert_serves, finish, run};
use mm_tests::osc::F;
use mm_tests::processes::tagged;
use mm_tests::{Control, Event, Running, wait_until};
use serde_json::json;

const SCRIPT: &str = "
    import midimonster, os, time
    if os.path.exists('broken'):
        raise RuntimeError('broken on purpose')
    if os.path.exists('slow'):
        print('importing')
        time.sleep(3600)
    def ask(value):
        midimonster.output('answer', value)
";

const MAPPINGS: &str = "net./ask > py.h.ask\npy.answer > net./answer";

fn start(options: &str) -> (Running, mm_tests::BackgroundTraffic) {
    run(SCRIPT, options, MAPPINGS)
}

/// Workers that have an instance: all but the spare, which has not changed into the directory of
/// the show's scripts.
fn assert_one_worker(show: &Running) {
    wait_until("one worker for each instance, and the spare", || {
        let all = tagged(show.stage().tag());
        all.iter().filter(|process| process.name() == "mm-worker").count() == 3
    });
}

fn remove(show: &Running, name: &str) {
    std::fs::remove_file(show.stage().directory().join(name)).expect("a file that was written");
}

#[test]
fn a_stop_during_back_off_stops() {
    let (show, others) = start("backoff = 1h\nbackoff-max = 1h");
    let mut control = show.control();
    show.stage().write("broken", "");
    control.act("restart", "py");
    let waiting = control.wait_for_state("py", "backoff");
    assert!(waiting["next_start_ms"].as_u64().is_some_and(|wait| wait > 0), "{waiting}");
    assert_eq!(control.act("stop", "py")["ok"], true);
    let stopped = control.standing("py");
    assert_eq!((&stopped["state"], &stopped["pid"]), (&json!("stopped"), &json!(null)));
    remove(&show, "broken");
    assert_eq!(control.act("start", "py")["ok"], true);
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_restart_during_back_off_starts_at_once() {
    let (show, others) = start("backoff = 1h\nbackoff-max = 1h");
    let mut control = show.control();
    show.stage().write("broken", "");
    control.act("restart", "py");
    control.wait_for_state("py", "backoff");
    remove(&show, "broken");
    assert_eq!(control.act("restart", "py")["ok"], true);
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_restart_during_a_start_leaves_one_worker() {
    let (show, others) = start("");
    show.stage().write("slow", "");
    let mut first = show.control();
    first.send(&json!({ "verb": "restart", "instances": ["py"] }));
    show.wait_for(Event::printed("py", "importing"));
    remove(&show, "slow");
    assert_eq!(show.control().act("restart", "py")["ok"], true);
    // Whoever asked first has what it asked for as well.
    assert_eq!(first.receive()["done"][0]["ok"], true);
    assert_serves(&show);
    assert_one_worker(&show);
    finish(show, others);
}

#[test]
fn a_stop_during_a_start_stops_and_tells_who_waits_for_the_start() {
    let (show, others) = start("");
    show.stage().write("slow", "");
    let mut first = show.control();
    first.send(&json!({ "verb": "restart", "instances": ["py"] }));
    show.wait_for(Event::printed("py", "importing"));
    let mut control = show.control();
    assert_eq!(control.act("stop", "py")["ok"], true);
    assert_eq!(first.receive()["done"][0]["ok"], false);
    assert_eq!(control.standing("py")["state"], "stopped");
    remove(&show, "slow");
    assert_eq!(control.act("start", "py")["ok"], true);
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_hundred_restarts_at_once_leave_one_worker_that_serves() {
    let (show, others) = start("");
    let mut clients: Vec<Control> = (0..50).map(|_| show.control()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.send(&json!({ "verb": "restart", "instances": ["py"] }));
        }
    }
    for client in &mut clients {
        for _ in 0..2 {
            let done = client.receive();
            assert_eq!(done["done"][0]["ok"], true, "{done}");
        }
    }
    assert_serves(&show);
    assert_eq!(show.control().standing("py")["state"], "running");
    assert_one_worker(&show);
    finish(show, others);
}

#[test]
fn of_many_words_at_once_the_last_one_counts() {
    let (show, others) = start("");
    let mut client = show.control();
    for round in 0..20_u8 {
        let mut earlier: Vec<Control> = (0..4).map(|_| show.control()).collect();
        for (control, verb) in earlier.iter_mut().zip(["restart", "stop", "reload", "start"]) {
            control.send(&json!({ "verb": verb, "instances": ["py"] }));
        }
        for control in &mut earlier {
            // Each of them hears what came of it, whatever that is.
            assert!(control.receive()["done"][0]["message"].is_string());
        }
        let last = if round.is_multiple_of(2) { "stop" } else { "start" };
        let outcome = client.act(last, "py");
        assert_eq!(outcome["ok"], true, "{last}: {outcome}");
        let state = if round.is_multiple_of(2) { "stopped" } else { "running" };
        client.wait_for_state("py", state);
    }
    show.send("/ask", &[F(0.5)]);
    show.expect("/answer", &[F(0.5)]);
    assert_one_worker(&show);
    finish(show, others);
}
