//! Many messages under way at once, to each instance as many.
//!
//! This side must not be the slower one, or it would be what is measured. So it moves many
//! datagrams with one call: what it sends goes out as one block that the system cuts into datagrams
//! (`UDP_SEGMENT`), which a router cannot tell from datagrams that were sent one by one.

use crate::load::message;
use crate::routers::Running;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmsg};
use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How many datagrams a call receives.
const BATCH: usize = 64;
/// How many a call sends. With more of them the router would wait for the next block, and this side
/// for its answers, in turns.
const BLOCK: usize = 8;
/// The length of all messages that are sent: eight bytes of address, four of types, four of value.
const LENGTH: usize = 16;
/// Room for an answer.
const PLACE: usize = 64;

/// Keeps the windows of all instances full. Channel `n` belongs to instance `n` modulo their
/// number.
pub struct Flood<'a> {
    socket: &'a UdpSocket,
    /// By channel.
    messages: Vec<Vec<u8>>,
    instances: Vec<Instance>,
    window: usize,
    block: Vec<u8>,
    receiving: MultiHeaders<SockaddrStorage>,
}

/// What one instance is sent.
#[derive(Clone)]
struct Instance {
    /// The first channels have another value at the start, and a router may drop what does not
    /// change.
    sent: usize,
    under_way: usize,
}

impl<'a> Flood<'a> {
    /// Up to `window` messages at once to each of the instances, to its channels in turns.
    pub fn new(running: &'a Running, channels: usize, instances: usize, window: usize) -> Flood<'a> {
        running.socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
        let messages: Vec<_> = (0..channels).map(|n| message(&format!("/in{n}"), 0.0)).collect();
        assert!(messages.iter().all(|message| message.len() == LENGTH), "messages of one length");
        let instance = Instance { sent: channels / instances, under_way: 0 };
        let (instances, receiving) = (vec![instance; instances], MultiHeaders::preallocate(BATCH, None));
        Flood { socket: &running.socket, messages, instances, window, block: Vec::new(), receiving }
    }

    /// Keeps the windows full for so long; returns how many answers came, and in how many seconds.
    pub fn run(&mut self, time: Duration) -> (usize, f64) {
        let (begun, mut answers) = (Instant::now(), 0);
        while begun.elapsed() < time {
            for instance in 0..self.instances.len() {
                self.fill(instance);
            }
            let count = self.receive();
            answers += count;
            if count == 0 {
                // what does not come in time is lost
                self.instances.iter_mut().for_each(|instance| instance.under_way = 0);
            }
        }
        (answers, begun.elapsed().as_secs_f64())
    }

    fn fill(&mut self, number: usize) {
        let (count, channels) = (self.instances.len(), self.messages.len() / self.instances.len());
        let instance = &mut self.instances[number];
        while instance.under_way < self.window {
            let batch = (self.window - instance.under_way).min(BLOCK);
            self.block.clear();
            for k in instance.sent..instance.sent + batch {
                let message = &self.messages[k % channels * count + number];
                let value = (k / channels % 9973) as f32 / 9973.0;
                self.block.extend_from_slice(&message[..LENGTH - 4]);
                self.block.extend_from_slice(&value.to_be_bytes());
            }
            let (slices, segment) = ([IoSlice::new(&self.block)], LENGTH as u16);
            let control = [ControlMessage::UdpGsoSegments(&segment)];
            let descriptor = self.socket.as_raw_fd();
            sendmsg::<()>(descriptor, &slices, &control, MsgFlags::empty(), None).expect("a block is sent");
            instance.sent += batch;
            instance.under_way += batch;
        }
    }

    fn receive(&mut self) -> usize {
        let mut places = [[0; PLACE]; BATCH];
        let mut slices: [_; BATCH] = places.each_mut().map(|place| [IoSliceMut::new(place)]);
        let (descriptor, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_WAITFORONE);
        let count = recvmmsg(descriptor, &mut self.receiving, &mut slices, flags, None)
            .map_or(0, |came| came.count());
        for place in &places[..count] {
            let number = channel(place) % self.instances.len();
            let under_way = &mut self.instances[number].under_way;
            *under_way = under_way.saturating_sub(1);
        }
        count
    }
}

/// The channel of an answer, `/out` with its number.
fn channel(answer: &[u8]) -> usize {
    let digits = answer.iter().skip("/out".len()).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
