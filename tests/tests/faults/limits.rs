//! Fault `nothing-left`: a system without free resources.

use crate::{assert_serves, failed_starts, run};
use mm_tests::processes::Process;
use mm_tests::{BackgroundTraffic, Event, Running, TestShow, other_user};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

const SCRIPT: &str = "
    import midimonster
    def ask(value):
        midimonster.output('answer', value)
";

const MAPPINGS: &str = "net./ask > py.h.ask\npy.answer > net./answer";

const BACKOFF: &str = "backoff = 10ms\nbackoff-max = 50ms";

/// Lowers or raises a limit of a running process; the hard limit stays as it is.
pub(crate) fn limit(process: Process, what: &str, soft: &str) {
    let pid = process.pid.to_string();
    // In the name of its user, who may do that.
    let of = fs::metadata(format!("/proc/{pid}")).expect("a running process");
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &pid, &format!("--{what}={soft}:")]).uid(of.uid()).gid(of.gid());
    assert!(prlimit.status().is_ok_and(|status| status.success()), "no limit of {what} to {soft}");
}

/// Kills the workers of `py` until one cannot be started, and sees that it is tried again and works
/// in the end.
fn assert_survived(show: &Running, others: BackgroundTraffic, limited: &[Process], what: &str) {
    let mut control = show.control();
    // An answer shows that the connection was accepted, which needs a descriptor.
    assert_eq!(control.standing("py")["state"], "running");
    limited.iter().for_each(|process| limit(*process, what, "1"));
    // A spare worker that is there already, or on its way, needs nothing: any that runs is killed
    // until none is left.
    control.wait_for("attempts to start a worker that fail", "py", |status| {
        if let Some(worker) = status["pid"].as_i64().filter(|_| status["state"] == "running") {
            let _ =
                kill(Pid::from_raw(i32::try_from(worker).expect("the number of a process")), Signal::SIGKILL);
        }
        failed_starts(show) >= 3
    });
    assert_eq!(control.standing("steady")["state"], "running");
    limited.iter().for_each(|process| limit(*process, what, "1000"));
    control.wait_for_state("py", "running");
    assert_serves(show);
    others.finish(show);
}

#[test]
fn without_descriptors_a_worker_is_tried_again_and_the_rest_runs() {
    let (show, others) = run(SCRIPT, BACKOFF, MAPPINGS);
    assert_survived(&show, others, &[show.process()], "nofile");
    show.stop();
}

#[test]
fn without_descriptors_in_the_process_that_starts_workers_the_rest_runs_too() {
    let (show, others) = run(SCRIPT, BACKOFF, MAPPINGS);
    assert_survived(&show, others, &[show.reaper()], "nofile");
    show.stop();
}

/// A user without other processes.
const NOBODY_ELSE: u32 = 61_183;

#[test]
fn without_processes_a_worker_is_tried_again_and_the_rest_runs() {
    if !other_user::is_root() {
        mm_tests::skip!("only root can start a show as a user without other processes");
    }
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    BackgroundTraffic::show(&stage, &format!("[python py]\nmodule = h\n{BACKOFF}\n[map]\n{MAPPINGS}\n"));
    let stage = match stage.hand_over(NOBODY_ELSE) {
        Ok(stage) => stage,
        Err(reason) => mm_tests::skip!("another user cannot start the programs: {reason}"),
    };
    let mut command = stage.show_command();
    other_user::run_as(&mut command, NOBODY_ELSE);
    let show = stage.start_command(command);
    show.wait_for(Event::named("show_running"));
    let others = BackgroundTraffic::start(&show);
    assert_survived(&show, others, &[show.process(), show.reaper()], "nproc");
    show.stop();
}
