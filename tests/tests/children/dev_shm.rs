//! Fault `shared-memory-left`: what Python's `multiprocessing` has in `/dev/shm` is removed with the
//! last process that uses it, however a worker ends.

use mm_tests::osc::F;
use mm_tests::running::GONE_WITHIN;
use mm_tests::wait::wait_within;
use mm_tests::{Event, Running, TestShow, wait_until};
use nix::sys::signal::Signal;
use std::path::PathBuf;

/// The segment and the semaphore have to be removed by Python's resource tracker; the processes of
/// pool and manager keep it from noticing the end of the worker.
const SCRIPT: &str = "
    import os
    from multiprocessing import get_context, shared_memory
    segment = shared_memory.SharedMemory(create=True, size=1 << 16)
    semaphore = get_context('spawn').Semaphore()
    pool = get_context('fork').Pool(2)
    manager = get_context('fork').Manager()
    shared = manager.dict()
    print('made', segment.name, 'sem.' + semaphore._semlock.name[1:])
    def die(value):
        os._exit(3)
";

fn run() -> Running {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show("[python py]\nmodule = h\nbackoff = 1ms\nbackoff-max = 1ms\n[map]\nnet./die > py.h.die");
    stage.run()
}

/// What the last worker has made.
fn made(show: &Running, number: usize) -> Vec<PathBuf> {
    let line = show.log().wait_for_nth(number, Event::printed("py", "made")).message;
    let made: Vec<PathBuf> =
        line.split(' ').skip(1).map(|name| PathBuf::from("/dev/shm").join(name)).collect();
    assert!(made.len() == 2 && made.iter().all(|path| path.exists()), "{line}");
    made
}

fn are_gone(paths: &[PathBuf]) -> bool {
    paths.iter().all(|path| !path.exists())
}

#[test]
fn it_is_removed_after_a_crash_a_kill_a_restart_a_reload_and_a_clean_stop() {
    let show = run();
    let ends: [&dyn Fn(); 4] = [
        &|| show.send("/die", &[F(0.5)]),
        &|| show.worker("py").signal(Signal::SIGKILL),
        &|| drop(show.ask(&["restart", "py"])),
        &|| drop(show.ask(&["reload", "py"])),
    ];
    let mut left = made(&show, 1);
    for (end, number) in ends.into_iter().zip(2..) {
        end();
        wait_until("what the worker had in /dev/shm to be removed", || are_gone(&left));
        left = made(&show, number);
    }
    show.stop();
    assert!(are_gone(&left), "{left:?}");
}

#[test]
fn it_is_removed_when_the_parent_of_all_workers_is_killed() {
    let show = run();
    let left = made(&show, 1);
    show.reaper().signal(Signal::SIGKILL);
    wait_until("what the worker had in /dev/shm to be removed", || are_gone(&left));
    let left = made(&show, 2);
    show.stop();
    assert!(are_gone(&left), "{left:?}");
}

#[test]
fn it_is_removed_when_the_supervisor_is_killed() {
    let mut show = run();
    let left = made(&show, 1);
    show.kill();
    wait_within("what the worker had in /dev/shm to be removed", GONE_WITHIN, || {
        are_gone(&left).then_some(())
    });
}

#[test]
fn what_withstands_term_does_not_delay_the_next_worker_and_ends_all_the_same() {
    let stage = TestShow::new();
    stage.python(
        "h.py",
        "
        import os, subprocess
        subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 3600 & sleep 3600'])
        def die(value):
            os._exit(3)
        ",
    );
    stage.osc_show("[python py]\nmodule = h\nbackoff = 1ms\nbackoff-max = 1ms\n[map]\nnet./die > py.h.die");
    let show = stage.run();
    wait_until("the children of the first worker", || crate::sleepers(&show).len() == 2);
    let left = crate::sleepers(&show);
    show.send("/die", &[F(0.5)]);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    crate::assert_gone(&left);
    let left = crate::sleepers(&show);
    show.stop();
    assert!(left.iter().all(|process| !process.is_alive()));
}
