//! What the command line takes, and how options on it change a show.

use crate::python;
use mm_tests::osc::F;
use mm_tests::{Event, TestShow};

const HELLO: &str = "print('hello')\ndef go(value):\n    print('go', value)\n";

#[test]
fn a_show_is_named_with_and_without_its_flag() {
    for flag in [vec!["--config"], vec!["-c"], vec![]] {
        let stage = python(HELLO, "net./go > py.h.go");
        let path = stage.path("show.cfg");
        let arguments: Vec<&str> = flag.into_iter().chain([path.as_str()]).collect();
        let show = stage.start_show_with(&arguments);
        show.wait_for(Event::named("show_running"));
        show.wait_for(Event::printed("py", "hello"));
        show.stop();
    }
}

#[test]
fn an_override_sets_what_the_show_file_leaves_open() {
    let stage = TestShow::new();
    stage.python("h.py", HELLO);
    stage.osc_show("[python py]\n[map]\nnet./go > py.h.go");
    let path = stage.path("show.cfg");
    let show = stage.start_show_with(&["-i", "py.module=h", "-i", "net./extra=i 0 10", "--config", &path]);
    show.wait_for(Event::named("show_running"));
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "go 0.5"));
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
    let show = stage.start_show_with(&[
        "-i",
        "py.module=more",
        "-i",
        &format!("net.{}", other.replace(" = ", "=")),
        &path,
    ]);
    show.wait_for(Event::named("show_running"));
    show.wait_for(Event::printed("py", "more"));
    show.wait_for(Event::printed("py", "hello"));
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "go 0.5"));
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

#[test]
fn a_mistyped_verb_gets_a_hint() {
    for words in [&["stauts"][..], &["retsart", "py"], &["--json", "stauts"]] {
        TestShow::new()
            .finish(words)
            .assert(2, &["is neither a verb nor a show file", "hint: did you mean `"]);
    }
    TestShow::new().finish(&["gallery"]).assert(2, &["cannot read `gallery`"]);
}

#[test]
fn an_empty_level_in_the_environment_is_none() {
    let stage = python(HELLO, "net./go > py.h.go");
    let mut command = stage.command(&["check", &stage.path("show.cfg")]);
    command.env("MM_LOG", "");
    stage.start_command(command).wait_for_end().assert(0, &["valid"]);
}

#[test]
fn options_may_stand_before_and_behind_the_verb() {
    let stage = TestShow::new();
    stage.python("h.py", "def go(value): pass\n");
    stage.osc_show("[python py]\nmodule = h\n[map]\nnet./go > py.h.go");
    let (file, socket) = (stage.path("show.cfg"), stage.path("own.sock"));
    let show = stage.start_show_with(&["--socket", &socket, "--config", &file]);
    show.wait_for(Event::named("show_running"));
    for (words, code, printed) in [
        ("status --socket SOCKET", 0, "INSTANCE"),
        ("--socket SOCKET status", 0, "INSTANCE"),
        ("--socket=SOCKET status", 0, "INSTANCE"),
        ("--socket SOCKET status --json", 0, "\"instances\":["),
        ("--json --socket SOCKET status", 0, "\"instances\":["),
        ("--json status --socket SOCKET", 0, "\"instances\":["),
        ("--socket SOCKET restart py", 0, "py: running"),
        ("restart --socket SOCKET py", 0, "py: running"),
        ("restart py --socket SOCKET", 0, "py: running"),
        ("--socket SOCKET reload py", 0, "py: running"),
        ("--socket SOCKET start py", 0, "py: "),
        ("--socket SOCKET send net./go 0.5", 0, ""),
        ("send --socket SOCKET net./go 0.5", 0, ""),
        ("send net./go 0.5 --json --socket SOCKET", 0, "{\"sent\":{\"destinations\":1}}"),
        ("--socket SOCKET monitor nothing.x", 1, "no instance `nothing`"),
        ("monitor nothing.x --socket SOCKET", 1, "no instance `nothing`"),
        ("--log-level debug check FILE", 0, ""),
        ("--log-level debug --config FILE check", 0, ""),
        ("-i py.stable=1s check --log-level=debug FILE", 0, ""),
        ("check -i py.stable=1s -c FILE", 0, ""),
        ("--help status", 0, "Show the status of all instances"),
        ("status --help", 0, "Show the status of all instances"),
        ("help status", 0, "Show the status of all instances"),
        // What a verb does not use is an error, wherever it stands.
        ("--log-level debug --socket SOCKET status", 2, "'--log-level'"),
        ("status --log-level debug", 2, "'--log-level'"),
        ("--socket SOCKET check FILE", 2, "'--socket'"),
        ("FILE status", 2, "'status'"),
        ("--socket SOCKET", 2, "no show file given"),
        // A word behind the verb or an option is not a verb.
        ("--socket SOCKET restart status", 1, "no instance `status`"),
        ("--config status", 2, "`status`"),
    ] {
        let words = words.replace("SOCKET", &socket).replace("FILE", &file);
        let words: Vec<&str> = words.split(' ').collect();
        let said = show.ask(&words);
        assert_eq!(said.code, Some(code), "{words:?}: {said:?}");
        assert!(said.out.contains(printed) || said.err.contains(printed), "{words:?}: {said:?}");
    }
    show.stop();
}
