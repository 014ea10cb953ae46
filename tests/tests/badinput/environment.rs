//! What is wrong outside of the show file: status 1.

use mm_tests::{Event, TestShow, supervisor};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn a_port_that_is_in_use() {
    let stage = TestShow::new();
    stage.osc_show("");
    let _taken = UdpSocket::bind(stage.bind()).unwrap();
    let address = stage.fill("$IN");
    let show = stage.start_show();
    show.wait_for_end().assert(1, &["error", "`net`", &address, "in use"]);
}

/// A copy of the supervisor in a directory of its own, with a worker beside it that is this shell
/// script.
///
/// Other programs do the copying: a file that was open for writing in this process could be open in
/// a child of another test's as well, and be too busy to be run.
fn installation(stage: &TestShow, worker: Option<&str>) -> PathBuf {
    let folder = stage.directory().join("bin");
    std::fs::create_dir(&folder).expect("the stage is ours");
    let path = folder.join("mm-supervisor");
    assert!(Command::new("cp").arg(supervisor()).arg(&path).status().is_ok_and(|status| status.success()));
    if let Some(script) = worker {
        let command = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
        let worker = folder.join("mm-worker");
        let status = Command::new("sh").args(["-c", command, "sh"]).arg(worker).arg(script).status();
        assert!(status.is_ok_and(|status| status.success()));
    }
    path
}

/// Runs and checks a show of one Python instance with this worker.
fn assert_refused(worker: Option<&str>, said: &[&str]) {
    for verb in ["--config", "check"] {
        let stage = TestShow::new();
        let program = installation(&stage, worker);
        stage.write("h.py", "");
        stage.osc_show("[python py]\nmodule = h\n[map]\nnet./a > py.a");
        let path = stage.path("show.cfg");
        stage.with_program(program).finish(&[verb, &path]).assert(1, said);
    }
}

#[test]
fn a_worker_that_is_missing() {
    assert_refused(None, &["error", "mm-worker", "missing", "hint"]);
}

#[test]
fn a_worker_of_another_version() {
    let other = "echo 'mm-worker 9.9.9 (protocol 99, Python 3.99.0)'";
    assert_refused(Some(other), &["error", "mm-worker", "9.9.9 (protocol 99", "hint"]);
}

#[test]
fn a_worker_that_does_not_run() {
    assert_refused(
        Some("echo 'no libpython here' >&2; exit 127"),
        &["error", "mm-worker", "no libpython here"],
    );
}

#[test]
fn a_worker_that_is_something_else() {
    assert_refused(Some("echo 'hello'"), &["error", "mm-worker", "hello"]);
}

#[test]
fn a_show_without_python_needs_no_worker() {
    let stage = TestShow::new();
    let program = installation(&stage, None);
    stage.osc_show("[map]\nnet./in > net./out");
    stage.with_program(program).run().stop();
}

#[test]
fn a_working_directory_that_is_gone() {
    let stage = TestShow::new();
    stage.osc_show("[map]\nnet./in > net./out");
    let directory = stage.directory().join("gone");
    std::fs::create_dir(&directory).unwrap();
    let script = format!("cd '{0}' && rmdir '{0}' && exec \"$@\" --log-format json", directory.display());
    let path = stage.path("show.cfg");
    let program = supervisor();
    let arguments = ["-c", &script, "sh", &program.to_string_lossy(), &path];
    let show = stage.with_program(PathBuf::from("/bin/sh")).start(&arguments);
    show.wait_for(Event::named("show_running"));
    show.stop();
}
