//! Faults `import-raises` and `import-not-possible`: modules that cannot be imported.

use crate::{assert_serves, finish, run};
use mm_tests::{BackgroundTraffic, Event, TestShow, wait_until};

/// Runs a show with a broken module, in which the rest runs, and mends it: then all of it does.
fn assert_survived(script: &str, said: &[&str]) {
    let (show, others) =
        run(script, "backoff = 10ms\nbackoff-max = 50ms", "net./ask > py.h.ask\npy.answer > net./answer");
    let failed = Event::named("import_failed").instance("py").level("error");
    show.wait_for(said.iter().fold(failed, |failed, text| failed.field_part("traceback", text)));
    let mut control = show.control();
    let status = control.wait_for("a failed import", "py", |status| status["last_exit"].is_object());
    let exit = status["last_exit"].to_string();
    assert!(
        exit.contains("import failed") && said.iter().all(|text| exit.contains(&text.replace('"', "\\\""))),
        "{exit}"
    );
    wait_until("a second attempt", || {
        show.log().count(Event::named("import_ended_worker").instance("py")) >= 2
    });

    let mended = "import midimonster\ndef ask(value):\n    midimonster.output('answer', value)\n";
    show.stage().replace("h.py", mended);

    show.wait_for(Event::named("worker_ready").instance("py"));
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_module_that_raises_is_tried_again_and_the_rest_runs() {
    let script = "
        def prepare():
            raise RuntimeError('no lamp found')
        prepare()
    ";
    assert_survived(
        script,
        &["Traceback (most recent call last)", "h.py\", line 3, in prepare", "no lamp found"],
    );
}

#[test]
fn a_module_with_a_syntax_error_is_named_with_file_and_line() {
    assert_survived("x = 1\ndef broken(:\n    pass\n", &["h.py\", line 2", "SyntaxError"]);
}

#[test]
fn a_module_that_is_missing_is_named() {
    assert_survived(
        "import nowhere_to_be_found\n",
        &["No module named 'nowhere_to_be_found'", "h.py\", line 1"],
    );
}

#[test]
fn a_module_file_that_does_not_exist_is_named_and_taken_when_it_appears() {
    let stage = TestShow::new();
    BackgroundTraffic::show(
        &stage,
        "[python py]\nmodule = later.py\nbackoff = 10ms\nbackoff-max = 50ms\n[map]
         net./ask > py.later.ask
         py.answer > net./answer\n",
    );
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    show.wait_for(Event::named("import_failed").instance("py").level("error").message("later.py"));
    show.stage()
        .replace("later.py", "import midimonster\ndef ask(v):\n    midimonster.output('answer', v)\n");
    show.wait_for(Event::named("worker_ready").instance("py"));
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_module_that_exits_at_import_does_not_end_the_show() {
    assert_survived("import sys\nsys.exit(7)\n", &["SystemExit"]);
}
