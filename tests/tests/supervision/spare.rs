//! The spare worker, and virtual environments, which cannot use it.

use crate::{assert_answers, stage};
use mm_tests::processes::{Process, tagged};
use mm_tests::{Event, Running, TestShow, wait_for};
use nix::sys::signal::Signal;
use std::process::Command;

/// The worker that belongs to no instance, once there is one.
fn spare(show: &Running, instances: &[&str]) -> Process {
    let mut control = show.control();
    wait_for("a spare worker", || {
        let taken: Vec<_> = instances.iter().map(|name| control.standing(name)["pid"].as_i64()).collect();
        let all = tagged(show.stage().tag()).into_iter().filter(|process| process.name() == "mm-worker");
        let mut spares = all.filter(|process| !taken.contains(&Some(i64::from(process.pid))));
        spares.next()
    })
}

#[test]
fn a_crash_is_followed_by_the_worker_that_waits() {
    let show = stage("").run();
    let waiting = spare(&show, &["py"]);
    assert_answers(&show, 0.25);
    // It has a running interpreter when it sleeps.
    wait_for("an interpreter that waits", || waiting.status("State")?.starts_with('S').then_some(()));
    let mut control = show.control();
    for round in 1..=5_u8 {
        let waiting = spare(&show, &["py"]);
        let worker = control.standing("py")["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        worker.and_then(Process::of).into_iter().for_each(|worker| worker.signal(Signal::SIGKILL));
        let now = control.wait_for("the next worker", "py", |status| {
            status["state"] == "running" && status["restarts"] == round
        });
        if now["pid"] == waiting.pid {
            assert_answers(&show, 0.5);
            show.stop();
            return;
        }
        // It was not ready yet.
    }
    panic!("the spare was never used");
}

#[test]
fn a_spare_that_dies_is_replaced() {
    let show = stage("").run();
    let first = spare(&show, &["py"]);
    first.signal(Signal::SIGKILL);
    let second =
        wait_for("another spare worker", || Some(spare(&show, &["py"])).filter(|spare| *spare != first));
    assert!(second.is_alive());
    assert_answers(&show, 0.5);
    show.stop();
}

#[test]
fn a_spare_that_was_stopped_does_not_delay_a_restart() {
    let show = stage("start-timeout = 1h\n").run();
    let waiting = spare(&show, &["py"]);
    // It has a running interpreter when it sleeps.
    wait_for("an interpreter that waits", || waiting.status("State")?.starts_with('S').then_some(()));
    waiting.signal(Signal::SIGSTOP);
    wait_for("a stopped spare", || waiting.status("State")?.starts_with('T').then_some(()));
    show.worker("py").signal(Signal::SIGKILL);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, 0.5);
    show.stop();
}

/// A virtual environment with a package of its own, as `python3 -m venv` lays it out.
fn venv(stage: &TestShow, name: &str, version: &str) {
    let home = Command::new("python3").args(["-c", "import sys; print(sys.base_prefix)"]).output();
    let home = String::from_utf8(home.expect("the tests need `python3`").stdout).expect("a path");
    stage.write(
        &format!("{name}/pyvenv.cfg"),
        format!("home = {}/bin\ninclude-system-site-packages = false\n", home.trim()),
    );
    let worker = Command::new(mm_tests::worker()).arg("--version").output().expect("the worker runs");
    let said = String::from_utf8(worker.stdout).expect("text");
    let python = said.split_once("Python ").expect("its Python").1.trim_end_matches([')', '\n']);
    let minor: Vec<&str> = python.split('.').take(2).collect();
    let packages = format!("{name}/lib/python{}/site-packages", minor.join("."));
    stage.write(&format!("{packages}/lamps/__init__.py"), format!("version = '{version}'\n"));
}

#[test]
fn each_instance_has_the_packages_of_its_own_virtual_environment() {
    let stage = TestShow::new();
    venv(&stage, "old", "1.0");
    venv(&stage, "new", "2.0");
    let script = "
        try:
            import lamps
            print('lamps', lamps.version)
        except ImportError:
            print('lamps none')
    ";
    stage.python("h.py", script);
    stage.osc_show(
        "[python one]\nmodule = h\nvenv = old\n[python two]\nmodule = h\nvenv = new\n[python three]\nmodule = h\n[map]\n\
         net./a > one.a\nnet./a > two.a\nnet./a > three.a\n",
    );
    let show = stage.run();
    show.wait_for(Event::printed("one", "lamps 1.0"));
    show.wait_for(Event::printed("two", "lamps 2.0"));
    show.wait_for(Event::printed("three", "lamps none"));
    // The spare belongs to no environment, and is left alone by those that have one.
    let waiting = spare(&show, &["one", "two", "three"]);
    show.ask(&["restart", "one", "two"]).assert(0, &["one: running", "two: running"]);
    show.log().wait_for_nth(2, Event::printed("one", "lamps 1.0"));
    show.log().wait_for_nth(2, Event::printed("two", "lamps 2.0"));
    assert_eq!(spare(&show, &["one", "two", "three"]), waiting);
    show.stop();
}

#[test]
fn a_virtual_environment_that_is_missing_keeps_only_its_instance_down() {
    let stage = TestShow::new();
    stage.python("h.py", crate::SCRIPT);
    stage.python("w.py", "import lamps\n");
    stage.osc_show(&format!(
        "[python py]\nmodule = h\n[python lost]\nmodule = w\nvenv = nowhere\nbackoff = 10ms\n[map]\n{}net./a > lost.a\n",
        crate::MAPPINGS
    ));
    let show = stage.start_show();
    show.wait_for(Event::named("import_failed").level("error").instance("lost").message("nowhere"));
    assert_answers(&show, 0.5);
    show.stop();
}
