//! The show between OLA on both ends, and what tshark reads of what goes over the wire.

use crate::show::{level, run};
use mm_tests::dmx::ola::Protocol;
use mm_tests::dmx::sacn::{DISCOVERY, DiscoveryPage, TERMINATED, group, of};
use mm_tests::dmx::{Capture, DmxPort, Ola, Recorder, artnet, capture, ola, sacn};
use mm_tests::netns::{Lan, in_network_with};
use mm_tests::wait_until;
use std::time::Duration;

/// All bytes, in an order in which none is beside its neighbour, and the first ones again.
fn all_bytes() -> Vec<u8> {
    (0..512_u32).map(|slot| (slot * 167).to_le_bytes()[0]).collect()
}

#[test]
fn every_byte_of_a_universe_passes_from_ola_through_the_show_to_ola() {
    in_network_with(&ola::PROGRAMS, || {
        let lan = Lan::new();
        let (host, desk, node) = (lan.host(), lan.host(), lan.host());
        let [desk, node] = Ola::start_all([&desk, &node]);
        let show = run(
            &host,
            &format!(
                "[sacn in]\nuniverse = 1\n[sacn out]\nuniverse = 2\npriority = 100\n\
                 [artnet artin]\nuniverse = 3\n[artnet artout]\nuniverse = 4\ndestination = {}\n\
                 [artnet all]\nuniverse = 5\ndestination = {}\n\
                 [map]\nin.{{1..512}} > out.{{1..512}}\nartin.{{1..512}} > artout.{{1..512}}\n\
                 artin.{{1..512}} > all.{{1..512}}\n",
                lan.address(node.host().number()),
                lan.broadcast()
            ),
        );
        desk.send(Protocol::Sacn, 0, 1);
        desk.send(Protocol::ArtNet, 0, 3);
        node.receive(Protocol::Sacn, 0, 2);
        node.receive(Protocol::ArtNet, 0, 4);
        node.receive(Protocol::ArtNet, 1, 5);
        let levels = all_bytes();
        for (sent, received) in [(1, &[2][..]), (3, &[4, 5])] {
            for levels in [&levels, &levels.iter().rev().copied().collect()] {
                wait_until("all levels at the far end", || {
                    desk.set(sent, levels);
                    received.iter().all(|universe| node.levels(*universe) == *levels)
                });
            }
        }
        show.stop();
    });
}

#[test]
fn ola_keeps_a_universe_at_rest_and_gives_it_up_when_the_show_ends() {
    in_network_with(&ola::PROGRAMS, || {
        let lan = Lan::new();
        let (host, node, other) = (lan.host(), lan.host(), lan.host());
        let [node] = Ola::start_all([&node]);
        node.receive(Protocol::Sacn, 0, 1);
        let show = run(&host, "[sacn out]\nuniverse = 1\npriority = 150\n[map]\nnet./{1..2} > out.{1..2}\n");
        show.send("/1", &[level(100)]);
        node.wait_for_levels(1, &[100]);
        // Another source, of a lower priority, that OLA follows when it has lost the show.
        let sender = DmxPort::open(&other, "eth0", sacn::PORT);
        let mut frame = sacn::Frame::new(9, 1, &[]);
        let beyond_loss = Duration::from_millis(3_500);
        let start = std::time::Instant::now();
        mm_tests::wait::every(Duration::from_millis(200), || {
            sender.send(sacn::destination(1), &frame.next(&[1, 1]));
            assert_eq!(node.levels(1).first(), Some(&100), "OLA has lost the show");
            start.elapsed() < beyond_loss
        });
        show.stop();
        wait_until("OLA to follow the other source", || {
            sender.send(sacn::destination(1), &frame.next(&[2, 1]));
            node.levels(1).starts_with(&[2, 1])
        });
    });
}

#[test]
fn ola_lists_the_show_among_its_nodes_and_sends_it_what_it_has() {
    in_network_with(&[&ola::PROGRAMS[..], &["ola_artnet"]].concat(), || {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let show = run(&host, "[artnet in]\nuniverse = 3\n[map]\nin.1 > net./1\n");
        let [desk] = Ola::start_all([&desk]);
        desk.send(Protocol::ArtNet, 0, 3);
        let address = lan.address(host.number()).to_string();
        wait_until("the show among the nodes of OLA", || {
            desk.set(3, &[1]);
            let device = desk.device(Protocol::ArtNet);
            desk.run("ola_artnet", &["--device", &device, "--universe", "3"]).contains(&address)
        });
        desk.set(3, &[88]);
        show.expect("/1", &[level(88)]);
        show.stop();
    });
}

#[test]
fn tshark_reads_each_kind_of_packet_without_a_complaint() {
    in_network_with(&capture::PROGRAMS, || {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let [acn, art] =
            [sacn::PORT, artnet::PORT].map(|port| Recorder::of(DmxPort::open(&desk, "eth0", port)));
        [1, DISCOVERY].iter().for_each(|universe| acn.port().join(group(*universe)));
        let wire = Capture::start(&desk, "eth0");
        let show = run(
            &host,
            &format!(
                "[sacn io]\nuniverse = 1\npriority = 100\n[artnet io2]\nuniverse = 1\ndestination = {}\n\
                 [artnet io3]\nuniverse = 2\ndestination = discover\n\
                 [map]\nnet./1 > io.512\nnet./1 > io2.512\nnet./1 > io3.512\nio.1 > net./2\nio2.1 > net./3\n",
                art.port().address()
            ),
        );
        show.send("/1", &[level(9)]);
        acn.wait_for("a frame", of(1));
        art.wait_for("a frame", artnet::of(1));
        art.wait_for("a poll", |datagram| artnet::is_poll(&datagram.bytes).then_some(()));
        let broadcast = std::net::SocketAddrV4::new(lan.broadcast(), artnet::PORT);
        art.port().send(broadcast, &artnet::poll());
        art.wait_for("an answer", |datagram| artnet::PollReply::decode(&datagram.bytes));
        acn.wait_for("a page of discovery", |datagram| DiscoveryPage::decode(&datagram.bytes));
        show.stop();
        acn.wait_for("the end of the universe", |datagram| {
            of(1)(datagram).filter(|frame| frame.options & TERMINATED != 0)
        });
        let captured = wire.finish();
        let ours = format!("ip.src == {}", lan.address(host.number()));
        let kinds = [
            "acn.dmx.universe == 1 && acn.dmx.option_s == 0",
            "acn.dmx.universe == 1 && acn.dmx.option_s == 1",
            // tshark 4.0 does not know universe discovery.
            "udp.dstport == 5568 && ip.dst == 239.255.250.214",
            "artnet.header.opcode == 0x5000",
            "artnet.header.opcode == 0x2000",
            "artnet.header.opcode == 0x2100",
        ];
        for kind in kinds {
            let found = captured.fields(&format!("{ours} && {kind}"), &["frame.number"]);
            assert!(!found.is_empty(), "no packet of `{kind}`");
        }
        assert_eq!(captured.complaints(&ours), Vec::<Vec<String>>::new());
    });
}
