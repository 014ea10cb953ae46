//! What a worker is as a process: only what it needs, and nothing of the supervisor's.

use crate::python;
use mm_tests::osc::F;
use mm_tests::processes::Process;
use mm_tests::{Event, TestShow};
use std::collections::BTreeSet;

const IDLE: &str = "def go(value):\n    pass\n";

#[test]
fn a_worker_leads_a_session_of_its_own() {
    let show = python(IDLE, "net./go > py.h.go").run();
    let worker = show.worker("py");
    assert_eq!(worker.family(), Some((show.reaper().pid, worker.pid, worker.pid)));
    assert_eq!(worker.name(), "mm-worker");
    show.stop();
}

#[test]
fn a_worker_blocks_no_signal_and_ignores_only_what_it_must() {
    let show = python(IDLE, "net./go > py.h.go").run();
    let worker = show.worker("py");
    let set = |name: &str| u64::from_str_radix(&worker.status(name).unwrap(), 16).unwrap();
    let bit = |signal: nix::sys::signal::Signal| 1_u64 << (signal as i32 - 1);
    assert_eq!(set("SigBlk"), 0);
    let ignored = set("SigIgn");
    // Ctrl-C is the supervisor's, and programs that a script starts are not to ignore it.
    assert_ne!(set("SigCgt") & bit(nix::sys::signal::SIGINT), 0);
    for signal in [
        nix::sys::signal::SIGINT,
        nix::sys::signal::SIGTERM,
        nix::sys::signal::SIGCHLD,
        nix::sys::signal::SIGHUP,
    ] {
        assert_eq!(ignored & bit(signal), 0, "{signal} is ignored");
    }
    show.stop();
}

/// The numbers of the descriptors that a worker was handed, as its command line has them.
fn handed(worker: Process) -> Vec<i32> {
    let words = worker.arguments();
    let at = words.iter().position(|word| word == "--fds").expect("a worker is handed descriptors");
    words[at + 1].split(',').map(|number| number.parse().expect("a number")).collect()
}

/// Sockets and pipes by their inodes, except the standard streams, which are pipes to the
/// supervisor, and those that the descriptors in `apart` lead to.
fn private(process: Process, apart: &[i32]) -> BTreeSet<String> {
    let (apart, own): (Vec<_>, Vec<_>) =
        process.descriptors().into_iter().partition(|(number, _)| *number <= 2 || apart.contains(number));
    let own = own.into_iter().filter(|(_, target)| apart.iter().all(|(_, other)| other != target));
    let targets = own.map(|(_, target)| target.to_string_lossy().into_owned());
    targets.filter(|target| target.starts_with("socket:") || target.starts_with("pipe:")).collect()
}

#[test]
fn a_worker_holds_no_descriptor_of_the_supervisor_or_of_another_worker() {
    let stage = TestShow::new();
    stage.write("h.py", IDLE);
    stage.osc_show(
        "[python a]\nmodule = h\n[python b]\nmodule = h\n[map]\nnet./go > a.h.go\nnet./go > b.h.go",
    );
    let show = stage.run();
    let (supervisor, a, b) = (show.process(), show.worker("a"), show.worker("b"));
    let known =
        ["/dev/null", "pipe:", "socket:", "/memfd:", "anon_inode:[eventfd]", "anon_inode:[eventpoll]"];
    for worker in [a, b] {
        let other = if worker == a { b } else { a };
        let with_other: Vec<_> = private(worker, &[]).intersection(&private(other, &[])).cloned().collect();
        assert!(with_other.is_empty(), "shared with another worker: {with_other:?}");
        let own = private(worker, &handed(worker));
        let with_supervisor: Vec<_> = own.intersection(&private(supervisor, &[])).cloned().collect();
        assert!(with_supervisor.is_empty(), "shared with the supervisor: {with_supervisor:?}");
        for (number, target) in worker.descriptors() {
            let target = target.to_string_lossy();
            let is_known = known.iter().any(|start| target.starts_with(start)) || target.contains("timerfd");
            assert!(is_known, "descriptor {number} is {target}");
        }
    }
    show.stop();
}

#[test]
fn a_worker_has_the_environment_of_the_supervisor() {
    let script = "
        import os
        print('environment', os.environ.get('MM_TEST_TAG') is not None, 'HOME' in os.environ)
        def go(value):
            pass
    ";
    let show = python(script, "net./go > py.h.go").run();
    let home = std::env::var_os("HOME").map_or("False", |_| "True");
    show.wait_for(Event::printed("py", &format!("environment True {home}")));
    show.stop();
}

#[test]
fn a_script_can_start_programs_and_gets_their_status() {
    let script = "
        import subprocess
        def go(value):
            done = subprocess.run(['sh', '-c', 'echo from the shell; exit 3'])
            print('status', done.returncode)
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "from the shell"));
    show.wait_for(Event::printed("py", "status 3"));
    show.stop();
}

/// Where a thread may run.
fn cpus(thread: Process) -> Option<String> {
    thread.status("Cpus_allowed_list")
}

#[test]
fn a_quick_exchange_ties_nothing_that_starts_meanwhile_to_a_cpu() {
    let script = "
        import midimonster, os, threading
        everywhere = os.sched_getaffinity(0)
        def go(value):
            if value == 0.5:
                threading.Thread(target=threading.Event().wait, daemon=True).start()
            free = os.sched_getaffinity(0) == everywhere
            midimonster.output('back', value if free else 1.0)
    ";
    let show = python(script, "net./go > py.h.go\npy.back > net./back").run();
    let mut control = show.control();
    for turn in 0..2048_u16 {
        if turn % 1024 == 256 {
            assert_eq!(control.act("reload", "py")["ok"], true);
        }
        let value = F(f32::from(turn % 1024) / 1024.0);
        show.send("/go", &[value]);
        show.expect("/back", &[value]);
    }
    let everywhere = cpus(Process::of(std::process::id().cast_signed()).expect("this process"));
    let (supervisor, worker) = (show.process().threads(), show.worker("py").threads());
    assert!(worker.len() > 3, "the main thread, two of ours, and the script's");
    // where a main thread sleeps is its own affair
    for thread in supervisor.into_iter().skip(1).chain(worker.into_iter().skip(1)) {
        assert_eq!(cpus(thread), everywhere, "{}", thread.name());
    }
    show.stop();
}
