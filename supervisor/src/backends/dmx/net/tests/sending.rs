//! What is sent: through which interface, from which address, and past nodes that do not answer.

use super::super::BindIndex;
use super::namespace::{ip, wait_until};
use super::peer::{Net, Peer};
use super::with_machine;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

const ALL: [u8; 4] = [255, 255, 255, 255];
const GROUP: [u8; 4] = [239, 255, 0, 1];

#[test]
fn what_a_bind_sends_leaves_through_its_interface_from_its_address_and_port() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        there.connect("b", "10.1.0.1", "10.1.0.2");
        ip("addr add 10.1.0.9/24 dev b");
        let mut net = Net::open(&["10.0.0.1", "10.1.0.9"]);
        let peer = there.run(|| {
            let peer = Peer::open([0, 0, 0, 0]);
            peer.join(GROUP, "a");
            peer.join(GROUP, "b");
            peer
        });
        for (bind, network) in [(0, 0), (1, 1)] {
            net.send(bind, GROUP, "group");
            net.send(bind, ALL, "all");
            net.send(bind, [10, network, 0, 255], "network");
            net.send(bind, [10, network, 0, 2], "unicast");
        }
        net.flush();
        let mut came: Vec<_> = (0..8).map(|_| peer.next()).collect();
        came.sort();
        let from = |text: &str, address: [u8; 4]| (text.to_owned(), Ipv4Addr::from(address));
        let expected: Vec<_> = ["all", "group", "network", "unicast"]
            .into_iter()
            .flat_map(|text| [from(text, [10, 0, 0, 1]), from(text, [10, 1, 0, 9])])
            .collect();
        assert_eq!(came, expected);
    });
}

#[test]
fn all_interfaces_send_to_groups_and_programs_on_this_machine_hear_it() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        there.connect("b", "10.1.0.1", "10.1.0.2");
        let mut net = Net::open(&["*"]);
        let near = Peer::open([0, 0, 0, 0]);
        near.join(GROUP, "b");
        net.join(0, GROUP);
        wait_until("both have a link", || {
            net.turn();
            net.sockets().interfaces(BindIndex(0)).count() == 2
        });
        net.send(0, GROUP, "group");
        net.flush();
        assert_eq!(near.next().0, "group");
        assert_eq!(net.until("group").len(), 2);
    });
}

#[test]
fn nodes_that_do_not_answer_cost_the_others_nothing_and_are_named() {
    with_machine!(|there| {
        const FRAMES: usize = 300;
        there.connect("a", "10.0.0.1", "10.0.0.2");
        std::fs::write("/proc/sys/net/ipv4/neigh/a/retrans_time_ms", "100").unwrap();
        let live: Vec<u8> = (101..136).collect();
        let nodes: Vec<_> = live.clone();
        let receivers = there.run(move || {
            let open = |host: &u8| {
                ip(&format!("addr add 10.0.0.{host}/24 dev a"));
                Peer::open([10, 0, 0, *host])
            };
            nodes.iter().map(open).collect::<Vec<_>>()
        });
        let mut net = Net::open(&["10.0.0.1"]);
        let frame = "x".repeat(530);
        // 12 of them would fill a send buffer of 1 MiB in one second of frames.
        let dead: Vec<u8> = (201..213).collect();
        for _ in 0..FRAMES {
            for host in dead.iter().chain(&live) {
                net.send(0, [10, 0, 0, *host], &frame);
            }
            net.flush();
        }
        for receiver in &receivers {
            for _ in 0..FRAMES {
                assert_eq!(receiver.next().0.len(), frame.len());
            }
        }
        // The kernel reports about 50 at once and 1,000 a second at most (icmp(7)).
        wait_until("all faults are known", || {
            net.turn();
            let is_known = |net: &mut Net, host: u8| {
                net.sockets().note(BindIndex(0), Some([10, 0, 0, host].into())).is_some()
            };
            let unknown: Vec<_> = dead.iter().filter(|host| !is_known(&mut net, **host)).collect();
            unknown.iter().for_each(|host| net.send(0, [10, 0, 0, **host], "alive"));
            net.flush();
            unknown.is_empty()
        });
        for host in live {
            assert_eq!(net.sockets().note(BindIndex(0), Some([10, 0, 0, host].into())), None);
        }
        assert_eq!(
            net.sockets().note(BindIndex(0), Some([10, 0, 0, 201].into())),
            Some("cannot reach 10.0.0.201: no such node answers".into())
        );
    });
}

#[test]
fn a_node_without_a_program_on_the_port_is_named() {
    with_machine!(|there| {
        there.connect("a", "10.0.0.1", "10.0.0.2");
        let mut net = Net::open(&["a"]);
        net.send(0, [10, 0, 0, 2], "lost");
        net.flush();
        wait_until("the refusal is known", || {
            net.turn();
            net.sockets().note(BindIndex(0), Some([10, 0, 0, 2].into())).is_some()
        });
        // The report has not kept anything from coming in.
        there.run(|| Peer::open([0, 0, 0, 0]).send([10, 0, 0, 1], "a", "next"));
        assert_eq!(net.until("next").len(), 1);
    });
}

#[test]
fn without_an_interface_nothing_is_sent_and_nothing_breaks() {
    with_machine!(|_there| {
        let mut net = Net::open(&["a", "*"]);
        for bind in 0..2 {
            net.send(bind, GROUP, "group");
            net.send(bind, [10, 0, 0, 2], "unicast");
        }
        net.send(7, GROUP, "no such bind");
        net.flush();
        let note = net.sockets().note(BindIndex(1), Some([10, 0, 0, 2].into()));
        assert_eq!(note, Some("cannot reach 10.0.0.2: Network is unreachable".into()));
    });
}

#[test]
fn more_datagrams_than_a_batch_go_out_in_order() {
    let receiver = UdpSocket::bind("127.0.0.1:41192").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut net = Net::open(&["127.0.0.1 41193"]);
    for number in 0..200 {
        let to = "127.0.0.1:41192".parse().unwrap();
        net.sockets().send(BindIndex(0), to, format!("{number}").as_bytes(), std::time::Instant::now());
    }
    net.flush();
    let mut buffer = [0; 64];
    for number in 0..200 {
        let (length, from) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer.get(..length), Some(format!("{number}").as_bytes()));
        assert_eq!(from.port(), 41193);
    }
}
