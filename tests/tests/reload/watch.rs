//! `watch = on`: scripts are reloaded when they change on disk.

use crate::{assert_answers, finish, run, script};
use mm_tests::{Event, TestShow, wait_until};
use std::fs;

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
