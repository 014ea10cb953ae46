//! Faults `memory-grows` and `memory-outside-serving`: a worker that uses more memory than it may,
//! by itself or with the processes of its script, at any time of its life.

use crate::{assert_serves, finish, run};
use mm_tests::osc::F;
use mm_tests::processes::Process;
use mm_tests::{Event, Running, wait_until};

const SCRIPT: &str = "
    import midimonster
    kept = []
    def grow(value):
        kept.append(bytearray(int(value * (1 << 30))))
        print('grown')
    def ask(value):
        midimonster.output('answer', value)
";

const MAPPINGS: &str = "net./grow > py.h.grow\nnet./ask > py.h.ask\npy.answer > net./answer";

/// Lets more than 100 MiB be in use until the worker is ended for that.
const HOARD: &str = "
    import time
    def hoard():
        kept = bytearray(200 << 20)
        time.sleep(3600)
";

fn over_limit() -> Event {
    Event::named("memory_limit_exceeded").instance("py").level("error").message("of 100 MiB")
}

fn script_and(more: &str) -> String {
    format!("{HOARD}{SCRIPT}{more}")
}

/// Its last worker was ended for its memory, which a client can see.
fn assert_reason(show: &Running, place: &str) {
    let reason = show.control().standing("py")["last_exit"]["reason"].to_string();
    assert!(reason.contains("`memory-limit`") && reason.contains(place), "{reason}");
}

#[test]
fn a_worker_that_grows_over_its_memory_limit_is_restarted() {
    let (show, others) = run(SCRIPT, "memory-limit = 100M", MAPPINGS);
    let worker = show.worker("py");
    show.send("/grow", &[F(0.01)]);
    show.wait_for(Event::printed("py", "grown"));
    show.send("/grow", &[F(0.2)]);
    let exited = Event::named("worker_exited").instance("py");
    show.wait_for(exited.message("`memory-limit`").message("of 100 MiB"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert!(!worker.is_alive());
    assert_serves(&show);
    assert_reason(&show, "");
    let status = show.control().standing("py");
    assert!(status["rss_bytes"].as_u64().is_some_and(|bytes| bytes < 100 << 20), "{status}");
    finish(show, others);
}

#[test]
fn one_that_does_so_while_it_imports_is_tried_again_later() {
    let (show, others) = run(SCRIPT, "memory-limit = 100M\nbackoff = 10ms", MAPPINGS);
    show.stage().replace("h.py", &script_and("    hoard()\n"));
    let _ = show.ask(&["restart", "py"]);
    show.log().wait_for_nth(2, over_limit());
    show.wait_for(Event::named("worker_exited").instance("py").message("during import; restarting in"));
    assert_reason(&show, " during import");
    show.stage().replace("h.py", SCRIPT);
    show.control().wait_for_state("py", "running");
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_replacement_that_does_so_fails_the_reload_and_the_old_worker_keeps_running() {
    let (show, others) = run(SCRIPT, "memory-limit = 100M", MAPPINGS);
    let before = show.worker("py");
    show.stage().replace("h.py", &script_and("    hoard()\n"));
    show.ask(&["reload", "py"]).assert(1, &["error: `py`", "`memory-limit`", "of 100 MiB"]);
    show.wait_for(Event::named("reload_failed").instance("py").message("`memory-limit`"));
    assert_serves(&show);
    assert_eq!(show.worker("py"), before);
    finish(show, others);
}

#[test]
fn one_that_does_so_in_its_cleanup_handler_does_not_have_all_of_stop_timeout_for_it() {
    let script = script_and("    midimonster.cleanup_handler(hoard)\n");
    let (show, others) = run(&script, "memory-limit = 100M\nstop-timeout = 1h", MAPPINGS);
    show.ask(&["restart", "py"]).assert(0, &[]);
    show.wait_for(over_limit());
    assert_reason(&show, " in the cleanup handler");
    assert_serves(&show);
    // A reload retires the old worker, which cleans up beside the new one.
    let before = show.worker("py");
    show.ask(&["reload", "py"]).assert(0, &[]);
    show.log().wait_for_nth(2, over_limit());
    wait_until("the end of the old worker", || !before.is_alive());
    others.finish(&show);
    // The last one is over the limit too, and would keep the show for an hour.
    show.stop();
}

#[test]
fn the_processes_of_a_script_count() {
    let more = "
    import multiprocessing, subprocess
    fork = multiprocessing.get_context('fork')
    def child(value):
        fork.Process(target=hoard, daemon=True).start()
    def program(value):
        program = 'import time; kept = bytearray(200 << 20); print(1, flush=True); time.sleep(3600)'
        subprocess.Popen(['python3', '-c', program], start_new_session=True)
";
    let mappings = format!("{MAPPINGS}\nnet./child > py.h.child\nnet./program > py.h.program");
    let (show, others) = run(&script_and(more), "memory-limit = 100M", &mappings);
    for (path, number) in [("/child", 1), ("/program", 2)] {
        let worker = show.worker("py");
        show.send(path, &[F(0.5)]);
        show.log().wait_for_nth(number, over_limit().message("in 2 processes"));
        show.log().wait_for_nth(number + 1, Event::named("worker_ready").instance("py"));
        assert!(!worker.is_alive());
    }
    assert_reason(&show, "");
    finish(show, others);
}

/// Waits until the memory of every worker was looked at after this call: the looks of one round are
/// in no order, but a worker that exceeds its limit in the next round was started after this one.
fn wait_for_looks(show: &Running) {
    let over = Event::named("memory_limit_exceeded").instance("hoarder");
    for number in [1, 2] {
        show.log().wait_for_nth(number, Event::named("worker_ready").instance("hoarder"));
        show.send("/hoard", &[F(0.25)]);
        show.log().wait_for_nth(number, over.clone());
    }
}

#[test]
fn what_forked_processes_share_counts_once() {
    let more = "
    import multiprocessing, os
    def wait_and_grow(number):
        while not os.path.exists('go'):
            time.sleep(0.01)
        kept = bytearray(60 << 20)
        time.sleep(3600)
    def children(value):
        kept.append(bytearray(200 << 20))
        fork = multiprocessing.get_context('fork')
        for number in range(8):
            fork.Process(target=wait_and_grow, args=(number,), daemon=True).start()
";
    let options = "memory-limit = 400M\n[python hoarder]\nmodule = h\nmemory-limit = 100M";
    let mappings = format!("{MAPPINGS}\nnet./children > py.h.children\nnet./hoard > hoarder.h.grow");
    let (show, others) = run(&script_and(more), options, &mappings);
    let worker = show.worker("py");
    show.send("/children", &[F(0.5)]);
    let children = || worker.children().into_iter().filter_map(|(pid, _)| Process::of(pid));
    let all = || children().map(Process::memory).sum::<u64>();
    // What each of them has, added up, is far more than the limit.
    wait_until("eight children", || children().count() == 8 && all() > 1600 << 10);
    wait_for_looks(&show);
    assert_serves(&show);
    let over = Event::named("memory_limit_exceeded").instance("py");
    assert_eq!(show.log().count(over.clone()), 0);
    assert_eq!(show.worker("py"), worker);
    show.stage().write("go", "");
    let over = show.wait_for(over.message("of 400 MiB"));
    assert!(over.message.contains("in 9 processes"), "{}", over.message);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    // The same value would not be sent again.
    show.send("/ask", &[F(0.75)]);
    show.expect("/answer", &[F(0.75)]);
    finish(show, others);
}
