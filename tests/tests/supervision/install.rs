//! `make install`: what it puts somewhere else runs there, and `make uninstall` removes all of it.

use crate::{assert_answers, stage};
use mm_tests::binaries::{files, workspace};
use mm_tests::{TestShow, supervisor, worker};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs `make install` or `make uninstall`.
fn make(stage: &TestShow, target: &str, prefix: &str, directory: &str) -> Output {
    let built = stage.directory().join("target");
    let output = Command::new("make")
        .args(["-s", target, &format!("PREFIX={prefix}"), &format!("DESTDIR={directory}")])
        .arg(format!("CARGO_TARGET_DIR={}", built.display()))
        .current_dir(workspace())
        .output()
        .expect("the tests need `make`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Installs the programs under test, as if they had been built for release. Returns what `make`
/// prints.
fn install(stage: &TestShow, prefix: &str, directory: &str) -> String {
    let release = stage.directory().join("target/release");
    fs::create_dir_all(&release).expect("the stage is ours");
    for program in [supervisor(), worker()] {
        fs::copy(&program, release.join(program.file_name().expect("a program"))).expect("the stage is ours");
    }
    String::from_utf8_lossy(&make(stage, "install", prefix, directory).stdout).into_owned()
}

fn unit(prefix: &Path) -> PathBuf {
    prefix.join("lib/systemd/system/mm-supervisor@.service")
}

#[test]
fn an_installed_show_runs_with_the_worker_that_was_installed_beside_it() {
    let stage = stage("");
    let root = stage.directory().join("root");
    install(&stage, "/usr", &stage.path("root"));
    let program = root.join("usr/bin/mm-supervisor");
    let show = stage.with_program(program).run();
    assert_answers(&show, 0.5);
    let running = fs::read_link(format!("/proc/{}/exe", show.worker("py").pid)).expect("a worker of our own");
    assert_eq!(running, root.join("usr/libexec/mm-supervisor/mm-worker"));
    let module = fs::read_to_string(root.join("usr/libexec/mm-supervisor/python/midimonster.py"));
    assert!(module.is_ok(), "the module for the children of scripts");
    let unit = fs::read_to_string(unit(&root.join("usr"))).expect("a unit");
    let start = "ExecStart=\"/usr/bin/mm-supervisor\" --last-good --config \"/etc/mm-supervisor/%i.cfg\"";
    assert!(unit.lines().any(|line| line == start), "{unit}");
    assert!(root.join("etc/mm-supervisor").is_dir(), "the folder for shows");
    show.stop();
}

#[test]
fn what_is_removed_is_all_that_was_installed() {
    let stage = stage("");
    for prefix in ["/usr", "/usr/local", "/opt/with blank"] {
        let root = stage.directory().join("a root");
        install(&stage, prefix, &stage.path("a root"));
        let installed = files(&root, "");
        let paths: Vec<_> = installed.iter().map(|path| path.to_string_lossy()).collect();
        for part in ["bin/mm-supervisor", "README.md", "examples/map/lamps.map", "rules.d", "sysusers.d"] {
            assert!(paths.iter().any(|path| path.contains(part)), "{part}: {paths:?}");
        }
        make(&stage, "uninstall", prefix, &stage.path("a root"));
        assert_eq!(files(&root, ""), Vec::<PathBuf>::new());
        assert!(!root.join("etc/mm-supervisor").exists(), "the folder for shows was empty");
    }
}

#[test]
fn shows_stay_when_the_program_is_removed() {
    let stage = stage("");
    install(&stage, "/usr", &stage.path("root"));
    let show = stage.write("root/etc/mm-supervisor/fade.cfg", "");
    make(&stage, "uninstall", "/usr", &stage.path("root"));
    assert!(show.exists());
}

#[test]
fn a_prefix_where_systemd_does_not_look_says_what_to_do() {
    let stage = stage("");
    let prefix = stage.path("own 100%");
    let said = install(&stage, &prefix, "");
    let unit = unit(Path::new(&prefix));
    assert!(said.contains(&format!("systemctl link '{}'", unit.display())), "{said}");
    assert!(
        said.contains(&format!("systemd-sysusers '{prefix}/lib/sysusers.d/mm-supervisor.conf'")),
        "{said}"
    );
    assert!(said.contains(&format!("'{prefix}/etc/mm-supervisor'")), "{said}");
    assert!(Path::new(&prefix).join("etc/mm-supervisor").is_dir());
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output();
    let Ok(verified) = verified else { mm_tests::skip!("in part: there is no `systemd-analyze`") };
    let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
    let ours: Vec<&str> = complaints.lines().filter(|line| line.contains("mm-supervisor")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{complaints}");
}
