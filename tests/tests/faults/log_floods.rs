//! Fault `log-flood`: a script that reports something without end.

use crate::{finish, run};
use mm_tests::osc::F;
use mm_tests::{Event, wait_for};

/// The level of detail of a flood, and whether its lines repeat.
fn script(what: &str) -> String {
    format!(
        "
        import logging, midimonster, sys, threading
        number = 0
        def flood():
            global number
            while True:
                number += 1
                try:
                    raise OSError('no such device')
                except OSError:
                    {what}
        def begin(value):
            threading.Thread(target=flood, daemon=True).start()
        def ask(value):
            midimonster.output('answer', value)
        def tell(value):
            print('written:', number)
        "
    )
}

const MAPPINGS: &str =
    "net./begin > py.h.begin\nnet./tell > py.h.tell\nnet./ask > py.h.ask\npy.answer > net./answer";

/// How much a script reports until a test looks at the log.
const WRITTEN: u64 = 20_000;

/// Lets a script report [`WRITTEN`] tracebacks and returns how many of them the log shows.
fn shown(what: &str) -> usize {
    let (show, others) = run(&script(what), "", MAPPINGS);
    show.send("/begin", &[F(1.0)]);
    wait_for("a flood", || {
        show.send("/tell", &[F(1.0)]);
        let told = show.log().last(Event::printed("py", "written: "))?;
        let written: u64 = told.message.trim_start_matches("written: ").parse().ok()?;
        (written > WRITTEN).then_some(())
    });
    show.send("/ask", &[F(0.5)]);
    show.expect("/answer", &[F(0.5)]);
    let count = show.log().count(Event::printed("py", "OSError: no such device"));
    finish(show, others);
    count
}

#[test]
fn equal_tracebacks_are_counted() {
    let shown = shown("logging.exception('cannot read the sensor')");
    assert!(shown < 50, "{shown} tracebacks");
}

#[test]
fn tracebacks_that_differ_are_shown_up_to_a_budget() {
    let shown = shown("logging.exception('cannot read the sensor, attempt %d', number)");
    // The burst is 4,000 lines, of five each.
    assert!((500..2000).contains(&shown), "{shown} tracebacks");
}

#[test]
fn a_worker_that_reports_and_dies_has_the_budget_of_its_predecessor() {
    let script = "
        import os, midimonster
        for number in range(3000):
            print('line', number)
        def ask(value):
            midimonster.output('answer', value)
        def die(value):
            os._exit(3)
    ";
    let (show, others) = run(script, "", "net./die > py.h.die\nnet./ask > py.h.ask\npy.answer > net./answer");
    for number in 1..=3 {
        show.send("/die", &[F(1.0)]);
        show.log().wait_for_nth(number, Event::named("worker_exited").instance("py"));
        show.log().wait_for_nth(number + 1, Event::named("worker_ready").instance("py"));
    }
    show.wait_for(Event::named("output_left_out").instance("py"));
    let lines = show.log().count(Event::printed("py", "line "));
    assert!(lines < 2 * 4000, "{lines} lines");
    finish(show, others);
}
