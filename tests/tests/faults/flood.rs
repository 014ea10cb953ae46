//! Fault `network-flood`: floods on the OSC port.

use crate::{assert_serves, finish, run};
use mm_tests::osc::{F, encode};
use mm_tests::{Event, wait_until};
use std::net::UdpSocket;

const SCRIPT: &str = "
    import midimonster
    count = 0
    def event(value):
        global count
        count += 1
    def ask(value):
        midimonster.output('answer', value)
";

const MAPPINGS: &str = "net./event > py.h.event\nnet./ask > py.h.ask\npy.answer > net./answer";

/// Numbers that only look random (xorshift), so that a packet that breaks something comes again.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A packet of garbage: plain noise, or a good message with some bytes changed, which gets
    /// further into the reader.
    fn packet(&mut self, good: &[u8]) -> Vec<u8> {
        if self.next().is_multiple_of(2) {
            let length = usize::try_from(self.next() % 96).unwrap_or(0);
            return (0..length).map(|_| self.next().to_le_bytes()[0]).collect();
        }
        let mut packet = good.to_vec();
        for _ in 0..=self.next() % 4 {
            let at = usize::try_from(self.next()).unwrap_or(0) % packet.len();
            packet[at] = self.next().to_le_bytes()[1];
        }
        packet
    }
}

#[test]
fn a_million_packets_of_garbage_are_counted_and_harm_nobody() {
    let (show, others) = run(SCRIPT, "", MAPPINGS);
    let socket = UdpSocket::bind((show.stage().bind().ip(), 0)).unwrap();
    let good = mm_tests::osc::bundle(&[encode("/other", &[F(0.5)]), encode("/another", &[F(0.25)])]);
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    for _ in 0..1_000_000 {
        // What the kernel has no room for is not ours to worry about: it is a flood.
        let _ = socket.send_to(&noise.packet(&good), show.stage().bind());
    }
    show.wait_for(Event::named("osc_packet_malformed").instance("net"));
    // A question may drown in the flood, until it has run off.
    wait_until("an answer", || {
        show.send("/ask", &[F(0.5)]);
        show.peer().receive_within(std::time::Duration::from_millis(100)).is_some()
    });
    let malformed = show.log().count(Event::named("osc_packet_malformed").instance("net"));
    assert!(malformed < 1000, "{malformed} lines");
    finish(show, others);
}

#[test]
fn a_flood_of_valid_packets_is_served_beside_the_others() {
    let (show, others) = run(SCRIPT, "", MAPPINGS);
    let socket = UdpSocket::bind((show.stage().bind().ip(), 0)).unwrap();
    for number in 0..300_000_u32 {
        let value = F(f32::from(u16::try_from(number % 1024).unwrap()) / 1024.0);
        let _ = socket.send_to(&encode("/event", &[value]), show.stage().bind());
    }
    wait_until("an answer", || {
        show.send("/ask", &[F(0.5)]);
        show.peer().receive_within(std::time::Duration::from_millis(100)).is_some()
    });
    assert_serves_again(&show);
    finish(show, others);
}

/// The answer may be that to an earlier question.
fn assert_serves_again(show: &mm_tests::Running) {
    show.send("/ask", &[F(0.25)]);
    show.expect("/answer", &[F(0.25)]);
    assert_serves(show);
}
