//! sACN through the program: what goes in comes out, and what ends a stream, a source or nothing.

mod faults;
mod reload;

use mm_tests::dmx::sacn::{DISCOVERY, DiscoveryPage, Frame, PORT, TERMINATED, destination, group, of};
use mm_tests::dmx::{DmxPort, Recorder};
use mm_tests::netns::{Host, Lan, in_network};
use mm_tests::wait::wait_until;
use mm_tests::{Event, Running, TestShow};

/// A show on a host, and another host that sends to it and records what it sends.
pub struct Stage {
    pub lan: Lan,
    pub host: Host,
    pub peer: Recorder,
    pub show: Running,
}

impl Stage {
    /// Starts a show with these sections; the peer joins these universes.
    pub fn start(sections: &str, universes: &[u16]) -> Self {
        Self::start_show(TestShow::new(), sections, universes)
    }

    pub fn start_show(show: TestShow, sections: &str, universes: &[u16]) -> Self {
        let lan = Lan::new();
        let (host, peer_host) = (lan.host(), lan.host());
        let peer = Recorder::of(DmxPort::open(&peer_host, "eth0", PORT));
        universes.iter().for_each(|universe| peer.port().join(group(*universe)));
        show.osc_show(sections);
        let show = host.run(move || show.start_show());
        show.wait_for(Event::named("show_running"));
        Self { lan, host, peer, show }
    }

    /// Waits until the show's host receives a universe.
    pub fn wait_for_group(&self, universe: u16) {
        wait_until("the group of a universe", || self.host.has_joined("eth0", group(universe)));
    }

    /// Sends a frame to its universe's group.
    pub fn send(&self, frame: &mut Frame, slots: &[u8]) {
        self.peer.port().send(destination(frame.universe), &frame.next(slots));
    }

    /// Waits for a frame of a universe that begins with these levels.
    #[track_caller]
    pub fn expect(&self, universe: u16, slots: &[u8]) -> Frame {
        self.peer.wait_for("levels", |datagram| {
            of(universe)(datagram).filter(|frame| frame.slots.starts_with(slots))
        })
    }
}

/// The numbers of frames follow each other.
pub fn assert_no_hole(frames: &[Frame]) {
    for pair in frames.windows(2) {
        assert_eq!(pair[0].sequence.wrapping_add(1), pair[1].sequence, "a hole in the sequence");
    }
}

const IN_AND_OUT: &str = "
    [sacn in]
    universe = 1
    [sacn out]
    universe = 63999
    priority = 120
";

#[test]
fn each_byte_and_each_pair_of_a_universe_goes_out_as_it_came_in() {
    in_network(|| {
        let map = "[map]\nin.{1..510} > out.{1..510}\nin.511+512 > out.512+511\n";
        let stage = Stage::start(&format!("{IN_AND_OUT}{map}"), &[63999]);
        stage.wait_for_group(1);
        assert!(!stage.host.has_joined("eth0", group(63999)), "nothing is received there");
        let mut desk = Frame::new(1, 1, &[]);
        for turn in 0..4_u16 {
            let mut levels: Vec<u8> = (0..510).map(|slot| (slot + 255 * turn / 3) as u8).collect();
            levels.extend([turn as u8, 0xab]);
            stage.send(&mut desk, &levels);
            levels[510..].reverse();
            let frame = stage.expect(63999, &levels);
            assert_eq!((frame.priority, frame.name.as_str(), frame.start_code), (120, "mm-supervisor", 0));
        }
        assert_no_hole(&stage.peer.all(of(63999)));
    });
}

#[test]
fn the_last_levels_are_kept_alive_and_three_packets_end_the_stream() {
    in_network(|| {
        let stage = Stage::start(&format!("{IN_AND_OUT}[map]\nnet./level > out.1\n"), &[63999]);
        stage.show.send("/level", &[mm_tests::osc::F(1.0)]);
        stage.expect(63999, &[255]);
        // The change, two repetitions, and two that keep it alive.
        let frames = stage.peer.wait_for_count(5, "a repetition", of(63999));
        assert!(frames.iter().all(|frame| frame.slots.len() == 512 && frame.options == 0), "{frames:?}");
        stage.show.stop();
        let frames = stage.peer.all(of(63999));
        assert_no_hole(&frames);
        let last: Vec<u8> = frames.iter().rev().take(4).map(|frame| frame.options).collect();
        assert_eq!(last, [TERMINATED, TERMINATED, TERMINATED, 0]);
    });
}

#[test]
fn universes_that_are_sent_are_announced_in_order() {
    in_network(|| {
        let instances: String = [700, 3, 44, 5]
            .iter()
            .map(|universe| format!("[sacn u{universe}]\nuniverse = {universe}\npriority = 100\n"))
            .collect();
        let map = "[map]\nnet./a > u700.1\nnet./a > u3.1\nnet./a > u44.1\n";
        let stage = Stage::start(&format!("{instances}{map}"), &[DISCOVERY]);
        stage.show.send("/a", &[mm_tests::osc::F(1.0)]);
        let page =
            stage.peer.wait_for("a page of universes", |datagram| DiscoveryPage::decode(&datagram.bytes));
        assert_eq!((page.page, page.last, page.universes), (0, 0, vec![3, 44, 700]), "5 was never sent");
    });
}

#[test]
fn unicast_goes_both_ways_without_a_group() {
    in_network(|| {
        let lan = Lan::new();
        let (host, peer_host) = (lan.host(), lan.host());
        let peer = Recorder::of(DmxPort::open(&peer_host, "eth0", PORT));
        let to = peer.port().address();
        let show = TestShow::new();
        show.osc_show(&format!(
            "[sacn in]\nuniverse = 1\nunicast = 1\n[sacn out]\nuniverse = 1\npriority = 100\ndestination = {to}\n\
             [map]\nin.1 > out.1\n"
        ));
        let show = host.run(move || show.start_show());
        show.wait_for(Event::named("show_running"));
        assert!(!host.has_joined("eth0", group(1)));
        let mut desk = Frame::new(1, 1, &[]);
        let show_address = std::net::SocketAddrV4::new(lan.address(host.number()), PORT);
        peer.port().send(show_address, &desk.next(&[77]));
        let frame = peer.wait_for("unicast levels", |datagram| {
            of(1)(datagram).filter(|frame| datagram.to == to && frame.slots.starts_with(&[77]))
        });
        assert_ne!(frame.cid, desk.cid);
    });
}

#[test]
fn what_the_show_sends_does_not_come_back_to_it() {
    in_network(|| {
        let loop_back =
            "[sacn one]\nuniverse = 1\npriority = 100\n[map]\nnet./a > one.1\none.1 > net./back\n";
        let stage = Stage::start(loop_back, &[1]);
        stage.wait_for_group(1);
        stage.show.send("/a", &[mm_tests::osc::F(1.0)]);
        stage.expect(1, &[255]);
        let mut desk = Frame::new(1, 1, &[]);
        stage.send(&mut desk, &[51]);
        stage.show.expect("/back", &[mm_tests::osc::F(0.2)]);
    });
}

#[test]
fn synchronised_universes_change_together() {
    in_network(|| {
        let sections = "[sacn a]\nuniverse = 1\n[sacn b]\nuniverse = 2\n[sacn out]\nuniverse = 3\npriority = 100\n\
                        [map]\na.1 > out.1\nb.1 > out.2\n";
        let stage = Stage::start(sections, &[3]);
        stage.wait_for_group(1);
        stage.wait_for_group(2);
        let (mut a, mut b) = (Frame::new(1, 1, &[]), Frame::new(1, 2, &[]));
        (a.sync, b.sync) = (7000, 7000);
        stage.send(&mut a, &[1]);
        stage.send(&mut b, &[1]);
        stage.expect(3, &[1, 1]);
        stage.wait_for_group(7000);
        let sync = |sequence| {
            let packet = mm_tests::dmx::sacn::synchronization(1, sequence, 7000);
            stage.peer.port().send(destination(7000), &packet);
        };
        // A source that appears tells that what was sent before it has been read.
        let read_all = |id: u8, count: usize| {
            stage.send(&mut Frame::new(id, 2, &[]), &[1, 1]);
            let appeared = Event::named("universe_source_appeared").instance("b");
            stage.show.log().wait_for_nth(count, appeared);
        };
        sync(1);
        read_all(7, 2);
        // A synchronisation packet is applied one turn of the loop after it was read.
        read_all(8, 3);
        stage.send(&mut a, &[2]);
        stage.send(&mut b, &[2]);
        read_all(9, 4);
        sync(2);
        stage.expect(3, &[2, 2]);
        let half = |frame: &Frame| matches!(frame.slots[..2], [2, 1] | [1, 2]);
        assert!(!stage.peer.all(of(3)).iter().any(half), "one universe changed before the other");
    });
}

#[test]
fn the_cid_stays_over_restarts() {
    in_network(|| {
        let sections = "[supervisor]\nstate-file = state\n[sacn out]\nuniverse = 1\npriority = 100\n[map]\nnet./a > out.1\n";
        let stage = Stage::start(sections, &[1]);
        stage.show.send("/a", &[mm_tests::osc::F(1.0)]);
        let first = stage.expect(1, &[255]).cid;
        let text = wait_for_file(&stage.show);
        let digits: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text.trim().replace('-', ""), digits);
        let Stage { host, peer, mut show, .. } = stage;
        show.kill();
        peer.clear();
        let again = host.run(move || show.run_again());
        again.send("/a", &[mm_tests::osc::F(0.4)]);
        let frame = peer.wait_for("levels", |datagram| of(1)(datagram).filter(|frame| frame.slots[0] == 102));
        assert_eq!(frame.cid, first);
    });
}

fn wait_for_file(show: &Running) -> String {
    mm_tests::wait::wait_for("the file with the CID", || {
        std::fs::read_to_string(show.stage().directory().join("state.cid")).ok()
    })
}
