//! Faults `file-written-slowly` and `files-broken-at-restart`, and `watch = on` in general: scripts
//! are reloaded when they change on disk.

use crate::{assert_answers, finish, run, script};
use mm_tests::osc::F;
use mm_tests::{Event, TestShow, wait_until};
use std::fs;
use std::io::Write;
use std::time::Duration;

#[test]
fn a_script_that_is_written_anew_is_reloaded() {
    let (show, others) = run("watch = on");
    let before = show.worker("py");
    show.stage().write("h.py", script("two"));
    show.wait_for(Event::named("script_changed").instance("py"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/two", 0.5);
    wait_until("the end of the old worker", || !before.is_alive());
    finish(show, others);
}

#[test]
fn a_script_that_an_editor_puts_in_place_of_the_old_one_is_reloaded_every_time() {
    let (show, others) = run("watch = on");
    for (round, version) in [(2, "two"), (3, "one"), (4, "two")] {
        show.stage().replace("h.py", &script(version));
        show.log().wait_for_nth(round, Event::named("worker_ready").instance("py"));
        let value = f32::from(u8::try_from(round).unwrap()) / 8.0;
        assert_answers(&show, &format!("/{version}"), value);
    }
    finish(show, others);
}

#[test]
fn a_module_that_the_script_imports_counts_as_well() {
    let stage = TestShow::new();
    stage.python("names.py", "name = 'one'\n");
    let text = "
        import midimonster, names
        def ask(value):
            midimonster.output(names.name, value)
    ";
    stage.python("h.py", text);
    stage.osc_show(&format!("[python py]\nmodule = h\nwatch = on\n[map]\n{}", crate::MAPPINGS));
    let show = stage.run();
    assert_answers(&show, "/one", 0.25);
    show.stage().replace("names.py", "name = 'two'\n");
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/two", 0.5);
    show.stop();
}

#[test]
fn a_mistake_leaves_the_old_worker_and_mending_it_brings_the_new_one() {
    let (show, others) = run("watch = on");
    show.stage().replace("h.py", "def broken(:\n");
    show.wait_for(Event::named("reload_failed").instance("py"));
    show.wait_for(Event::named("import_failed").instance("py").field_part("traceback", "SyntaxError"));
    assert_answers(&show, "/one", 0.5);
    show.stage().replace("h.py", &script("two"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/two", 0.75);
    finish(show, others);
}

#[test]
fn a_file_that_is_gone_for_a_moment_is_no_reason_to_stop() {
    let (show, others) = run("watch = on");
    let path = show.stage().directory().join("h.py");
    fs::rename(&path, path.with_extension("bak")).unwrap();
    show.stage().write("h.py", script("two"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/two", 0.5);
    finish(show, others);
}

#[test]
fn a_script_that_is_saved_empty_is_reloaded_once_when_it_has_content_again() {
    let (show, others) = run("watch = on");
    show.stage().write("h.py", "");
    for value in [0.5, 0.625, 0.75] {
        assert_answers(&show, "/one", value);
    }
    show.stage().write("h.py", script("two"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/two", 0.5);
    assert_eq!(show.log().count(Event::named("script_changed").instance("py")), 1);
    finish(show, others);
}

/// Three versions of a script with two handlers, each line of which is a handler of its own or
/// belongs to one.
fn two_handlers(version: &str) -> String {
    format!("{}\ndef tell(value):\n    midimonster.output('two', value)\n", script(version))
}

/// A show whose script handles `ask` and `tell`.
fn run_two_handlers() -> mm_tests::Running {
    let stage = TestShow::new();
    stage.python("h.py", &two_handlers("one"));
    stage.osc_show(&format!(
        "[python py]\nmodule = h\nwatch = on\n[map]\n{}net./tell > py.h.tell\n",
        crate::MAPPINGS
    ));
    let show = stage.run();
    assert_answers(&show, "/one", 0.25);
    show
}

/// The handler that stands last in the file still runs.
fn assert_tells(show: &mm_tests::Running, value: f32) {
    show.send("/tell", &[F(value)]);
    show.expect("/two", &[F(value)]);
}

#[test]
fn a_script_that_is_written_slowly_is_reloaded_once_when_it_is_whole() {
    // In chunks faster and slower than files are looked at; each prefix imports without an error
    // or with one, and most lack a handler.
    for (number, pause) in [50, 150, 700].into_iter().enumerate() {
        let show = run_two_handlers();
        let text = two_handlers("two");
        let mut file = fs::File::create(show.stage().directory().join("h.py")).unwrap();
        for (chunk, value) in text.as_bytes().chunks(40).zip(1u8..) {
            file.write_all(chunk).unwrap();
            mm_tests::wait::last(Duration::from_millis(pause));
            assert_tells(&show, f32::from(value) / 128.0);
        }
        drop(file);
        show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
        assert_answers(&show, "/two", 0.5);
        for event in ["script_changed", "import_failed", "reload_refused"] {
            let expected = usize::from(event == "script_changed");
            assert_eq!(show.log().count(Event::named(event)), expected, "{event}, chunks {number}");
        }
        show.stop();
    }
}

#[test]
fn a_script_that_lacks_a_handler_it_had_is_not_loaded_until_the_user_reloads_it() {
    let show = run_two_handlers();
    let before = show.worker("py");
    let text = two_handlers("two");
    let cuts = [text.split("def tell").next().unwrap(), ""];
    for ((number, cut), value) in cuts.into_iter().enumerate().zip([0.5, 0.625]) {
        show.stage().replace("h.py", cut);
        show.log().wait_for_nth(number + 1, Event::named("reload_refused").instance("py").level("error"));
        assert_tells(&show, value);
        assert_answers(&show, "/one", value);
    }
    assert_eq!(show.control().standing("py")["pid"], before.pid);
    show.stage().replace("h.py", &script("two"));
    show.log().wait_for_nth(3, Event::named("reload_refused").instance("py").message("`h.tell`"));
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    show.wait_for(Event::named("handlers_lost").instance("py").level("warn").message("`h.tell`"));
    assert_answers(&show, "/two", 0.75);
    show.stop();
}

#[test]
fn a_crash_while_the_script_is_cut_starts_the_last_good_version() {
    let show = run_two_handlers();
    show.stage().replace("h.py", "");
    show.wait_for(Event::named("reload_refused").instance("py"));
    show.worker("py").signal(nix::sys::signal::Signal::SIGKILL);
    show.wait_for(Event::named("script_rolled_back").instance("py"));
    assert_tells(&show, 0.5);
    assert_answers(&show, "/one", 0.5);
    show.stage().replace("h.py", &two_handlers("two"));
    assert_tells(&show, 0.75);
    show.wait_for(Event::named("script_changed").instance("py"));
    show.log().wait_for_nth(3, Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/two", 0.625);
    show.stop();
}

#[test]
fn several_files_that_are_saved_one_after_another_are_one_reload() {
    let stage = TestShow::new();
    let names = ["a", "b", "c", "d"];
    for name in names {
        stage.write(&format!("{name}.py"), "part = 'o'\n");
    }
    let text = "
        import a, b, c, d, midimonster
        def ask(value):
            midimonster.output({'oooo': 'one', 'tttt': 'two'}[a.part + b.part + c.part + d.part], value)
    ";
    stage.python("h.py", text);
    stage.osc_show(&format!("[python py]\nmodule = h\nwatch = on\n[map]\n{}", crate::MAPPINGS));
    let show = stage.run();
    assert_answers(&show, "/one", 0.25);
    for (name, value) in names.into_iter().zip([0.5, 0.625, 0.75, 0.875]) {
        show.stage().write(&format!("{name}.py"), "part = 't'\n");
        assert_answers(&show, "/one", value);
        mm_tests::wait::last(Duration::from_millis(100));
    }
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/two", 0.375);
    assert_eq!(show.log().count(Event::named("script_changed").instance("py")), 1);
    show.stop();
}

#[test]
fn a_module_that_a_handler_imports_later_counts_as_well() {
    let stage = TestShow::new();
    stage.python("names.py", "name = 'one'\n");
    let text = "
        import midimonster
        def ask(value):
            import names
            midimonster.output(names.name, value)
    ";
    stage.python("h.py", text);
    stage.osc_show(&format!("[python py]\nmodule = h\nwatch = on\n[map]\n{}", crate::MAPPINGS));
    let mut command = stage.show_command();
    command.env("MM_LOG", "debug");
    let show = stage.start_command(command);
    show.wait_for(Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/one", 0.25);
    show.wait_for(Event::named("sources_reported").instance("py").field("files", 2));
    show.stage().replace("names.py", "name = 'two'\n");
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/two", 0.5);
    show.stop();
}

#[test]
fn a_stopped_instance_is_not_started_by_saving_its_script() {
    let stage = TestShow::new();
    stage.python("h.py", &script("one"));
    let instances = "[python py]\nmodule = h\nwatch = on\n[python py2]\nmodule = h\nwatch = on\n";
    stage.osc_show(&format!("{instances}[map]\n{}", crate::MAPPINGS));
    let show = stage.run();
    show.ask(&["stop", "py"]).assert(0, &[]);
    show.stage().replace("h.py", &script("two"));
    // Instances with the same script are reported together, in the order of their names.
    show.wait_for(Event::named("script_changed").instance("py2"));
    assert_eq!(show.control().standing("py")["state"], "stopped");
    show.ask(&["start", "py"]).assert(0, &[]);
    assert_answers(&show, "/two", 0.5);
    show.stop();
}
