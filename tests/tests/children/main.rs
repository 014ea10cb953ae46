//! Faults `child-left-behind` and `supervisor-killed`: what scripts start does not outlive them,
//! and workers do not outlive their parent; and `child-is-python`: what they start can be Python.

mod dev_shm;
mod left_behind;
mod pythons;
mod reaper;

use mm_tests::processes::{Process, tagged};
use mm_tests::running::GONE_WITHIN;
use mm_tests::wait::wait_within;
use mm_tests::{Running, TestShow, wait_for};

/// How a child is left behind: as the shell of a script starts it. All are found as `sleep`.
const WAYS: [&str; 5] = [
    // in the worker's group, holding its standard error
    "sleep 3600 &",
    // the same in a session of its own
    "setsid sleep 3600 &",
    // a daemon: its parent is gone
    "(setsid sleep 3600 </dev/null >/dev/null 2>&1 &)",
    // a daemon that still holds standard error
    "(setsid sleep 3600 &)",
    // deep down, each one in a session of its own
    "setsid sh -c 'setsid sh -c \"setsid sleep 3600 & wait\" & wait' &",
];

/// Starts a child in each of [`WAYS`].
fn script() -> String {
    let starts: Vec<String> =
        WAYS.iter().map(|way| format!("subprocess.Popen(['sh', '-c', '''{way}'''])")).collect();
    format!(
        "import os, subprocess, midimonster
{}
def die(value):
    os._exit(3)
def ask(value):
    midimonster.output('answer', value)
",
        starts.join("\n")
    )
}

/// The instances `a` and `b`, whose scripts have left all kinds of children.
fn run() -> Running {
    let stage = TestShow::new();
    stage.write("h.py", script());
    stage.osc_show(
        "[python a]\nmodule = h\n[python b]\nmodule = h\n[map]\nnet./die/a > a.h.die\nnet./die/b > b.h.die\n\
         net./ask > a.h.ask\na.answer > net./answer",
    );
    let show = stage.run();
    wait_for("the children of both scripts", || (sleepers(&show).len() == 2 * WAYS.len()).then_some(()));
    show
}

/// The children that the scripts have left.
fn sleepers(show: &Running) -> Vec<Process> {
    let mut processes = tagged(show.stage().tag());
    processes.retain(|process| process.name() == "sleep");
    processes
}

fn assert_gone(processes: &[Process]) {
    wait_within("the end of what was left behind", GONE_WITHIN, || {
        processes.iter().all(|process| !process.is_alive()).then_some(())
    });
}
