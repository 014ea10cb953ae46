//! What the faults of one instance cost the others: events lost, delay added. And what a crash
//! costs the instance itself, and a thousand of them the supervisor.
//!
//! `cargo bench -p mm-tests --bench isolation` prints a table; words behind `--` pick the faults
//! whose names have one of them, and `crashes` what comes after the table.

mod crashes;
mod faults;
mod probe;

use faults::{FAULTS, Fault};
use mm_tests::{Running, TestShow};
use probe::{Figures, Probe};
use std::time::{Duration, Instant};

/// How long the others are looked at during each fault.
const WINDOW: Duration = Duration::from_secs(10);

/// A show of the others, which a probe speaks to, and of `py`, which goes wrong.
fn show(script: &str, options: &str, mappings: &str) -> Running {
    let stage = TestShow::new();
    stage.python("h.py", script);
    stage.python("calm.py", probe::SCRIPT);
    let others = probe::show(&stage);
    stage.osc_show(&format!(
        "[python py]\nmodule = h\n{options}\n[loopback loop]\n[map]\n{mappings}\n{others}"
    ));
    stage.run()
}

/// Looks at the others while a fault happens over and over.
fn measure(fault: &Fault) -> Figures {
    let show = show(fault.script, fault.options, fault.mappings);
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
        "{name:<52} {:>6} {:>5} {:>8.0} {:>8.0} {added:>9} {:>9.0}",
        figures.sent,
        figures.sent - figures.received,
        micros(figures.p50),
        micros(figures.p99),
        micros(figures.longest)
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
        "{:<52} {:>6} {:>5} {:>8} {:>8} {:>9} {:>9}",
        "fault, over and over", "sent", "lost", "p50", "p99", "p99 added", "longest"
    );
    let calm = measure(&faults::NONE);
    print(faults::NONE.name, &calm, None);
    for fault in FAULTS.iter().filter(|fault| is_wanted(fault.name)) {
        print(fault.name, &measure(fault), Some(&calm));
    }
    if is_wanted("crashes") {
        crashes::print_recovery();
        crashes::print_losses();
        crashes::print_leavings();
    }
}
