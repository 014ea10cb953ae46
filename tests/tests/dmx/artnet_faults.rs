//! What the `artnet` backend survives, on the loopback network, which every system permits. Faults
//! `artnet-packet-malformed`, `artnet-sources-fight`, `dmx-output-flood`, `artnet-node-gone`,
//! `artnet-wildcard` and `artnet-show-reload`.

use mm_tests::dmx::artnet::{self, Dmx, PollReply};
use mm_tests::osc::F;
use mm_tests::{Event, PATIENCE, Running, TestShow, wait_for};
use nix::sys::signal::Signal;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Starts a show whose Art-Net address is `$CALM`, with OSC as its other end.
fn run(text: &str) -> Running {
    let stage = TestShow::new();
    stage.osc_show(&format!("[backend artnet]\nbind = $CALM\n{text}"));
    stage.run()
}

/// Writes another show file, and waits until it is the one that runs.
fn reload(show: &Running, text: &str) {
    let number = show.log().count(Event::named("show_reloaded"));
    show.stage().osc_show(&format!("[backend artnet]\nbind = $CALM\n{text}"));
    show.signal(Signal::SIGHUP);
    show.log().wait_for_nth(number + 1, Event::named("show_reloaded"));
}

/// A program of the network, which sends from the machine's own address.
struct Program(UdpSocket);

impl Program {
    fn new() -> Self {
        Self::at("127.0.0.1")
    }

    fn at(host: &str) -> Self {
        let socket = UdpSocket::bind((host, 0)).expect("a port is free");
        socket.set_read_timeout(Some(PATIENCE)).expect("it may wait");
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    fn send(&self, show: &Running, packet: &[u8]) {
        self.0.send_to(packet, show.stage().calm()).expect("it can be sent");
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut packet = [0; 2048];
        let length = self.0.recv(&mut packet).ok()?;
        Some(packet[..length].to_vec())
    }

    /// Levels until the first of them is this; returns their numbers.
    fn receive_until(&self, level: u8) -> Vec<u8> {
        self.receive_until_while(level, || {})
    }

    /// The same; `ask` is called after each frame with another level.
    fn receive_until_while(&self, level: u8, ask: impl Fn()) -> Vec<u8> {
        let mut numbers = Vec::new();
        loop {
            let dmx = Dmx::decode(&self.receive().expect("a frame comes")).expect("a frame of the standard");
            numbers.push(dmx.sequence);
            if dmx.slots[0] == level {
                return numbers;
            }
            ask();
        }
    }
}

#[test]
fn packets_that_are_wrong_are_counted_and_levels_after_them_arrive() {
    let show = run("[artnet in]\nuniverse = 1\n[map]\nin.1 > net./1\n");
    let program = Program::new();
    let good = Dmx::new(1, &[255, 0]).encode();
    let mut wrong =
        vec![Vec::new(), b"Art-Net\0".to_vec(), good[..17].to_vec(), good[..19].to_vec(), vec![0xff; 1400]];
    for length in [0_u16, 1000, u16::MAX] {
        let mut packet = good.clone();
        packet[16..18].copy_from_slice(&length.to_be_bytes());
        wrong.push(packet);
    }
    wrong.iter().for_each(|packet| program.send(&show, packet));
    program.send(&show, &good);
    show.expect("/1", &[F(1.0)]);
    let errors = show.control().standing("in")["errors"].clone();
    assert_eq!(errors, wrong.len());
    show.wait_for(Event::named("artnet_packet_malformed").level("warn"));
    let ended = show.stop();
    let lines = ended.log.count(Event::named("artnet_packet_malformed"));
    assert!((1..=2).contains(&lines), "{lines} lines");
}

#[test]
fn random_packets_neither_end_the_show_nor_change_a_level() {
    let show = run("[artnet in]\nuniverse = 1\n[map]\nin.1 > net./1\n");
    let program = Program::new();
    let mut seed = 12_u32;
    // A generator of numbers below `limit`, the same in each run.
    let mut random = |limit: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % limit
    };
    // Of another universe than the instance's, in whatever else it differs.
    let good = Dmx::new(0x0301, &[9; 24]).encode();
    for _ in 0..2000 {
        let mut packet = good.clone();
        for _ in 0..1 + random(5) {
            let at = random(packet.len());
            if !(14..16).contains(&at) {
                packet[at] = random(256) as u8;
            }
        }
        packet.truncate(random(packet.len() + 1));
        program.send(&show, &packet);
    }
    wait_for("levels after the flood", || {
        program.send(&show, &Dmx::new(1, &[255, 0]).encode());
        show.peer().receive_within(Duration::from_millis(200))
    });
    show.stop();
}

#[test]
fn two_sources_are_merged_and_a_third_is_ignored() {
    let show = run("[artnet in]\nuniverse = 1\n[map]\nin.1 > net./1\n");
    let [one, two, three] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(Program::at);
    one.send(&show, &Dmx::new(1, &[51, 0]).encode());
    show.expect("/1", &[F(0.2)]);
    two.send(&show, &Dmx::new(1, &[255, 0]).encode());
    show.expect("/1", &[F(1.0)]);
    // The reference would go back and forth from here on.
    for _ in 0..3 {
        one.send(&show, &Dmx::new(1, &[51, 0]).encode());
        two.send(&show, &Dmx::new(1, &[255, 0]).encode());
        three.send(&show, &Dmx::new(1, &[102, 0]).encode());
    }
    two.send(&show, &Dmx::new(1, &[0, 0]).encode());
    show.expect("/1", &[F(0.2)]);
    show.wait_for(Event::named("artnet_source_ignored").instance("in").message("127.0.0.3"));
    let universe = show.control().standing("in")["universes"][0].clone();
    let sources: Vec<_> =
        universe["sources"].as_array().into_iter().flatten().map(|it| it["address"].clone()).collect();
    assert_eq!(sources, ["127.0.0.1", "127.0.0.2"]);
    assert_eq!(show.log().count(Event::named("universe_source_appeared").instance("in")), 2);
    show.stop();
}

#[test]
fn a_fast_source_is_sent_at_44_frames_per_second_and_its_last_value_always() {
    let node = Program::new();
    let address = node.address();
    let show = run(&format!(
        "[artnet out]\nuniverse = 2\ndestination = {} {}\n[map]\nnet./1 > out.1\n",
        address.ip(),
        address.port()
    ));
    let start = Instant::now();
    let mut value = 0_u8;
    while start.elapsed() < Duration::from_secs(2) {
        value = value % 200 + 1;
        show.send("/1", &[F(f32::from(value) / 255.0)]);
        std::thread::yield_now();
    }
    // The flood may have filled the show's socket, so that the system drops what comes then.
    let numbers = node.receive_until_while(255, || show.send("/1", &[F(1.0)]));
    let time = start.elapsed();
    let most = 44 * (time.as_secs() + 1);
    assert!((numbers.len() as u64) <= most, "{} frames in {time:?}", numbers.len());
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].checked_add(1).unwrap_or(1)), "{numbers:?}");
    show.stop();
}

#[test]
fn a_node_is_found_and_forgotten_and_nothing_is_sent_to_one_that_has_gone() {
    let show = run("[artnet out]\nuniverse = 3\ndestination = discover\n[map]\nnet./1 > out.1\n");
    let node = Program::new();
    show.send("/1", &[F(1.0)]);
    let mut control = show.control();
    control.wait_for("the wait for a node", "out", |status| {
        status["note"].as_str().is_some_and(|note| note.contains("no node has universe 3"))
    });
    let mut reply = PollReply::of_node(std::net::Ipv4Addr::LOCALHOST, 3);
    reply.port = node.address().port();
    node.send(&show, &reply.encode());
    assert_eq!(node.receive_until(255), [1]);
    show.wait_for(Event::named("artnet_node_found").message(&node.address().to_string()));
    // It does not answer any more.
    show.wait_for(Event::named("artnet_node_lost").message(&node.address().to_string()));
    let before = control.standing("out")["universes"][0]["frames_out"].clone();
    show.send("/1", &[F(0.0)]);
    control.wait_for("the wait for a node", "out", |status| status["note"].is_string());
    assert_eq!(control.standing("out")["universes"][0]["frames_out"], before);
    // It is back, and gets what it has missed.
    node.send(&show, &reply.encode());
    node.receive_until(0);
    show.stop();
}

#[test]
fn a_poll_is_answered_with_the_address_that_it_was_sent_to() {
    let stage = TestShow::new();
    let port = stage.calm().port();
    stage.osc_show(&format!(
        "[backend artnet]\nbind = 0.0.0.0 {port}\n[artnet lamps]\nnet = 1\nuniverse = 44\n[map]\nlamps.1 > net./1\n"
    ));
    let show = stage.run();
    let program = Program::new();
    program.send(&show, &artnet::poll());
    let reply =
        PollReply::decode(&program.receive().expect("an answer comes")).expect("a reply of the standard");
    assert_eq!(reply.address, show.stage().calm().ip());
    assert_eq!((reply.net, reply.sub, reply.outputs[0], reply.bind_index), (1, 2, 12, 1));
    assert_eq!((reply.port, reply.short_name.as_str()), (port, "lamps"));
    show.stop();
}

#[test]
fn a_reload_leaves_universes_alone_that_did_not_change() {
    let (kept, moved, other) = (Program::new(), Program::new(), Program::new());
    let to = |program: &Program| {
        format!("destination = {} {}\n", program.address().ip(), program.address().port())
    };
    let mapped = "[map]\nnet./1 > kept.1\nnet./2 > moved.1\nin.1 > net./in\n";
    let common = format!("[artnet in]\nuniverse = 9\n[artnet kept]\nuniverse = 1\n{}", to(&kept));
    let show = run(&format!("{common}[artnet moved]\nuniverse = 2\n{}{mapped}", to(&moved)));
    show.send("/1", &[F(0.2)]);
    assert_eq!(kept.receive_until(51), [1]);
    show.send("/2", &[F(1.0)]);
    assert_eq!(moved.receive_until(255), [1]);
    other.send(&show, &Dmx::new(9, &[255, 0]).encode());
    show.expect("/in", &[F(1.0)]);
    // One universe goes to another place, and there is a further one.
    reload(&show, &format!("[artnet new]\n{common}[artnet moved]\nuniverse = 2\n{}{mapped}", to(&other)));
    other.receive_until(255);
    show.send("/1", &[F(1.0)]);
    let numbers = kept.receive_until(255);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) && numbers[0] == 2, "{numbers:?}");
    let universe = show.control().standing("in")["universes"][0].clone();
    assert_eq!(
        (&universe["frames_in"], &universe["sources"][0]["address"]),
        (&1.into(), &"127.0.0.1".into())
    );
    // The level that is known does not come again, another one does.
    other.send(&show, &Dmx::new(9, &[255, 0]).encode());
    other.send(&show, &Dmx::new(9, &[51, 0]).encode());
    show.expect("/in", &[F(0.2)]);
    // A file with an error changes nothing.
    show.stage().osc_show("[artnet kept]\nuniverse = 300\n");
    show.signal(Signal::SIGHUP);
    show.wait_for(Event::named("show_reload_failed"));
    show.send("/1", &[F(0.0)]);
    kept.receive_until(0);
    show.stop();
}
