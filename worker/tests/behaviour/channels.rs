//! `inputvalue`, `current`, `channels`, `timestamp`, and values of an earlier worker.

use crate::rig::{Script, value};
use mm_shared::control::ToWorker;

#[test]
fn an_input_value_is_the_previous_one_while_its_handler_runs() {
    let code = "
import midimonster as m
def f(v):
    print(v, m.inputvalue('h.f'), m.inputvalue('unknown'))
    if v == 0.5:
        raise ValueError
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    for value in [0.25, 0.5, 0.75] {
        worker.send("h.f", value);
    }
    assert_eq!(worker.line(), "0.25 0.0 None");
    assert_eq!(worker.line(), "0.5 0.25 None");
    // also stored when the handler raised
    assert_eq!(worker.line(), "0.75 0.5 None");
}

#[test]
fn a_channel_without_handler_carries_its_value() {
    let code = "
import midimonster as m
def f(v):
    print(m.inputvalue('plain'), m.channels())
";
    let mut worker = Script::new(code, &["h.f", "plain"]).serve();
    worker.send("plain", 0.625);
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "0.625 ['h.f', 'plain']");
}

#[test]
fn current_is_the_channel_whose_handler_runs_and_none_elsewhere() {
    let code = "
import midimonster as m, threading
print(m.current())
def other():
    print('thread', m.current())
def tick():
    m.interval(tick, 0)
    print('tick', m.current())
def f(v):
    print(m.current())
    t = threading.Thread(target=other)
    t.start()
    t.join()
    m.interval(tick, 1)
def g(v):
    print(m.current())
";
    let mut worker = Script::new(code, &["h.f", "plain"]).default_handler("h.g").serve();
    worker.send("plain", 1.0);
    worker.send("h.f", 1.0);
    let lines: Vec<String> = (0..5).map(|_| worker.line()).collect();
    assert_eq!(lines, ["None", "plain", "h.f", "thread None", "tick None"]);
}

#[test]
fn a_timestamp_is_milliseconds_of_the_monotonic_clock() {
    let code = "
import midimonster as m, time
def f(v):
    before = time.monotonic_ns() // 1000000
    now = m.timestamp()
    print(type(now).__name__, before <= now <= time.monotonic_ns() // 1000000)
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "int True");
}

#[test]
fn values_of_the_worker_before_are_there_at_import() {
    let code = "
import midimonster as m
print(m.inputvalue('a'), m.outputvalue('a'), m.outputvalue('extra'))
def f(v):
    m.output('extra', 1.0)
";
    let mut script = Script::new(code, &["a", "h.f"]);
    script.boot.channels[0] = value("a", 0.25, 0.5);
    script.boot.channels.push(value("extra", 0.0, 0.75));
    let mut worker = script.serve();
    assert_eq!(worker.line(), "0.25 0.5 0.75");
    worker.send("h.f", 1.0);
    assert_eq!(worker.output(), ("extra".into(), 1.0));
}

#[test]
fn values_that_changed_since_boot_are_taken_over_unless_the_script_has_set_its_own() {
    let code = "
import midimonster as m
m.output('mine', 0.1)
def f(v):
    print(m.inputvalue('a'), m.outputvalue('a'), m.inputvalue('mine'), m.outputvalue('mine'), m.outputvalue('late'))
";
    let mut worker = Script::new(code, &["h.f", "a", "mine"]).start();
    worker.ready();
    worker.say(ToWorker::Serve(vec![value("a", 0.2, 0.3), value("mine", 0.4, 0.5), value("late", 0.6, 0.7)]));
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "0.2 0.3 0.4 0.1 0.7");
    assert_eq!(worker.output(), ("mine".into(), 0.1));
}
