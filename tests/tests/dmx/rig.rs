//! The networks of these tests do what those of a hall do, and nothing of them is left.

use mm_tests::dmx::ola::Protocol;
use mm_tests::dmx::sacn::{Frame, destination, group, of};
use mm_tests::dmx::{Capture, DmxPort, Ola, Recorder, capture, ola, sacn};
use mm_tests::netns::{INSIDE, Lan, in_network, in_network_with};
use mm_tests::processes::all;
use mm_tests::wait::last;
use mm_tests::{PATIENCE, wait_until};
use std::net::SocketAddrV4;
use std::process::{Command, Stdio};

/// Tells the program of the tests to stay in its network; its value is how long its peer sleeps.
const LINGER: &str = "MM_TEST_LINGERS";

#[test]
fn multicast_and_broadcast_reach_the_hosts_of_one_network() {
    in_network(|| {
        let (lan, other) = (Lan::new(), Lan::new());
        let (one, two, stranger) = (lan.host(), lan.host(), other.host());
        let sender = DmxPort::open(&one, "eth0", sacn::PORT);
        let recorders = [&two, &stranger].map(|host| Recorder::of(DmxPort::open(host, "eth0", sacn::PORT)));
        for recorder in &recorders {
            recorder.port().join(group(1));
        }
        assert!(two.has_joined("eth0", group(1)) && !two.has_joined("eth0", group(2)));
        let mut frame = Frame::new(1, 1, &[]);
        for to in [destination(2), destination(1), SocketAddrV4::new(lan.broadcast(), sacn::PORT)] {
            sender.send(to, &frame.next(&[7, 8]));
        }
        let received = recorders[0].wait_for_count(2, "a frame to the group and to all", of(1));
        assert_eq!(received.iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(recorders[1].all(|_| Some(())).len(), 0, "another network has heard it");
    });
}

#[test]
fn a_cable_that_is_pulled_carries_nothing_until_it_is_back() {
    in_network(|| {
        let lan = Lan::new();
        let (one, two) = (lan.host(), lan.host());
        let sender = DmxPort::open(&one, "eth0", sacn::PORT);
        let recorder = Recorder::of(DmxPort::open(&two, "eth0", sacn::PORT));
        recorder.port().join(group(1));
        lan.pull(&two);
        let mut frame = Frame::new(1, 1, &[]);
        sender.send(destination(1), &frame.next(&[1, 1]));
        lan.put_back(&two);
        wait_until("a frame after the cable is back", || {
            sender.send(destination(1), &frame.next(&[2, 2]));
            !recorder.all(of(1)).is_empty()
        });
        assert!(recorder.all(of(1)).iter().all(|frame| frame.slots == [2, 2]));
    });
}

#[test]
fn ola_sends_what_ola_receives_and_tshark_reads_it() {
    in_network_with(&[&ola::PROGRAMS[..], &capture::PROGRAMS].concat(), || {
        let lan = Lan::new();
        let (one, two) = (lan.host(), lan.host());
        let wire = Capture::start(&two, "eth0");
        let [sender, receiver] = Ola::start_all([&one, &two]);
        // Fewer slots than a line of its dump has are malformed to tshark 4.0.
        let levels: Vec<u8> = (1..=24).collect();
        for (protocol, universe) in [(Protocol::Sacn, 1), (Protocol::ArtNet, 2)] {
            receiver.receive(protocol, 0, universe);
            sender.send(protocol, 0, universe);
            wait_until("levels at the far end", || {
                sender.set(universe, &levels);
                receiver.levels(universe).starts_with(&levels)
            });
        }
        let captured = wire.finish();
        for filter in ["acn.dmx.universe == 1", "artnet.output.universe == 2"] {
            assert!(!captured.fields(filter, &["frame.number"]).is_empty(), "no packet of `{filter}`");
        }
        assert_eq!(captured.complaints("udp"), Vec::<Vec<String>>::new());
    });
}

#[test]
fn nothing_is_left_of_a_network_whose_test_is_killed() {
    if std::env::var_os(LINGER).is_some() {
        in_network(|| {
            let host = Lan::new().host();
            let mut sleeper = Command::new("sleep");
            let _sleeper = host.start({
                sleeper.arg(std::env::var(LINGER).unwrap());
                sleeper
            });
            last(PATIENCE);
        });
        return;
    }
    in_network(|| {
        // A number that no other program sleeps for.
        let tag = format!("{}.25", 100_000 + std::process::id());
        let sleeps = || all().into_iter().any(|process| process.arguments().contains(&tag));
        let mut outer = Command::new(std::env::current_exe().unwrap());
        outer.args(["--exact", "rig::nothing_is_left_of_a_network_whose_test_is_killed"]);
        outer.env(LINGER, &tag).env_remove(INSIDE).stdout(Stdio::null()).stderr(Stdio::null());
        let mut outer = outer.spawn().unwrap();
        wait_until("a program in the inner network", sleeps);
        outer.kill().unwrap();
        outer.wait().unwrap();
        wait_until("the end of the program in the inner network", || !sleeps());
    });
}
