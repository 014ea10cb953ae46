//! Faults `reload-fails` and `import-never-ends`: reloads that work, and those that do not.

use crate::{assert_answers, finish, run, script};
use mm_tests::osc::F;
use mm_tests::wait_until;
use mm_tests::{Event, TestShow};
use serde_json::json;

#[test]
fn a_reload_runs_the_script_as_it_is_on_disk_now() {
    let (show, others) = run("");
    let before = show.worker("py");
    show.stage().replace("h.py", &script("two"));
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    assert_answers(&show, "/two", 0.5);
    wait_until("the end of the old worker", || !before.is_alive());
    finish(show, others);
}

#[test]
fn a_reload_to_a_broken_module_leaves_the_old_worker_and_gives_the_traceback() {
    let (show, others) = run("");
    let before = show.worker("py");
    for (text, said) in [
        ("raise RuntimeError('on purpose')\n", "RuntimeError: on purpose"),
        ("def broken(:\n", "SyntaxError"),
        ("import no_such_module\n", "no_such_module"),
    ] {
        show.stage().replace("h.py", text);
        show.ask(&["reload", "py"]).assert(1, &["error: `py`", "h.py", said]);
    }
    assert_answers(&show, "/one", 0.5);
    let status = show.control().standing("py");
    assert_eq!((&status["pid"], &status["restarts"]), (&json!(before.pid), &json!(0)));
    finish(show, others);
}

#[test]
fn a_reload_to_a_module_that_dies_or_never_ends_leaves_the_old_worker() {
    let (show, others) = run("start-timeout = 1s");
    let before = show.worker("py");
    show.stage().replace("h.py", "import os\nos._exit(7)\n");
    show.ask(&["reload", "py"]).assert(1, &["error: `py`", "exit status 7"]);
    show.stage().replace("h.py", "def load():\n    while True: pass\nload()\n");
    show.ask(&["reload", "py"]).assert(1, &["error: `py`", "`start-timeout`"]);
    assert_answers(&show, "/one", 0.5);
    assert_eq!(show.control().standing("py")["pid"], before.pid);
    finish(show, others);
}

#[test]
fn values_go_over_to_the_next_worker() {
    let (show, others) = run("");
    let text = "
        import midimonster
        print('values', midimonster.inputvalue('h.ask'), midimonster.outputvalue('one'))
        def ask(value):
            print('before', midimonster.inputvalue('h.ask'))
            midimonster.output('two', value)
    ";
    show.stage().replace("h.py", text);
    show.ask(&["reload", "py"]).assert(0, &[]);
    // At that time the last handler may not have returned yet, so its value may not have been
    // stored.
    let values = show.wait_for(Event::printed("py", "values")).message;
    assert!(values.ends_with(" 0.25"), "{values}");
    assert_answers(&show, "/two", 0.5);
    show.wait_for(Event::printed("py", "before 0.25"));
    finish(show, others);
}

#[test]
fn a_worker_that_dies_during_its_reload_is_followed_by_the_new_one() {
    let (show, others) = run("");
    let before = show.worker("py");
    let slow = format!(
        "import os, time\nprint('importing')\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n{}",
        script("two")
    );
    show.stage().replace("h.py", &slow);
    let mut control = show.control();
    control.send(&json!({ "verb": "reload", "instances": ["py"] }));
    show.wait_for(Event::printed("py", "importing"));
    before.signal(nix::sys::signal::Signal::SIGKILL);
    show.wait_for(Event::named("worker_exited").instance("py").message("killed by SIGKILL"));
    show.send("/ask", &[F(0.5)]);
    show.stage().write("go", "");
    show.expect("/two", &[F(0.5)]);
    control.receive();
    assert_eq!(show.control().standing("py")["state"], "running");
    finish(show, others);
}

#[test]
fn a_script_that_binds_a_port_is_restarted_instead_with_its_values_and_events() {
    let stage = TestShow::new();
    let text = "
        import midimonster, socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(('HOST', 20000))
        print('values', midimonster.inputvalue('h.ask'), midimonster.outputvalue('one'))
        def ask(value):
            midimonster.output('one', value)
    ";
    stage.python("h.py", &text.replace("HOST", &stage.bind().ip().to_string()));
    stage.osc_show("[python py]\nmodule = h\n[map]\nnet./ask > py.h.ask\npy.one > net./one\n");
    let show = stage.run();
    assert_answers(&show, "/one", 0.25);
    let before = show.worker("py");
    show.ask(&["reload", "py"]).assert(0, &["py: "]);
    show.wait_for(Event::named("reload_replaced_by_restart").instance("py").level("warn"));
    show.wait_for(Event::printed("py", "values 0.25 0.25"));
    assert_answers(&show, "/one", 0.5);
    assert!(!before.is_alive());
    assert_eq!(show.control().standing("py")["state"], "running");
    show.stop();
}
