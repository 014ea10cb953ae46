//! What the `sacn` backend takes from its sources.

use crate::show::{level, run, universe};
use mm_tests::dmx::sacn::{Frame, PREVIEW, TERMINATED, destination, group};
use mm_tests::dmx::{DmxPort, sacn};
use mm_tests::netns::{Lan, in_network};
use mm_tests::osc::F;
use mm_tests::{Event, wait_until};

const IN: &str = "[sacn in]\nuniverse = 1\n[map]\nin.{1..4} > net./{1..4}\n";

#[test]
fn levels_come_in_once_for_each_change_also_those_of_pairs() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let show = run(&host, "[sacn in]\nuniverse = 1\n[map]\nin.1 > net./1\nin.3+2 > net./pair\n");
        let sender = DmxPort::open(&desk, "eth0", sacn::PORT);
        wait_until("the group of the universe", || host.has_joined("eth0", group(1)));
        let mut frame = Frame::new(1, 1, &[]);
        sender.send(destination(1), &frame.next(&[255, 0x34, 0x12]));
        let mut received = [show.peer().receive(), show.peer().receive()];
        received.sort_by(|one, two| one.path.cmp(&two.path));
        assert_eq!(received[0].arguments, [F(1.0)]);
        assert_eq!(received[1].arguments, [F(f32::from(0x1234_u16) / 65535.0)]);
        sender.send(destination(1), &frame.next(&[255, 0x34, 0x12]));
        sender.send(destination(1), &frame.next(&[255, 0x35, 0x12, 99]));
        let message = show.peer().receive();
        assert_eq!(
            (message.path.as_str(), message.arguments),
            ("/pair", vec![F(f32::from(0x1235_u16) / 65535.0)])
        );
        show.stop();
    });
}

#[test]
fn the_source_of_the_highest_priority_counts_until_it_ends() {
    in_network(|| {
        let lan = Lan::new();
        let (host, one, two) = (lan.host(), lan.host(), lan.host());
        let show = run(&host, IN);
        let [main, backup] = [&one, &two].map(|desk| DmxPort::open(desk, "eth0", sacn::PORT));
        wait_until("the group of the universe", || host.has_joined("eth0", group(1)));
        let (mut of_main, mut of_backup) = (Frame::new(1, 1, &[]), Frame::new(2, 1, &[]));
        of_main.priority = 150;
        main.send(destination(1), &of_main.next(&[100, 0]));
        show.expect("/1", &[level(100)]);
        // Of a lower priority, then of the same: the highest level counts.
        backup.send(destination(1), &of_backup.next(&[200, 10]));
        of_backup.priority = 150;
        backup.send(destination(1), &of_backup.next(&[90, 20]));
        let message = show.peer().receive();
        assert_eq!((message.path.as_str(), message.arguments), ("/2", vec![level(20)]));
        let mut control = show.control();
        let status = control.wait_for("both sources in the status", "in", |status| {
            universe(status)["sources"].as_array().is_some_and(|sources| sources.len() == 2)
        });
        let mut sources = universe(&status)["sources"].as_array().cloned().unwrap_or_default();
        sources.sort_by_key(|source| source["name"].to_string());
        assert_eq!(sources[0]["name"], "source 1");
        assert_eq!(sources[0]["address"], main.address().to_string());
        assert_eq!(sources[0]["priority"], 150);
        of_main.options = TERMINATED;
        for _ in 0..3 {
            main.send(destination(1), &of_main.next(&[100, 0]));
        }
        show.expect("/1", &[level(90)]);
        show.wait_for(Event::named("universe_source_ended").instance("in").message("source 1"));
        show.stop();
    });
}

#[test]
fn what_is_not_meant_as_levels_of_this_universe_changes_nothing() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let show = run(&host, IN);
        let sender = DmxPort::open(&desk, "eth0", sacn::PORT);
        wait_until("the group of the universe", || host.has_joined("eth0", group(1)));
        let mut frame = Frame::new(1, 1, &[]);
        for number in 0..40 {
            let raw = 10 + number % 2;
            sender.send(destination(1), &frame.next(&[raw]));
            show.expect("/1", &[level(raw)]);
        }
        let good = frame.clone();
        let mut wrong = [
            Frame { options: PREVIEW, ..good.clone() },
            Frame { start_code: 0xcc, ..good.clone() },
            Frame { start_code: 0x17, ..good.clone() },
            // Another universe on this one's group.
            Frame { universe: 2, ..good.clone() },
            // Late by some packets (E1.31 6.7.2).
            Frame { sequence: good.sequence.wrapping_sub(5), ..good.clone() },
        ];
        for frame in &mut wrong {
            frame.slots = vec![66, 66];
            sender.send(destination(1), &frame.encode());
        }
        let mut other_vector = Frame { slots: vec![66], ..good }.encode();
        other_vector[43] = 9;
        sender.send(destination(1), &other_vector);
        // A packet of a start code or a preview has used up a number, or none: both are accepted.
        frame.sequence = frame.sequence.wrapping_add(1);
        sender.send(destination(1), &frame.next(&[77]));
        let message = show.peer().receive();
        assert_eq!((message.path.as_str(), message.arguments), ("/1", vec![level(77)]));
        show.stop();
    });
}

#[test]
fn a_lost_universe_keeps_its_levels_or_goes_to_zero_as_the_show_says() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let show = run(
            &host,
            "[sacn keeps]\nuniverse = 1\n[sacn zeroes]\nuniverse = 2\ninput-loss = zero\n\
             [map]\nkeeps.1 > net./keeps\nzeroes.1 > net./zeroes\n",
        );
        let sender = DmxPort::open(&desk, "eth0", sacn::PORT);
        wait_until("the groups", || host.has_joined("eth0", group(1)) && host.has_joined("eth0", group(2)));
        let (mut one, mut two) = (Frame::new(1, 1, &[]), Frame::new(1, 2, &[]));
        sender.send(destination(1), &one.next(&[50]));
        show.expect("/keeps", &[level(50)]);
        sender.send(destination(2), &two.next(&[60]));
        show.expect("/zeroes", &[level(60)]);
        let message = show.peer().receive();
        assert_eq!((message.path.as_str(), message.arguments), ("/zeroes", vec![F(0.0)]));
        show.wait_for(Event::named("universe_source_lost").instance("keeps"));
        show.wait_for(Event::named("universe_source_lost").instance("zeroes"));
        let mut control = show.control();
        control.wait_for("a lost universe", "keeps", |status| universe(status)["is_lost"] == true);
        sender.send(destination(1), &one.next(&[50]));
        sender.send(destination(2), &two.next(&[60]));
        show.expect("/zeroes", &[level(60)]);
        show.wait_for(Event::named("universe_source_returned").instance("keeps"));
        control.wait_for("a universe that is back", "keeps", |status| universe(status)["is_lost"] == false);
        assert!(
            show.peer().receive_within(std::time::Duration::ZERO).is_none(),
            "a value that did not change"
        );
        show.stop();
    });
}

#[test]
fn more_universes_than_a_socket_has_groups_are_all_received() {
    in_network(|| {
        let lan = Lan::new();
        let (host, desk) = (lan.host(), lan.host());
        let mut text = String::new();
        for number in 1..=256 {
            text += &format!("[sacn u{number}]\nuniverse = {number}\n[map]\nu{number}.1 > net./u/{number}\n");
        }
        let show = run(&host, &text);
        let sender = DmxPort::open(&desk, "eth0", sacn::PORT);
        wait_until("all groups", || (1..=256).all(|universe| host.has_joined("eth0", group(universe))));
        for universe in 1..=256 {
            sender.send(destination(universe), &Frame::new(1, universe, &[200]).encode());
        }
        let mut received: Vec<String> = (0..256).map(|_| show.peer().receive().path).collect();
        received.sort();
        received.dedup();
        assert_eq!(received.len(), 256, "a universe came twice or not at all");
        show.stop();
    });
}
