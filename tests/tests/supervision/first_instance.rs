//! Fault `first-of-a-backend`: a show gets its first Python instance while it runs. And workers
//! start when the runtime directory is gone.

use crate::show_reload::{SCRIPT, TEXT, assert_answers, done, reload};
use mm_tests::processes::tagged;
use mm_tests::{Event, Running, TestShow, wait_for, wait_until};
use nix::sys::signal::Signal;
use std::fs;

const BEFORE: &str = "[loopback here]\n[map]\nnet./in > here.way\nhere.way > net./out\n";

/// Waits until there are as many workers, the spare one included.
fn wait_for_workers(show: &Running, count: usize) {
    wait_for("workers, and a spare one", || {
        let all = tagged(show.stage().tag());
        (all.iter().filter(|process| process.name() == "mm-worker").count() == count).then_some(())
    });
}

#[test]
fn the_first_python_instance_can_come_with_a_reload_and_has_a_spare_worker() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(BEFORE);
    let show = stage.run();
    reload(&show, |text| text.replace(BEFORE, TEXT), &done());
    show.wait_for(Event::named("worker_ready").instance("one"));
    show.wait_for(Event::named("worker_ready").instance("two"));
    assert_answers(&show, "one", 0.5);
    wait_for_workers(&show, 3);
    show.worker("one").signal(Signal::SIGKILL);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("one"));
    assert_answers(&show, "one", 0.75);
    show.stop();
}

#[test]
fn workers_restart_when_the_runtime_directory_was_removed() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(TEXT);
    let show = stage.run();
    wait_for_workers(&show, 3);
    let runtime = show.stage().directory().join("runtime");
    // A worker that is just starting may put a socket there in between.
    wait_until("the directory to be gone", || fs::remove_dir_all(&runtime).is_ok());
    // Not even its owner can make it again.
    fs::write(&runtime, "").expect("its parent is writable");
    // The spare worker is the first to take the place of the one that dies; the others are new.
    for (round, value) in [(2, 0.25), (3, 0.5), (4, 0.75)] {
        show.worker("one").signal(Signal::SIGKILL);
        show.log().wait_for_nth(round, Event::named("worker_ready").instance("one"));
        assert_answers(&show, "one", value);
    }
    show.stop();
}
