//! Sends frames at the rate of DMX, and takes what comes out.
//!
//! When a frame came out is what the kernel has stamped on it, so that this side may be late itself.

use super::packets::{self, SACN_LENGTH};
use super::show::RunningDmx;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg,
    setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Frames of each universe per second: the rate of DMX with 512 slots.
const RATE: u32 = 44;
const BATCH: usize = 64;
const PLACE: usize = 1500;
/// The receive buffer of this side.
const RECEIVE_BUFFER: usize = 16 << 20;
/// How long a router may take to read the show and to answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a frame may take before it is lost.
const LOST: Duration = Duration::from_millis(500);

/// When the universes of one round are sent, and how many slots change with each frame.
#[derive(Debug, Clone, Copy)]
pub enum Spread {
    /// One after the other, over the time of a frame.
    Even(usize),
    /// All at once, as a console does.
    AtOnce(usize),
}

/// The two ends.
pub struct DmxTraffic {
    to: UdpSocket,
    from: UdpSocket,
    universes: usize,
    spread: Spread,
    packets: Vec<[u8; SACN_LENGTH]>,
    number: u16,
}

/// What became of the frames.
#[derive(Default)]
pub struct DmxOutcome {
    pub sent: usize,
    /// Frames that did not come out whole.
    pub lost: usize,
    /// Frames that came out with parts of two.
    pub torn: usize,
    pub late_micros: Vec<f64>,
}

/// A frame by universe and number.
type FrameKey = (usize, u16);

impl DmxTraffic {
    pub fn new(show: &RunningDmx, universes: usize, spread: Spread) -> Self {
        let from = show.output.try_clone().expect("a descriptor");
        let to = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        to.connect(("127.0.0.1", show.input)).expect("an address");
        setsockopt(&from, sockopt::ReceiveTimestampns, &true).expect("an option");
        if setsockopt(&from, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            let _ = setsockopt(&from, sockopt::RcvBuf, &RECEIVE_BUFFER);
        }
        let packets = (1..=universes).map(|universe| packets::sacn(universe, 0x11)).collect();
        Self { to, from, universes, spread, packets, number: 0 }
    }

    fn changing(&self) -> usize {
        match self.spread {
            Spread::Even(changing) | Spread::AtOnce(changing) => changing,
        }
    }

    /// Sends until a frame of each universe came out.
    pub fn wait_until_all_answer(&mut self) {
        let begun = Instant::now();
        let mut open: Vec<bool> = vec![true; self.universes];
        while open.contains(&true) {
            assert!(begun.elapsed() < PATIENCE, "{open:?} do not answer");
            let mut came = Vec::new();
            self.exchange(Duration::from_millis(100), &mut Vec::new(), &mut came);
            for ((universe, _), _, is_whole) in came {
                if let Some(open) = open.get_mut(universe) {
                    *open &= !is_whole;
                }
            }
        }
    }

    /// Sends for so long, and waits for what is under way.
    pub fn run(&mut self, time: Duration) -> DmxOutcome {
        let (mut sent, mut came) = (Vec::new(), Vec::new());
        self.exchange(time, &mut sent, &mut came);
        let mut outcome = DmxOutcome { sent: sent.len(), ..DmxOutcome::default() };
        let mut open: HashMap<FrameKey, f64> = sent.into_iter().collect();
        for (key, at, is_whole) in came {
            if !is_whole {
                outcome.torn += 1;
            } else if let Some(sent) = open.remove(&key) {
                outcome.late_micros.push(at - sent);
            }
        }
        outcome.lost = open.len();
        outcome
    }

    fn exchange(
        &mut self,
        time: Duration,
        sent: &mut Vec<(FrameKey, f64)>,
        came: &mut Vec<(FrameKey, f64, bool)>,
    ) {
        let (from, changing) = (self.from.try_clone().expect("a descriptor"), self.changing());
        let end = Instant::now() + time + LOST;
        thread::scope(|scope| {
            let receiving = scope.spawn(move || receive(&from, changing, end));
            self.send(time, sent);
            came.extend(receiving.join().expect("it did not panic"));
        });
    }

    fn send(&mut self, time: Duration, sent: &mut Vec<(FrameKey, f64)>) {
        let (begun, changing) = (Instant::now(), self.changing());
        let groups = match self.spread {
            Spread::Even(_) => self.universes.min(36),
            Spread::AtOnce(_) => 1,
        };
        let mut headers = MultiHeaders::preallocate(self.universes, None);
        let frame = Duration::from_secs(1) / RATE;
        for round in 0_u32.. {
            if frame * round >= time {
                return;
            }
            self.number = self.number.wrapping_add(1);
            let size = self.universes.div_ceil(groups);
            for (group, packets) in self.packets.chunks_mut(size).enumerate() {
                let due = frame * round + frame * group as u32 / groups as u32;
                thread::sleep(due.saturating_sub(begun.elapsed()));
                packets.iter_mut().for_each(|packet| packets::fill(packet, self.number, changing));
                let at = now_micros();
                let keys = (group * size..).take(packets.len());
                sent.extend(keys.map(|universe| ((universe, self.number), at)));
                send_all(&self.to, packets, &mut headers);
            }
        }
    }
}

fn send_all(to: &UdpSocket, packets: &[[u8; SACN_LENGTH]], headers: &mut MultiHeaders<SockaddrStorage>) {
    let slices: Vec<_> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
    let mut rest = slices.as_slice();
    while !rest.is_empty() {
        let addresses = vec![None; rest.len()];
        let control: [ControlMessage<'_>; 0] = [];
        match sendmmsg(to.as_raw_fd(), headers, rest, addresses, control, MsgFlags::empty()) {
            Ok(sent) => rest = &rest[sent.count()..],
            // Nothing listens yet.
            Err(_) => rest = &rest[1..],
        }
    }
}

/// Takes what comes out until `end`: which frame, when, and whether it is whole.
fn receive(from: &UdpSocket, changing: usize, end: Instant) -> Vec<(FrameKey, f64, bool)> {
    let mut came = Vec::new();
    let mut places = vec![[0_u8; PLACE]; BATCH];
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(nix::cmsg_space!(TimeSpec)));
    from.set_read_timeout(Some(Duration::from_millis(20))).expect("a time");
    while Instant::now() < end {
        let mut slices: Vec<_> = places.iter_mut().map(|place| [IoSliceMut::new(place)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let Ok(received) = recvmmsg(from.as_raw_fd(), &mut headers, &mut slices, flags, None) else {
            continue;
        };
        for message in received {
            let stamp = message.cmsgs().into_iter().flatten().find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
                _ => None,
            });
            let packet = message.iovs().next().unwrap_or_default();
            let Some((universe, number, is_whole)) = packets::read_art_dmx(packet, changing) else {
                continue;
            };
            let at =
                stamp.map_or(f64::NAN, |stamp| stamp.tv_sec() as f64 * 1e6 + stamp.tv_nsec() as f64 / 1e3);
            came.push(((universe, number), at, is_whole));
        }
    }
    came
}

fn now_micros() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e6)
}
