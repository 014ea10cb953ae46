//! Faults `endless-loop`, `interpreter-lock-held`, `endless-loop-elsewhere`, `worker-stopped`,
//! `term-ignored` and `import-never-ends`: workers that make no progress. Their stacks are in the
//! log before they are killed.

use crate::{assert_serves, finish, run};
use mm_tests::osc::F;
use mm_tests::{Event, Running};
use nix::sys::signal::Signal;

const OPTIONS: &str = "watchdog = 1s\nstart-timeout = 2s\nstop-timeout = 300ms";

const MAPPINGS: &str = "net./hang > py.h.hang\nnet./ask > py.h.ask\npy.answer > net./answer";

/// What all scripts have; `first()` is true in the first worker only, so that the second one
/// serves.
const COMMON: &str = "
import ctypes, midimonster, os, socket, threading, time
def first():
    try:
        os.close(os.open('been_here', os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False
def spin(*_):
    while True:
        pass
def ask(value):
    midimonster.output('answer', value)
";

/// A mutex that is locked twice, with the interpreter lock held: nothing of Python's runs any more,
/// and no signal ends it.
const DEADLOCK: &str = "
libc = ctypes.PyDLL(None)
mutex = ctypes.create_string_buffer(64)
def deadlock():
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
";

fn start(script: &str) -> (Running, mm_tests::BackgroundTraffic) {
    run(&format!("{COMMON}{script}"), OPTIONS, MAPPINGS)
}

/// The worker was killed for `place`, after its stacks were logged with `function` in them; the
/// next one serves.
fn assert_replaced(show: &Running, place: &str, function: &str) {
    let exited = Event::named("worker_exited").instance("py").message("hung").message(place);
    show.wait_for(exited.clone());
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    let at = |event: Event| show.log().position(&event);
    let stacks = at(Event::printed("py", "").message("h.py\"").message(&format!("in {function}")));
    assert!(stacks.is_some(), "no stack of `{function}`");
    assert!(stacks < at(exited), "the stacks came after the end");
    let announced = at(Event::named("worker_hung").instance("py").message(place));
    assert!(announced.is_some() && announced < stacks, "the stacks came before they were announced");
    assert_serves(show);
    let exit = show.control().standing("py")["last_exit"]["reason"].to_string();
    assert!(exit.contains("hung") && exit.contains(place), "{exit}");
}

fn assert_found(script: &str, place: &str, function: &str) {
    let (show, others) = start(script);
    show.send("/hang", &[F(0.25)]);
    assert_replaced(&show, place, function);
    finish(show, others);
}

#[test]
fn an_endless_loop_in_a_handler_is_found() {
    assert_found("def hang(value):\n    spin()\n", "in the handler of `h.hang` = 0.25", "hang");
}

#[test]
fn a_handler_that_waits_for_ever_is_found() {
    assert_found(
        "def hang(value):\n    threading.Event().wait()\n",
        "in the handler of `h.hang` = 0.25",
        "hang",
    );
}

#[test]
fn a_compiled_call_that_holds_the_interpreter_lock_in_a_handler_is_found() {
    let script = format!("{DEADLOCK}\ndef hang(value):\n    deadlock()\n");
    assert_found(&script, "in the handler of `h.hang` = 0.25", "deadlock");
}

#[test]
fn a_compiled_call_that_holds_the_interpreter_lock_in_a_thread_is_found() {
    let script = format!("{DEADLOCK}\ndef hang(value):\n    threading.Thread(target=deadlock).start()\n");
    let (show, others) = start(&script);
    show.send("/hang", &[F(0.25)]);
    // The lock may be taken in the handler already or right after it; with the next event there is
    // work to be done.
    show.send("/ask", &[F(0.75)]);
    assert_replaced(&show, "", "deadlock");
    finish(show, others);
}

#[test]
fn an_endless_loop_in_an_interval_is_found() {
    let script = "
def tick():
    spin()
def hang(value):
    if first():
        midimonster.interval(tick, 1)
";
    assert_found(script, "called by `interval`", "tick");
}

#[test]
fn an_endless_loop_in_a_socket_callback_is_found() {
    let script = "
ours, theirs = socket.socketpair()
def readable(s):
    spin()
def hang(value):
    midimonster.manage(readable, ours)
    theirs.send(b'x')
";
    assert_found(script, "called by `manage`", "readable");
}

#[test]
fn an_endless_loop_at_import_is_found_by_the_start_timeout() {
    let (show, others) = start("def load():\n    spin()\nif first():\n    load()\n");
    show.wait_for(Event::named("start_timed_out").instance("py"));
    show.wait_for(Event::printed("py", "").message("h.py\"").message("in load"));
    show.wait_for(Event::named("worker_exited").instance("py").message("`start-timeout`"));
    show.wait_for(Event::named("worker_ready").instance("py"));
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn an_endless_loop_in_the_cleanup_handler_is_ended_by_the_stop_timeout() {
    let (show, others) = start("def leave():\n    spin()\nmidimonster.cleanup_handler(leave)\n");
    let worker = show.worker("py");
    show.ask(&["stop", "py"]).assert(0, &["py: "]);
    assert!(!worker.is_alive());
    show.wait_for(Event::named("stop_timed_out").instance("py"));
    show.wait_for(Event::printed("py", "").message("h.py\"").message("in leave"));
    show.ask(&["start", "py"]).assert(0, &["running"]);
    assert_serves(&show);
    // The end of the whole show meets the same.
    finish(show, others);
}

#[test]
fn a_worker_that_ignores_term_is_killed_after_the_stop_timeout() {
    let script = "
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def leave():
    while True:
        time.sleep(1)
midimonster.cleanup_handler(leave)
";
    let (show, others) = start(script);
    let worker = show.worker("py");
    show.ask(&["restart", "py"]).assert(0, &["running"]);
    assert!(!worker.is_alive());
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_worker_that_is_stopped_by_a_signal_is_found_when_there_is_work() {
    let (show, others) = start("def hang(value):\n    print('handled', value)\n");
    let worker = show.worker("py");
    worker.signal(Signal::SIGSTOP);
    show.send("/hang", &[F(0.25)]);
    show.wait_for(Event::named("worker_exited").instance("py").message("hung"));
    // The event was not touched yet, so the next worker gets it.
    show.wait_for(Event::printed("py", "handled 0.25"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_serves(&show);
    assert_ne!(show.worker("py"), worker);
    assert_eq!(show.log().count(Event::printed("py", "handled 0.25")), 1);
    finish(show, others);
}
