//! Faults that a show survives: whatever one script does, the others get every event.
//!
//! Each test has the others in it as [`BackgroundTraffic`]: an instance on a port of its own, 200
//! events a second, none of which may be lost or change places.

mod blocked_descriptors;
mod clock;
mod compiled;
mod concurrent_commands;
mod control_channel;
mod coroutines;
mod disk;
mod exits;
mod fairness;
mod flood;
mod handlers;
mod hang_ups;
mod hangs;
mod import;
mod inherited;
mod killed_supervisor;
mod limits;
mod log_floods;
mod mass_kill;
mod memory;
mod mistakes;
mod names;
mod network;
mod output;
mod shared_memory;
mod signals;
mod stalls;

use mm_tests::osc::F;
use mm_tests::{BackgroundTraffic, Ended, Event, Running, TestShow};

/// A running show of `net`, of `py` with this script as module `h`, these options and mappings, and
/// of the others.
fn run(script: &str, options: &str, mappings: &str) -> (Running, BackgroundTraffic) {
    let stage = TestShow::new();
    stage.python("h.py", script);
    BackgroundTraffic::show(&stage, &format!("[python py]\nmodule = h\n{options}\n[map]\n{mappings}\n"));
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    (show, others)
}

/// The end of a test: the others have got everything, and the show ends cleanly.
fn finish(show: Running, others: BackgroundTraffic) -> Ended {
    others.finish(&show);
    show.stop()
}

/// How often a worker of `py` did not come to serve, for want of a process or of its script.
fn failed_starts(show: &Running) -> usize {
    let count = |event| show.log().count(Event::named(event).instance("py").level("error"));
    count("worker_not_started") + count("import_ended_worker")
}

/// Sends 0.5 on `/ask` until `/answer` comes back: the instance is up and handles events.
fn assert_serves(show: &Running) {
    show.send("/ask", &[F(0.5)]);
    show.expect("/answer", &[F(0.5)]);
}
