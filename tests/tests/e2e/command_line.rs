//! What the command line takes, and how options on it change a show.

use crate::python;
use mm_tests::TestShow;
use mm_tests::osc::F;

const HELLO: &str = "print('hello')\ndef go(value):\n    print('go', value)\n";

#[test]
fn a_show_is_named_with_and_without_its_flag() {
    for flag in [vec!["--config"], vec!["-c"], vec![]] {
        let stage = python(HELLO, "net./go > py.h.go");
        let path = stage.path("show.cfg");
        let arguments: Vec<&str> = flag.into_iter().chain([path.as_str()]).collect();
        let show = stage.start(&arguments);
        show.wait_for(&["show is running"]);
        show.wait_for(&["[py] hello"]);
        show.stop();
    }
}

#[test]
fn an_override_sets_what_the_show_file_leaves_open() {
    let stage = TestShow::new();
    stage.python("h.py", HELLO);
    stage.osc_show("[python py]\n[map]\nnet./go > py.h.go");
    let path = stage.path("show.cfg");
    let show = stage.start(&["-i", "py.module=h", "-i", "net./extra=i 0 10", "--config", &path]);
    show.wait_for(&["show is running"]);
    show.send("/go", &[F(0.5)]);
    show.wait_for(&["[py] go 0.5"]);
    show.stop();
}

#[test]
fn what_the_show_file_says_wins_over_an_override_and_what_accumulates_adds_up() {
    let stage = TestShow::new();
    stage.python("h.py", HELLO);
    stage.write("more.py", "print('more')\n");
    let other = "bind = 127.0.0.1 1";
    stage.osc_show("[python py]\nmodule = h\n[map]\nnet./go > py.h.go");
    let path = stage.path("show.cfg");
    let show =
        stage.start(&["-i", "py.module=more", "-i", &format!("net.{}", other.replace(" = ", "=")), &path]);
    show.wait_for(&["show is running"]);
    show.wait_for(&["[py] more"]);
    show.wait_for(&["[py] hello"]);
    show.send("/go", &[F(0.5)]);
    show.wait_for(&["[py] go 0.5"]);
    show.stop();
}

#[test]
fn an_override_that_never_applies_is_an_error() {
    for (flag, text) in [("-i", "nobody.module=h"), ("-b", "artichoke.detect=on"), ("-i", "no equals sign")] {
        let stage = python(HELLO, "net./go > py.h.go");
        let path = stage.path("show.cfg");
        let name = text.split(['.', ' ']).next().unwrap();
        stage.finish(&[flag, text, "--config", &path]).assert(2, &["error", name]);
    }
}

#[test]
fn help_and_version_tell_what_there_is() {
    let help = TestShow::new().finish(&["--help"]);
    help.assert(0, &["check", "--config", "--log-format", "--log-level"]);
    TestShow::new().finish(&["--version"]).assert(0, &["mm-supervisor 0.1.0"]);
}

#[test]
fn a_wrong_option_and_a_missing_show_are_usage_errors() {
    TestShow::new().finish(&["--loud", "show.cfg"]).assert(2, &["--loud"]);
    TestShow::new().finish(&[]).assert(2, &["--config"]);
    TestShow::new().finish(&["--log-level", "loud", "show.cfg"]).assert(2, &["loud"]);
}
