//! The other end of a show: sends values to it and takes what it sends.

use crate::routers::Running;
use mm_tests::osc::{F, encode};
use std::time::{Duration, Instant};

/// How long a router may take to start, and to answer at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message for `/in` or another path, with this value.
pub fn message(path: &str, value: f32) -> Vec<u8> {
    encode(path, &[F(value)])
}

/// Waits until channel `n` answers.
pub fn wait_for(running: &Running, n: usize) {
    let (socket, begun) = (&running.socket, Instant::now());
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time");
    let answer = message(&format!("/out{n}"), 0.0);
    let mut buffer = [0; 256];
    for step in 0_u8.. {
        let _ = socket.send(&message(&format!("/in{n}"), f32::from(step) / 256.0));
        while let Ok(length) = socket.recv(&mut buffer) {
            if buffer[..length].starts_with(&answer[..answer.len() - 4]) {
                return;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "the router does not answer on channel {n}");
    }
}

/// Takes what is still under way.
pub fn settle(running: &Running) {
    let mut buffer = [0; 256];
    running.socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a time");
    while running.socket.recv(&mut buffer).is_ok() {}
}

/// Round trips of one message at a time over all channels, until `time` is over: microseconds,
/// sorted.
pub fn round_trips(running: &Running, channels: usize, time: Duration, pause: Duration) -> Vec<f64> {
    let socket = &running.socket;
    socket.set_read_timeout(Some(Duration::from_secs(3))).expect("a time");
    let paths: Vec<_> =
        (0..channels).map(|n| (format!("/in{n}"), message(&format!("/out{n}"), 0.0))).collect();
    let (begun, mut micros, mut buffer) = (Instant::now(), Vec::new(), [0; 256]);
    loop {
        let k = running.turns.replace(running.turns.get() + 1);
        let (to, from) = &paths[k % channels];
        // never twice the same, and not what a channel begins with: a router may drop what does not
        // change
        let packet = message(to, (k / channels % 997 + 1) as f32 / 1000.0);
        let sent = Instant::now();
        let _ = socket.send(&packet);
        while let Ok(length) = socket.recv(&mut buffer) {
            if buffer[..length].starts_with(&from[..from.len() - 4]) {
                break;
            }
        }
        micros.push(sent.elapsed().as_secs_f64() * 1e6);
        if begun.elapsed() > time {
            break;
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    micros.sort_by(f64::total_cmp);
    micros
}

/// The value that a part of the sorted ones does not exceed.
pub fn percentile(sorted: &[f64], part: f64) -> f64 {
    sorted.get(((sorted.len().max(1) - 1) as f64 * part) as usize).copied().unwrap_or(f64::NAN)
}
