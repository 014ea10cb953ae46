//! Faults `dmx-interface-absent`, `dmx-cable-pulled` and `dmx-port-shared`: interfaces that are two,
//! come later, go, change their address or have no cable.

use crate::show::{level, run, timed};
use mm_tests::dmx::sacn::{Frame, destination, group, of};
use mm_tests::dmx::{Datagram, DmxPort, Recorder, artnet, sacn};
use mm_tests::netns::{Host, Lan, in_network};
use mm_tests::other_user::{is_root, run_as};

use mm_tests::{Event, Running, TestShow, wait_until};
use std::net::SocketAddrV4;
use std::time::Duration;

/// The user who runs a show without any right.
const ORDINARY_USER: u32 = 61_184;

/// Reads a frame of universe 1 that the show has sent: a host also receives what it sends itself.
fn of_show(datagram: &Datagram) -> Option<Frame> {
    of(1)(datagram).filter(|frame| frame.name == "mm-supervisor")
}

/// A source of universe 1 that counts up until the show has a level of it.
fn assert_receives(show: &Running, sender: &DmxPort, frame: &mut Frame) {
    while show.peer().receive_within(Duration::ZERO).is_some() {}
    let mut byte = frame.slots.first().copied().unwrap_or(0);
    wait_until("a level of the source", || {
        byte = byte.wrapping_add(1);
        let _ = sender.try_send(destination(frame.universe), &frame.next(&[byte, 0]));
        let message = show.peer().receive_within(Duration::from_millis(30));
        message.is_some_and(|message| message.arguments == [level(byte)])
    });
}

const ONE: &str = "[backend sacn]\nbind = eth1\n[sacn io]\nuniverse = 1\npriority = 100\n\
                   [map]\nio.1 > net./in\nnet./out > io.2\n";

/// A host with an interface for nothing, and a source in the network of its other one.
fn hosts() -> (Lan, Host, Lan, DmxPort) {
    let (first, lan) = (Lan::new(), Lan::new());
    let (host, desk) = (first.host(), lan.host());
    let sender = DmxPort::open(&desk, "eth0", sacn::PORT);
    (first, host, lan, sender)
}

#[test]
fn the_same_universe_on_two_interfaces_is_two_universes() {
    in_network(|| assert_two_universes(TestShow::new(), None));
}

#[test]
fn a_show_of_an_ordinary_user_has_all_rights_that_it_needs_for_its_interfaces() {
    if !is_root() {
        mm_tests::skip!("only root can start a show as another user");
    }
    match TestShow::new().hand_over(ORDINARY_USER) {
        Ok(stage) => in_network(|| assert_two_universes(stage, Some(ORDINARY_USER))),
        Err(reason) => mm_tests::skip!("another user cannot start the programs: {reason}"),
    }
}

/// Runs a show with one universe on two interfaces, and makes sure that they are told apart.
fn assert_two_universes(stage: TestShow, user: Option<u32>) {
    let (one, two) = (Lan::new(), Lan::new());
    let host = one.host();
    host.plug(&two, "eth1");
    let desks = [one.host(), two.host()];
    let recorders = [0, 1].map(|index: usize| {
        let port = DmxPort::open(&desks[index], "eth0", sacn::PORT);
        port.join(group(1));
        Recorder::of(port)
    });
    stage.osc_show(&format!(
        "[backend sacn]\nbind = eth0\nbind = {}\n[sacn a]\nuniverse = 1\npriority = 100\n\
         [sacn b]\nuniverse = 1\ninterface = 1\npriority = 100\n\
         [map]\na.1 > net./a\nb.1 > net./b\nnet./to/a > a.2\nnet./to/b > b.2\n",
        two.address(host.number())
    ));
    let mut command = stage.show_command();
    user.into_iter().for_each(|user| {
        run_as(&mut command, user);
    });
    let show = host.run(|| stage.start_command(command));
    show.wait_for(Event::named("show_running"));
    wait_until("both groups", || ["eth0", "eth1"].iter().all(|name| host.has_joined(name, group(1))));
    recorders[1].port().send(destination(1), &Frame::new(2, 1, &[22]).encode());
    show.expect("/b", &[level(22)]);
    recorders[0].port().send(destination(1), &Frame::new(1, 1, &[11]).encode());
    let message = show.peer().receive();
    assert_eq!((message.path.as_str(), message.arguments), ("/a", vec![level(11)]));
    show.send("/to/b", &[level(2)]);
    show.send("/to/a", &[level(1)]);
    let addresses = [one.address(host.number()), two.address(host.number())];
    for ((recorder, address), byte) in recorders.iter().zip(addresses).zip([1, 2]) {
        let read = |datagram: &Datagram| Some((*datagram.from.ip(), of_show(datagram)?));
        let frames = recorder.wait_for_count(4, "frames on their interface", read);
        assert!(frames.iter().all(|(from, frame)| *from == address && frame.slots[1] == byte), "{frames:?}");
    }
    show.stop();
}

#[test]
fn an_interface_that_is_not_there_at_the_start_is_used_when_it_comes() {
    in_network(|| {
        let (_first, host, lan, sender) = hosts();
        sender.join(group(1));
        let recorder = Recorder::of(sender);
        let show = run(&host, ONE);
        show.wait_for(Event::named("interface_missing").level("warn").message("eth1"));
        show.send("/out", &[level(5)]);
        host.plug(&lan, "eth1");
        show.wait_for(Event::named("interface_joined").message("eth1"));
        assert_receives(&show, recorder.port(), &mut Frame::new(1, 1, &[]));
        let frame = recorder.wait_for("the last value", of_show);
        assert_eq!(frame.slots[1], 5);
        show.stop();
    });
}

#[test]
fn an_interface_that_changes_its_address_flaps_or_is_replaced_is_joined_again() {
    in_network(|| {
        let (_first, host, lan, sender) = hosts();
        host.plug(&lan, "eth1");
        let show = run(&host, ONE);
        let mut frame = Frame::new(1, 1, &[]);
        assert_receives(&show, &sender, &mut frame);
        host.ip(&format!(
            "addr del {}/24 dev eth1\naddr add {}/24 broadcast + dev eth1",
            lan.address(host.number()),
            lan.address(99)
        ));
        wait_until("the group at the other address", || host.has_joined("eth1", group(1)));
        assert_receives(&show, &sender, &mut frame);
        for _ in 0..5 {
            host.ip("link set eth1 down");
            host.ip("link set eth1 up");
        }
        assert_receives(&show, &sender, &mut frame);
        host.unplug("eth1");
        show.wait_for(Event::named("interface_missing"));
        host.plug(&lan, "eth1");
        assert_receives(&show, &sender, &mut frame);
        show.stop();
    });
}

#[test]
fn a_cable_that_is_pulled_costs_the_other_interface_nothing_and_is_used_when_it_is_back() {
    in_network(|| {
        let (first, host, lan, sender) = hosts();
        host.plug(&lan, "eth1");
        let node = first.host();
        let recorder = Recorder::of(DmxPort::open(&node, "eth0", sacn::PORT));
        recorder.port().join(group(2));
        let text = ONE.replace("bind = eth1", "bind = eth1\nbind = eth0").replace(
            "[map]",
            "[sacn other]\nuniverse = 2\ninterface = 1\npriority = 100\n[map]\nnet./out > other.1\n",
        );
        let show = run(&host, &text);
        let mut frame = Frame::new(1, 1, &[]);
        assert_receives(&show, &sender, &mut frame);
        lan.pull(&host);
        for byte in 1..=100 {
            show.send("/out", &[level(byte)]);
        }
        let frames = recorder.wait_for_count(3, "the last level on the other interface", |datagram| {
            timed(of(2))(datagram).filter(|(_, frame)| frame.slots[0] == 100)
        });
        assert!(frames.windows(2).all(|pair| pair[1].0 - pair[0].0 < crate::show::PAUSE_LIMIT));
        lan.put_back(&host);
        assert_receives(&show, &sender, &mut frame);
        show.stop();
    });
}

#[test]
fn a_show_starts_without_any_network_and_speaks_when_there_is_one() {
    in_network(|| {
        let lan = Lan::new();
        let host = Host::new();
        let desk = lan.host();
        let port = DmxPort::open(&desk, "eth0", sacn::PORT);
        port.join(group(1));
        let recorder = Recorder::of(port);
        let node = Recorder::of(DmxPort::open(&desk, "eth0", artnet::PORT));
        let text = format!(
            "[sacn io]\nuniverse = 1\npriority = 100\n[artnet out]\nuniverse = 1\ndestination = {}\n\
             [artnet all]\nuniverse = 2\ndestination = discover\n\
             [map]\nio.1 > net./in\nnet./out > io.2\nnet./out > out.2\nnet./out > all.2\n",
            lan.address(desk.number())
        );
        let show = run(&host, &text);
        show.send("/out", &[level(5)]);
        host.plug(&lan, "eth0");
        let read = of_show;
        assert_eq!(recorder.wait_for("the last value by sACN", read).slots[1], 5);
        assert_eq!(node.wait_for("the last value by Art-Net", artnet::of(1)).slots[1], 5);
        assert_receives(&show, recorder.port(), &mut Frame::new(1, 1, &[]));
        show.stop();
    });
}

#[test]
fn two_shows_of_one_host_receive_the_same_universe() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let text =
            "[sacn in]\nuniverse = 1\n[artnet art]\nuniverse = 2\n[map]\nin.1 > net./1\nart.1 > net./2\n";
        let shows = [run(&host, text), run(&host, text)];
        let (acn, art) =
            (DmxPort::open(&desk, "eth0", sacn::PORT), DmxPort::open(&desk, "eth0", artnet::PORT));
        wait_until("the group of the universe", || host.has_joined("eth0", group(1)));
        acn.send(destination(1), &Frame::new(1, 1, &[33]).encode());
        let all = SocketAddrV4::new(lan.broadcast(), artnet::PORT);
        art.send(all, &artnet::Dmx::new(2, &[44, 0]).encode());
        for show in shows {
            show.expect("/1", &[level(33)]);
            show.expect("/2", &[level(44)]);
            show.stop();
        }
    });
}

#[test]
fn a_port_that_another_program_keeps_for_itself_is_named() {
    in_network(|| {
        let host = Lan::new().host();
        let _holder = host.run(|| std::net::UdpSocket::bind(("0.0.0.0", sacn::PORT)).expect("a free port"));
        let stage = TestShow::new();
        stage.osc_show("[sacn in]\nuniverse = 1\n[map]\nin.1 > net./1\n");
        let path = stage.path("show.cfg");
        let ended = host.run(|| stage.finish(&["--config", &path]));
        ended.assert(1, &["5568", "the port is in use"]);
    });
}

#[test]
fn a_program_on_the_same_host_hears_what_the_show_sends() {
    in_network(|| {
        let host = Lan::new().host();
        let recorder = Recorder::of(DmxPort::open(&host, "eth0", sacn::PORT));
        recorder.port().join(group(1));
        let show = run(
            &host,
            "[sacn out]\nuniverse = 1\npriority = 100\n[map]\nnet./1 > out.1\nout.1 > net./back\n",
        );
        show.send("/1", &[level(8)]);
        recorder.wait_for_count(4, "frames on the same host", of(1));
        assert_eq!(show.peer().receive_within(Duration::ZERO), None, "the show has received itself");
        show.stop();
    });
}
