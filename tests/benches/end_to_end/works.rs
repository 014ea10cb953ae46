//! The works and their figures.

use crate::dmx;
use crate::flood::Flood;
use crate::load::{self, percentile, round_trips, settle, wait_for};
use crate::processes::{cpu_micros, memory, sleeps};
use crate::routers::{Router, Running};
use crate::shows::{self, Show};
use std::time::{Duration, Instant};

/// How long each figure is looked for.
const TIME: Duration = Duration::from_millis(1500);
/// Before it counts.
const WARM: Duration = Duration::from_millis(300);
/// Messages under way when a router is to be saturated.
const WINDOW: usize = 64;
/// Messages under way to each instance that computes. It has as many channels, so that no two are
/// for one channel: a router may send only the latest value of that.
const COMPUTING: usize = 16;
/// Bursts in one round.
const BURSTS: usize = 5;

/// Something that a router does.
pub struct Work {
    pub name: &'static str,
    /// How many channels, or instances.
    pub size: usize,
    pub measure: fn(&Router, usize) -> Vec<(Figure, f64)>,
}

/// What is measured of it.
pub struct Figure {
    pub name: &'static str,
    /// Ours to that of the reference.
    pub goal: &'static str,
}

pub const WORKS: &[Work] = &[
    Work { name: "echo, 1 channel", size: 1, measure: round_trip },
    Work { name: "echo, 512 channels", size: 512, measure: round_trip },
    Work { name: "echo, 4096 channels", size: 4096, measure: round_trip_large },
    Work { name: "low-latency echo, 1 channel", size: 1, measure: low_latency },
    Work { name: "low-latency echo, 512 channels", size: 512, measure: low_latency },
    Work { name: "low-latency echo, 4096 channels", size: 4096, measure: low_latency },
    Work { name: "sparse echo", size: 1, measure: sparse },
    Work { name: "low-latency sparse echo", size: 1, measure: low_latency_sparse },
    Work { name: "saturated, 64 channels", size: 64, measure: saturated },
    Work { name: "saturated, 512 channels", size: 512, measure: saturated },
    Work { name: "saturated, 4096 channels", size: 4096, measure: saturated },
    Work { name: "burst of 100,001", size: 0, measure: burst },
    Work { name: "two that compute", size: 2 * COMPUTING, measure: computing },
    Work { name: "beside one that sleeps", size: 1, measure: stall },
    Work { name: "idle, 8 instances", size: 8, measure: idle },
    Work { name: "start, 32 instances", size: 32, measure: start },
    Work { name: "dmx, 4 universes, script", size: 4, measure: dmx::few },
    Work { name: "dmx, 36 universes, script", size: 36, measure: dmx::through_python },
    Work { name: "dmx, 36 at once, script", size: 36, measure: dmx::at_once },
    Work { name: "dmx, 36 beside a flood of levels", size: 36, measure: dmx::flooded },
    Work { name: "dmx, 36 beside a flood of garbage", size: 36, measure: dmx::garbage },
    Work { name: "dmx, 256 universes", size: 256, measure: dmx::straight },
];

pub fn figure(name: &'static str, goal: &'static str, value: f64) -> (Figure, f64) {
    (Figure { name, goal }, value)
}

fn start_show(router: &Router, (show, scripts): Show, channels: usize) -> Running {
    let running = router.run(&show, &scripts);
    (0..channels).for_each(|n| wait_for(&running, n));
    settle(&running);
    running
}

fn trips(router: &Router, show: Show, channels: usize, pause: Duration) -> (f64, f64) {
    let running = start_show(router, show, 1);
    round_trips(&running, channels, WARM, pause);
    let micros = round_trips(&running, channels, TIME, pause);
    (percentile(&micros, 0.5), percentile(&micros, 0.99))
}

fn round_trip(router: &Router, channels: usize) -> Vec<(Figure, f64)> {
    let (p50, p99) = trips(router, shows::echo(channels), channels, Duration::ZERO);
    vec![figure("p50, µs", "<= 1.0", p50), figure("p99, µs", "<= 1.0", p99)]
}

fn round_trip_large(router: &Router, channels: usize) -> Vec<(Figure, f64)> {
    let (p50, p99) = trips(router, shows::echo(channels), channels, Duration::ZERO);
    vec![figure("p50, µs", "<= 0.5", p50), figure("p99, µs", "<= 0.5", p99)]
}

/// One event every two milliseconds: everybody sleeps in between.
fn sparse(router: &Router, channels: usize) -> Vec<(Figure, f64)> {
    let (p50, p99) = trips(router, shows::echo(channels), channels, Duration::from_millis(2));
    vec![figure("p50, µs", "", p50), figure("p99, µs", "", p99)]
}

fn low_latency(router: &Router, channels: usize) -> Vec<(Figure, f64)> {
    awake(router, channels, Duration::ZERO, "<= 0.5")
}

fn low_latency_sparse(router: &Router, channels: usize) -> Vec<(Figure, f64)> {
    awake(router, channels, Duration::from_millis(2), "")
}

/// Ours with `low-latency = on`; the reference has no such thing.
fn awake(router: &Router, channels: usize, pause: Duration, goal: &'static str) -> Vec<(Figure, f64)> {
    let (mut show, scripts) = shows::echo(channels);
    if !router.is_reference {
        show = format!("[supervisor]\nlow-latency = on\n{show}");
    }
    let (p50, p99) = trips(router, (show, scripts), channels, pause);
    vec![figure("p50, µs", goal, p50), figure("p99, µs", goal, p99)]
}

fn flood(running: &Running, channels: usize, instances: usize, window: usize) -> (f64, f64) {
    let mut flood = Flood::new(running, channels, instances, window);
    flood.run(WARM);
    let pids = running.processes();
    let before = cpu_micros(&pids);
    let (answers, seconds) = flood.run(TIME);
    (answers as f64 / seconds, (cpu_micros(&pids) - before) / answers as f64)
}

fn saturated(router: &Router, channels: usize) -> Vec<(Figure, f64)> {
    let running = start_show(router, shows::echo(channels), 1);
    let (rate, cpu) = flood(&running, channels, 1, WINDOW);
    let (rate_goal, cpu_goal) = match channels {
        64 => (">= 1.5", "<= 0.7"),
        512 => (">= 3", "<= 0.35"),
        _ => (">= 20", "<= 0.05"),
    };
    vec![figure("replies/s", rate_goal, rate), figure("CPU of all processes, µs/event", cpu_goal, cpu)]
}

fn burst(router: &Router, _: usize) -> Vec<(Figure, f64)> {
    let running = start_show(router, shows::burst(), 1);
    let (mut rates, mut lost) = (Vec::new(), 0.0);
    let mut buffer = [0; 256];
    for round in 0..=BURSTS {
        let _ = running.socket.send(&load::message("/in0", round as f32 / 100.0));
        let _ = running.socket.send(&load::message("/go", 0.0));
        settle(&running);
        running.socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
        let begun = Instant::now();
        let _ = running.socket.send(&load::message("/go", 1.0 - round as f32 / 100.0));
        let length = running.socket.recv(&mut buffer).unwrap_or(0);
        // the first one fills the memory that the others use
        if round > 0 {
            rates.push(100_001.0 / begun.elapsed().as_secs_f64());
        }
        let value = buffer[..length].last_chunk().map_or(0.0, |bytes| f32::from_be_bytes(*bytes));
        lost += (100_001.0 - (f64::from(value) * 200_000.0).round()).abs();
    }
    rates.sort_by(f64::total_cmp);
    vec![figure("events/s", ">= 1.5", percentile(&rates, 0.5)), figure("lost", "0", lost)]
}

fn computing(router: &Router, channels: usize) -> Vec<(Figure, f64)> {
    let running = start_show(router, shows::computing(channels), 2);
    vec![figure("events/s", ">= 1.8", flood(&running, channels, 2, COMPUTING).0)]
}

fn stall(router: &Router, _: usize) -> Vec<(Figure, f64)> {
    let pause = Duration::from_millis(2);
    let (_, without) = trips(router, shows::echo(1), 1, pause);
    let (_, with) = trips(router, shows::stall(), 1, pause);
    vec![figure("p99, µs", "", with), figure("p99 without that, µs", "the same", without)]
}

fn idle(router: &Router, count: usize) -> Vec<(Figure, f64)> {
    let running = start_show(router, shows::instances(count), count);
    std::thread::sleep(Duration::from_secs(1));
    let pids = running.processes();
    let (cpu, slept, begun) = (cpu_micros(&pids), sleeps(&pids), Instant::now());
    std::thread::sleep(2 * TIME);
    let seconds = begun.elapsed().as_secs_f64();
    let percent = (cpu_micros(&pids) - cpu) / seconds / 1e4;
    let woken = (sleeps(&pids) - slept) / seconds;
    vec![figure("CPU, %", "ours < 0.5", percent), figure("wake-ups/s", "ours <= 10", woken)]
}

fn start(router: &Router, count: usize) -> Vec<(Figure, f64)> {
    let (show, scripts) = shows::instances(count);
    let begun = Instant::now();
    let running = router.run(&show, &scripts);
    (0..count).for_each(|n| wait_for(&running, n));
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    let each = memory(&running.processes()) / count as f64;
    vec![figure("ms until all answer", "", millis), figure("PSS for each instance, KiB", "", each)]
}
