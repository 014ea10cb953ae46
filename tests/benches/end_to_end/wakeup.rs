//! Whether the latency heuristics of `shared/src/wakeup` pay, work by work.

use crate::works::{Figure, Work};

/// A difference below this part is noise.
const NOISE: f64 = 0.05;

/// The heuristics that matter for a work; `None`: it is not compared.
pub fn heuristics(work: &Work) -> Option<&'static str> {
    match work.name {
        "echo, 1 channel" | "echo, 512 channels" => Some("busy poller, pinning"),
        "sparse echo" => Some("none may cost anything"),
        "saturated, 64 channels" | "saturated, 512 channels" => Some("affinity, poll window"),
        "burst of 100,001" => Some("poll window"),
        "two that compute" => Some("poll window, affinity"),
        "idle, 8 instances" => Some("none may cost anything"),
        _ => None,
    }
}

/// The verdict on a figure of the show with heuristics, `ratio` times that without. The goal tells
/// whether more or less is better.
pub fn verdict(work: &Work, figure: &Figure, ratio: Option<f64>) -> String {
    let heuristics = heuristics(work).unwrap_or_default();
    let better = match figure.goal.split(' ').next() {
        Some(">=") => ratio,
        Some("<=") => ratio.map(f64::recip),
        _ => None,
    };
    let verdict = match better {
        Some(better) if better > 1.0 + NOISE => "pays",
        Some(better) if better < 1.0 - NOISE => "DOES NOT PAY",
        Some(_) => "no difference",
        None => return heuristics.to_owned(),
    };
    format!("{verdict} ({heuristics})")
}
