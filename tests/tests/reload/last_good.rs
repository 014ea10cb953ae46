//! Fault `files-broken-at-restart`: a worker dies while the files of its script are broken. The
//! version that worked runs again until the files are whole.

use crate::{assert_answers, finish, run, script};
use mm_tests::{Event, Running, TestShow};
use nix::sys::signal::Signal;

fn crash(show: &Running) {
    show.worker("py").signal(Signal::SIGKILL);
    show.wait_for(Event::named("worker_exited").instance("py").message("killed by SIGKILL"));
}

#[test]
fn a_crash_while_the_script_is_broken_starts_the_last_good_version() {
    let (show, others) = run("");
    show.stage().replace("h.py", "import no_such_module\n");
    crash(&show);
    show.wait_for(Event::named("script_rolled_back").instance("py").message("no_such_module"));
    assert_answers(&show, "/one", 0.5);
    assert_eq!(show.control().standing("py")["state"], "running");
    // Again, since the file is still broken.
    crash(&show);
    show.log().wait_for_nth(2, Event::named("last_good_version_serving").instance("py"));
    assert_answers(&show, "/one", 0.75);
    show.stage().replace("h.py", &script("two"));
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    assert_answers(&show, "/two", 0.5);
    finish(show, others);
}

#[test]
fn a_restart_by_the_user_shows_the_error_of_the_files_instead() {
    let (show, others) = run("");
    show.stage().replace("h.py", "import no_such_module\n");
    show.ask(&["restart", "py"]).assert(1, &["error: `py`", "no_such_module"]);
    show.control().wait_for_state("py", "backoff");
    assert_eq!(show.log().count(Event::named("script_rolled_back")), 0);
    show.stage().replace("h.py", &script("two"));
    show.ask(&["start", "py"]).assert(0, &["py: running, pid "]);
    assert_answers(&show, "/two", 0.5);
    finish(show, others);
}

#[test]
fn the_last_good_version_has_all_its_modules_as_they_were() {
    let stage = TestShow::new();
    stage.write("pack/__init__.py", "from . import inner\n");
    stage.write("pack/inner.py", "name = 'one'\n");
    stage.write("late.py", "def name():\n    return 'one'\n");
    let text = "
        import midimonster, pack.inner
        def ask(value):
            import late
            if value == 0.375:
                raise ValueError('in the first version')
            midimonster.output(late.name(), value)
    ";
    stage.python("h.py", text);
    stage.osc_show(&format!("[python py]\nmodule = h\n[map]\n{}", crate::MAPPINGS));
    let mut command = stage.show_command();
    command.env("MM_LOG", "debug");
    let show = stage.start_command(command);
    show.wait_for(Event::named("worker_ready").instance("py"));
    assert_answers(&show, "/one", 0.25);
    // The module that the handler has imported is reported a moment after its import.
    show.wait_for(Event::named("sources_reported").instance("py").field("files", 4));
    for name in ["h.py", "pack/inner.py", "late.py"] {
        show.stage().write(name, "raise RuntimeError('broken')\n");
    }
    std::fs::remove_file(show.stage().directory().join("pack/__init__.py")).expect("it is there");
    crash(&show);
    show.wait_for(Event::named("last_good_version_serving").instance("py"));
    assert_answers(&show, "/one", 0.5);
    // Its tracebacks show the lines that run, not those of the files.
    show.send("/ask", &[mm_tests::osc::F(0.375)]);
    let raised = Event::named("script_raised").instance("py");
    show.wait_for(raised.field_part("traceback", "raise ValueError('in the first version')"));
    show.stop();
}
