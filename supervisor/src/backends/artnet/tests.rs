//! The backend with real sockets on the loopback network, beside a program that speaks Art-Net.

use super::codec::{ArtDmx, ArtPoll, ArtPollReply, ArtnetPacket, PortAddress, ReplyPort};
use super::*;
use crate::backends::LocalInstance;
use crate::backends::test_loop::{BUDGET, TestLoop};
use crate::backends::{BackendState, PlanChange, Reconfigured};
use crate::show::LiveShow;
use crate::test_shows::live_show;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How long a test waits for a datagram on the loopback interface.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program on the network.
struct Peer(UdpSocket);

impl Peer {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        socket.set_read_timeout(Some(PATIENCE)).expect("it may wait");
        Self(socket)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("it is bound").port()
    }

    fn send(&self, port: u16, datagram: &[u8]) {
        self.0.send_to(datagram, ("127.0.0.1", port)).expect("it can be sent");
    }

    fn send_levels(&self, port: u16, universe: u8, levels: &[u8]) {
        let mut packet = Vec::new();
        let address = PortAddress::new(0, universe).expect("a net");
        ArtDmx { sequence: 0, physical: 0, address, levels }.encode(&mut packet);
        self.send(port, &packet);
    }

    /// The next datagram and its sender.
    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (length, from) = self.0.recv_from(&mut buffer).expect("a datagram comes");
        (buffer[..length].to_vec(), from)
    }

    /// The first level of the next ArtDmx, with its number.
    fn receive_level(&self) -> (u8, u8) {
        let (datagram, _) = self.receive();
        match ArtnetPacket::decode(&datagram) {
            Ok(ArtnetPacket::Dmx(dmx)) => (dmx.sequence, dmx.levels[0]),
            other => panic!("{other:?}"),
        }
    }
}

fn plan(show: &LiveShow) -> Box<dyn Plan> {
    let section = show.backends.iter().find(|section| section.backend == "artnet");
    let mut diagnostics = Diagnostics::default();
    let mut plans = ArtnetKind.plan(section, &show.instances_of("artnet"), &mut diagnostics);
    assert!(!diagnostics.has_errors());
    plans.pop().expect("there is one")
}

/// A running backend of a show whose instance `other` takes and gives everything.
fn run(text: &str) -> TestLoop<dyn Backend> {
    let show = live_show(text);
    let plan = plan(&show);
    TestLoop::start(plan.open().unwrap_or_else(|error| panic!("{error}")), plan.instances())
}

fn receive_until(test: &mut TestLoop<dyn Backend>, count: usize) {
    while test.len() < count {
        assert!(test.receive(PATIENCE, BUDGET), "{} of {count} events", test.len());
    }
}

/// Lets all timers fire that are due within `time`, in order, without waiting for it.
fn pass(test: &mut TestLoop<dyn Backend>, now: &mut Instant, time: Duration) {
    let end = *now + time;
    while let Some(due) = test.deadline().filter(|due| *due <= end) {
        *now = due.max(*now);
        test.tick(*now);
    }
    *now = end;
}

#[test]
fn levels_of_a_universe_become_events_of_its_instance() {
    let mut test = run(
        "[backend artnet]\nbind = 127.0.0.1 41300\n[artnet one]\nuniverse = 1\n[artnet two]\nuniverse = 2\n\
         [loopback other]\n[map]\nother.a < one.1\nother.b < two.{1,2+3}\n",
    );
    let peer = Peer::new();
    peer.send_levels(41300, 9, &[255, 255]);
    assert!(test.receive(PATIENCE, BUDGET));
    let note = test.backend.status(LocalInstance(0)).note;
    assert_eq!(note.as_deref(), Some("nothing received yet; universe 9 arrives, which no instance has"));
    peer.send_levels(41300, 2, &[51, 0x12, 0x34]);
    peer.send_levels(41300, 1, &[255, 0]);
    receive_until(&mut test, 3);
    let events: Vec<_> =
        test.drain().iter().map(|event| (event.instance.0, event.channel.0, event.value)).collect();
    assert_eq!(events, [(1, 0, 0.2), (1, 1, f64::from(0x1234) / 65535.0), (0, 0, 1.0)]);
    let status = test.backend.status(LocalInstance(1));
    let universe = &status.universes[0];
    assert_eq!((universe.universe, universe.net, universe.frames_in), (2, Some(0), 1));
    assert_eq!((universe.sources[0].address.as_str(), universe.is_lost), ("127.0.0.1", false));
}

#[test]
fn malformed_packets_are_counted_and_levels_after_them_arrive() {
    let mut test = run(
        "[backend artnet]\nbind = 127.0.0.1 41301\n[artnet net]\n[loopback other]\n[map]\nother.a < net.1\n",
    );
    let peer = Peer::new();
    let mut wrong_length = Vec::new();
    ArtDmx { sequence: 0, physical: 0, address: PortAddress::FIRST, levels: &[9; 512] }
        .encode(&mut wrong_length);
    wrong_length[16] = 0xFF;
    for datagram in [&b""[..], b"x", b"Art-Net\0", b"Art-Net\0\x00\x50", &wrong_length, &[0xFF; 1472]] {
        peer.send(41301, datagram);
    }
    peer.send_levels(41301, 0, &[255, 0]);
    receive_until(&mut test, 1);
    assert_eq!(test.drain()[0].value, 1.0);
    assert_eq!(test.backend.status(LocalInstance(0)).errors, 6);
}

#[test]
fn values_go_to_the_destination_at_44_frames_per_second_and_the_last_one_always() {
    let peer = Peer::new();
    let mut test = run(&format!(
        "[backend artnet]\nbind = 127.0.0.1 41302\n[artnet net]\nuniverse = 3\ndestination = 127.0.0.1 {}\n\
         [loopback other]\n[map]\nother.a > net.1\n",
        peer.port()
    ));
    test.handle(0, 0, 1.0 / 255.0);
    test.flush();
    let (datagram, from) = peer.receive();
    assert_eq!((datagram.len(), from.port()), (530, 41302), "sent from the port of Art-Net");
    for level in 2..=100 {
        test.handle(0, 0, f64::from(level) / 255.0);
        test.flush();
    }
    let mut now = Instant::now();
    pass(&mut test, &mut now, Duration::from_secs(1));
    // A change, then three repetitions, and one of the keep-alive at most.
    let sent = test.backend.status(LocalInstance(0)).universes[0].frames_out;
    assert!((4..=7).contains(&sent), "{sent}");
    for number in 2..=sent {
        assert_eq!(peer.receive_level(), (number as u8, 100));
    }
}

#[test]
fn a_poll_is_answered_with_the_address_that_it_came_to_also_from_a_wildcard() {
    let mut test =
        run("[backend artnet]\nbind = * 41303\n[artnet one]\nuniverse = 1\ndestination = 127.0.0.1 9\n\
         [artnet two]\nnet = 2\nuniverse = 33\n[artnet three]\nnet = 3\ndestination = 127.0.0.1 9\n\
         [loopback other]\n[map]\nother.a < one.1\nother.b > three.1\n");
    let peer = Peer::new();
    let mut packet = Vec::new();
    ArtPoll { wants_changes: false, target: None }.encode(&mut packet);
    peer.send(41303, &packet);
    let mut now = Instant::now();
    assert!(test.receive(PATIENCE, BUDGET));
    pass(&mut test, &mut now, Duration::from_secs(1));
    let replies: Vec<_> = (0..3)
        .map(|_| match ArtnetPacket::decode(&peer.receive().0) {
            Ok(ArtnetPacket::PollReply(reply)) => *reply,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(replies.iter().all(|reply| reply.ip == Ipv4Addr::LOCALHOST && reply.udp_port == 41303));
    assert_eq!(replies.iter().map(|reply| reply.bind_index).collect::<Vec<_>>(), [1, 2, 3]);
    let names: Vec<_> = replies.iter().map(|reply| reply.short_name.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"]);
    let addresses: Vec<_> =
        replies.iter().map(|reply| (reply.ports[0].output, reply.ports[0].input)).collect();
    let (one, two, three) = (PortAddress::new(0, 1), PortAddress::new(2, 33), PortAddress::new(3, 0));
    assert_eq!(addresses, [(one, one), (two, None), (None, three)], "the last one sends only");
    assert!(replies[1].report.starts_with("#0001 [0002] artnet "), "{}", replies[1].report);
}

#[test]
fn an_address_to_announce_takes_the_place_of_the_interface() {
    let mut test = run("[backend artnet]\nbind = * 41304 announce=10.9.8.7\n[artnet one]\nuniverse = 1\n");
    let peer = Peer::new();
    let mut packet = Vec::new();
    ArtPoll { wants_changes: false, target: None }.encode(&mut packet);
    peer.send(41304, &packet);
    let mut now = Instant::now();
    assert!(test.receive(PATIENCE, BUDGET));
    pass(&mut test, &mut now, Duration::from_secs(1));
    let (datagram, _) = peer.receive();
    assert_eq!(datagram[10..14], [10, 9, 8, 7]);
}

/// What a node says that receives this universe on a port of its own.
fn node_reply(peer: &Peer, universe: u8) -> Vec<u8> {
    let output = PortAddress::new(0, universe);
    let mut packet = Vec::new();
    let reply = ArtPollReply {
        ip: Ipv4Addr::UNSPECIFIED,
        udp_port: peer.port(),
        version: 0,
        short_name: "dimmer".into(),
        long_name: String::new(),
        report: String::new(),
        mac: [0; 6],
        bind_index: 1,
        fails_to_zero: false,
        ports: vec![ReplyPort { output, ..ReplyPort::default() }],
    };
    reply.encode(&mut packet);
    packet
}

#[test]
fn discovery_sends_to_nodes_that_answer_and_forgets_those_that_do_not() {
    let mut test =
        run("[backend artnet]\nbind = 127.0.0.1 41305\n[artnet net]\nuniverse = 5\ndestination = discover\n\
         [loopback other]\n[map]\nother.a > net.1\n");
    test.handle(0, 0, 1.0);
    test.flush();
    let status = test.backend.status(LocalInstance(0));
    assert_eq!((status.state, status.universes[0].frames_out), (BackendState::Connecting, 0));
    let (peer, other) = (Peer::new(), Peer::new());
    other.send(41305, &node_reply(&other, 6));
    peer.send(41305, &node_reply(&peer, 5));
    while test.backend.status(LocalInstance(0)).state == BackendState::Connecting {
        assert!(test.receive(PATIENCE, BUDGET));
    }
    assert_eq!(peer.receive_level(), (1, 255));
    assert_eq!(test.backend.status(LocalInstance(0)).peers, [format!("127.0.0.1:{}", peer.port())]);
    let mut now = Instant::now();
    pass(&mut test, &mut now, Duration::from_secs(9));
    let status = test.backend.status(LocalInstance(0));
    assert_eq!((status.state, status.peers.len()), (BackendState::Connecting, 0));
    let sent = status.universes[0].frames_out;
    pass(&mut test, &mut now, Duration::from_secs(60));
    assert_eq!(test.backend.status(LocalInstance(0)).universes[0].frames_out, sent, "it costs nothing");
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let peer = Peer::new();
    let text = |rest: &str| {
        format!(
            "[backend artnet]\nbind = 127.0.0.1 41306\n[artnet in]\nuniverse = 1\n[artnet out]\nuniverse = 2\n\
             destination = 127.0.0.1 {}\n{rest}[loopback other]\n[map]\nother.a < in.1\nother.b > out.1\n",
            peer.port()
        )
    };
    let old = live_show(&text(""));
    let plan_before = plan(&old);
    let mut test = TestLoop::start(
        plan_before.open().unwrap_or_else(|error| panic!("{error}")),
        plan_before.instances(),
    );
    test.handle(1, 0, 1.0);
    test.flush();
    assert_eq!(peer.receive_level(), (1, 255));
    peer.send_levels(41306, 1, &[255, 0]);
    receive_until(&mut test, 1);
    let new = live_show(&text("[artnet third]\nuniverse = 3\n"));
    let plan_after = plan(&new);
    let change = PlanChange::new(&plan_before.instances(), &plan_after.instances(), |_| true);
    let outcome = test.with(|backend, cx| backend.reconfigure(&*plan_after, &change, cx));
    assert_eq!(outcome, Reconfigured::Kept);
    let status =
        |test: &TestLoop<dyn Backend>, place| test.backend.status(LocalInstance(place)).universes.remove(0);
    assert_eq!((status(&test, 0).frames_in, status(&test, 0).sources.len()), (1, 1));
    test.drain();
    peer.send_levels(41306, 1, &[255, 0]);
    assert!(test.receive(PATIENCE, BUDGET));
    assert_eq!(test.len(), 0, "the level is known");
    let mut now = Instant::now();
    test.handle(1, 0, 0.0);
    pass(&mut test, &mut now, Duration::from_millis(100));
    let numbers: Vec<_> = (0..3).map(|_| peer.receive_level().0).collect();
    assert_eq!(numbers, [2, 3, 4]);
}

#[test]
fn commands_set_how_sources_merge_and_are_answered() {
    let mut test = run(
        "[backend artnet]\nbind = 127.0.0.1 41307\n[artnet net]\n[loopback other]\n[map]\nother.a < net.{1,2}\n",
    );
    let peer = Peer::new();
    // AcMergeLtp0 for the first page
    let mut command = b"Art-Net\0\x00\x60\x00\x0e\x00\x01".to_vec();
    command.resize(106, 0);
    command.push(0x10);
    peer.send(41307, &command);
    assert!(test.receive(PATIENCE, BUDGET));
    let (datagram, _) = peer.receive();
    assert_eq!(datagram[182] & 0b10, 0b10, "GoodOutputA says LTP");
}

#[test]
fn own_packets_that_come_back_are_not_levels() {
    let mut test =
        run("[backend artnet]\nbind = 127.0.0.1 41308\n[artnet net]\ndestination = 127.0.0.1 41308\n\
         [loopback other]\n[map]\nother.a <> net.1\n");
    test.handle(0, 0, 1.0);
    test.flush();
    let peer = Peer::new();
    peer.send_levels(41308, 0, &[51, 0]);
    receive_until(&mut test, 1);
    assert_eq!(test.drain().iter().map(|event| event.value).collect::<Vec<_>>(), [0.2]);
    let universe = test.backend.status(LocalInstance(0)).universes.remove(0);
    assert_eq!((universe.frames_in, universe.frames_out), (1, 1));
}

#[test]
fn nothing_is_sent_without_a_destination() {
    let mut test = run(
        "[backend artnet]\nbind = 127.0.0.1 41309\n[artnet net]\n[loopback other]\n[map]\nother.a > net.1\n",
    );
    test.handle(0, 0, 1.0);
    test.flush();
    let status = test.backend.status(LocalInstance(0));
    assert_eq!((status.state, status.universes[0].frames_out), (BackendState::Running, 0));
}

#[test]
fn after_a_pause_of_the_process_what_has_come_meanwhile_is_read_before_a_source_is_lost() {
    let mut test = run("[backend artnet]\nbind = 127.0.0.1 41310\n[artnet one]\ninput-loss = zero\n\
         [loopback other]\n[map]\nother.a < one.1\n");
    let peer = Peer::new();
    peer.send_levels(41310, 0, &[100]);
    receive_until(&mut test, 1);
    assert_eq!(test.drain().len(), 1);
    // It waits in the socket while the process stands still, for longer than a source may be silent.
    peer.send_levels(41310, 0, &[100]);
    let back = Instant::now() + Duration::from_secs(5);
    test.tick(back);
    assert_eq!(test.drain(), [], "no blackout");
    // Nothing else comes: then it is lost.
    let due = test.deadline().expect("the source is watched");
    test.tick(due);
    assert_eq!(test.drain().iter().map(|event| event.value).collect::<Vec<_>>(), [0.0]);
}
