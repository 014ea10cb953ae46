//! Faults `dmx-garbage`, `dmx-flood` and `dmx-node-unreachable`: what comes from the
//! network is hostile, and one node that is gone costs the others nothing.

use crate::show::{assert_consecutive, level, run};
use mm_tests::dmx::sacn::{Frame, destination, group, synchronization};
use mm_tests::dmx::{DmxPort, Recorder, artnet, sacn};
use mm_tests::netns::{Host, Lan, in_network};
use mm_tests::wait::every;
use mm_tests::{Control, Event, Running, wait_until};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const INSTANCES: &str = "[sacn acn]\nuniverse = 1\n[sacn calm]\nuniverse = 2\n[artnet art]\nuniverse = 1\n";

const MAPPINGS: &str = "[map]\nacn.1 > net./acn\nart.1 > net./art\ncalm.1 > net./calm\n";

/// How many packets of garbage each protocol gets.
const PACKETS: u32 = 1_000_000;

/// How long sending them may take on a machine that is busy otherwise; what is left is not sent.
const SENDING_TIME: Duration = Duration::from_secs(20);

/// Numbers that only look random (xorshift), so that a packet that breaks something comes again.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).expect("a small number"))
            .expect("a small number")
    }

    /// Plain noise, or a good packet that is cut, made longer, or changed in some bytes.
    fn packet(&mut self, good: &[Vec<u8>]) -> Vec<u8> {
        let which = self.below(good.len());
        let mut packet = good[which].clone();
        match self.below(8) {
            0 => packet = (0..self.below(80)).map(|_| self.next().to_le_bytes()[0]).collect(),
            1 => packet.truncate(self.below(packet.len())),
            2 => packet.resize(packet.len() + self.below(600), 0x55),
            _ => {
                for _ in 0..=self.below(4) {
                    // The headers are what is read with care.
                    let end = if self.below(4) == 0 { packet.len() } else { packet.len().min(130) };
                    let at = self.below(end);
                    packet[at] = self.next().to_le_bytes()[1];
                }
            }
        }
        packet
    }
}

/// Sends a level until the show has it.
fn assert_serves(show: &Running, path: &str, send: impl Fn(u8)) {
    let mut byte = 0_u8;
    wait_until("a level that arrives", || {
        byte = byte.wrapping_add(1);
        send(byte);
        // Levels from before may wait in front of it.
        let messages = std::iter::from_fn(|| show.peer().receive_within(Duration::from_millis(50)));
        messages.into_iter().any(|message| message.path == path && message.arguments == [level(byte)])
    });
}

fn errors(control: &mut Control, instance: &str) -> u64 {
    control.standing(instance)["errors"].as_u64().unwrap_or_default()
}

/// The ports of a stranger, and where it sends packets for the two protocols.
struct Stranger {
    acn: DmxPort,
    art: DmxPort,
    show: Ipv4Addr,
}

impl Stranger {
    fn new(lan: &Lan, host: &Host, desk: &Host) -> Self {
        let [acn, art] = [sacn::PORT, artnet::PORT].map(|port| DmxPort::open(desk, "eth0", port));
        wait_until("the groups", || host.has_joined("eth0", group(1)) && host.has_joined("eth0", group(2)));
        Self { acn, art, show: lan.address(host.number()) }
    }

    fn send_acn(&self, packet: &[u8]) {
        // What the network has no room for is lost: it is a flood.
        let _ = self.acn.try_send(destination(1), packet);
    }

    fn send_art(&self, packet: &[u8]) {
        let _ = self.art.try_send(SocketAddrV4::new(self.show, artnet::PORT), packet);
    }

    /// Both protocols bring levels in.
    fn assert_both_serve(&self, show: &Running) {
        // A source that no mutation can have become.
        let cid = 0xee;
        let number = std::cell::Cell::new(0_u8);
        assert_serves(show, "/acn", |byte| {
            number.set(number.get().wrapping_add(1));
            let mut frame = Frame::new(cid, 1, &[byte, 0]);
            (frame.sequence, frame.priority) = (number.get(), 200);
            self.send_acn(&frame.encode());
        });
        assert_serves(show, "/art", |byte| {
            let mut dmx = artnet::Dmx::new(1, &[byte, 0]);
            dmx.sequence = 0;
            self.send_art(&dmx.encode());
        });
    }
}

#[test]
fn a_wrong_length_and_an_empty_datagram_are_counted_and_change_nothing() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let show = run(&host, &format!("{INSTANCES}{MAPPINGS}"));
        let stranger = Stranger::new(&lan, &host, &desk);
        stranger.assert_both_serve(&show);
        let mut control = show.control();
        let before = [errors(&mut control, "acn"), errors(&mut control, "art")];
        let mut acn = Frame::new(1, 1, &[66; 4]).encode();
        // Says that it has 512 slots.
        acn[123..125].copy_from_slice(&513_u16.to_be_bytes());
        stranger.send_acn(&acn);
        stranger.send_acn(&[]);
        let mut art = artnet::Dmx::new(1, &[66; 4]).encode();
        art[16..18].copy_from_slice(&512_u16.to_be_bytes());
        stranger.send_art(&art);
        stranger.send_art(&[]);
        control.wait_for("malformed packets of sACN", "acn", |status| {
            status["errors"].as_u64() >= Some(before[0] + 2)
        });
        control.wait_for("malformed packets of Art-Net", "art", |status| {
            status["errors"].as_u64() >= Some(before[1] + 2)
        });
        show.wait_for(Event::named("sacn_packet_malformed"));
        show.wait_for(Event::named("artnet_packet_malformed"));
        stranger.assert_both_serve(&show);
        show.stop();
    });
}

#[test]
fn a_million_bad_packets_of_sacn_are_counted_and_harm_nothing() {
    let good = [
        Frame::new(3, 1, &[7; 24]).encode(),
        Frame { start_code: 0xdd, ..Frame::new(3, 1, &[100; 24]) }.encode(),
        Frame { sync: 9, ..Frame::new(4, 1, &[9; 512]) }.encode(),
        synchronization(4, 1, 9),
    ];
    in_network(|| assert_survives_garbage(&good, Stranger::send_acn, "acn", "sacn_packet_malformed"));
}

#[test]
fn a_million_bad_packets_of_art_net_are_counted_and_harm_nothing() {
    let good = [
        artnet::Dmx::new(1, &[7; 24]).encode(),
        artnet::poll(),
        artnet::sync(),
        artnet::PollReply::of_node(Ipv4Addr::new(10, 77, 0, 200), 1).encode(),
    ];
    in_network(|| assert_survives_garbage(&good, Stranger::send_art, "art", "artnet_packet_malformed"));
}

fn assert_survives_garbage(
    good: &[Vec<u8>],
    send: impl Fn(&Stranger, &[u8]),
    instance: &str,
    malformed: &str,
) {
    let lan = Lan::new();
    let (host, desk) = (lan.host(), lan.host());
    let show = run(&host, &format!("{INSTANCES}{MAPPINGS}"));
    let stranger = Stranger::new(&lan, &host, &desk);
    stranger.assert_both_serve(&show);
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    let start = Instant::now();
    for _ in 0..PACKETS {
        send(&stranger, &noise.packet(good));
        if start.elapsed() > SENDING_TIME {
            break;
        }
    }
    let mut control = show.control();
    control.wait_for("malformed packets in the status", instance, |status| {
        status["errors"].as_u64() > Some(1_000)
    });
    let lines = show.log().count(Event::named(malformed));
    assert!((1..200).contains(&lines), "{lines} lines");
    // The mutated sources are gone, or rank below the one that asks.
    stranger.assert_both_serve(&show);
    show.stop();
}

#[test]
fn a_flood_on_one_universe_leaves_the_others_complete_and_in_order() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk, flooder) = (lan.host(), lan.host(), lan.host());
        // What the flood changes is routed, but not sent to the socket that counts the calm levels.
        let mappings =
            "[loopback sink]\n[map]\nacn.{1..8} > sink.{1..8}\nacn.512 > net./acn\ncalm.1 > net./calm\n";
        let show = run(&host, &format!("{INSTANCES}{mappings}"));
        let desk = Stranger::new(&lan, &host, &desk);
        let stranger = Stranger::new(&lan, &host, &flooder);
        let is_over = AtomicBool::new(false);
        let bytes: Vec<u8> = (1..=120).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut frame = Frame::new(9, 1, &[]);
                let start = Instant::now();
                let mut byte = 0_u8;
                while !is_over.load(Ordering::Relaxed) && start.elapsed() < SENDING_TIME {
                    byte = byte.wrapping_add(1);
                    let mut levels = [byte; 512];
                    levels[511] = 1;
                    stranger.send_acn(&frame.next(&levels));
                }
            });
            // It is under way.
            show.expect("/acn", &[level(1)]);
            // 44 frames per second.
            let mut frame = Frame::new(1, 2, &[]);
            let mut left = bytes.iter();
            every(Duration::from_millis(23), || {
                left.next().is_some_and(|byte| {
                    desk.acn.send(destination(2), &frame.next(&[*byte, 0]));
                    true
                })
            });
            let mut received = Vec::new();
            wait_until("the last level of the calm universe", || {
                let message = show.peer().receive_within(Duration::from_millis(100));
                received.extend(message.filter(|message| message.path == "/calm"));
                received.last().is_some_and(|message| message.arguments == [level(120)])
            });
            is_over.store(true, Ordering::Relaxed);
            let received: Vec<_> = received.into_iter().map(|message| message.arguments).collect();
            assert_eq!(received, bytes.iter().map(|byte| vec![level(*byte)]).collect::<Vec<_>>());
        });
        show.stop();
    });
}

#[test]
fn a_node_that_is_not_there_costs_the_others_no_frame() {
    in_network(|| {
        let lan = Lan::new();
        let (host, nodes) = (lan.host(), [lan.host(), lan.host(), lan.host()]);
        let recorders = nodes.each_ref().map(|node| Recorder::of(DmxPort::open(node, "eth0", artnet::PORT)));
        let unicast = Recorder::of(DmxPort::open(&nodes[0], "eth0", sacn::PORT));
        // Six of nine are missing, two of them after each that is there. Each level is held for a
        // frame, so that all of them go out, however late the show gets them.
        let mut text = String::new();
        for number in 0..9_u8 {
            let node = if number % 3 == 0 { nodes[usize::from(number / 3)].number() } else { 200 + number };
            text += &format!(
                "[artnet a{number}]\nuniverse = {number}\nhold = 10ms\ndestination = {}\n",
                lan.address(node)
            );
            text += &format!("[map]\nnet./all > a{number}.1\n");
        }
        text +=
            &format!("[sacn s]\nuniverse = 1\npriority = 100\ndestination = {}\n", unicast.port().address());
        text += &format!("[sacn gone]\nuniverse = 2\npriority = 100\ndestination = {}\n", lan.address(250));
        let show = run(&host, &format!("{text}[map]\nnet./all > s.1\nnet./all > gone.1\n"));
        let mut byte = 0;
        every(Duration::from_millis(30), || {
            byte += 1;
            show.send("/all", &[level(byte)]);
            byte < 150
        });
        for (number, recorder) in (0_u16..).step_by(3).zip(&recorders) {
            let read = artnet::of(number);
            recorder.wait_for("the last level", |datagram| read(datagram).filter(|dmx| dmx.slots[0] == 150));
            let mut levels: Vec<u8> = recorder.all(&read).iter().map(|dmx| dmx.slots[0]).collect();
            levels.dedup();
            assert_eq!(levels, (1..=150).collect::<Vec<_>>(), "node {number}");
            let sequences: Vec<u8> = recorder.all(read).iter().map(|dmx| dmx.sequence).collect();
            assert_consecutive(&sequences, |sequence| sequence.checked_add(1).unwrap_or(1));
        }
        unicast.wait_for("the last level", |datagram| {
            sacn::of(1)(datagram).filter(|frame| frame.slots[0] == 150)
        });
        let mut control = show.control();
        control.wait_for("what is wrong in the status", "a1", |status| status["note"].is_string());
        show.stop();
    });
}
