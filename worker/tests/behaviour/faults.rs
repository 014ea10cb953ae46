//! What a script can do to its process, and what is seen of it from outside.

use crate::rig::Script;
use mm_shared::Activity;
use nix::libc::SIGSEGV;
use std::os::unix::process::ExitStatusExt;

#[test]
fn an_exit_without_goodbye_keeps_its_status_and_what_was_sent() {
    let code = "
import midimonster as m, os
def f(v):
    m.output('out', 0.5)
    os._exit(int(v * 10))
";
    for status in [0, 3] {
        let mut worker = Script::new(code, &["h.f", "out"]).serve();
        worker.send("h.f", f64::from(status) / 10.0);
        assert_eq!(worker.output(), ("out".into(), 0.5));
        assert_eq!(worker.exit().code(), Some(status));
        worker.end.down.reclaim().expect("a correct worker");
        assert!(worker.end.down.in_hand().is_some());
    }
}

#[test]
fn a_segfault_leaves_the_python_stack_in_the_log() {
    let code = "
import ctypes
def f(v):
    ctypes.string_at(0)
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    let log = worker.stderr_until("in f");
    assert!(log.contains("Fatal Python error: Segmentation fault"), "{log}");
    assert_eq!(worker.exit().signal(), Some(SIGSEGV));
}

/// Sends the signal that asks for the stacks. It has no name in `nix`, and the program `kill` is not
/// part of every system.
fn ask_for_stacks(pid: u32) {
    let sent = std::process::Command::new("sh").args(["-c", &format!("kill -42 {pid}")]).status();
    assert!(sent.expect("kill runs").success());
}

#[test]
fn a_worker_that_hangs_shows_its_stacks_when_asked() {
    let code = "
import ctypes
def f(v):
    print('in')
    while True:
        pass
def g(v):
    print('in')
    ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter lock
";
    for handler in ["h.f", "h.g"] {
        let mut worker = Script::new(code, &["h.f", "h.g"]).serve();
        worker.send(handler, 1.0);
        assert_eq!(worker.line(), "in");
        let doing = worker.end.progress.activity();
        assert_eq!(doing.activity, Some(Activity::Handler));
        assert_eq!(worker.names[doing.subject as usize], handler);
        ask_for_stacks(worker.child.id());
        let function = handler.replace("h.", "in ");
        let log = worker.stderr_until(&function);
        assert!(log.contains("h.py\", line "), "{log}");
    }
}

#[test]
fn a_worker_that_hangs_ends_when_its_supervisor_closes_the_channel() {
    let code = "
def f(v):
    print('in')
    while True:
        pass
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "in");
    worker.sender = None;
    assert_eq!(worker.exit().code(), Some(1));
}

#[test]
fn the_activity_says_where_the_script_is() {
    let code = "
import midimonster as m, os, time
def pause(name):
    print(name)
    while not os.path.exists(name):
        time.sleep(0.001)
pause('import')
def tick():
    m.interval(tick, 0)
    pause('interval')
def cleanup():
    pause('cleanup')
m.cleanup_handler(cleanup)
m.interval(tick, 1)
";
    let mut worker = Script::new(code, &[]).start();
    for (name, activity) in
        [("import", Activity::Import), ("interval", Activity::Interval), ("cleanup", Activity::Cleanup)]
    {
        assert_eq!(worker.line(), name);
        assert_eq!(worker.end.progress.activity().activity, Some(activity));
        worker.script.write(name, "");
        match name {
            "import" => {
                worker.ready();
                worker.say(mm_shared::control::ToWorker::Serve(Vec::new()));
            }
            "interval" => worker.say(mm_shared::control::ToWorker::Stop),
            _ => assert_eq!(worker.exit().code(), Some(0)),
        }
    }
}

#[test]
fn a_script_that_closes_everything_ends_with_a_clear_message() {
    let code = "
import os
def f(v):
    os.closerange(3, 1000)
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    // whichever of its threads notices it first
    worker.stderr_until("mm-worker: ");
    assert_eq!(worker.exit().code(), Some(1));
}
