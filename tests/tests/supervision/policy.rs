//! Faults `dies-before-stable` and `dies-now-and-then`: the restart policy, as `status` shows it.

use crate::{assert_answers, stage};
use mm_tests::osc::F;
use mm_tests::wait::last;
use mm_tests::{Event, Running};
use serde_json::json;
use std::time::Duration;

#[test]
fn an_instance_that_is_never_to_be_restarted_stays_down_and_says_why() {
    let show = stage("restart = never").run();
    show.send("/die", &[F(0.5)]);
    let mut control = show.control();
    let status = control.wait_for_state("py", "failed");
    assert_eq!(status["pid"], json!(null));
    assert!(status["last_exit"]["reason"].as_str().is_some_and(|reason| reason.contains("exit status 4")));
    assert_eq!(control.act("start", "py")["ok"], true);
    assert_answers(&show, 0.5);
    show.stop();
}

#[test]
fn on_failure_an_exit_of_its_own_will_is_the_end_and_a_crash_is_not() {
    let show = stage("restart = on-failure").run();
    show.send("/die", &[F(0.5)]);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_answers(&show, 0.5);
    show.send("/die", &[F(0.0)]);
    let status = show.control().wait_for_state("py", "stopped");
    assert!(status["last_exit"]["reason"].as_str().is_some_and(|reason| reason.contains("exit status 0")));
    show.stop();
}

#[test]
fn an_instance_that_is_restarted_too_often_has_failed() {
    let show = stage("max-restarts = 3/60\nbackoff = 1ms\nbackoff-max = 2ms").run();
    for _ in 0..4 {
        show.send("/die", &[F(0.5)]);
    }
    let status = show.control().wait_for_state("py", "failed");
    assert_eq!(status["restarts"], 3);
    show.wait_for(Event::named("restarts_exhausted").instance("py"));
    assert_eq!(show.control().act("restart", "py")["ok"], true);
    assert_answers(&show, 0.5);
    show.stop();
}

#[test]
fn the_delay_doubles_up_to_the_longest_and_status_counts_it_down() {
    let stage = stage("backoff = 40ms\nbackoff-max = 200ms");
    stage.python("h.py", "raise RuntimeError('on purpose')");
    let show = stage.start_show();
    show.wait_for(Event::named("show_running"));
    let waits: Vec<u64> = (1..=6)
        .map(|number| {
            let exit = Event::named("import_ended_worker").instance("py").message("restarting");
            delay(&show.log().wait_for_nth(number, exit).message)
        })
        .collect();
    // A fifth is jitter, and the log leaves out fractions.
    for (wait, longest) in waits.iter().zip([0_u64, 40, 80, 160, 200, 200]) {
        assert!((longest * 4 / 5).saturating_sub(1) <= *wait && *wait <= longest, "{waits:?}");
    }
    let status = show.control().wait_for("a delay", "py", |status| status["next_start_ms"].is_number());
    assert_eq!(status["state"], "backoff");
    let exit = &status["last_exit"];
    assert!(
        exit["reason"].as_str().is_some_and(|reason| reason.contains("RuntimeError: on purpose")),
        "{exit}"
    );
    assert!(exit["traceback"].as_str().is_some_and(|traceback| traceback.contains("h.py")), "{exit}");
    show.stop();
}

/// The delay in milliseconds that a message contains, 0 for a restart at once.
fn delay(message: &str) -> u64 {
    let wait = message.split_once("restarting in ").and_then(|(_, rest)| rest.split(' ').next());
    wait.map_or(0, |wait| wait.parse().expect("a number of milliseconds"))
}

/// The delays in milliseconds that the log contains.
fn delays(show: &Running, count: usize) -> Vec<u64> {
    let exit = Event::named("worker_exited").instance("py").message("restarting");
    (1..=count).map(|number| delay(&show.log().wait_for_nth(number, exit.clone()).message)).collect()
}

/// Lets the worker die as often, each time when `is_time`.
fn die(show: &Running, count: usize, is_time: impl Fn()) {
    for number in 1..=count {
        show.log().wait_for_nth(number, Event::named("worker_ready").instance("py"));
        is_time();
        show.send("/die", &[F(0.5)]);
    }
}

#[test]
fn an_instance_that_dies_before_it_is_stable_waits_ever_longer_up_to_the_longest() {
    let show = stage("backoff = 20ms\nbackoff-max = 100ms\nstable = 1h").run();
    die(&show, 6, || {});
    let waits = delays(&show, 6);
    for (wait, longest) in waits.iter().zip([0_u64, 20, 40, 80, 100, 100]) {
        assert!((longest * 4 / 5).saturating_sub(1) <= *wait && *wait <= longest, "{waits:?}");
    }
    show.log().wait_for_nth(7, Event::named("worker_ready").instance("py"));
    show.stop();
}

#[test]
fn an_instance_that_dies_when_it_is_stable_is_restarted_at_once_each_time() {
    let show = stage("backoff = 1h\nbackoff-max = 1h\nstable = 20ms").run();
    die(&show, 4, || last(Duration::from_millis(40)));
    assert_eq!(delays(&show, 4), [0; 4]);
    show.log().wait_for_nth(5, Event::named("worker_ready").instance("py"));
    show.stop();
}

#[test]
fn options_of_the_backend_are_the_defaults_of_all_instances() {
    let stage = stage("");
    let text = stage.read("show.cfg");
    stage.write("show.cfg", format!("[backend python]\nrestart = never\n[python other]\nmodule = h\nrestart = always\n{text}net./die > other.h.die\n"));
    let show = stage.run();
    show.send("/die", &[F(0.5)]);
    let mut control = show.control();
    control.wait_for_state("py", "failed");
    control.wait_for("a restart", "other", |status| status["restarts"] == 1 && status["state"] == "running");
    show.stop();
}

#[test]
fn the_last_words_of_a_worker_are_in_its_status() {
    let stage = stage("");
    let text = "
        import os, sys
        def die(value):
            print('the lamp is broken', file=sys.stderr)
            os._exit(5)
    ";
    stage.python("h.py", text);
    let show = stage.run();
    show.send("/die", &[F(0.5)]);
    let status = show.control().wait_for("last words", "py", |status| {
        status["last_exit"]["stderr_tail"].as_str().is_some_and(|tail| tail.contains("the lamp is broken"))
    });
    assert!(status["last_exit"]["at"].as_str().is_some_and(|at| at.starts_with("20")));
    show.stop();
}
