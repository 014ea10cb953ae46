//! What a show costs, seen from outside: `make bench`.
//!
//! Each work is done by two programs in turns, so that whatever else the machine does meets both.
//! Printed are medians of `MM_ROUNDS` rounds (5 if it is not set) and their ratio. Figures of
//! different machines, and of one machine on different days, differ by far more than two routers
//! do: only the ratios mean something. The first program is the release build of this tree. The
//! second one is
//!
//! - MIDIMonster, if the environment variable `MM_REFERENCE` names it;
//! - another build of this project, if `MM_OTHER_BUILD` names its `mm-supervisor`;
//! - the same build without its latency heuristics (`MM_WAKEUP=plain`), with `make bench
//!   BENCH=wakeup`. Then the last column says whether the heuristics pay for this work, and which
//!   of them matter for it.
//!
//! It needs the loopback interface and nothing else, and takes about a minute per round.

mod dmx;
mod flood;
mod load;
mod processes;
mod routers;
mod shows;
mod wakeup;
mod works;

use routers::Router;
use std::env;
use works::{Figure, WORKS, Work};

/// The word on the command line that compares the latency heuristics with none.
const WAKEUP: &str = "wakeup";

/// The figures of one kind, by round, of the first and of the second router.
struct Row {
    figure: Figure,
    values: [Vec<f64>; 2],
}

/// What the last column says of a figure with this goal and this ratio.
type Note = fn(&Work, &Figure, Option<f64>) -> String;

fn main() {
    // Cargo passes `--bench`; a word chooses the works whose name holds it.
    let chosen: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let rounds = env::var("MM_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    if chosen.iter().any(|word| word == WAKEUP) {
        let routers = [Router::named("adaptive", None), Router::named("plain", Some("plain"))];
        let works = WORKS.iter().filter(|work| wakeup::heuristics(work).is_some());
        return compare(&routers, works, rounds, "heuristics", wakeup::verdict);
    }
    let second = Router::reference().or_else(Router::other_build);
    let routers: Vec<Router> = [Some(Router::named("ours", None)), second].into_iter().flatten().collect();
    let works = WORKS.iter().filter(|work| chosen.is_empty() || chosen.iter().any(|c| work.name.contains(c)));
    compare(&routers, works, rounds, "goal", |_, figure, _| figure.goal.to_owned());
}

fn compare<'a>(
    routers: &[Router],
    works: impl Iterator<Item = &'a Work>,
    rounds: usize,
    heading: &str,
    note: Note,
) {
    let name = |index: usize| routers.get(index).map_or("-", |router| router.name);
    println!("{:<58} {:>12} {:>12} {:>7}  {heading}", "", name(0), name(1), "ratio");
    for work in works {
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..rounds {
            for (index, router) in routers.iter().enumerate() {
                for (figure, value) in (work.measure)(router, work.size) {
                    let known = rows.iter().position(|row| row.figure.name == figure.name);
                    let at = known.unwrap_or_else(|| {
                        rows.push(Row { figure, values: [Vec::new(), Vec::new()] });
                        rows.len() - 1
                    });
                    rows[at].values[index].push(value);
                }
            }
        }
        rows.iter_mut().for_each(|row| print(work, row, note));
    }
}

fn print(work: &Work, row: &mut Row, note: Note) {
    let [first, second] = row.values.each_mut().map(|values| median(values));
    let name = format!("{}: {}", work.name, row.figure.name);
    let show = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
    let ratio = first.zip(second).map(|(first, second)| first / second);
    let text = ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
    let note = note(work, &row.figure, ratio);
    println!("{name:<58} {:>12} {:>12} {text:>7}  {note}", show(first), show(second));
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
