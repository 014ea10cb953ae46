//! Instances on real sockets, through the traits that the event loop uses.

use super::*;
use crate::backends::Incoming;
use crate::backends::test_loop::{BUDGET, TestLoop};
use mm_config::{Channel, FileId, Instance, Setting, Severity, Span, Spanned};
use nix::sys::socket::{SockaddrStorage, getsockname};
use rosc::{OscBundle, OscMessage, OscPacket, OscTime, OscType, decoder, encoder};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

/// How long a test waits for anything.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An instance, and the text that its spans point into.
pub struct Written {
    pub instance: Instance,
    text: String,
}

impl Written {
    pub fn new(settings: &[(&str, &str)], channels: &[&str]) -> Self {
        let mut text = String::new();
        let span = append(&mut text, "out").span;
        let mut instance = Instance {
            name: "out".into(),
            backend: "osc",
            settings: Vec::new(),
            rejected: Vec::new(),
            channels: Vec::new(),
            span,
        };
        for (key, value) in settings {
            let (key, value) = (append(&mut text, key), append(&mut text, value));
            instance.settings.push(Setting { key, value, directory: PathBuf::new() });
        }
        for channel in channels {
            let Spanned { value, span } = append(&mut text, channel);
            instance.channels.push(Channel { name: value, span });
        }
        Self { instance, text }
    }

    /// Each diagnostic's severity with what it underlines.
    pub fn underlined(&self, diagnostics: &Diagnostics) -> Vec<(Severity, String)> {
        let text = |span: Option<Span>| span.map(|span| self.text[span.range()].to_string());
        diagnostics.iter().map(|found| (found.severity(), text(found.span()).unwrap_or_default())).collect()
    }
}

fn append(text: &mut String, word: &str) -> Spanned<String> {
    let start = text.len() as u32;
    text.push_str(word);
    let span = Span { file: FileId(0), start, end: text.len() as u32 };
    text.push('\n');
    Spanned { value: word.to_string(), span }
}

const ID: InstanceId = InstanceId(3);

/// An opened instance with a peer of its own.
struct Rig {
    osc: TestLoop<OscBackend>,
    peer: UdpSocket,
}

fn peer() -> UdpSocket {
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    peer.set_read_timeout(Some(TIMEOUT)).expect("a limit");
    peer
}

fn plan(settings: &[(&str, &str)], channels: &[&str]) -> OscPlan {
    let written = Written::new(settings, channels);
    let mut diagnostics = Diagnostics::default();
    let live = LiveInstance { id: ID, place: 0, instance: &written.instance, uses: &[] };
    let plan = OscPlan::new(live, false, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{:?}", written.underlined(&diagnostics));
    plan
}

fn open(settings: &[(&str, &str)], channels: &[&str]) -> Result<TestLoop<OscBackend>, OpenError> {
    Ok(TestLoop::start(Box::new(plan(settings, channels).open_socket()?), vec![ID]))
}

impl Rig {
    /// An instance on a free port that sends to the peer.
    fn new(settings: &[(&str, &str)], channels: &[&str]) -> Self {
        let peer = peer();
        let to = format!("127.0.0.1 {}", port_of(&peer));
        let own = [("bind", "127.0.0.1 0"), ("destination", to.as_str())];
        Self { osc: open(&[&own, settings].concat(), channels).expect("it opens"), peer }
    }

    fn address(&self) -> SocketAddr {
        let descriptor = self.osc.backend.socket.descriptor().as_raw_fd();
        let address: SockaddrStorage = getsockname(descriptor).expect("it is a socket");
        sender_address(&address).expect("it is bound")
    }

    fn send(&self, packet: &[u8]) {
        self.peer.send_to(packet, self.address()).expect("loopback takes it");
    }

    /// Receives until there are `count` events or the time is over.
    fn events(&mut self, count: usize) -> Vec<(u32, f64)> {
        let start = Instant::now();
        while self.osc.len() < count && start.elapsed() < TIMEOUT {
            self.receive();
        }
        self.drain()
    }

    fn drain(&mut self) -> Vec<(u32, f64)> {
        let events = self.osc.drain().into_iter();
        events
            .map(|Incoming { instance, channel, value }| {
                assert_eq!(instance, ID);
                (channel.0, value)
            })
            .collect()
    }

    /// Waits until the socket is readable, then has the backend read it.
    fn receive(&mut self) {
        assert!(self.osc.receive(TIMEOUT, BUDGET), "nothing came in");
    }

    /// One routing step.
    fn step(&mut self, values: &[(u32, f64)]) {
        self.set(values);
        self.osc.flush();
    }

    fn set(&mut self, values: &[(u32, f64)]) {
        values.iter().for_each(|(channel, value)| self.osc.handle(0, *channel, *value));
    }

    /// The next message that arrives at the peer.
    fn arrived(&self) -> (String, Vec<OscType>) {
        arrived_at(&self.peer)
    }

    /// Asserts that nothing arrives before a message that is sent now: the loopback interface keeps
    /// the order.
    fn nothing_arrives(&self) {
        let marker = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        marker.send_to(&encode("/marker", vec![]), ("127.0.0.1", port_of(&self.peer))).expect("it is sent");
        assert_eq!(self.arrived().0, "/marker");
    }
}

fn port_of(socket: &UdpSocket) -> u16 {
    socket.local_addr().expect("it is bound").port()
}

fn arrived_at(peer: &UdpSocket) -> (String, Vec<OscType>) {
    let mut buffer = vec![0; 65536];
    let length = peer.recv(&mut buffer).expect("something arrives");
    match decoder::decode_udp(&buffer[..length]).expect("it is OSC").1 {
        OscPacket::Message(message) => (message.addr, message.args),
        OscPacket::Bundle(_) => panic!("an instance does not send bundles"),
    }
}

fn message(addr: &str, args: Vec<OscType>) -> OscPacket {
    OscPacket::Message(OscMessage { addr: addr.into(), args })
}

fn encode(addr: &str, args: Vec<OscType>) -> Vec<u8> {
    encoder::encode(&message(addr, args)).expect("rosc encodes it")
}

fn floats<const N: usize>(values: [f32; N]) -> Vec<OscType> {
    values.map(OscType::Float).to_vec()
}

#[test]
fn messages_come_in_as_events_in_order() {
    let mut rig = Rig::new(&[], &["/a", "/b:1"]);
    rig.send(&encode("/a", floats([0.25])));
    rig.send(&encode("/not/mapped", floats([0.25])));
    rig.send(&encode("/b", floats([0.5, 0.75])));
    rig.send(&encode("/a", floats([0.25])));
    assert_eq!(rig.events(3), [(0, 0.25), (1, 0.75), (0, 0.25)]);
}

#[test]
fn more_messages_than_a_batch_all_come_in() {
    let mut rig = Rig::new(&[("/a", "i 0 1000")], &["/a"]);
    (0..200).for_each(|n| rig.send(&encode("/a", vec![OscType::Int(n)])));
    let expected: Vec<_> = (0..200).map(|n| (0, f64::from(n) / 1000.0)).collect();
    assert_eq!(rig.events(200), expected);
}

#[test]
fn bundles_in_bundles_are_read() {
    let bundle =
        |content| OscPacket::Bundle(OscBundle { timetag: OscTime { seconds: 9, fractional: 9 }, content });
    let one = |value| message("/a", floats([value]));
    let packet = bundle(vec![one(0.25), bundle(vec![bundle(vec![]), one(0.5)]), one(0.75)]);
    let mut rig = Rig::new(&[], &["/a"]);
    rig.send(&encoder::encode(&packet).expect("rosc encodes it"));
    assert_eq!(rig.events(3), [(0, 0.25), (0, 0.5), (0, 0.75)]);
}

#[test]
fn the_largest_datagram_comes_in() {
    let mut rig = Rig::new(&[], &["/a:1"]);
    let head = encode("/a", vec![OscType::Blob(Vec::new()), OscType::Float(0.5)]).len();
    let blob = OscType::Blob(vec![0xff; (codec::MAX_DATAGRAM - head) / 4 * 4]);
    rig.send(&encode("/a", vec![blob, OscType::Float(0.5)]));
    assert_eq!(rig.events(1), [(0, 0.5)]);
}

#[test]
fn all_256_steps_of_a_byte_come_back_as_they_came() {
    let mut rig = Rig::new(&[("/a", "i 0 255")], &["/a"]);
    for step in 0..=255 {
        rig.send(&encode("/a", vec![OscType::Int(step)]));
        let events = rig.events(1);
        rig.step(&events);
        assert_eq!(rig.arrived().1, [OscType::Int(step)]);
    }
}

#[test]
fn without_a_pattern_or_a_destination_nothing_goes_out_and_nothing_breaks() {
    let mut rig = Rig::new(&[], &["/a"]);
    rig.step(&[(0, 0.5), (0, 0.75)]);
    rig.nothing_arrives();
    let mut osc = open(&[("bind", "127.0.0.1 0"), ("/a", "f 0 1")], &["/a"]).expect("it opens");
    osc.handle(0, 0, 0.5);
    osc.flush();
}

#[test]
fn a_destination_is_learned_from_the_last_message_of_a_mapped_path() {
    let osc = open(&[("bind", "127.0.0.1 0"), ("destination", "learn"), ("/a", "f 0 1")], &["/a"]);
    let mut rig = Rig { osc: osc.expect("it opens"), peer: peer() };
    rig.step(&[(0, 0.5)]);
    rig.send(b"/a\0\0");
    rig.receive();
    rig.nothing_arrives();
    rig.step(&[(0, 0.5)]);
    assert_eq!(rig.arrived().1, floats([0.5]), "it was never sent before");

    let second = peer();
    second.send_to(&encode("/a", floats([0.25])), rig.address()).expect("it is sent");
    rig.receive();
    for stranger in [b"garbage".to_vec(), encode("/any", floats([0.5])), encode("/", vec![])] {
        peer().send_to(&stranger, rig.address()).expect("it is sent");
        rig.receive();
    }
    rig.step(&[(0, 0.5)]);
    assert_eq!(arrived_at(&second).1, floats([0.5]), "the new peer does not know it");
    rig.nothing_arrives();
}

#[test]
fn a_learned_destination_can_have_a_port_of_its_own() {
    let listener = peer();
    let learn = format!("learn@{}", port_of(&listener));
    let osc = open(&[("bind", "127.0.0.1 0"), ("destination", &learn), ("/a", "f 0 1")], &["/a"]);
    let mut rig = Rig { osc: osc.expect("it opens"), peer: peer() };
    rig.send(&encode("/a", floats([0.25])));
    rig.receive();
    rig.step(&[(0, 0.5)]);
    assert_eq!(arrived_at(&listener).1, floats([0.5]));
    rig.nothing_arrives();
}

#[test]
fn an_instance_without_bind_sends_and_hears_the_answer() {
    let peer = peer();
    let to = format!("localhost {}", port_of(&peer));
    let osc = open(&[("destination", &to), ("/a", "f 0 1")], &["/a"]).expect("it opens");
    let mut rig = Rig { osc, peer };
    rig.step(&[(0, 0.5)]);
    let mut buffer = [0; 64];
    let (_, from) = rig.peer.recv_from(&mut buffer).expect("it arrives");
    rig.peer.send_to(&encode("/a", floats([0.25])), from).expect("it is sent");
    assert_eq!(rig.events(1), [(0, 0.25)]);
}

#[test]
fn both_families_come_in_and_go_out_through_the_ipv6_wildcard() {
    let peer = peer();
    let to = format!("127.0.0.1 {}", port_of(&peer));
    let settings = [("bind", ":: 0"), ("destination", to.as_str()), ("/a", "f 0 1")];
    let osc = open(&settings, &["/a"]).expect("it opens");
    let mut rig = Rig { osc, peer };
    let port = rig.address().port();
    rig.peer.send_to(&encode("/a", floats([0.5])), ("127.0.0.1", port)).expect("it is sent");
    assert_eq!(rig.events(1), [(0, 0.5)]);
    rig.step(&[(0, 0.75)]);
    assert_eq!(rig.arrived().1, floats([0.75]));
}

#[test]
fn what_cannot_be_opened_is_named_with_its_reason() {
    let error = |settings: &[(&str, &str)]| open(settings, &[]).err().expect("it cannot be opened");
    let taken = peer();
    let bind = format!("127.0.0.1 {}", port_of(&taken));
    let in_use = error(&[("bind", &bind)]);
    assert_eq!(in_use.message, format!("instance `out`: cannot open `bind = {bind}`: the port is in use"));
    assert_eq!(in_use.hint.as_deref(), Some("another program, or another show, listens on it"));
    assert_eq!(in_use.cause, OpenCause::Lasting);
    let unknown = error(&[("bind", "stage.invalid 0")]);
    assert!(unknown.message.contains("`bind = stage.invalid 0` is being looked up"), "{unknown}");
    assert_eq!(unknown.cause, OpenCause::LookUp);
    let foreign = error(&[("bind", "192.0.2.1 0")]);
    assert!(foreign.message.contains("does not have this address"), "{foreign}");
    assert_eq!(foreign.cause, OpenCause::Network);
    let mixed = error(&[("bind", "127.0.0.1 0"), ("destination", "::1 9")]);
    assert!(mixed.message.contains("cannot be reached"), "{mixed}");
}

#[test]
fn two_instances_on_one_port_are_an_error_of_the_show() {
    let found = |first: &str, second: &str| {
        let (first, second) = (Written::new(&[("bind", first)], &[]), Written::new(&[("bind", second)], &[]));
        let live = [&first, &second].map(|written| LiveInstance {
            id: ID,
            place: 0,
            instance: &written.instance,
            uses: &[],
        });
        let mut diagnostics = Diagnostics::default();
        OscKind.plan(None, &live, &mut diagnostics);
        second.underlined(&diagnostics)
    };
    assert_eq!(found("* 8000", "127.0.0.1 8000"), [(Severity::Error, "127.0.0.1 8000".to_string())]);
    assert_eq!(found(":: 8000", "* 8000"), [(Severity::Error, "* 8000".to_string())]);
    assert_eq!(found("* 8000", "::1 8000"), []);
    assert_eq!(found("* 8000", "* 8001"), []);
    assert_eq!(found("127.0.0.1 8000", "127.0.0.2 8000"), []);
    assert_eq!(found("* 0", "* 0"), []);
}

#[test]
fn malformed_packets_are_settled_in_the_log_later_and_leave_no_deadline_behind() {
    let mut rig = Rig::new(&[], &["/a"]);
    (0..10).for_each(|_| rig.send(b"garbage"));
    rig.send(&encode("/a", floats([0.5])));
    assert_eq!(rig.events(1), [(0, 0.5)]);
    let due = rig.osc.deadline().expect("nine were not logged");
    rig.osc.tick(due);
    assert_eq!(rig.osc.deadline(), None);
}

#[test]
fn no_datagram_is_read_once_the_budget_is_used_up() {
    let mut rig = Rig::new(&[("/a", "i 0 1000")], &["/a"]);
    (0..10).for_each(|n| rig.send(&encode("/a", vec![OscType::Int(n)])));
    let value = |n: i32| (0, f64::from(n) / 1000.0);
    for first in [0, 3, 6] {
        assert!(rig.osc.receive(TIMEOUT, 3));
        assert_eq!(rig.drain(), [value(first), value(first + 1), value(first + 2)]);
    }
    rig.osc.receive(TIMEOUT, 0);
    assert_eq!(rig.drain(), []);
    assert_eq!(rig.events(1), [value(9)]);
}

#[test]
fn of_large_datagrams_one_call_reads_a_part_and_the_rest_comes_in_order() {
    const MESSAGES: i32 = 1_100;
    let mut rig = Rig::new(&[("/a", "i 0 100000")], &["/a"]);
    let bundle = |first: i32| {
        let timetag = OscTime { seconds: 0, fractional: 1 };
        let message = |n| OscPacket::Message(OscMessage { addr: "/a".into(), args: vec![OscType::Int(n)] });
        let content = (first..first + MESSAGES).map(message).collect();
        encoder::encode(&OscPacket::Bundle(OscBundle { timetag, content })).expect("it can be encoded")
    };
    // Many small ones: the next call asks for a whole batch.
    (0..64).for_each(|_| rig.send(&encode("/a", vec![OscType::Int(0)])));
    assert_eq!(rig.events(64).len(), 64);
    (0..6).for_each(|n| rig.send(&bundle(n * MESSAGES)));
    let mut numbers = Vec::new();
    for _ in 0..3 {
        rig.receive();
        let part: Vec<i32> = rig.drain().into_iter().map(|(_, value)| (value * 1e5).round() as i32).collect();
        assert_eq!(part.len(), 2_200, "two datagrams are more than one call reads");
        numbers.extend(part);
    }
    assert_eq!(numbers, (0..6 * MESSAGES).collect::<Vec<_>>());
    assert!(!rig.osc.receive(Duration::ZERO, BUDGET), "nothing is left");
}

#[test]
fn what_was_received_waits_while_there_is_no_room_for_it() {
    let mut rig = Rig::new(&[], &["/a"]);
    let message = |n: f32| encode("/a", floats([n / 8.0]));
    (0..4).for_each(|n| rig.send(&message(n as f32)));
    assert!(rig.osc.receive(TIMEOUT, 2));
    rig.osc.receive(Duration::ZERO, 0);
    assert_eq!(rig.drain(), [(0, 0.0), (0, 0.125)]);
    assert_eq!(rig.events(2), [(0, 0.25), (0, 0.375)]);
}

#[test]
fn another_pattern_keeps_the_socket_and_another_address_does_not() {
    let mut rig = Rig::new(&[], &["/a"]);
    let (address, to) = (rig.address(), format!("127.0.0.1 {}", port_of(&rig.peer)));
    let other = |bind, to: &str| plan(&[("bind", bind), ("destination", to), ("/b", "f 0 2")], &["/a", "/b"]);
    let unanswered = encode("/b", floats([1.0]));
    rig.send(&unanswered);
    let (kept, moved) = (other("127.0.0.1 0", &to), other("127.0.0.1 1", &to));
    let change = PlanChange::new(&[ID], &[ID], |_| false);
    let outcome = rig.osc.with(|osc, cx| osc.reconfigure(&kept, &change, cx));
    assert_eq!(outcome, Reconfigured::Kept);
    assert_eq!(rig.address(), address);
    assert_eq!(rig.events(1), [(1, 0.5)], "what waited in the socket is not lost");
    rig.step(&[(1, 1.0)]);
    assert_eq!(rig.arrived(), ("/b".into(), floats([2.0])));
    let wider = [("bind", "127.0.0.1 0"), ("destination", to.as_str()), ("/b", "f 0 2"), ("/c", "f 0 1")];
    let wider = plan(&wider, &["/c", "/b"]);
    assert_eq!(rig.osc.with(|osc, cx| osc.reconfigure(&wider, &change, cx)), Reconfigured::Kept);
    rig.step(&[(1, 1.0)]);
    rig.nothing_arrives();
    rig.step(&[(1, 0.5), (0, 1.0)]);
    assert_eq!(rig.arrived(), ("/b".into(), floats([1.0])), "the value before the reload is known");
    assert_eq!(rig.arrived(), ("/c".into(), floats([1.0])));
    assert_eq!(rig.osc.with(|osc, cx| osc.reconfigure(&moved, &change, cx)), Reconfigured::Reopen);
    assert_eq!(
        rig.osc.with(|osc, cx| osc.reconfigure(&other("127.0.0.1 0", "::1 9"), &change, cx)),
        Reconfigured::Reopen
    );
}

#[test]
fn status_names_the_peer_and_counts_errors() {
    let mut rig = Rig::new(&[], &["/a"]);
    rig.send(b"garbage");
    rig.receive();
    let status = rig.osc.backend.status(LocalInstance(0));
    assert_eq!(status.errors, 1);
    assert_eq!(status.peers, [rig.peer.local_addr().expect("it is bound").to_string()]);
}

mod hosts;
mod sending;
