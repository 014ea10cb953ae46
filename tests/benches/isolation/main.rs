//! What the faults of one instance cost the others: events lost, delay added. And what a crash
//! costs the instance itself, and a thousand of them the supervisor.
//!
//! `cargo bench -p mm-tests --bench isolation` prints a table; words behind `--` pick the faults
//! whose names have one of them, and `crashes` what comes after the table. If `MM_OTHER_BUILD`
//! names the `mm-supervisor` of another build, each fault is done to both, in turns.
//!
//! The last two columns tell how much later than planned the probe itself sent: where the machine
//! holds up this process, it holds up the show as well, and the other figures mean nothing.

mod crashes;
mod faults;
mod floods;
mod probe;

use faults::{FAULTS, Fault};
use floods::FLOODS;
use mm_tests::{Running, TestShow};
use probe::{Figures, Probe};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the others are looked at during each fault.
const WINDOW: Duration = Duration::from_secs(10);

/// A show of the others, which a probe speaks to, and of `py`, which goes wrong.
fn show(program: Option<&PathBuf>, script: &str, options: &str, mappings: &str) -> Running {
    let mut stage = TestShow::new();
    if let Some(program) = program {
        stage = stage.with_program(program.clone());
    }
    stage.python("h.py", script);
    stage.python("calm.py", probe::SCRIPT);
    let others = probe::show(&stage);
    stage.osc_show(&format!(
        "[python py]\nmodule = h\n{options}\n[loopback loop]\n[map]\n{mappings}\n{others}"
    ));
    stage.run()
}

/// Looks at the others while a fault happens over and over.
fn measure(program: Option<&PathBuf>, fault: &Fault) -> Figures {
    let show = show(program, fault.script, fault.options, fault.mappings);
    let probe = Probe::start(show.stage());
    let start = Instant::now();
    let mut round = 0;
    mm_tests::wait::every(fault.period, || {
        (fault.cause)(&show, round);
        round += 1;
        start.elapsed() < WINDOW
    });
    let figures = probe.finish();
    drop(show);
    figures
}

fn print(name: &str, figures: &Figures, calm: Option<&Figures>) {
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let added = calm.map_or(String::new(), |calm| format!("{:+.0}", micros(figures.p99) - micros(calm.p99)));
    println!(
        "{name:<52} {:>6} {:>5} {:>8.0} {:>8.0} {added:>9} {:>9.0} {:>9.0} {:>9.0}",
        figures.sent,
        figures.sent - figures.received,
        micros(figures.p50),
        micros(figures.p99),
        micros(figures.longest),
        micros(figures.late_p99),
        micros(figures.latest)
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    println!(
        "200 events a second through another instance and back, {} s for each fault; µs",
        WINDOW.as_secs()
    );
    println!(
        "{:<52} {:>6} {:>5} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "fault, over and over", "sent", "lost", "p50", "p99", "p99 added", "longest", "late p99", "latest"
    );
    let other = std::env::var_os("MM_OTHER_BUILD").map(PathBuf::from);
    let builds: Vec<Option<PathBuf>> = if other.is_some() { vec![None, other] } else { vec![None] };
    let mut calm: Vec<Figures> = Vec::new();
    for fault in
        std::iter::once(&faults::NONE).chain(FAULTS.iter().chain(FLOODS).filter(|f| is_wanted(f.name)))
    {
        for (index, build) in builds.iter().enumerate() {
            let figures = measure(build.as_ref(), fault);
            let name = if build.is_some() { "  the same, other build" } else { fault.name };
            print(name, &figures, calm.get(index));
            if calm.len() < builds.len() {
                calm.push(figures);
            }
        }
    }
    if is_wanted("crashes") {
        crashes::print_recovery();
        crashes::print_losses();
        crashes::print_leavings();
    }
}
