//! What a show costs, seen from outside: `make bench`.
//!
//! Each work is done by the release programs and, where the environment variable `MM_REFERENCE` names the program of
//! MIDIMonster, by that too, in turns, so that whatever else the machine does meets both. Printed are medians of
//! `MM_ROUNDS` rounds (5 unless it says otherwise) and their ratio. Figures of different machines, and of one machine on
//! different days, differ by far more than two routers do: only the ratios mean something.
//!
//! It needs the loopback interface and nothing else, and takes about a minute a round.

mod flood;
mod load;
mod processes;
mod routers;
mod shows;
mod works;

use routers::Router;
use std::env;
use works::{Figure, WORKS};

/// Of the figures of one kind, by round.
struct Row {
    figure: Figure,
    ours: Vec<f64>,
    reference: Vec<f64>,
}

fn main() {
    // cargo passes `--bench`; a word chooses the works whose name holds it
    let chosen: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let rounds = env::var("MM_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let routers: Vec<Router> = [Some(Router::ours()), Router::reference()].into_iter().flatten().collect();
    println!("{:<58} {:>12} {:>12} {:>7}  goal", "", "ours", "reference", "ratio");
    for work in WORKS.iter().filter(|work| chosen.is_empty() || chosen.iter().any(|c| work.name.contains(c)))
    {
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..rounds {
            for router in &routers {
                (work.measure)(router, work.size).into_iter().for_each(|(figure, value)| {
                    let known = rows.iter().position(|row| row.figure.name == figure.name);
                    let at = known.unwrap_or_else(|| {
                        rows.push(Row { figure, ours: Vec::new(), reference: Vec::new() });
                        rows.len() - 1
                    });
                    let row = &mut rows[at];
                    if router.is_reference { row.reference.push(value) } else { row.ours.push(value) }
                });
            }
        }
        rows.iter_mut().for_each(|row| print(work.name, row));
    }
}

fn print(work: &str, row: &mut Row) {
    let (ours, reference) = (median(&mut row.ours), median(&mut row.reference));
    let name = format!("{work}: {}", row.figure.name);
    let show = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
    let ratio = ours.zip(reference).map_or("-".into(), |(ours, theirs)| format!("{:.2}", ours / theirs));
    println!("{name:<58} {:>12} {:>12} {ratio:>7}  {}", show(ours), show(reference), row.figure.goal);
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
