//! The verb `check`, and the errors of show files as users see them.

use crate::python;
use mm_tests::{Ended, TestShow};
use std::net::UdpSocket;

/// Checks these files, the first of which is `show.cfg`, and returns what `check` wrote, the same
/// on every machine.
fn said(files: &[(&str, &str)]) -> String {
    let stage = TestShow::new();
    for (name, text) in files {
        stage.write(name, text);
    }
    let ended = stage.finish_here(&["check", "show.cfg"]);
    ended.assert(2, &[]);
    portable(&ended)
}

fn portable(ended: &Ended) -> String {
    let directory = std::fs::canonicalize(ended.stage.directory()).expect("the stage is there");
    ended.text.replace(&*directory.to_string_lossy(), "<show>").replace(&ended.stage.path(""), "<show>/")
}

#[test]
fn a_show_without_faults_passes() {
    let stage = python("def go(value):\n    pass\n", "net./go > py.h.go");
    stage.check().assert(0, &["valid"]);
}

#[test]
fn no_port_is_opened() {
    let stage = python("def go(value):\n    pass\n", "net./go > py.h.go");
    let _taken = UdpSocket::bind(stage.bind()).unwrap();
    stage.check().assert(0, &[]);
}

#[test]
fn ports_of_all_hosts_pass() {
    let stage = TestShow::new();
    stage.show("[osc a]\nbind = * 8000\ndest = learn@9000\n[osc b]\nbind = :: 8001\ndest = ::1 9000");
    stage.check().assert(0, &[]);
}

#[test]
fn a_module_that_cannot_be_imported_is_an_error_with_its_traceback() {
    let stage = python("import nothing_of_that_name\n", "net./go > py.h.go");
    let said = ["`py`", "ModuleNotFoundError", "nothing_of_that_name", "h.py"];
    stage.check().assert(2, &said);
}

#[test]
fn a_module_with_a_syntax_error_is_named_with_file_and_line() {
    let stage = python("x = 1\nif x\n    pass\n", "net./go > py.h.go");
    stage.check().assert(2, &["`py`", "SyntaxError", "h.py", "line 2"]);
}

#[test]
fn what_the_running_show_has_in_use_is_a_warning() {
    let bind = "import socket\nport = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n";
    let stage = TestShow::new();
    let port = UdpSocket::bind(stage.calm()).unwrap();
    let address = stage.calm();
    stage
        .write("port.py", format!("{bind}port.bind(({:?}, {}))\n", address.ip().to_string(), address.port()));
    stage.write("device.py", "import errno, os\nraise OSError(errno.EBUSY, os.strerror(errno.EBUSY))\n");
    stage.write("lock.py", "import errno, os\nraise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))\n");
    // A library that passes on neither the number nor the type.
    stage
        .write("library.py", "try:\n    import lock\nexcept OSError:\n    raise RuntimeError('no camera')\n");
    stage.show(
        "[python a]\nmodule = port\n[python b]\nmodule = device\n[python c]\nmodule = lock\n\
         [python d]\nmodule = library",
    );
    let warnings = ["a", "b", "c", "d"].map(|name| format!("warning: instance `{name}`: module"));
    let ended = stage.check();
    ended.assert(0, &warnings.each_ref().map(String::as_str));
    ended.assert(0, &["in use by the running show", "valid"]);
    drop(port);
}

#[test]
fn another_error_that_follows_one_of_that_kind_is_an_error() {
    let stage = python(
        "try:\n    raise OSError(98, 'Address already in use')\nexcept OSError:\n    prnt('typo')\n",
        "",
    );
    stage.check().assert(2, &["NameError", "cannot start"]);
}

#[test]
fn paths_that_a_show_could_not_use_are_warnings() {
    let stage = TestShow::new();
    stage.write("file", "");
    stage.show(
        "[supervisor]\nstate-file = missing/state\nstate-dir = file/x\nsocket = file\n[osc net]\nbind = $IN",
    );
    let ended = stage.check();
    ended.assert(0, &["of `state-file` cannot", "of `state-dir` cannot", "of `socket` cannot", "valid"]);
    let stage = TestShow::new();
    stage.show(
        "[supervisor]\nstate-file = state\nstate-dir = new/dir\nsocket = new/s.sock\n[osc net]\nbind = $IN",
    );
    let ended = stage.check();
    ended.assert(0, &["valid"]);
    assert!(!ended.text.contains("warning"), "{}", ended.text);
}

#[test]
fn the_errors_of_all_instances_are_said_in_one_run() {
    let stage = TestShow::new();
    stage.write("one.py", "raise ValueError('first')\n");
    stage.write("two.py", "raise KeyError('second')\n");
    stage.show("[python a]\nmodule = one\n[python b]\nmodule = two\n[python c]\nmodule = missing");
    stage.check().assert(2, &["first", "second", "missing", "3 instances"]);
}

#[test]
fn all_errors_of_a_file_are_said_in_one_run() {
    let text = "
[backend osk]
[osc net]
bimd = 127.0.0.1 8000
[python py]
module = h
restart = sometimes
[map]
nett./in > py.h.go
net./in > py.x{1..
net./a{1..3} > py.b{1..4}
";
    insta::assert_snapshot!(said(&[("show.cfg", text.trim_start())]));
}

#[test]
fn an_error_in_an_included_file_names_that_file() {
    let show = "[osc net]\nbind = 127.0.0.1 8000\n[map]\n[include maps/one.map]\n";
    insta::assert_snapshot!(said(&[("show.cfg", show), ("maps/one.map", "net./a > net./b\nnet./c >\n")]));
}

#[test]
fn a_circle_of_includes_is_named_as_a_chain() {
    let files = [
        ("show.cfg", "[include a.cfg]\n"),
        ("a.cfg", "; first\n[include b.cfg]\n"),
        ("b.cfg", "[include show.cfg]\n"),
    ];
    insta::assert_snapshot!(said(&files));
}

#[test]
fn values_that_an_option_does_not_take_are_underlined() {
    let text = "[python py]\nwatchdog = 5 parsecs\nmemory-limit = lots\nqueue = -1\n[supervisor]\nlow-latency = perhaps\n";
    insta::assert_snapshot!(said(&[("show.cfg", text)]));
}

#[test]
fn osc_options_are_checked_where_they_stand() {
    let text = "[osc net]\nbind = 127.0.0.1\ndest = 127.0.0.1 99999\n/a = x 0 1\n/b = ff 0 1\n/c[ = f 0 1\n[map]\nnet.no-slash > net./a:7\n";
    insta::assert_snapshot!(said(&[("show.cfg", text)]));
}
