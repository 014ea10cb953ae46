//! Faults `worker-exits` and `worker-crashes`: workers that die, by their own hand or by a fault in
//! compiled code.

use crate::{assert_serves, finish, run};
use mm_tests::Event;
use mm_tests::osc::F;

const MAPPINGS: &str = "net./event > py.h.event\nnet./ask > py.h.ask\npy.answer > net./answer";

/// A script that keeps a record on disk of the events it was given, and dies of the one that is
/// 0.5.
fn script(death: &str) -> String {
    format!(
        "import ctypes, mmap, os, signal, midimonster
def write(text):
    file = os.open('record', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, (text + '\\n').encode())
    os.close(file)
def die():
    {death}
def event(value):
    write(str(value))
    if value == 0.5:
        die()
def ask(value):
    midimonster.output('answer', value)
"
    )
}

/// The worker dies in the middle of a series of events; all but the one in hand are handled, in
/// order.
fn assert_survived(death: &str, reason: &str) {
    let (show, others) = run(&script(death), "", MAPPINGS);
    for number in 1..=16_u8 {
        show.send("/event", &[F(f32::from(number) / 16.0)]);
    }
    let exited = Event::named("worker_exited").instance("py");
    show.wait_for(exited.message(reason).message("while handling `h.event` = 0.5"));
    assert_serves(&show);
    let record = show.stage().read("record");
    let expected: Vec<String> = (1..=16_u8).map(|number| format!("{:?}", f64::from(number) / 16.0)).collect();
    assert_eq!(record.lines().collect::<Vec<_>>(), expected);
    let log = finish(show, others).log;
    assert_eq!(log.count(Event::named("worker_ready").instance("py")), 2);
}

#[test]
fn exit_status_0_in_a_handler_is_a_crash() {
    assert_survived("os._exit(0)", "exit status 0");
}

#[test]
fn another_exit_status_is_named() {
    assert_survived("os._exit(3)", "exit status 3");
}

#[test]
fn a_segmentation_fault_is_named() {
    assert_survived("ctypes.string_at(0)", "SIGSEGV");
}

#[test]
fn an_abort_is_named() {
    assert_survived("os.abort()", "SIGABRT");
}

#[test]
fn a_bus_error_is_named() {
    // A mapping of a file that has become shorter.
    let death = "file = open('short', 'wb+'); file.truncate(4096); \
                 view = mmap.mmap(file.fileno(), 4096); file.truncate(0); view[0]";
    assert_survived(death, "SIGBUS");
}

#[test]
fn a_kill_from_outside_is_named() {
    assert_survived("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL");
}

#[test]
fn a_worker_that_always_dies_of_its_first_event_is_not_given_it_again() {
    let (show, others) = run(&script("os._exit(9)"), "", MAPPINGS);
    for _ in 0..3 {
        show.send("/event", &[F(0.5)]);
    }
    show.send("/event", &[F(0.25)]);
    show.log().wait_for_nth(3, Event::named("worker_exited").instance("py").message("exit status 9"));
    assert_serves(&show);
    let record = show.stage().read("record");
    assert_eq!(record, "0.5\n0.5\n0.5\n0.25\n");
    finish(show, others);
}

#[test]
fn the_stacks_of_a_segmentation_fault_are_in_the_log() {
    let (show, others) = run(&script("ctypes.string_at(0)"), "", MAPPINGS);
    show.send("/event", &[F(0.5)]);
    show.wait_for(Event::printed("py", "Fatal Python error: Segmentation fault"));
    show.wait_for(Event::printed("py", "").message("h.py").message("in event"));
    finish(show, others);
}

#[test]
fn values_survive_the_worker() {
    let script = "
        import os, midimonster
        print('values', midimonster.inputvalue('h.set'), midimonster.outputvalue('x'))
        def set(value):
            midimonster.output('x', value / 2)
        def die(value):
            os._exit(1)
    ";
    let (show, others) = run(script, "", "net./set > py.h.set\nnet./die > py.h.die\npy.x > net./x");
    show.wait_for(Event::printed("py", "values 0.0 0.0"));
    show.send("/set", &[F(0.5)]);
    show.expect("/x", &[F(0.25)]);
    show.send("/die", &[F(0.5)]);
    show.wait_for(Event::printed("py", "values 0.5 0.25"));
    finish(show, others);
}
