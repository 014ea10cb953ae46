//! The verbs of daily use: ending a show, putting values out, looking at channels and instances.

use super::{Said, ask, command, run, start};
use mm_tests::log_event::Event;
use mm_tests::osc::Argument::F;
use mm_tests::test_show::TestShow;
use mm_tests::wait::wait_until;
use nix::pty::openpty;
use serde_json::Value;
use std::process::Stdio;

const PYTHON: &str = "[python py]\nmodule = h\n[map]\nnet./in > py.h.f\npy.x > net./out";

fn python_show() -> mm_tests::running::Running {
    let stage = TestShow::new();
    stage.python("h.py", "import midimonster\n\ndef f(value):\n    midimonster.output('x', value)\n");
    stage.osc_show(PYTHON);
    start(stage)
}

fn json(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).expect("JSON")
}

#[test]
fn quit_ends_the_show_and_waits_for_it() {
    let show = python_show();
    let said = ask(show.stage(), &["quit"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "the show has ended\n"), "{}", said.err);
    let ended = show.wait_for_end();
    assert_eq!(ended.code(), 0);
}

#[test]
fn a_value_can_be_put_out_on_a_channel() {
    let show = python_show();
    // a lamp: no script and no mapping is needed
    assert_eq!(ask(show.stage(), &["send", "--out", "net./out", "0.75"]).code, Some(0));
    show.expect("/out", &[F(0.75)]);
    // what a script puts out goes where the mappings lead
    let said = ask(show.stage(), &["send", "--out", "py.x", "0.25", "--json"]);
    assert_eq!(json(&said)["sent"]["destinations"], 1);
    show.expect("/out", &[F(0.25)]);
    let said = ask(show.stage(), &["send", "net./out", "0.5"]);
    assert_eq!(said.code, Some(0));
    assert!(
        said.err.contains("no mapping leads from `net./out`") && said.err.contains("--out"),
        "{}",
        said.err
    );
    show.stop();
}

#[test]
fn last_values_are_shown_in_both_directions() {
    let show = python_show();
    show.send("/in", &[F(0.25)]);
    show.expect("/out", &[F(0.25)]);
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    let values = json(&ask(show.stage(), &["get", "net./in", "py.h.f", "py.x", "net./out", "--json"]));
    for (index, (coming_in, going_out)) in
        [(true, false), (true, false), (false, true), (false, true)].into_iter().enumerate()
    {
        for (direction, is_expected) in [("in", coming_in), ("out", going_out)] {
            let last = &values[index][direction];
            if is_expected {
                assert_eq!((&last["value"], &last["count"]), (&0.5.into(), &2.into()), "{values}");
            } else {
                assert!(last.is_null(), "{values}");
            }
        }
    }
    let status = json(&ask(show.stage(), &["status", "--json"]));
    for instance in status["instances"].as_array().unwrap() {
        assert_eq!((&instance["events_in"], &instance["events_out"]), (&2.into(), &2.into()), "{instance}");
    }
    let said = ask(show.stage(), &["get", "net./inn"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("did you mean `/in`?"), "{}", said.err);
    show.stop();
}

#[test]
fn one_instance_is_shown_with_its_mappings_and_the_end_of_its_log() {
    let stage = TestShow::new();
    stage.python("h.py", "def f(value):\n    raise ValueError('on purpose')\n");
    stage.osc_show("[python py]\nmodule = h\n[map]\nnet./in > py.h.f");
    let show = start(stage);
    show.send("/in", &[F(0.5)]);
    show.wait_for(Event::named("script_raised").instance("py"));
    let detail = json(&ask(show.stage(), &["status", "py", "--json"]));
    assert_eq!(detail["instance"]["name"], "py");
    assert_eq!(detail["channels"][0]["channel"], "py.h.f");
    assert_eq!(detail["channels"][0]["from"][0], "net./in");
    assert!(detail["log"].as_array().unwrap().iter().any(|line| line["level"] == "error"), "{detail}");
    let said = ask(show.stage(), &["status", "py"]);
    assert!(said.out.contains("last error: ") && said.out.contains("< net./in"), "{}", said.out);
    assert_eq!(ask(show.stage(), &["status", "pi"]).code, Some(1));
    show.stop();
}

#[test]
fn all_python_instances_can_be_commanded_at_once() {
    let show = python_show();
    let said = ask(show.stage(), &["stop", "--all"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "py: stopped\n"), "{}", said.err);
    assert_eq!(ask(show.stage(), &["start", "--all"]).code, Some(0));
    show.stop();
    let show = run("[map]\nnet./in > net./out");
    let said = ask(show.stage(), &["restart", "--all"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("no instance of `python`"), "{}", said.err);
    show.stop();
}

#[test]
fn two_shows_whose_files_have_one_name_run_side_by_side() {
    let show = run("[map]\nnet./in > net./out");
    let runtime = show.stage().path("");
    let other = TestShow::new();
    other.osc_show("[map]\nnet./in > net./out");
    let mut command = other.show_command();
    command.env("XDG_RUNTIME_DIR", &runtime);
    let other = other.start_command(command);
    other.wait_for(Event::named("show_running"));
    let said = ask(show.stage(), &["restart", "py"]);
    assert!(said.err.starts_with("error: 2 shows are running: "), "{}", said.err);
    for show_file in [show.stage().path("show.cfg"), other.stage().path("show.cfg")] {
        let status = json(&ask(show.stage(), &["status", "--json", "--show", &show_file]));
        assert_eq!(status["file"], show_file);
    }
    // a person gets both
    let said = ask(show.stage(), &["status"]);
    assert_eq!(said.out.matches("show show, pid ").count(), 2, "{}", said.out);
    other.stop();
    show.stop();
}

#[test]
fn a_show_whose_terminal_is_closed_ends() {
    for (arguments, ends) in [([].as_slice(), true), (&["--keep-running"], false)] {
        let stage = TestShow::new();
        stage.osc_show("[map]\nnet./in > net./out");
        let terminal = openpty(None, None).unwrap();
        let mut command = stage.command(&["--config", &stage.path("show.cfg")]);
        let mut child = command.args(arguments).stdin(Stdio::null()).stderr(terminal.slave).spawn().unwrap();
        wait_until("the show runs", || ask_there(&stage, &["status"]).code == Some(0));
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
        if !ends {
            // the show still answers, and ends when it is asked to
            assert_eq!(ask_there(&stage, &["quit"]).code, Some(0));
        }
        assert!(child.wait().unwrap().success());
    }
}

/// A verb in the runtime directory that a stage's program has by default.
fn ask_there(stage: &TestShow, arguments: &[&str]) -> Said {
    let output = stage.command(arguments).stdin(Stdio::null()).output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn channels_that_are_known_are_shown_beside_one_that_is_not() {
    let show = python_show();
    show.send("/in", &[F(0.25)]);
    show.expect("/out", &[F(0.25)]);
    let said = ask(show.stage(), &["get", "net./in", "net./inn", "py.x"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("`/inn`") && said.err.contains("did you mean `/in`?"), "{}", said.err);
    assert!(said.out.contains("net./in") && said.out.contains("py.x"), "{}", said.out);
    show.stop();
}

#[test]
fn status_fits_into_80_columns() {
    let show = python_show();
    for _ in 0..2 {
        assert_eq!(ask(show.stage(), &["restart", "py"]).code, Some(0));
    }
    let mut command = command(show.stage(), &["status"]);
    let output = command.env("COLUMNS", "80").output().expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for part in ["INSTANCE", "ERRORS", "QUEUE", "py: last exit: stopped, "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let wide = ask(show.stage(), &["status"]).out;
    assert!(wide.contains("LAST EXIT") && wide.contains("2 asked"), "{wide}");
    show.stop();
}

#[test]
fn instances_that_cannot_be_restarted_lead_to_those_that_can() {
    let show = python_show();
    for name in ["net", "xyzzy"] {
        let said = ask(show.stage(), &["restart", name]);
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains("there is only `py`"), "{}", said.err);
    }
    show.stop();
}
