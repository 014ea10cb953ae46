//! What arrives, and for which bind.

use super::super::{BindIndex, DmxSockets};
use super::peer::{Net, Peer, Seen, specs};
use super::with_machine;
use crate::backends::SourceId;
use std::net::UdpSocket;
use std::time::Instant;

const ALL: [u8; 4] = [255, 255, 255, 255];
const GROUP: [u8; 4] = [239, 255, 0, 1];

fn seen(bind: usize, text: &str, to: [u8; 4]) -> Seen {
    (bind, text.into(), to)
}

#[test]
fn a_bind_receives_all_that_is_for_its_interface_once_and_nothing_of_others() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        there.connect("b", "10.1.0.1", "10.1.0.2");
        for bind in ["10.0.0.1", "a"] {
            let mut net = Net::open(&[bind]);
            net.join(0, GROUP);
            there.run(|| {
                let peer = Peer::open([0, 0, 0, 0]);
                for (interface, network) in [("b", 1), ("a", 0)] {
                    peer.send(GROUP, interface, "group");
                    peer.send([239, 255, 0, 2], interface, "another group");
                    peer.send(ALL, interface, "all");
                    peer.send([10, network, 0, 255], interface, "network");
                    peer.send([10, network, 0, 1], interface, if network == 0 { "unicast" } else { "other" });
                }
            });
            let expected = [
                seen(0, "all", ALL),
                seen(0, "group", GROUP),
                seen(0, "network", [10, 0, 0, 255]),
                seen(0, "unicast", [10, 0, 0, 1]),
            ];
            assert_eq!(net.until("unicast"), expected, "{bind}");
        }
    });
}

#[test]
fn binds_of_two_interfaces_tell_the_same_universe_apart_and_all_interfaces_have_both() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        there.connect("b", "10.1.0.1", "10.1.0.2");
        let mut net = Net::open(&["10.0.0.1", "b", "*"]);
        (0..3).for_each(|bind| net.join(bind, GROUP));
        there.run(|| {
            let peer = Peer::open([0, 0, 0, 0]);
            peer.send(GROUP, "a", "at a");
            peer.send(GROUP, "b", "at b");
            peer.send(ALL, "b", "last");
        });
        let expected = [
            seen(0, "at a", GROUP),
            seen(1, "at b", GROUP),
            seen(1, "last", ALL),
            seen(2, "at a", GROUP),
            seen(2, "at b", GROUP),
            seen(2, "last", ALL),
        ];
        assert_eq!(net.until("last"), expected);
    });
}

#[test]
fn programs_on_this_machine_are_received_by_all_ways_once() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        let mut net = Net::open(&["10.0.0.1", "lo"]);
        (0..2).for_each(|bind| net.join(bind, GROUP));
        let peer = Peer::open([127, 0, 0, 9]);
        peer.send([10, 0, 0, 1], "", "unicast");
        peer.send([127, 0, 0, 1], "lo", "lo");
        peer.send([127, 255, 255, 255], "lo", "all of lo");
        peer.send(GROUP, "lo", "group of lo");
        let other = Peer::open([10, 0, 0, 1]);
        other.send(GROUP, "a", "group");
        other.send([10, 0, 0, 255], "a", "network");
        net.turn();
        other.send(ALL, "a", "last");
        let expected = [
            seen(0, "group", GROUP),
            seen(0, "last", ALL),
            seen(0, "network", [10, 0, 0, 255]),
            seen(1, "all of lo", [127, 255, 255, 255]),
            seen(1, "group of lo", GROUP),
            seen(1, "lo", [127, 0, 0, 1]),
        ];
        // The other program has bound the address last, and so has its unicast.
        drop(other);
        assert_eq!(
            net.until("last").iter().filter(|seen| seen.1 != "unicast").cloned().collect::<Vec<_>>(),
            expected
        );
        peer.send([10, 0, 0, 1], "", "again");
        assert_eq!(net.until("again"), [seen(0, "again", [10, 0, 0, 1])]);
    });
}

#[test]
fn the_port_is_shared_and_unicast_to_the_address_of_a_bind_stays_ours() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        let mut net = Net::open(&["10.0.0.1"]);
        net.join(0, GROUP);
        let other = Peer::open([0, 0, 0, 0]);
        other.join(GROUP, "a");
        there.run(|| {
            let peer = Peer::open([0, 0, 0, 0]);
            peer.send(GROUP, "a", "group");
            peer.send(ALL, "a", "all");
            peer.send([10, 0, 0, 1], "a", "unicast");
        });
        let expected = [seen(0, "all", ALL), seen(0, "group", GROUP), seen(0, "unicast", [10, 0, 0, 1])];
        assert_eq!(net.until("unicast"), expected);
        assert_eq!((other.next().0, other.next().0), ("group".into(), "all".into()));
    });
}

#[test]
fn more_universes_than_the_kernel_permits_per_socket_all_come_in_and_those_of_others_do_not() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        let mut net = Net::open(&["a"]);
        (1..=60).for_each(|universe| net.join(0, [239, 255, 0, universe]));
        let other = Peer::open([0, 0, 0, 0]);
        other.join([239, 255, 1, 1], "a");
        there.run(|| {
            let peer = Peer::open([0, 0, 0, 0]);
            peer.send([239, 255, 1, 1], "a", "foreign");
            (1..=60).for_each(|universe| peer.send([239, 255, 0, universe], "a", "group"));
            peer.send(ALL, "a", "last");
        });
        let came = net.until("last");
        let groups = came.iter().filter(|(_, text, _)| text == "group").count();
        assert_eq!((groups, came.len()), (60, 61));
        assert_eq!(other.next().0, "foreign");
    });
}

#[test]
fn a_group_that_is_left_is_not_received_and_one_that_stays_misses_nothing() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        let mut net = Net::open(&["a", "10.0.0.1"]);
        let (kept, left) = (GROUP, [239, 255, 0, 2]);
        net.join(0, kept);
        net.join(1, left);
        let send = |there: &super::namespace::Machine, last: &'static str| {
            there.run(move || {
                let peer = Peer::open([0, 0, 0, 0]);
                peer.send([239, 255, 0, 1], "a", "kept");
                peer.send([239, 255, 0, 2], "a", "left");
                peer.send([10, 0, 0, 1], "a", last);
            });
        };
        send(there, "first");
        // Both wait in the kernel while the show file is read again.
        net.0.with(|net, cx| {
            let groups = [(BindIndex(0), kept.into())];
            let outcome = net.sockets.reconfigure(&specs(&["a"]), groups, Instant::now(), cx);
            outcome.expect("the port is open");
        });
        let expected = |last: &str| [seen(0, last, [10, 0, 0, 1]), seen(0, "kept", kept)];
        assert_eq!(net.until("first"), expected("first"));
        send(there, "second");
        let mut second = expected("second");
        second.sort();
        assert_eq!(net.until("second"), second);
    });
}

#[test]
fn a_flood_leaves_the_other_universes_their_turn_and_fills_no_queue_but_its_own() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        let mut net = Net::open(&["a"]);
        let flooded = [239, 255, 0, 99];
        net.join(0, flooded);
        (1..=20).for_each(|universe| net.join(0, [239, 255, 0, universe]));
        there.run(move || {
            let peer = Peer::open([0, 0, 0, 0]);
            (0..5000).for_each(|_| peer.send(flooded, "a", "flood"));
            (1..=20).for_each(|universe| peer.send([239, 255, 0, universe], "a", "level"));
            peer.send(ALL, "a", "last");
        });
        net.0.receive(super::namespace::TIMEOUT, usize::MAX);
        let came = std::mem::take(&mut net.0.backend.seen);
        let count = |wanted: &str| came.iter().filter(|(_, text, _)| text == wanted).count();
        assert_eq!((count("flood"), count("level"), count("last")), (256, 20, 1));
    });
}

#[test]
fn what_has_no_room_waits_and_comes_in_order() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        let mut net = Net::open(&["a"]);
        net.0.backend.room = 1;
        net.join(0, GROUP);
        there.run(|| {
            let peer = Peer::open([0, 0, 0, 0]);
            (0..100).for_each(|number| peer.send(GROUP, "a", &format!("{number:02}")));
        });
        let numbers: Vec<_> = (0..100).map(|number| seen(0, &format!("{number:02}"), GROUP)).collect();
        super::namespace::wait_until("all", || {
            net.turn();
            net.0.backend.seen.len() == numbers.len()
        });
        assert_eq!(net.0.backend.seen, numbers);
    });
}

#[test]
fn a_datagram_that_is_longer_than_any_packet_is_counted_and_dropped() {
    let mut net = Net::open(&["127.0.0.1 41190"]);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = "127.0.0.1:41190";
    sender.send_to(&[0; 5000], to).unwrap();
    sender.send_to(&[], to).unwrap();
    sender.send_to(b"last", to).unwrap();
    assert_eq!(net.until("last"), [seen(0, "", [127, 0, 0, 1]), seen(0, "last", [127, 0, 0, 1])]);
    assert_eq!(net.sockets().errors(), 1);
    assert!(!net.sockets().receive(SourceId(77), Instant::now(), |_, _| true));
}

#[test]
fn a_port_that_another_program_does_not_share_is_an_error_with_a_hint() {
    let _other = UdpSocket::bind("0.0.0.0:41191").unwrap();
    let error = DmxSockets::open("sacn", &specs(&["* 41191"]), Instant::now()).unwrap_err();
    assert_eq!(error.message, "`sacn`: cannot open `bind = * 41191`: the port is in use");
    assert!(error.hint.is_some());
}
