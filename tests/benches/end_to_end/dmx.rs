//! Universes of DMX: sACN in, Art-Net out, through a script or straight.
//!
//! Each universe is sent 44 times a second, as a fade over all of it: its number is in the first two
//! slots, and the others follow from that. So each frame that comes out says which one it is, when
//! that went in, and whether it is whole.

mod packets;
mod show;
mod stranger;
mod traffic;

use crate::load::percentile;
use crate::processes::cpu_micros;
use crate::routers::Router;
use crate::works::{Figure, figure};
use show::DmxShow;
use std::time::Duration;
use stranger::Stranger;
use traffic::{DmxTraffic, Spread};

/// Before it counts: with the first frames a router learns its sources.
const WARM: Duration = Duration::from_millis(1500);
const TIME: Duration = Duration::from_secs(4);

/// Few universes of which a part changes: what the reference can do too, so that the ratio of the CPU
/// times means something.
pub fn few(router: &Router, universes: usize) -> Vec<(Figure, f64)> {
    run(router, &DmxShow { universes, python: true }, Spread::Even(64), None)
}

/// 36 universes through a script, one after the other within the time of a frame.
pub fn through_python(router: &Router, universes: usize) -> Vec<(Figure, f64)> {
    run(router, &DmxShow { universes, python: true }, Spread::Even(512), None)
}

/// The same where all are sent at once, with another value in 32 slots of each.
pub fn at_once(router: &Router, universes: usize) -> Vec<(Figure, f64)> {
    run(router, &DmxShow { universes, python: true }, Spread::AtOnce(32), None)
}

/// Universes without a script.
pub fn straight(router: &Router, universes: usize) -> Vec<(Figure, f64)> {
    run(router, &DmxShow { universes, python: false }, Spread::Even(512), None)
}

/// Beside a stranger that sends to one universe, which does not count, as fast as it can.
pub fn flooded(router: &Router, universes: usize) -> Vec<(Figure, f64)> {
    run(router, &DmxShow { universes, python: true }, Spread::Even(32), Some(Stranger::levels))
}

/// Beside a stranger that sends garbage to the port.
pub fn garbage(router: &Router, universes: usize) -> Vec<(Figure, f64)> {
    run(router, &DmxShow { universes, python: true }, Spread::Even(32), Some(Stranger::garbage))
}

fn run(
    router: &Router,
    show: &DmxShow,
    spread: Spread,
    stranger: Option<fn(u16, usize) -> Stranger>,
) -> Vec<(Figure, f64)> {
    let started = show.start(router);
    // The last universe is the stranger's.
    let counted = show.universes - usize::from(stranger.is_some());
    let mut traffic = DmxTraffic::new(&started, counted, spread);
    traffic.wait_until_all_answer();
    let stranger = stranger.map(|begin| begin(started.input, counted + 1));
    traffic.run(WARM);
    let pids = started.running.processes();
    let before = cpu_micros(&pids);
    let outcome = traffic.run(TIME);
    let cpu = cpu_micros(&pids) - before;
    drop(stranger);
    let mut late = outcome.late_micros;
    late.sort_by(f64::total_cmp);
    let sent = outcome.sent as f64;
    vec![
        figure("late, p50, µs", "", percentile(&late, 0.5)),
        figure("late, p99, µs", "ours < 2000", percentile(&late, 0.99)),
        figure("late, most, µs", "", percentile(&late, 1.0)),
        figure("lost of 10,000 frames", "ours 0", outcome.lost as f64 * 1e4 / sent),
        figure("torn of 10,000 frames", "", outcome.torn as f64 * 1e4 / sent),
        figure("CPU of all processes, µs/frame", "< 1", cpu / sent),
    ]
}
