//! Bad input: each time a clear error that names the thing, the right exit status, and nothing left
//! running.

mod environment;

use mm_tests::{Ended, TestShow};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Runs `show.cfg` of the stage as it is, and checks it: both say the same, with status 2.
fn assert_refused(prepare: impl Fn(&TestShow), said: &[&str]) -> Ended {
    let refused = |verb: &[&str]| {
        let stage = TestShow::new();
        prepare(&stage);
        let path = stage.path("show.cfg");
        let ended = stage.finish(&[verb, &[path.as_str()]].concat());
        ended.assert(2, said);
        ended
    };
    refused(&["check"]);
    refused(&["--config"])
}

#[test]
fn a_show_file_that_is_missing() {
    assert_refused(|_| {}, &["show.cfg", "error"]);
}

#[test]
fn a_show_file_that_is_a_directory() {
    assert_refused(|stage| fs::create_dir(stage.path("show.cfg")).unwrap(), &["show.cfg", "directory"]);
}

#[test]
fn a_show_file_that_is_binary() {
    let bytes: Vec<u8> =
        (0..20_000_u32).map(|number| (number * 7919 % 251).to_le_bytes()[0] | 0x80).collect();
    let ended = assert_refused(|stage| drop(stage.write("show.cfg", &bytes)), &["show.cfg", "error"]);
    assert!(ended.text.len() < 100_000, "{} bytes of errors", ended.text.len());
}

#[test]
fn a_show_file_that_is_a_program() {
    let program = fs::read(mm_tests::supervisor()).unwrap();
    let ended = assert_refused(|stage| drop(stage.write("show.cfg", &program)), &["show.cfg", "error"]);
    assert!(ended.text.len() < 100_000, "{} bytes of errors", ended.text.len());
}

#[test]
fn a_line_of_ten_megabytes() {
    let text = format!("[osc net]\nbind = 127.0.0.1 8000\n{} = 1\n", "x".repeat(10_000_000));
    let ended = assert_refused(|stage| drop(stage.write("show.cfg", &text)), &["show.cfg:3"]);
    assert!(ended.text.len() < 10_000, "{} bytes of errors", ended.text.len());
}

#[test]
fn a_hundred_thousand_errors() {
    let text = "[osc net]\n".to_owned() + &"bind = nowhere near enough\n".repeat(100_000);
    let ended = assert_refused(|stage| drop(stage.write("show.cfg", &text)), &["show.cfg:2", "error"]);
    assert!(ended.text.len() < 1_000_000, "{} bytes of errors", ended.text.len());
}

#[test]
fn a_range_of_a_billion_channels() {
    let text = "[loopback a]\n[map]\na.x{1..1000000000} > a.y{1..1000000000}\n";
    assert_refused(|stage| drop(stage.write("show.cfg", text)), &["show.cfg:3", "error"]);
}

#[test]
fn an_include_that_is_missing() {
    assert_refused(
        |stage| drop(stage.write("show.cfg", "[map]\n[include maps/one.map]\n")),
        &["show.cfg:2", "maps/one.map"],
    );
}

#[test]
fn an_include_that_includes_itself() {
    assert_refused(
        |stage| {
            stage.write("show.cfg", "[include one.cfg]\n");
            stage.write("one.cfg", "[include one.cfg]\n");
        },
        &["one.cfg:1", "includes itself"],
    );
}

#[test]
fn an_include_that_never_ends() {
    assert_refused(
        |stage| drop(stage.write("show.cfg", "[include /dev/zero]\n")),
        &["show.cfg:1", "/dev/zero"],
    );
}

#[test]
fn a_module_that_cannot_be_read() {
    let stage = TestShow::new();
    let path = stage.write("h.py", "print('read after all')\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let is_read_all_the_same = fs::read(&path).is_ok();
    stage.osc_show("[python py]\nmodule = h.py\n[map]\nnet./a > py.a");
    let ended = stage.check();
    if is_read_all_the_same {
        mm_tests::skip!("root reads every file, whatever its permissions are");
    }
    ended.assert(2, &["`py`", "h.py", "ermission denied"]);
}

#[test]
fn a_module_that_is_no_text() {
    let stage = TestShow::new();
    stage.write("h.py", [0, 159, 146, 150]);
    stage.osc_show("[python py]\nmodule = h.py\n[map]\nnet./a > py.a");
    stage.check().assert(2, &["`py`", "h.py"]);
}

#[test]
fn a_module_that_is_a_directory() {
    let stage = TestShow::new();
    fs::create_dir(stage.path("h.py")).unwrap();
    stage.osc_show("[python py]\nmodule = h.py\n[map]\nnet./a > py.a");
    stage.check().assert(2, &["`py`", "h.py"]);
}
