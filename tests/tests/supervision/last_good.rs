//! `--last-good`: a show whose file is not usable at boot runs as it did before. Faults
//! `show-file-broken-at-boot`, `show-file-empty`.

use crate::show_reload::done;
use mm_tests::osc::F;
use mm_tests::{Event, Running, TestShow, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};

const SCRIPT: &str = "
    import midimonster
    def ask(value):
        midimonster.output('answer', value)
";

/// A show of a file, an included file and a script in a folder beside it.
fn stage(options: &str) -> TestShow {
    let stage = TestShow::new();
    stage.python("scripts/h.py", SCRIPT);
    stage.write("map/x.map", "net./ask > py.h.ask\npy.answer > net./answer\n");
    stage.osc_show(&format!(
        "[supervisor]\n{options}\n[python py]\nmodule = scripts/h.py\n[map]\n[include ./map/x.map]\n"
    ));
    stage
}

/// Runs it until a copy of its files is kept, and ends it.
fn kept(options: &str) -> Running {
    let mut show = stage(options).start_show();
    show.wait_for(Event::named("last_good_kept"));
    assert_answers(&show, 0.25);
    show.kill();
    show.assert_nothing_is_left();
    show
}

fn assert_answers(show: &Running, value: f32) {
    show.send("/ask", &[F(value)]);
    show.expect("/answer", &[F(value)]);
}

/// Starts it again with `--last-good`, and makes sure that the copy runs.
fn assert_last_good_runs(show: Running, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
    let again = show.start_again(&[&["--last-good"], arguments].concat(), variables);
    again.wait_for(Event::named("show_file_broken").level("error"));
    again.wait_for(Event::named("last_good_running").level("warn"));
    again.wait_for(Event::named("show_running"));
    assert_answers(&again, 0.5);
    again
}

fn broken(text: &str) -> String {
    text.replace("module =", "modul =")
}

/// The copies in a directory.
fn copies(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().contains(".last-good")).collect()
}

#[test]
fn a_show_file_with_errors_is_reported_and_the_last_good_one_runs_until_it_is_repaired() {
    let show = kept("state-dir = kept");
    let good = show.stage().read("show.cfg");
    show.stage().write("show.cfg", broken(&good));
    let show = assert_last_good_runs(show, &[], &[]);
    show.wait_for(Event::named("show_file_broken").field_part("report", "did you mean `module`?"));
    let reason = "unknown option `modul` in `[python NAME]`";
    show.ask(&["status"]).assert(0, &["the last good show runs, not the show file", reason]);
    assert!(show.ask(&["status", "--json"]).out.contains("\"last_good\":\"unknown option"));

    // Another error is another reason.
    show.stage().write("show.cfg", format!("{good}[osk net]\n"));
    show.signal(Signal::SIGHUP);
    show.wait_for(Event::named("show_reload_failed").level("error"));
    show.ask(&["status"]).assert(0, &["the last good show runs", "unknown backend `osk`"]);
    let worker = show.worker("py");

    show.stage().write("show.cfg", format!("{good}net./more > net./more\n"));
    show.signal(Signal::SIGHUP);
    show.wait_for(Event::named("last_good_replaced"));
    show.wait_for(done());
    assert!(show.ask(&["status", "--json"]).out.contains("\"last_good\":null"));
    assert!(!show.ask(&["status"]).out.contains("last good"));
    assert_answers(&show, 0.75);
    // What is the same in the copy and in the file goes on.
    assert_eq!(show.worker("py"), worker);
    show.wait_for(Event::named("last_good_kept"));
    show.stop();
}

#[test]
fn a_show_file_that_is_missing_empty_or_cut_off_or_lacks_an_include_is_one_with_errors() {
    type Break = fn(&TestShow, &str);
    let breaks: [Break; 5] = [
        |stage, _| fs::remove_file(stage.path("show.cfg")).unwrap(),
        |stage, _| drop(stage.write("show.cfg", "")),
        |stage, good| drop(stage.write("show.cfg", &good[..good.find("= ").unwrap() + 2])),
        |stage, _| drop(stage.write("show.cfg", b"[osc net]\nbind\0\0\0\0\0")),
        |stage, good| {
            stage.write("show.cfg", good);
            fs::remove_dir_all(stage.path("map")).unwrap();
        },
    ];
    let mut show = kept("state-file = state");
    let good = show.stage().read("show.cfg");
    for damage in breaks {
        damage(show.stage(), &good);
        show = assert_last_good_runs(show, &[], &[]);
        show.kill();
        show.assert_nothing_is_left();
        assert_eq!(copies(show.stage().directory()).len(), 1);
    }
}

#[test]
fn without_the_flag_a_broken_show_file_ends_the_start() {
    let show = kept("state-dir = kept");
    show.stage().write("show.cfg", broken(&show.stage().read("show.cfg")));
    show.start_again(&[], &[]).wait_for_end().assert(2, &["unknown option `modul`"]);
}

#[test]
fn without_a_copy_the_start_ends_with_a_hint() {
    let stage = stage("state-dir = kept");
    stage.write("show.cfg", broken(&stage.read("show.cfg")));
    let path = stage.path("show.cfg");
    stage
        .finish(&["--last-good", &path])
        .assert(2, &["unknown option `modul`", "hint: `--last-good` found no copy"]);
}

#[test]
fn a_damaged_copy_is_put_aside_with_a_warning() {
    let show = kept("state-dir = kept");
    let kept = show.stage().directory().join("kept");
    let [copy] = copies(&kept).try_into().expect("one copy");
    let mut bytes = fs::read(&copy).unwrap();
    bytes[50] ^= 1;
    fs::write(&copy, bytes).unwrap();
    show.stage().write("show.cfg", broken(&show.stage().read("show.cfg")));
    let ended = show.start_again(&["--last-good"], &[]).wait_for_end();
    ended.assert(2, &["warning: the kept copy", "it was renamed to", "found no copy"]);
    assert!(!copy.exists());
}

#[test]
fn a_service_keeps_its_show_in_its_state_directory() {
    let stage = stage("");
    let state = stage.path("lib");
    let variables = [("STATE_DIRECTORY", state.as_str())];
    let mut command = stage.show_command();
    command.envs(variables);
    let mut show = stage.start_command(command);
    show.wait_for(Event::named("last_good_kept"));
    show.kill();
    show.assert_nothing_is_left();
    assert_eq!(copies(&show.stage().directory().join("lib/show")).len(), 1);
    show.stage().write("show.cfg", "");
    assert_last_good_runs(show, &[], &variables).stop();
}

#[test]
fn shows_of_one_name_and_one_state_directory_do_not_run_as_each_other() {
    let show = kept("state-dir = kept");
    let stage = stage("");
    let path = stage.write("show.cfg", "");
    let kept = show.stage().path("kept");
    let ended = stage.finish(&["--state-dir", &kept, "--last-good", &path.to_string_lossy(), "-i", "x.y=z"]);
    ended.assert(2, &["found no copy"]);
    show.stage().write("show.cfg", "");
    assert_last_good_runs(show, &["--state-dir", &kept], &[]).stop();
}

#[test]
fn a_directory_that_cannot_be_used_is_a_warning() {
    let stage = stage("state-dir = scripts/h.py");
    let path = stage.path("show.cfg");
    stage.finish(&["check", &path]).assert(0, &["warning: the path of `state-dir` cannot be used", "valid"]);
    let show = self::stage("state-dir = scripts/h.py").start_show();
    show.wait_for(Event::named("last_good_not_kept").level("warn"));
    assert_answers(&show, 0.5);
    show.stop();
}

#[test]
fn an_empty_show_file_is_a_warning_and_does_not_replace_a_show_that_runs() {
    for text in ["", "; nothing\n", "[supervisor]\nlow-latency = off\n"] {
        let empty = || {
            let stage = TestShow::new();
            stage.write("show.cfg", text);
            stage
        };
        empty().check().assert(0, &["warning: the show declares no instance", "valid"]);
        let show = empty().start_show();
        show.wait_for(Event::named("show_running"));
        show.stop().assert(0, &["warning: the show declares no instance"]);
    }
    let show = stage("").run();
    let worker = show.worker("py");
    show.stage().write("show.cfg", "");
    show.signal(Signal::SIGHUP);
    let refused = Event::named("show_reload_failed").level("error");
    show.wait_for(refused.field_part("report", "does not replace a show"));
    assert_answers(&show, 0.5);
    assert_eq!(show.worker("py"), worker);
    show.stop();
}

#[test]
fn a_reload_keeps_the_new_show_file() {
    let show = stage("state-dir = kept").run();
    show.wait_for(Event::named("last_good_kept"));
    let kept = show.stage().directory().join("kept");
    let before = fs::read(&copies(&kept)[0]).unwrap();
    let text = show.stage().read("show.cfg");
    show.stage().write("show.cfg", format!("{text}net./new > net./new\n"));
    show.signal(Signal::SIGHUP);
    wait_until("another copy", || {
        copies(&kept).iter().any(|copy| fs::read(copy).is_ok_and(|now| now != before))
    });
    show.stop();
}
