//! Faults `output-misspelt`, `handler-takes-no-value`, `import-fails-for-ever` and `queue-overflows`:
//! mistakes in a script that do not end it are named, and do not fill the log.

use crate::{assert_serves, finish, run};
use mm_tests::osc::F;
use mm_tests::{Event, wait_until};

const ANSWER: &str = "net./ask > py.h.ask\npy.answer > net./answer\n";

#[test]
fn an_output_on_a_misspelt_name_is_one_warning() {
    let script = "
        import midimonster
        def ask(value):
            for _ in range(5):
                midimonster.output('anwser', value)
            midimonster.output('answer', value)
    ";
    let (show, others) = run(script, "", ANSWER);
    assert_serves(&show);
    show.send("/ask", &[F(0.25)]);
    show.expect("/answer", &[F(0.25)]);
    let warning = || Event::named("output_unmapped").instance("py").level("warn");
    show.wait_for(warning().message("`anwser`").message("did you mean `answer`?"));
    // Another worker knows the name.
    show.ask(&["restart", "py"]).assert(0, &[]);
    assert_serves(&show);
    assert_eq!(show.log().count(warning()), 1, "{}", show.log().text());
    finish(show, others);
}

#[test]
fn names_without_end_are_a_few_warnings() {
    let script = "
        import midimonster
        def ask(value):
            for number in range(20000):
                midimonster.output(f'x{number}', value)
            midimonster.output('answer', value)
    ";
    let (show, others) = run(script, "", ANSWER);
    assert_serves(&show);
    let warnings = show.log().count(Event::named("output_unmapped"));
    assert!((1..=20).contains(&warnings), "{warnings} warnings");
    finish(show, others);
}

#[test]
fn a_handler_without_a_parameter_is_named_with_file_and_line() {
    let script = "
        import midimonster
        def ask(value): midimonster.output('answer', value)

        def none():
            pass
    ";
    let (show, others) = run(script, "", &format!("{ANSWER}net./none > py.h.none\n"));
    show.wait_for(Event::named("script_warned").instance("py").message("`h.none` takes no argument"));
    show.send("/none", &[F(0.5)]);
    let raised = Event::named("script_raised").instance("py").field_part("traceback", "takes 0 positional");
    show.wait_for(
        raised
            .field_part("traceback", "Traceback (most recent call last):\n")
            .field_part("traceback", "h.py\", line 5, in none\n    def none():\n"),
    );
    assert_serves(&show);
    let status = show.control().standing("py");
    let text = status["last_error"]["text"].as_str().expect("there was one").to_owned();
    assert!(text.starts_with("TypeError: none() takes 0") && text.ends_with("handler of `h.none`"), "{text}");
    show.ask(&["status"]).assert(0, &["py: last error: TypeError: none() takes 0"]);
    assert!(
        status["note"].as_str().is_some_and(|note| note.contains("`h.none` takes no argument")),
        "{status}"
    );
    finish(show, others);
}

#[test]
fn a_breakpoint_is_one_line() {
    let script = "
        import midimonster
        def ask(value): midimonster.output('answer', value)
        def stop(value):
            breakpoint()
            value = 1
    ";
    let (show, others) = run(script, "", &format!("{ANSWER}net./stop > py.h.stop\n"));
    show.send("/stop", &[F(0.5)]);
    let raised = Event::named("script_raised").instance("py");
    let found = show.wait_for(raised.message("the debugger needs a terminal").message("`remote-pdb`"));
    assert!(found.field("traceback").is_null());
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn an_import_that_fails_again_and_again_has_its_traceback_once() {
    let script = "raise RuntimeError('no lamp found')\n";
    let (show, others) = run(script, "backoff = 1ms\nbackoff-max = 5ms", ANSWER);
    let failed = || Event::named("import_failed").instance("py");
    wait_until("some attempts", || show.log().count(failed()) >= 5);
    let in_full = || failed().field_part("traceback", "Traceback");
    assert_eq!(show.log().count(in_full()), 1, "{}", show.log().text());
    show.wait_for(failed().field("attempt", 3).message("no lamp found"));

    show.stage().replace("h.py", "raise RuntimeError('another one')\n");
    show.wait_for(in_full().field_part("traceback", "another one"));
    let status = show.control().standing("py");
    assert!(
        status["last_exit"]["reason"].as_str().is_some_and(|reason| reason.contains("import failed")),
        "{status}"
    );

    let mended = "import midimonster\ndef ask(value):\n    midimonster.output('answer', value)\n";
    show.stage().replace("h.py", mended);
    show.wait_for(Event::named("worker_ready").instance("py"));
    assert_serves(&show);
    let status = show.control().standing("py");
    assert!(status["last_exit"].is_null(), "{status}");
    assert_eq!(status["restarts"], status["restarts_by_fault"], "{status}");
    assert!(status["restarts"].as_u64().is_some_and(|count| count >= 5), "{status}");
    finish(show, others);
}

#[test]
fn restarts_after_faults_are_counted_apart_from_those_that_were_asked_for() {
    let script = "
        import midimonster, os
        def ask(value): midimonster.output('answer', value)
        def die(value): os._exit(3)
    ";
    let (show, others) = run(script, "backoff = 1ms", &format!("{ANSWER}net./die > py.h.die\n"));
    assert_serves(&show);
    for verb in ["restart", "reload", "restart"] {
        show.ask(&[verb, "py"]).assert(0, &[]);
    }
    let mut control = show.control();
    let status = control.standing("py");
    assert_eq!((&status["restarts"], &status["restarts_by_fault"]), (&3.into(), &0.into()), "{status}");
    show.send("/die", &[F(1.0)]);
    control
        .wait_for("another worker", "py", |status| status["restarts"] == 4 && status["state"] == "running");
    let status = control.standing("py");
    assert_eq!(status["restarts_by_fault"], 1, "{status}");
    show.ask(&["status"]).assert(0, &["1 fault, 3 asked", "exit status 3"]);
    finish(show, others);
}

#[test]
fn a_hang_in_an_interval_names_its_callable() {
    let script = "
        import midimonster
        def ask(value): midimonster.output('answer', value)
        def tick():
            while True: pass
        def begin(value): midimonster.interval(tick, 5)
    ";
    let (show, others) = run(script, "watchdog = 500ms", &format!("{ANSWER}net./begin > py.h.begin\n"));
    assert_serves(&show);
    show.send("/begin", &[F(0.5)]);
    show.wait_for(Event::named("worker_hung").instance("py").message("`tick`"));
    let mut control = show.control();
    control.wait_for("the end of the worker", "py", |status| {
        status["last_exit"]["reason"].as_str().is_some_and(|reason| reason.contains("hung in `tick`"))
    });
    finish(show, others);
}

#[test]
fn a_queue_that_overflows_is_logged_once() {
    let script = "
        import midimonster, time
        def ask(value): midimonster.output('answer', value)
        def slow(value): time.sleep(3)
    ";
    let (show, others) = run(script, "queue = 10", &format!("{ANSWER}net./slow > py.h.slow\n"));
    assert_serves(&show);
    show.send("/slow", &[F(0.5)]);
    // The ring takes 16,384 events before any waits in the queue.
    let mut control = show.control();
    let mut sent = 0u32;
    wait_until("events that are conflated", || {
        for _ in 0..500 {
            sent += 1;
            show.send("/ask", &[F((sent % 1000) as f32 / 1000.0)]);
        }
        control.standing("py")["conflated"].as_u64().is_some_and(|count| count > 0)
    });
    show.wait_for(Event::named("queue_overflowed").instance("py").level("warn").message("`queue` = 10"));
    assert_eq!(show.log().count(Event::named("queue_overflowed")), 1);
    drop(others);
    show.stop();
}

#[test]
fn a_worker_that_does_not_stop_is_ended_and_said_to_be() {
    let script = "
        import midimonster, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        def ask(value): midimonster.output('answer', value)
        def cleanup():
            while True: time.sleep(1)
        midimonster.cleanup_handler(cleanup)
    ";
    let (show, others) = run(script, "stop-timeout = 50ms", ANSWER);
    assert_serves(&show);
    show.ask(&["stop", "py"]).assert(0, &["ended with SIGKILL, since it did not stop in time"]);
    let status = show.control().standing("py");
    assert!(status["last_exit"].to_string().contains("ended with SIGKILL"), "{status}");
    finish(show, others);
}

#[test]
fn a_crash_report_has_no_empty_lines() {
    let script = "
        import midimonster, os
        def ask(value): midimonster.output('answer', value)
        def die(value): os.abort()
    ";
    let (show, others) = run(script, "", &format!("{ANSWER}net./die > py.h.die\n"));
    assert_serves(&show);
    show.send("/die", &[F(1.0)]);
    show.wait_for(Event::printed("py", "Current thread"));
    show.wait_for(Event::named("worker_ready").instance("py"));
    let lines = show.log().all(Event::printed("py", ""));
    assert!(lines.iter().all(|line| !line.message.trim().is_empty()), "{}", show.log().text());
    finish(show, others);
}
