//! What kill -9 costs the instance itself, and what a thousand of them leave in the supervisor.

use mm_tests::osc::{F, Peer};
use mm_tests::processes::{Process, tagged};
use mm_tests::wait::every;
use mm_tests::{Control, Running, TestShow, wait_for};
use nix::sys::signal::Signal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ECHO: &str = "
    import midimonster
    def event(value):
        midimonster.output('x', value)
";

/// Counts what comes out of an instance.
const WITNESS: &str = "
    import midimonster
    seen = 0
    def event(value):
        global seen
        seen += 1
    def report(value):
        print(f'witness: {seen}')
";

fn worker(control: &mut Control, name: &str) -> Process {
    wait_for("a worker", || {
        let standing = control.standing(name);
        let pid = i32::try_from(standing["pid"].as_i64()?).ok()?;
        Process::of(pid).filter(|_| standing["state"] == "running")
    })
}

fn run(instances: usize) -> Running {
    let stage = TestShow::new();
    stage.python("h.py", ECHO);
    stage.python("w.py", WITNESS);
    let each = |text: &dyn Fn(usize) -> String| (0..instances).map(text).collect::<String>();
    stage.osc_show(&format!(
        "[python witness]\nmodule = w\n{}[map]\nnet./report > witness.w.report\npy0.x > witness.w.event\n{}",
        each(&|number| format!("[python py{number}]\nmodule = h\nbackoff = 1ms\nbackoff-max = 2ms\n")),
        each(&|number| format!("net./to/{number} > py{number}.h.event\npy{number}.x > net./from/{number}\n"))
    ));
    stage.run()
}

/// From the kill to what the next worker's handler sends, with the spare worker ready.
pub fn print_recovery() {
    let show = run(1);
    let mut control = show.control();
    let mut times = Vec::new();
    for round in 1..=101_u8 {
        let victim = worker(&mut control, "py0");
        // The next spare takes its time to be ready.
        mm_tests::wait::last(Duration::from_millis(500));
        let start = Instant::now();
        victim.signal(Signal::SIGKILL);
        let value = F(f32::from(round) / 128.0);
        show.send("/to/0", &[value]);
        show.expect("/from/0", &[value]);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let millis = |index: usize| times[index].as_secs_f64() * 1e3;
    println!(
        "\nfrom kill -9 to the first handled event of the next worker, {} times: median {:.1} ms, p90 {:.1} ms, longest {:.1} ms",
        times.len(),
        millis(times.len() / 2),
        millis(times.len() * 9 / 10),
        millis(times.len() - 1)
    );
}

/// Events of the killed instance itself: 1,000 a second while it is killed again and again.
pub fn print_losses() {
    const KILLS: u32 = 50;
    let show = run(1);
    let mut control = show.control();
    let stop = Arc::new(AtomicBool::new(false));
    let sender = {
        let (stop, address) = (Arc::clone(&stop), show.stage().bind());
        thread::spawn(move || {
            let peer = Peer::new(SocketAddr::new(address.ip(), 0), address);
            let mut sent = 0_u16;
            every(Duration::from_millis(1), || {
                sent += 1;
                peer.send("/to/0", &[F(f32::from(sent) / 65_536.0)]);
                !stop.load(Ordering::Relaxed)
            });
            sent
        })
    };
    for _ in 0..KILLS {
        worker(&mut control, "py0").signal(Signal::SIGKILL);
        mm_tests::wait::last(Duration::from_millis(300));
    }
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().expect("the sender only sends");
    worker(&mut control, "py0");
    control.wait_for("all events", "py0", |status| status["events_in"] == sent && status["queued"] == 0);
    // What is under way to the witness is there after a moment.
    mm_tests::wait::last(Duration::from_millis(300));
    show.send("/report", &[F(1.0)]);
    let seen = show.wait_for(&["witness: "]);
    let seen: u16 = seen.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    println!(
        "events of an instance that is killed {KILLS} times: {sent} sent, {} lost (at most one each)",
        sent - seen
    );
}

fn own(show: &Running) -> Vec<Process> {
    let all = tagged(show.stage().tag());
    all.into_iter().filter(|process| process.name() != "mm-worker").collect()
}

/// Memory in kilobytes, descriptors and threads of the supervisor and what else it consists of.
fn usage(show: &Running) -> (u64, usize, u64) {
    let own = own(show);
    let threads = own.iter().filter_map(|process| process.status("Threads")?.parse::<u64>().ok()).sum();
    (
        own.iter().map(|process| process.memory()).sum(),
        own.iter().map(|process| process.descriptors().len()).sum(),
        threads,
    )
}

/// A thousand kills over twenty instances.
pub fn print_leavings() {
    const INSTANCES: usize = 20;
    let show = run(INSTANCES);
    let mut control = show.control();
    let mut kill_all = |rounds: usize| {
        for _ in 0..rounds {
            for number in 0..INSTANCES {
                worker(&mut control, &format!("py{number}")).signal(Signal::SIGKILL);
            }
        }
        for number in 0..INSTANCES {
            worker(&mut control, &format!("py{number}"));
        }
        // The spare worker is refilled, and threads of the last ones end.
        mm_tests::wait::last(Duration::from_secs(2));
    };
    kill_all(2);
    let before = usage(&show);
    let start = Instant::now();
    kill_all(50);
    let took = start.elapsed().as_secs_f64();
    let after = usage(&show);
    println!(
        "1,000 kills over {INSTANCES} instances in {took:.0} s: memory {} kB before, {} kB after; \
         descriptors {} and {}; threads {} and {}",
        before.0, after.0, before.1, after.1, before.2, after.2
    );
}
