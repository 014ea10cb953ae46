//! The `artnet` backend, packet by packet.

use crate::show::{
    PAUSE_LIMIT, assert_at_most_44_per_second, assert_consecutive, at_full_rate, level, run, timed, universe,
};
use mm_tests::dmx::artnet::{Dmx, PORT, PollReply, is_poll, of, poll};
use mm_tests::dmx::{Datagram, DmxPort, Recorder, artnet};
use mm_tests::netns::{Host, Lan, in_network};
use mm_tests::osc::F;
use mm_tests::wait::every;
use mm_tests::{Event, wait_until};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

fn listen(host: &Host) -> Recorder {
    Recorder::of(DmxPort::open(host, "eth0", PORT))
}

fn to(address: Ipv4Addr) -> SocketAddrV4 {
    SocketAddrV4::new(address, PORT)
}

fn replies(datagram: &Datagram) -> Option<PollReply> {
    PollReply::decode(&datagram.bytes)
}

fn next(sequence: u8) -> u8 {
    sequence.checked_add(1).unwrap_or(1)
}

#[test]
fn a_change_goes_out_three_times_at_full_rate_and_is_kept_alive_after() {
    in_network(|| {
        let lan = Lan::new();
        let (host, node) = (lan.host(), lan.host());
        let recorder = listen(&node);
        let text = format!(
            "[artnet out]\nnet = 1\nuniverse = 35\ndestination = {}\n[map]\nnet./1 > out.1\n",
            recorder.port().address()
        );
        let show = run(&host, &text);
        show.send("/1", &[level(200)]);
        let frames = recorder.wait_for_count(6, "frames of a universe at rest", timed(of(0x123)));
        let (times, frames): (Vec<_>, Vec<_>) = frames.into_iter().unzip();
        // Three equal frames are asked for; a fourth one may be among them.
        let fast = at_full_rate(&times);
        assert_eq!((&fast[..2], &fast[3..5]), (&[true; 2][..], &[false; 2][..]), "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] < PAUSE_LIMIT), "{times:?}");
        assert!(frames.iter().all(|frame| frame.slots[0] == 200), "{frames:?}");
        show.stop();
    });
}

#[test]
fn changes_go_out_at_most_44_times_per_second_with_sequence_numbers_from_1_to_255() {
    in_network(|| {
        let lan = Lan::new();
        let (host, node) = (lan.host(), lan.host());
        let recorder = listen(&node);
        let to = recorder.port().address();
        let show = run(&host, &format!("[artnet out]\ndestination = {to}\n[map]\nnet./1 > out.1\n"));
        let mut sent = 0_u16;
        every(Duration::from_millis(2), || {
            sent += 1;
            show.send("/1", &[level(1 + sent.to_le_bytes()[0] % 250)]);
            sent < 3_300
        });
        show.send("/1", &[level(255)]);
        recorder.wait_for("the last value", |datagram| of(0)(datagram).filter(|frame| frame.slots[0] == 255));
        let (times, frames): (Vec<_>, Vec<_>) = recorder.all(timed(of(0))).into_iter().unzip();
        assert_at_most_44_per_second(&times);
        let sequences: Vec<u8> = frames.iter().map(|frame| frame.sequence).collect();
        assert_consecutive(&sequences, next);
        assert!(!sequences.contains(&0) && sequences.contains(&255), "{sequences:?}");
        show.stop();
    });
}

#[test]
fn a_poll_is_answered_with_the_address_and_the_universes_of_its_interface() {
    in_network(|| {
        let (lan, other) = (Lan::new(), Lan::new());
        let (host, desk, stranger) = (lan.host(), lan.host(), other.host());
        host.plug(&other, "eth1");
        let (recorder, elsewhere) = (listen(&desk), listen(&stranger));
        let text = "[backend artnet]\nbind = eth0\nbind = eth1\n[artnet in]\nnet = 2\nuniverse = 0x21\n\
                    [artnet there]\nuniverse = 7\ninterface = 1\n[map]\nin.1 > net./1\nthere.1 > net./2\n";
        let show = run(&host, &text.replace("0x21", "33"));
        recorder.port().send(to(lan.broadcast()), &poll());
        elsewhere.port().send(to(other.broadcast()), &poll());
        let wanted =
            [(&recorder, lan.address(host.number()), 0x221), (&elsewhere, other.address(host.number()), 7)];
        for (recorder, address, universe) in wanted {
            let reply = recorder.wait_for("an answer to a poll", |datagram| {
                replies(datagram).filter(|reply| reply.address == address)
            });
            assert_eq!((reply.port, reply.bind_address), (PORT, address));
            assert_eq!(reply.port_addresses().collect::<Vec<_>>(), [universe]);
            let strange = |reply: &PollReply| reply.port_addresses().any(|other| other != universe);
            assert!(!recorder.all(replies).iter().any(strange), "universes of the other interface");
        }
        show.stop();
    });
}

#[test]
fn discovered_nodes_get_their_universes_alone_and_by_unicast() {
    in_network(|| {
        let lan = Lan::new();
        let (host, first, second, third) = (lan.host(), lan.host(), lan.host(), lan.host());
        let nodes = [&first, &second, &third].map(listen);
        let show = run(
            &host,
            "[artnet a]\nuniverse = 1\ndestination = discover\n[artnet b]\nuniverse = 2\ndestination = discover\n\
             [map]\nnet./1 > a.1\nnet./2 > b.1\n",
        );
        let show_address = lan.address(host.number());
        for (node, universe) in nodes.iter().zip([1, 2, 3]) {
            node.wait_for("a poll", |datagram| is_poll(&datagram.bytes).then_some(()));
            let reply = PollReply::of_node(node.port().address(), universe);
            node.port().send(to(show_address), &reply.encode());
        }
        show.log().wait_for_nth(2, Event::named("artnet_node_found"));
        show.send("/1", &[level(11)]);
        show.send("/2", &[level(22)]);
        let frame = |datagram: &Datagram| Some((datagram.to, Dmx::decode(&datagram.bytes)?));
        for (node, byte) in nodes.iter().zip([11, 22]) {
            let (to, dmx) = node.wait_for("a frame of its universe", frame);
            assert_eq!((to, dmx.slots[0]), (node.port().address(), byte));
        }
        // Polls go on; the third node still has got nothing.
        let polls = |datagram: &Datagram| is_poll(&datagram.bytes).then_some(());
        nodes[2].wait_for_count(nodes[2].all(polls).len() + 1, "another poll", polls);
        assert_eq!(nodes[2].all(frame).len(), 0, "a node got a universe that it does not have");
        assert!(nodes[0].all(frame).iter().all(|(_, dmx)| dmx.port_address == 1), "another node's universe");
        show.stop();
    });
}

#[test]
fn two_sources_merge_and_a_third_one_is_ignored() {
    in_network(|| {
        let lan = Lan::new();
        let host = lan.host();
        let desks = [lan.host(), lan.host(), lan.host()];
        let show =
            run(&host, "[artnet in]\nuniverse = 1\nsource-timeout = 1s\n[map]\nin.{1..2} > net./{1..2}\n");
        let ports = [0, 1, 2].map(|index: usize| DmxPort::open(&desks[index], "eth0", PORT));
        let show_address = to(lan.address(host.number()));
        let mut frames = [0, 1, 2].map(|_| Dmx::new(1, &[]));
        ports[0].send(show_address, &frames[0].next(&[100, 0]));
        show.expect("/1", &[level(100)]);
        ports[1].send(show_address, &frames[1].next(&[90, 20]));
        show.expect("/2", &[level(20)]);
        ports[2].send(show_address, &frames[2].next(&[250, 250]));
        show.wait_for(Event::named("artnet_source_ignored"));
        // The first one stops; the second one goes on and is alone after a second.
        wait_until("the levels of the second source alone", || {
            ports[1].send(show_address, &frames[1].next(&[90, 20]));
            let message = show.peer().receive_within(Duration::from_millis(40));
            message.is_some_and(|message| message.path == "/1" && message.arguments == [level(90)])
        });
        show.stop();
    });
}

#[test]
fn what_a_show_broadcasts_does_not_come_back_into_it() {
    in_network(|| {
        let lan = Lan::new();
        let (host, node) = (lan.host(), lan.host());
        let recorder = listen(&node);
        let show = run(
            &host,
            &format!(
                "[artnet out]\nuniverse = 5\ndestination = {}\n[map]\nnet./1 > out.1\nout.1 > net./back\n\
                 net./end > net./done\n",
                lan.broadcast()
            ),
        );
        show.send("/1", &[level(40)]);
        let frames = recorder
            .wait_for_count(4, "frames to all hosts", |datagram| Some((datagram.to, of(5)(datagram)?)));
        assert!(frames.iter().all(|(to, dmx)| *to == lan.broadcast() && dmx.slots[0] == 40));
        show.send("/end", &[F(1.0)]);
        assert_eq!(show.peer().receive().path, "/done", "its own levels came in");
        // Those of others on the same universe do.
        recorder.port().send(to(lan.broadcast()), &Dmx::new(5, &[90, 0]).encode());
        show.expect("/back", &[level(90)]);
        show.stop();
    });
}

#[test]
fn a_lost_universe_goes_to_zero_where_the_show_says_so() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let show = run(&host, "[artnet in]\nuniverse = 0\ninput-loss = zero\n[map]\nin.3+4 > net./in\n");
        let sender = DmxPort::open(&desk, "eth0", PORT);
        let show_address = to(lan.address(host.number()));
        sender.send(show_address, &Dmx::new(0, &[0, 0, 0xab, 0xcd]).encode());
        show.expect("/in", &[F(f32::from(0xabcd_u16) / 65535.0)]);
        show.expect("/in", &[F(0.0)]);
        let mut control = show.control();
        let status = control.wait_for("a lost universe", "in", |status| universe(status)["is_lost"] == true);
        let source = &universe(&status)["sources"][0];
        assert_eq!(source["address"], sender.address().to_string());
        assert_eq!(source["is_lost"], true);
        show.stop();
    });
}

#[test]
fn commands_without_end_are_obeyed_and_fill_no_log() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let show = run(&host, "[artnet in]\nuniverse = 1\n[map]\nin.1 > net./in\n");
        let sender = DmxPort::open(&desk, "eth0", PORT);
        let show_address = to(lan.address(host.number()));
        for _ in 0..300 {
            for command in [artnet::MERGE_LTP, artnet::MERGE_HTP, artnet::CANCEL_MERGE] {
                sender.send(show_address, &artnet::address(command));
            }
        }
        sender.send(show_address, &artnet::address(artnet::MERGE_LTP));
        sender.send(show_address, &Dmx::new(1, &[7, 0]).encode());
        show.expect("/in", &[level(7)]);
        let lines = |event| show.log().count(Event::named(event));
        let lines = lines("artnet_merge_mode_set") + lines("artnet_merge_cancelled");
        assert!((1..20).contains(&lines), "{lines} lines");
        show.stop();
    });
}
