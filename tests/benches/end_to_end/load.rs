//! The other end of a show: sends values to it and takes what it sends.

use crate::routers::Running;
use mm_tests::osc::{F, encode};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How long a router may take to start, and to answer at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many datagrams a call moves, so that this side is not the slower one.
const BATCH: usize = 64;

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

/// Round trips of one message at a time over all channels, until `time` is over: microseconds, sorted.
pub fn round_trips(running: &Running, channels: usize, time: Duration, pause: Duration) -> Vec<f64> {
    let socket = &running.socket;
    socket.set_read_timeout(Some(Duration::from_secs(3))).expect("a time");
    let paths: Vec<_> =
        (0..channels).map(|n| (format!("/in{n}"), message(&format!("/out{n}"), 0.0))).collect();
    let (begun, mut micros, mut buffer) = (Instant::now(), Vec::new(), [0; 256]);
    loop {
        let k = running.turns.replace(running.turns.get() + 1);
        let (to, from) = &paths[k % channels];
        // never twice the same, and not what a channel begins with: a router may drop what does not change
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

/// Many messages under way.
pub struct Flood<'a> {
    socket: &'a UdpSocket,
    packets: Vec<Vec<u8>>,
    window: usize,
    under_way: usize,
    sent: usize,
    sending: MultiHeaders<SockaddrStorage>,
    receiving: MultiHeaders<SockaddrStorage>,
}

impl<'a> Flood<'a> {
    /// Up to `window` messages at once, to these channels in turns.
    pub fn new(running: &'a Running, channels: usize, window: usize) -> Flood<'a> {
        running.socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
        let packets = (0..channels).map(|n| message(&format!("/in{n}"), 0.0)).collect();
        let headers = || MultiHeaders::preallocate(BATCH, None);
        let (sending, receiving) = (headers(), headers());
        Flood { socket: &running.socket, packets, window, under_way: 0, sent: channels, sending, receiving }
    }

    /// Keeps the window full for so long; returns how many answers came, and in how many seconds.
    pub fn run(&mut self, time: Duration) -> (usize, f64) {
        let (begun, mut answers) = (Instant::now(), 0);
        while begun.elapsed() < time {
            while self.under_way < self.window {
                self.send((self.window - self.under_way).min(BATCH));
            }
            let count = self.receive();
            answers += count;
            // what does not come in time is lost
            self.under_way = if count == 0 { 0 } else { self.under_way.saturating_sub(count) };
        }
        (answers, begun.elapsed().as_secs_f64())
    }

    fn send(&mut self, count: usize) {
        let channels = self.packets.len();
        for k in self.sent..self.sent + count {
            // a router may drop what does not change
            let packet = &mut self.packets[k % channels];
            let at = packet.len() - 4;
            packet[at..].copy_from_slice(&((k / channels % 9973) as f32 / 9973.0).to_be_bytes());
        }
        let copies: Vec<_> = (self.sent..self.sent + count).map(|k| &self.packets[k % channels]).collect();
        let slices: Vec<_> = copies.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let (none, no_control): (Vec<Option<SockaddrStorage>>, [ControlMessage<'_>; 0]) =
            (vec![None; count], []);
        let descriptor = self.socket.as_raw_fd();
        let sent = sendmmsg(descriptor, &mut self.sending, &slices, &none, no_control, MsgFlags::empty());
        let sent = sent.map_or(0, |sent| sent.count()).max(1);
        self.sent += sent;
        self.under_way += sent;
    }

    fn receive(&mut self) -> usize {
        let mut places = [[0; 64]; BATCH];
        let mut slices: Vec<_> = places.iter_mut().map(|place| [IoSliceMut::new(place)]).collect();
        let (descriptor, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_WAITFORONE);
        recvmmsg(descriptor, &mut self.receiving, &mut slices, flags, None).map_or(0, |came| came.count())
    }
}
