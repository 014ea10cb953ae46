//! `make install`: what it puts somewhere else runs there.

use crate::{assert_answers, stage};
use mm_tests::binaries::workspace;
use mm_tests::{TestShow, supervisor, worker};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Installs the programs under test below `directory`, as if they had been built for release.
fn install(stage: &TestShow, directory: &Path) {
    let target = stage.directory().join("target");
    fs::create_dir_all(target.join("release")).expect("the stage is ours");
    for program in [supervisor(), worker()] {
        let to = target.join("release").join(program.file_name().expect("a program"));
        assert!(Command::new("cp").arg(&program).arg(to).status().is_ok_and(|status| status.success()));
    }
    let make = Command::new("make")
        .args(["-s", "install", "PREFIX=/usr"])
        .arg(format!("DESTDIR={}", directory.display()))
        .arg(format!("CARGO_TARGET_DIR={}", target.display()))
        .current_dir(workspace())
        .output()
        .expect("the tests need `make`");
    assert!(make.status.success(), "{}", String::from_utf8_lossy(&make.stderr));
}

#[test]
fn an_installed_show_runs_with_the_worker_that_was_installed_beside_it() {
    let stage = stage("");
    let root = stage.directory().join("root");
    install(&stage, &root);
    let program = root.join("usr/bin/mm-supervisor");
    let show = stage.with_program(program).run();
    assert_answers(&show, 0.5);
    let running = fs::read_link(format!("/proc/{}/exe", show.worker("py").pid)).expect("a worker of our own");
    assert_eq!(running, root.join("usr/libexec/mm-supervisor/mm-worker"));
    let module = fs::read_to_string(root.join("usr/libexec/mm-supervisor/python/midimonster.py"));
    assert!(module.is_ok(), "the module for the children of scripts");
    let unit =
        fs::read_to_string(root.join("usr/lib/systemd/system/mm-supervisor@.service")).expect("a unit");
    assert!(unit.contains(" --last-good --config /etc/mm-supervisor/%i.cfg"), "{unit}");
    assert!(
        unit.contains("ExecStart=/usr/bin/mm-supervisor") && !unit.contains('@')
            || !unit.contains("@BINDIR@")
    );
    show.stop();
}
