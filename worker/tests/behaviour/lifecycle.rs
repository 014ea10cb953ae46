//! Start, stop, and what the process looks like from outside.

use crate::rig::{Script, Worker};
use mm_shared::control::{FromWorker, PROTOCOL, ToWorker};
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mm-worker")).args(arguments).output().expect("the worker runs")
}

#[test]
fn the_version_names_protocol_and_python() {
    let output = run(&["--version"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = format!(
        "mm-worker {} (protocol {PROTOCOL}, Python {}.",
        env!("CARGO_PKG_VERSION"),
        env!("MM_PYTHON_VERSION")
    );
    assert!(text.starts_with(&expected) && text.ends_with(")\n"), "{text}");
    assert!(output.status.success());
}

#[test]
fn a_worker_that_cannot_work_says_so_in_one_line_and_exits_with_status_1() {
    let parent = std::process::id().to_string();
    let rest = ["--directory", "/nowhere", "--fds", "993,994,995,996,997,998", "--ring-sizes", "16,16"];
    let cases: [(&[&str], &str); 4] = [
        (&[], "`--parent` is missing"),
        (&["--unknown"], "`--unknown` is not an option"),
        (&[&["--parent", "1"], &rest[..]].concat(), "is gone"),
        (&[&["--parent", parent.as_str()], &rest[..]].concat(), "cannot be attached"),
    ];
    for (arguments, expected) in cases {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.starts_with("mm-worker: ") && text.contains(expected), "{text}");
    }
}

#[test]
fn hello_comes_first() {
    let mut worker = Script::empty(&[]).start();
    let pid = worker.child.id();
    assert!(matches!(worker.hello, FromWorker::Hello { protocol: PROTOCOL, pid: p, .. } if p == pid));
    assert!(matches!(worker.message(), FromWorker::Sources(_)));
    assert!(matches!(worker.message(), FromWorker::Ready { .. }));
}

#[test]
fn a_spare_worker_stops_in_order_before_it_is_any_instance() {
    let mut worker = Script::empty(&[]).spare();
    assert_eq!(worker.stop().code(), Some(0));
}

#[test]
fn a_boot_message_of_another_version_is_refused() {
    let mut worker = Script::empty(&[]).spare();
    worker.say(ToWorker::Boot(vec![0; 64]));
    worker.stderr_until("mm-worker: the supervisor's boot message cannot be read");
    assert_eq!(worker.exit().code(), Some(1));
}

#[test]
fn a_stop_runs_the_cleanup_handler_whose_outputs_go_nowhere() {
    let code = "
import midimonster as m
def cleanup():
    m.output('out', 0.75)
    print(m.inputvalue('h.f'), m.outputvalue('out'))
def other(): pass
print(m.cleanup_handler(other), m.cleanup_handler(None) is other, m.cleanup_handler(cleanup))
for wrong in (3, 'x'):
    try:
        m.cleanup_handler(wrong)
    except TypeError:
        print('TypeError')
def f(v): m.output('out', 0.5)
";
    let mut worker = Script::new(code, &["h.f", "out"]).serve();
    let lines = [worker.line(), worker.line(), worker.line()];
    assert_eq!(lines, ["None True None", "TypeError", "TypeError"]);
    worker.send("h.f", 0.25);
    assert_eq!(worker.output(), ("out".into(), 0.5));
    worker.say(ToWorker::Stop);
    assert_eq!(worker.line(), "0.25 0.75");
    while !matches!(worker.message(), FromWorker::Yielded) {}
    assert!(matches!(worker.message(), FromWorker::Stopped));
    assert_eq!(worker.try_event(), None);
    assert_eq!(worker.exit().code(), Some(0));
}

#[test]
fn term_is_an_orderly_stop_too() {
    let code = "
import midimonster as m
m.cleanup_handler(lambda: print('cleanup'))
def f(v): print('event')
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "event");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.line(), "cleanup");
    assert_eq!(worker.exit().code(), Some(0));
}

#[test]
fn term_cuts_an_endless_cleanup_short() {
    let code = "
import midimonster as m
def cleanup():
    print('in')
    while True: pass
m.cleanup_handler(cleanup)
";
    let mut worker = Script::new(code, &[]).serve();
    worker.say(ToWorker::Stop);
    assert_eq!(worker.line(), "in");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.exit().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn term_cuts_an_endless_import_short() {
    let mut worker = Script::new("print('in')\nwhile True: pass\n", &[]).start();
    assert_eq!(worker.line(), "in");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.exit().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn an_error_of_the_cleanup_handler_is_reported() {
    let code = "
import midimonster as m
def cleanup(): raise SystemExit(5)
m.cleanup_handler(cleanup)
";
    let mut worker = Script::new(code, &[]).serve();
    worker.say(ToWorker::Stop);
    assert_eq!(worker.error().0, "cleanup handler");
    assert_eq!(worker.exit().code(), Some(0));
}

#[test]
fn an_orderly_end_runs_exit_handlers_and_writes_out_open_files() {
    let code = "
import atexit, threading, time
log = open('log.txt', 'w')
log.write('kept')
atexit.register(print, 'atexit')
def work():
    time.sleep(0.05)
    print('thread done')
threading.Thread(target=work).start()
";
    let mut worker = Script::new(code, &[]).serve();
    assert_eq!(worker.stop().code(), Some(0));
    assert_eq!([worker.line(), worker.line()], ["thread done", "atexit"]);
    let log = std::fs::read_to_string(worker.script.path().join("log.txt")).expect("a file");
    assert_eq!(log, "kept");
}

#[test]
fn a_stop_while_threads_are_blocked_in_output_ends_in_order() {
    let code = "
import midimonster as m, threading
def work():
    while True:
        m.output('out', 0.5)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
def f(v): print('event')
";
    let mut worker = Script::new(code, &["h.f", "out"]).slots(16, 16).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "event");
    assert_eq!(worker.stop().code(), Some(0));
}

/// The sum of the counters of the worker's eventfds.
fn eventfd_counts(worker: &Worker) -> u64 {
    let directory = format!("/proc/{}/fdinfo", worker.child.id());
    let infos = std::fs::read_dir(directory).expect("the worker is there").flatten();
    let count = |text: String| {
        let value = text.lines().find_map(|line| line.strip_prefix("eventfd-count:"))?;
        u64::from_str_radix(value.trim(), 16).ok()
    };
    infos.filter_map(|info| count(std::fs::read_to_string(info.path()).ok()?)).sum()
}

#[test]
fn events_that_were_not_taken_at_a_stop_are_left() {
    let code = "
import os, time
def f(v):
    print('in')
    while not os.path.exists('go'): time.sleep(0.001)
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    for value in [0.25, 0.5, 0.75] {
        worker.send("h.f", value);
    }
    assert_eq!(worker.line(), "in");
    let before = eventfd_counts(&worker);
    worker.say(ToWorker::Stop);
    // The handler returns only when the message is in the inbox, whose eventfd the main loop never
    // reads.
    worker.until("the inbox rings", |worker| eventfd_counts(worker) > before);
    worker.script.write("go", "");
    assert_eq!(worker.exit().code(), Some(0));
    worker.end.down.reclaim().expect("a correct worker");
    let left: Vec<f64> = worker.end.down.undelivered().iter().map(|event| event.value).collect();
    assert!(left.ends_with(&[0.75]), "{left:?}");
    assert_eq!(worker.end.down.in_hand(), None);
}

#[test]
fn a_stop_before_the_show_starts_is_orderly() {
    let mut worker =
        Script::new("import midimonster as m\nm.cleanup_handler(lambda: print('bye'))\n", &[]).start();
    worker.ready();
    assert_eq!(worker.stop().code(), Some(0));
    assert_eq!(worker.line(), "bye");
}

#[test]
fn the_process_leads_a_session_and_has_clean_signals_and_descriptors() {
    let code = "
import os
pid = os.getpid()
print(os.getsid(0) == pid, os.getpgid(0) == pid)
status = dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines())
print(int(status['SigBlk'], 16), [n for n in range(1, 32) if int(status['SigIgn'], 16) >> (n - 1) & 1])
print([fd for fd in map(int, os.listdir('/proc/self/fd')) if fd > 2 and os.path.exists(f'/proc/self/fd/{fd}') and os.get_inheritable(fd)])
";
    let mut worker = Script::new(code, &[]).serve();
    assert_eq!([worker.line(), worker.line(), worker.line()], ["True True", "0 [13, 25]", "[]"]);
}

#[test]
fn what_is_printed_is_seen_at_once() {
    let code = "
import sys
def f(v):
    print('out')
    print('ä \\udcff' if v > 1 else 'ä', file=sys.stderr)
    import time
    while True: time.sleep(1)
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "out");
    worker.stderr_until("ä");
}
