//! The end of a show: whenever it comes, it is clean.

use crate::{python, python_with};
use mm_tests::{Ended, Event, Running, wait_until};
use nix::sys::signal::Signal;

const QUIET: &str = "
    import midimonster
    midimonster.cleanup_handler(lambda: print('cleaned up'))
    def go(value):
        pass
";

/// Stops it and makes sure that the end is clean; [`Running`] makes sure that no process is left.
fn assert_stops(show: Running, signal: Signal) -> Ended {
    show.signal(signal);
    let ended = show.wait_for_end();
    ended.assert(0, &[]);
    ended
}

#[test]
fn int_and_term_stop_a_running_show() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let show = python(QUIET, "net./go > py.h.go").run();
        let ended = assert_stops(show, signal);
        ended.log.wait_for(Event::printed("py", "cleaned up"));
        ended.log.wait_for(Event::named("show_stopped"));
    }
}

#[test]
fn a_show_that_has_hardly_begun_stops_too() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let show = python(QUIET, "net./go > py.h.go").start_show();
        // From the moment on at which the signal does not just kill.
        wait_until("the supervisor to catch the signal", || {
            let caught = show.process().status("SigCgt").unwrap_or_default();
            let caught = u64::from_str_radix(&caught, 16).unwrap_or(0);
            caught >> (signal as i32 - 1) & 1 == 1
        });
        assert_stops(show, signal);
    }
}

#[test]
fn a_show_stops_while_a_script_is_imported() {
    let script = "
        import time
        print('importing')
        time.sleep(3600)
    ";
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let show = python(script, "net./go > py.h.go").start_show();
        show.wait_for(Event::printed("py", "importing"));
        let ended = assert_stops(show, signal);
        ended.log.wait_for(Event::named("worker_stopped").instance("py").level("info"));
        for event in ["worker_stopped", "worker_exited"] {
            assert_eq!(ended.log.count(Event::named(event).level("error")), 0, "{}", ended.text);
        }
    }
}

#[test]
fn a_show_stops_while_an_instance_waits_to_be_restarted() {
    let options = "backoff = 10m\nbackoff-max = 10m";
    let show = python_with(options, "raise ValueError('always')\n", "net./go > py.h.go").start_show();
    // The first restart comes at once.
    show.log().wait_for_nth(2, Event::named("import_ended_worker").instance("py").message("restarting"));
    assert_stops(show, Signal::SIGTERM);
}

#[test]
fn a_script_that_does_not_come_back_is_killed_after_its_time() {
    let script = "
        def go(value):
            print('looping')
            while True:
                pass
    ";
    let options = "stop-timeout = 100ms\nwatchdog = off";
    let show = python_with(options, script, "net./go > py.h.go").run();
    show.send("/go", &[mm_tests::osc::F(0.5)]);
    show.wait_for(Event::printed("py", "looping"));
    assert_stops(show, Signal::SIGTERM);
}

#[test]
fn ctrl_c_in_a_terminal_does_not_reach_the_workers() {
    // A terminal sends SIGINT to the whole process group. A worker in it would break off in the
    // middle of a handler.
    let show = python(QUIET, "net./go > py.h.go").run();
    let worker = show.worker("py");
    worker.signal(Signal::SIGINT);
    show.send("/go", &[mm_tests::osc::F(0.5)]);
    let ended = assert_stops(show, Signal::SIGINT);
    ended.log.wait_for(Event::printed("py", "cleaned up"));
    assert!(!ended.text.contains("KeyboardInterrupt"), "{}", ended.text);
}
