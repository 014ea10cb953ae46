//! Faults `sacn-bad-packets`, `sacn-sources-fight`, `sacn-cable-pulled`, `sacn-program-paused` and
//! `sacn-strangers`: sources that fail, fight or send what is not right, and cables that are pulled.

use super::Stage;
use mm_tests::Event;
use mm_tests::dmx::sacn::{Frame, PREVIEW, TERMINATED, destination, of};
use mm_tests::netns::in_network;
use mm_tests::osc::F;
use mm_tests::wait::every;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

const SHOW: &str = "[sacn in]\nuniverse = 1\ninput-loss = zero\n[map]\nin.1 > net./level\n";

#[test]
fn packets_that_are_not_levels_are_counted_and_never_act() {
    in_network(|| {
        let stage = Stage::start(SHOW, &[]);
        stage.wait_for_group(1);
        let mut desk = Frame::new(1, 1, &[]);
        stage.send(&mut desk, &[51]);
        stage.show.expect("/level", &[F(0.2)]);
        let send = |frame: &Frame| stage.peer.port().send(destination(1), &frame.encode());
        let bad = Frame { priority: 200, ..Frame::new(2, 1, &[255]) };
        send(&Frame { options: PREVIEW, ..bad.clone() });
        for start_code in [0xdd, 0xcc, 0x17] {
            send(&Frame { start_code, ..bad.clone() });
        }
        send(&Frame { universe: 2, ..bad.clone() });
        send(&Frame { options: TERMINATED, ..bad.clone() });
        send(&Frame { sequence: 0, slots: vec![255], ..desk.clone() });
        let whole = bad.encode();
        for at in [0, 16, 21, 38, 43, 115, 117, 118, 120, 122, 123] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x55;
            stage.peer.port().send(destination(1), &damaged);
        }
        for length in [0, 1, 16, 38, 125, whole.len() - 1] {
            stage.peer.port().send(destination(1), &whole[..length]);
        }
        stage.send(&mut desk, &[102]);
        stage.show.expect("/level", &[F(0.4)]);
        stage.show.wait_for(Event::named("sacn_packet_malformed"));
        let errors = stage.show.control().standing("in")["errors"].as_u64();
        assert_eq!(errors, Some(17), "those that are damaged or cut");
    });
}

#[test]
fn a_backup_of_lower_priority_takes_over_when_the_main_source_ends_or_is_lost() {
    in_network(|| {
        let stage = Stage::start(SHOW, &[]);
        stage.wait_for_group(1);
        let mut main = Frame { priority: 200, ..Frame::new(1, 1, &[]) };
        let mut backup = Frame::new(2, 1, &[]);
        stage.send(&mut main, &[51]);
        stage.show.expect("/level", &[F(0.2)]);
        stage.send(&mut backup, &[255]);
        stage.send(&mut main, &[102]);
        stage.show.expect("/level", &[F(0.4)]);
        stage.peer.port().send(destination(1), &Frame { options: TERMINATED, ..main.clone() }.encode());
        main.sequence = main.sequence.wrapping_add(1);
        stage.show.expect("/level", &[F(1.0)]);
        stage.show.wait_for(Event::named("universe_source_ended"));
        stage.send(&mut main, &[153]);
        stage.show.expect("/level", &[F(0.6)]);
        // Now it falls silent, and the backup goes on.
        let end = Instant::now() + Duration::from_secs(10);
        every(Duration::from_millis(100), || {
            stage.send(&mut backup, &[204]);
            stage.show.log().count(Event::named("universe_source_lost")) == 0 && Instant::now() < end
        });
        stage.show.expect("/level", &[F(0.8)]);
    });
}

#[test]
fn a_pulled_cable_shows_no_level_of_the_source_of_lower_priority() {
    in_network(|| {
        let stage = Stage::start(SHOW, &[]);
        stage.wait_for_group(1);
        let mut dark = Frame::new(1, 1, &[]);
        let mut full = Frame { priority: 90, ..Frame::new(2, 1, &[]) };
        stage.send(&mut dark, &[51]);
        stage.show.expect("/level", &[F(0.2)]);
        stage.send(&mut full, &[255]);
        stage.lan.pull(&stage.host);
        stage.show.log().wait_for_nth(2, Event::named("universe_source_lost"));
        // The next level is that of the lost universe.
        assert_eq!(stage.show.peer().receive().arguments, [F(0.0)]);
        stage.lan.put_back(&stage.host);
        let mut levels = (1..).map(|turn| (turn % 2) as u8 * 51);
        every(Duration::from_millis(50), || {
            stage.send(&mut dark, &[levels.next().unwrap_or_default()]);
            stage.show.log().count(Event::named("universe_source_returned")) == 0
        });
        stage.show.expect("/level", &[F(0.2)]);
    });
}

#[test]
fn a_pause_of_the_program_loses_no_source_whose_packets_wait() {
    in_network(|| {
        let stage = Stage::start(SHOW, &[]);
        stage.wait_for_group(1);
        let mut desk = Frame::new(1, 1, &[]);
        stage.send(&mut desk, &[51]);
        stage.show.expect("/level", &[F(0.2)]);
        stage.show.signal(Signal::SIGSTOP);
        let end = Instant::now() + Duration::from_secs(4);
        every(Duration::from_millis(200), || {
            stage.send(&mut desk, &[51]);
            Instant::now() < end
        });
        stage.show.signal(Signal::SIGCONT);
        stage.send(&mut desk, &[102]);
        assert_eq!(stage.show.peer().receive().arguments, [F(0.4)], "no zero in between");
        assert_eq!(stage.show.log().count(Event::named("universe_source_lost")), 0);
    });
}

#[test]
fn many_strangers_on_a_universe_are_bounded_and_delay_no_other() {
    in_network(|| {
        let sections = "[sacn in]\nuniverse = 1\n[sacn other]\nuniverse = 2\n[sacn out]\nuniverse = 3\npriority = 100\n\
                        [map]\nin.1 > out.1\nother.1 > out.2\n";
        let stage = Stage::start(sections, &[3]);
        stage.wait_for_group(1);
        stage.wait_for_group(2);
        let mut calm = Frame::new(1, 2, &[]);
        for turn in 0..200_u8 {
            for stranger in 0..100 {
                let cid = [turn, stranger, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
                let frame = Frame { cid, ..Frame::new(1, 1, &[turn]) };
                stage.peer.port().send(destination(1), &frame.encode());
            }
            stage.send(&mut calm, &[turn]);
        }
        stage.show.wait_for(Event::named("sacn_packet_refused"));
        stage.send(&mut calm, &[251]);
        stage.peer.wait_for("levels of the calm universe", |datagram| {
            of(3)(datagram).filter(|frame| frame.slots[1] == 251)
        });
    });
}
