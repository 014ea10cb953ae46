//! Fault `supervisor-killed`, and the reaper itself: it does nothing but to be the parent of
//! workers, and is replaced when it is killed.

use crate::{assert_gone, run, sleepers};
use mm_tests::osc::F;
use mm_tests::processes::Process;
use mm_tests::{Event, TestShow, wait_for, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn when_it_is_killed_all_workers_come_back_under_a_new_one() {
    let show = run();
    let (old, a, b) = (show.reaper(), show.worker("a"), show.worker("b"));
    let left = sleepers(&show);
    old.signal(Signal::SIGKILL);
    show.wait_for(Event::named("reaper_lost"));
    for name in ["a", "b"] {
        show.wait_for(Event::named("worker_exited").instance(name).message("reaper"));
        show.log().wait_for_nth(2, Event::named("worker_ready").instance(name));
    }
    assert_gone(&left);
    assert!(!a.is_alive() && !b.is_alive());
    let new = show.reaper();
    assert_ne!(new, old);
    assert_eq!(show.worker("a").family().map(|family| family.0), Some(new.pid));
    show.send("/ask", &[F(0.5)]);
    show.expect("/answer", &[F(0.5)]);
    show.stop();
}

#[test]
fn when_it_was_stopped_it_is_continued_and_nothing_is_lost() {
    let show = run();
    let (reaper, a, b) = (show.reaper(), show.worker("a"), show.worker("b"));
    reaper.signal(Signal::SIGSTOP);
    // The reaper has to report that it has ended, and to start the next one.
    a.signal(Signal::SIGKILL);
    show.wait_for(Event::named("reaper_resumed").level("warn"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("a"));
    assert!(reaper.is_alive() && b.is_alive());
    show.send("/ask", &[F(0.5)]);
    show.expect("/answer", &[F(0.5)]);
    show.stop();
}

/// A control group whose processes stand still, which no signal ends; only a superuser has any.
struct Freezer {
    group: PathBuf,
    /// The file that freezes the group, and what it takes for that and for the opposite.
    switch: [&'static str; 3],
}

impl Freezer {
    /// Lets a process stand still, with version 1 or 2 of control groups.
    fn freeze(process: Process) -> Option<Self> {
        let versions = [
            ("/sys/fs/cgroup/freezer", ["freezer.state", "FROZEN", "THAWED"]),
            ("/sys/fs/cgroup", ["cgroup.freeze", "1", "0"]),
        ];
        versions.into_iter().find_map(|(root, switch)| {
            let group = Path::new(root).join(format!("mm-test-{}", process.pid));
            fs::metadata(Path::new(root).join("cgroup.procs")).ok()?;
            fs::create_dir(&group).ok()?;
            let freezer = Self { group, switch };
            fs::write(freezer.group.join("cgroup.procs"), process.pid.to_string()).ok()?;
            fs::write(freezer.group.join(switch[0]), switch[1]).ok()?;
            wait_until("a process that stands still", || freezer.is_frozen());
            Some(freezer)
        })
    }

    fn is_frozen(&self) -> bool {
        let [file, on, _] = self.switch;
        let state = fs::read_to_string(self.group.join(file)).unwrap_or_default();
        let events = fs::read_to_string(self.group.join("cgroup.events"));
        state.trim() == on
            && events.is_ok_and(|events| events.contains("frozen 1")) != (file == "freezer.state")
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = fs::write(self.group.join(self.switch[0]), self.switch[2]);
        let _ = fs::remove_dir(&self.group);
    }
}

/// Whether KILL was sent to a process, be it that it cannot take it yet.
fn is_killed(process: Process) -> bool {
    let pending = process.status("ShdPnd").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
    !process.is_alive() || pending.is_some_and(|mask| mask >> (Signal::SIGKILL as u32 - 1) & 1 != 0)
}

#[test]
fn when_it_does_not_answer_any_more_it_is_replaced() {
    let show = run();
    let (old, a, b) = (show.reaper(), show.worker("a"), show.worker("b"));
    let left = sleepers(&show);
    let Some(freezer) = Freezer::freeze(old) else {
        show.stop();
        mm_tests::skip!("this user cannot make a control group");
    };
    a.signal(Signal::SIGKILL);
    wait_until("the end of a reaper that does not answer", || is_killed(old));
    drop(freezer);
    show.wait_for(Event::named("reaper_lost").field("reason", "it has not answered for 10s"));
    for name in ["a", "b"] {
        show.log().wait_for_nth(2, Event::named("worker_ready").instance(name));
    }
    assert_gone(&left);
    assert!(!old.is_alive() && !b.is_alive());
    show.send("/ask", &[F(0.5)]);
    show.expect("/answer", &[F(0.5)]);
    show.stop();
}

#[test]
fn when_it_is_killed_no_script_is_blamed_for_that() {
    let stage = TestShow::new();
    stage.write("h.py", "def go(value):\n    pass\n");
    let options = ["restart = never", "restart = on-failure", "max-restarts = 0/3600"];
    let instances: Vec<String> =
        (0..).zip(options).map(|(n, option)| format!("[python a{n}]\nmodule = h\n{option}\n")).collect();
    stage.osc_show(&format!("{}[map]\nnet./go > a0.h.go", instances.concat()));
    let show = stage.run();
    show.reaper().signal(Signal::SIGKILL);
    for number in 0..options.len() {
        show.log().wait_for_nth(2, Event::named("worker_ready").instance(&format!("a{number}")));
    }
    show.stop();
}

#[test]
fn killed_with_the_supervisor_while_that_starts_it_writes_nothing_into_the_log() {
    let stage = TestShow::new();
    stage.write("h.py", "import time\ntime.sleep(3600)\n");
    stage.osc_show("[python a]\nmodule = h\n[map]\nnet./go > a.h.go");
    let mut show = stage.start_show();
    let reaper = show.reaper();
    // It is about to report the worker that it starts.
    reaper.signal(Signal::SIGSTOP);
    let left = show.kill();
    reaper.signal(Signal::SIGCONT);
    assert_gone(&left);
    for line in show.log().as_written() {
        assert!(line.starts_with('{'), "{line}");
    }
}

#[test]
fn when_it_does_not_answer_any_more_the_show_still_ends() {
    let show = run();
    let reaper = show.reaper();
    reaper.signal(Signal::SIGSTOP);
    show.stop();
    assert!(!reaper.is_alive());
}

#[test]
fn it_has_no_descriptor_but_its_socket_and_those_of_its_workers() {
    let show = run();
    let reaper = show.reaper();
    let standard = reaper.descriptors().into_iter().find(|(number, _)| *number == 0);
    let standard = standard.map(|(_, target)| target.to_string_lossy().into_owned());
    assert!(standard.as_ref().is_some_and(|target| target.starts_with("socket:")), "{standard:?}");
    // While it starts a spare worker it holds that one's descriptors, until the order is done.
    wait_until("nothing else is open in the reaper", || {
        let own = reaper.descriptors().into_iter().filter(|(number, _)| *number > 2);
        own.map(|(_, target)| target.to_string_lossy().into_owned()).all(|target| {
            ["anon_inode:[pidfd]", "pidfd:", "anon_inode:[eventpoll]"]
                .iter()
                .any(|start| target.starts_with(start))
        })
    });
    show.stop();
}

#[test]
fn what_asks_the_whole_terminal_to_end_does_not_end_it() {
    let show = run();
    let (reaper, worker) = (show.reaper(), show.worker("a"));
    let (_, group, session) = reaper.family().unwrap();
    assert_eq!((group, session), (reaper.pid, reaper.pid));
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        reaper.signal(signal);
    }
    show.send("/die/a", &[F(0.5)]);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("a"));
    wait_for("the end of the first worker", || (!worker.is_alive()).then_some(()));
    assert!(reaper.is_alive());
    show.stop();
}

#[test]
fn by_hand_it_does_nothing() {
    let ended = TestShow::new().finish(&["reaper"]);
    ended.assert(1, &["reaper: ", "hint: it is started by mm-supervisor"]);
}

/// A worker that could not be started for want of descriptors.
fn not_started() -> Event {
    Event::named("worker_not_started").instance("a").message("Too many open files")
}

/// Sets how many descriptors a process may have; the kernel's own tool, since the test is another
/// process.
fn limit_descriptors(process: Process, limit: usize) {
    let status = Command::new("prlimit")
        .args([format!("--pid={}", process.pid), format!("--nofile={limit}:1024")])
        .status();
    assert!(status.is_ok_and(|status| status.success()));
}

#[test]
fn without_descriptors_it_starts_nobody_and_goes_on_when_there_are_some_again() {
    let stage = TestShow::new();
    stage.write("h.py", "import os\ndef die(value):\n    os._exit(3)\n");
    stage.osc_show("[python a]\nmodule = h\nbackoff-max = 50ms\n[map]\nnet./die > a.h.die");
    let show = stage.run();
    let reaper = show.reaper();
    // four are its own; there is no room for those of a worker, or for those and hardly more
    for limit in [6, 11] {
        limit_descriptors(reaper, limit);
        let failures = show.log().count(not_started());
        // A spare that was on its way already needs nothing, so each worker is killed until none
        // comes.
        wait_until("a worker that cannot be started", || {
            for (pid, _) in reaper.children() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            show.log().count(not_started()) > failures
        });
        let ready = show.log().count(Event::named("worker_ready").instance("a"));
        limit_descriptors(reaper, 1024);
        show.log().wait_for_nth(ready + 1, Event::named("worker_ready").instance("a"));
    }
    assert!(reaper.is_alive());
    show.stop();
}

#[test]
fn no_worker_outlives_both_it_and_the_supervisor() {
    let stage = TestShow::new();
    stage.write("h.py", "def go(value):\n    pass\n");
    stage.osc_show("[python a]\nmodule = h\n[map]\nnet./go > a.h.go");
    let mut show = stage.run();
    let (reaper, worker) = (show.reaper(), show.worker("a"));
    reaper.signal(Signal::SIGSTOP);
    // the worker sees its control channel end, and need not wait for the reaper's death
    let left = show.kill();
    reaper.signal(Signal::SIGKILL);
    assert_gone(&[worker]);
    assert_gone(&left);
}
