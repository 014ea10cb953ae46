//! Faults `many-kills` and `all-killed-at-once`: workers that are killed from outside, many times
//! over, and all at once.

use mm_tests::osc::F;
use mm_tests::processes::{Process, tagged, zombies};
use mm_tests::wait::eventually;
use mm_tests::{BackgroundTraffic, Control, Event, Running, TestShow, wait_for, wait_until};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;

const INSTANCES: usize = 20;

const SCRIPT: &str = "
    import midimonster
    def ask(value):
        midimonster.output('answer', value)
";

fn name(number: usize) -> String {
    format!("py{number}")
}

fn run() -> (Running, BackgroundTraffic) {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    let instances: String = (0..INSTANCES)
        .map(|number| format!("[python {}]\nmodule = h\nbackoff = 1ms\nbackoff-max = 2ms\n", name(number)))
        .collect();
    let mappings: String = (0..INSTANCES)
        .map(|number| {
            let py = name(number);
            format!("net./ask/{number} > {py}.h.ask\n{py}.answer > net./answer/{number}\n")
        })
        .collect();
    BackgroundTraffic::show(&stage, &format!("{instances}[map]\n{mappings}"));
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    (show, others)
}

/// The workers of all instances, once all of them run.
fn workers(control: &mut Control) -> BTreeMap<String, Process> {
    wait_for("all instances to run", || {
        let standings = control.status().into_iter().filter(|status| status["backend"] == "python");
        standings
            .map(|status| {
                let pid = i32::try_from(status["pid"].as_i64()?).ok()?;
                let runs = status["state"] == "running";
                Some((status["name"].as_str()?.to_owned(), Process::of(pid).filter(|_| runs)?))
            })
            .collect()
    })
}

/// `value` differs from call to call: what does not change is not sent.
fn assert_all_serve(show: &Running, value: f32) {
    for number in 0..INSTANCES {
        show.send(&format!("/ask/{number}"), &[F(value)]);
        show.expect(&format!("/answer/{number}"), &[F(value)]);
    }
}

/// More than the supervisor and the reaper hold for one worker, and far fewer than would be left of
/// all those killed.
const OF_A_SPARE: usize = 15;

/// What could be left behind, as counts.
#[derive(Debug, Clone, PartialEq)]
struct Leavings {
    processes: usize,
    descriptors: usize,
    threads: String,
    zombies: usize,
    files: usize,
}

/// The supervisor and what it has started, but for the workers.
fn own(show: &Running) -> Vec<Process> {
    let all = tagged(show.stage().tag());
    all.into_iter().filter(|process| process.name() != "mm-worker").collect()
}

fn leavings(show: &Running) -> Leavings {
    let own = own(show);
    Leavings {
        processes: tagged(show.stage().tag()).len(),
        descriptors: own.iter().map(|process| process.descriptors().len()).sum(),
        threads: own.iter().filter_map(|process| process.status("Threads")).collect::<Vec<_>>().join(" "),
        zombies: own.iter().map(|process| zombies(process.pid).len()).sum(),
        files: files(&show.stage().directory().join("runtime")),
    }
}

fn files(directory: &std::path::Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| 1 + if entry.path().is_dir() { files(&entry.path()) } else { 0 }).sum()
}

fn memory(show: &Running) -> u64 {
    own(show).iter().map(|process| process.memory()).sum()
}

/// Kills `count` workers, one instance after the other.
fn kill(control: &mut Control, count: usize) {
    for round in 0..count.div_ceil(INSTANCES) {
        let running = workers(control);
        let killed: Vec<Process> =
            (0..INSTANCES.min(count - round * INSTANCES)).map(|number| running[&name(number)]).collect();
        killed.iter().for_each(|worker| worker.signal(Signal::SIGKILL));
        // until then it may pass for one that runs
        wait_until("the killed workers to end", || killed.iter().all(|worker| !worker.is_alive()));
    }
    workers(control);
}

/// Kills workers and makes sure that nothing of them is left.
fn assert_leaves_nothing(count: usize) {
    let (show, others) = run();
    let mut control = show.control();
    // What is allocated once only is allocated by then.
    kill(&mut control, 2 * INSTANCES);
    let settled = wait_for("a spare worker", || {
        let leavings = leavings(&show);
        // The supervisor and all that it has started: the others' worker, the spare.
        let spare = leavings.processes == own(&show).len() + INSTANCES + 2;
        (spare && leavings.zombies == 0).then_some(leavings)
    });
    let before = memory(&show);
    assert_all_serve(&show, 0.25);
    kill(&mut control, count);
    assert_all_serve(&show, 0.5);
    // A spare that is only just there has fewer descriptors in the supervisor than one that waits.
    let is_settled = |now: &Leavings| Leavings { descriptors: settled.descriptors, ..now.clone() } == settled;
    eventually(|| is_settled(&leavings(&show)));
    let now = leavings(&show);
    assert!(is_settled(&now), "{settled:?} before {count} kills, {now:?} after");
    let most = settled.descriptors + OF_A_SPARE;
    assert!(now.descriptors <= most, "{settled:?} before {count} kills, {now:?} after");
    let after = memory(&show);
    assert!(after < before + 16 * 1024, "{before} kB before {count} kills, {after} kB after");
    assert_eq!(show.log().count(Event::named("worker_ready").instance("steady")), 1);
    others.finish(&show);
    show.stop();
}

#[test]
fn workers_that_are_killed_over_and_over_leave_nothing_behind() {
    assert_leaves_nothing(200);
}

#[test]
#[ignore = "takes minutes: the same as the test of 200"]
fn workers_that_are_killed_a_thousand_times_leave_nothing_behind() {
    assert_leaves_nothing(1000);
}

#[test]
fn all_instances_that_die_at_the_same_instant_come_back() {
    let (show, others) = run();
    let mut control = show.control();
    let before = workers(&mut control);
    for (name, worker) in &before {
        if name != "steady" {
            worker.signal(Signal::SIGKILL);
        }
    }
    wait_until("other workers", || {
        let now = workers(&mut control);
        before.iter().all(|(name, worker)| name == "steady" || now[name] != *worker)
    });
    assert_all_serve(&show, 0.5);
    others.finish(&show);
    show.stop();
}
