//! Fault `child-left-behind`: children of scripts end with their worker, and with the supervisor,
//! however that ends.

use crate::{WAYS, assert_gone, run, sleepers};
use mm_tests::osc::F;
use mm_tests::processes::Process;
use mm_tests::{Event, TestShow, wait_for};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// How soon the end of a worker has to be known.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

fn is_worker(pid: i32) -> bool {
    Process::of(pid).is_some_and(|process| process.name() == "mm-worker")
}

#[test]
fn they_go_with_their_worker_whose_end_is_noticed_at_once() {
    let show = run();
    let worker = show.worker("a");
    let before = sleepers(&show);
    let start = Instant::now();
    show.send("/die/a", &[F(0.5)]);
    show.wait_for(Event::named("worker_exited").instance("a").message("exit status 3"));
    assert!(start.elapsed() < NOTICED_WITHIN, "{:?}", start.elapsed());
    // the next worker has started as many again
    wait_for("the children of the next worker", || {
        let new = sleepers(&show).into_iter().filter(|process| !before.contains(process)).count();
        (new == WAYS.len()).then_some(())
    });
    wait_for("the end of half of the children", || {
        (before.iter().filter(|process| process.is_alive()).count() == WAYS.len()).then_some(())
    });
    assert!(!worker.is_alive());
    show.stop();
}

#[test]
fn they_stay_when_another_worker_dies() {
    let show = run();
    for number in 1..=3 {
        show.worker("a").signal(Signal::SIGKILL);
        show.log().wait_for_nth(number, Event::named("worker_exited").instance("a"));
        show.log().wait_for_nth(number + 1, Event::named("worker_ready").instance("a"));
    }
    wait_for("the children of one worker each", || (sleepers(&show).len() == 2 * WAYS.len()).then_some(()));
    let (reaper, b) = (show.reaper(), show.worker("b"));
    // what a script's child leaves comes to the script's worker
    let below_b = b.children().into_iter().filter(|(_, state)| *state != 'Z').count();
    assert!(below_b >= WAYS.len(), "{:?}", b.children());
    wait_for("a reaper with nothing but living workers", || {
        reaper.children().iter().all(|(pid, _)| is_worker(*pid)).then_some(())
    });
    show.stop();
}

#[test]
fn they_go_when_the_show_is_stopped() {
    let show = run();
    let left = sleepers(&show);
    show.signal(Signal::SIGTERM);
    // They are gone when the show has ended.
    let ended = show.wait_for_end();
    assert!(ended.status.success(), "{}", ended.text);
    assert!(left.iter().all(|process| !process.is_alive()));
}

#[test]
fn they_go_when_the_supervisor_is_killed_and_a_new_start_works() {
    let mut show = run();
    let left = show.kill();
    assert_gone(&left);
    let again = show.run_again();
    again.stop();
}

#[test]
fn they_go_after_a_check() {
    let stage = TestShow::new();
    stage.write("h.py", crate::script());
    stage.osc_show("[python a]\nmodule = h\n[map]\nnet./die > a.h.die");
    stage.check().assert(0, &["is valid"]);
}

/// Each of its processes lives for a moment only, in a session of its own.
fn assert_a_program_goes_that_forks_without_end(term: &str) {
    let stage = TestShow::new();
    let runner = format!(
        "import os, signal, time
signal.signal(signal.SIGTERM, signal.{term})
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.002)
"
    );
    let script = "
        import os, subprocess
        subprocess.Popen(['python3', 'runner.py'])
        def die(value):
            os._exit(3)
    ";
    stage.write("runner.py", runner);
    stage.python("h.py", script);
    stage.osc_show("[python a]\nmodule = h\nrestart = never\n[map]\nnet./die > a.h.die");
    let show = stage.run();
    show.send("/die", &[F(0.5)]);
    show.wait_for(Event::named("worker_exited").instance("a"));
    let reaper = show.reaper();
    wait_for("a reaper with the spare worker alone", || {
        let children = reaper.children();
        children.iter().all(|(pid, _)| is_worker(*pid)).then_some(())
    });
    show.stop();
}

#[test]
fn a_program_that_forks_without_end_goes_as_well() {
    assert_a_program_goes_that_forks_without_end("SIG_DFL");
}

#[test]
fn so_does_one_that_ignores_to_be_asked() {
    assert_a_program_goes_that_forks_without_end("SIG_IGN");
}

#[test]
fn those_that_end_do_not_pile_up_and_a_script_still_gets_the_status_of_its_own() {
    let stage = TestShow::new();
    let script = "
        import os, subprocess
        def play(value):
            for _ in range(400):
                os.system('true &')
            global own
            own = subprocess.Popen(['false'])
            print('played')
        def ask(value):
            print('status', own.poll())
    ";
    stage.python("h.py", script);
    stage.osc_show("[python a]\nmodule = h\nwatchdog = off\n[map]\nnet./play > a.h.play\nnet./ask > a.h.ask");
    let show = stage.run();
    show.send("/play", &[F(0.5)]);
    show.wait_for(Event::printed("a", "played"));
    let worker = show.worker("a");
    wait_for("a bounded number of zombies", || (worker.children().len() < 300).then_some(()));
    show.send("/ask", &[F(0.5)]);
    show.wait_for(Event::printed("a", "status 1"));
    show.stop();
}
