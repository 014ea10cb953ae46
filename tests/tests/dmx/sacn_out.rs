//! What the `sacn` backend sends, frame by frame.

use crate::show::{
    PAUSE_LIMIT, assert_at_most_44_per_second, assert_consecutive, at_full_rate, level, reload, run, timed,
};
use mm_tests::dmx::sacn::{DISCOVERY, DiscoveryPage, Frame, TERMINATED, group, of};
use mm_tests::dmx::{DmxPort, Recorder, sacn};
use mm_tests::netns::{Host, Lan, in_network};
use mm_tests::wait::every;
use std::collections::BTreeMap;
use std::time::Duration;

const OUT: &str = "[sacn out]\nuniverse = 1\npriority = 120\n[map]\nnet./{1..4} > out.{1..4}\n";

/// A host that listens to universes.
fn listen(host: &Host, universes: &[u16]) -> Recorder {
    let port = DmxPort::open(host, "eth0", sacn::PORT);
    universes.iter().for_each(|universe| port.join(group(*universe)));
    Recorder::of(port)
}

fn sequences(frames: &[Frame]) -> Vec<u8> {
    frames.iter().map(|frame| frame.sequence).collect()
}

#[test]
fn a_change_goes_out_three_times_at_full_rate_and_is_kept_alive_after() {
    in_network(|| {
        let lan = Lan::new();
        let (host, receiver) = (lan.host(), lan.host());
        let recorder = listen(&receiver, &[1]);
        let show = run(&host, OUT);
        show.send("/1", &[level(200)]);
        let frames = recorder.wait_for_count(6, "frames of a universe at rest", timed(of(1)));
        let (times, frames): (Vec<_>, Vec<_>) = frames.into_iter().unzip();
        // Three equal frames are asked for; a fourth one may be among them.
        let fast = at_full_rate(&times);
        assert_eq!((&fast[..2], &fast[3..5]), (&[true; 2][..], &[false; 2][..]), "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] < PAUSE_LIMIT), "{times:?}");
        assert_consecutive(&sequences(&frames), |sequence| sequence.wrapping_add(1));
        let Frame { priority, options, start_code, slots, .. } = &frames[0];
        assert_eq!((*priority, *options, *start_code, slots[0]), (120, 0, 0, 200));
        assert!(frames.iter().all(|frame| frame.cid == frames[0].cid && frame.slots == frames[0].slots));
        show.stop();
    });
}

#[test]
fn changes_go_out_at_most_44_times_per_second_and_the_last_one_does() {
    in_network(|| {
        let lan = Lan::new();
        let (host, receiver) = (lan.host(), lan.host());
        let recorder = listen(&receiver, &[1]);
        let show = run(&host, OUT);
        let mut sent = 0_u16;
        every(Duration::from_millis(2), || {
            sent += 1;
            show.send("/1", &[level(1 + sent.to_le_bytes()[0] % 250)]);
            sent < 1_500
        });
        show.send("/1", &[level(255)]);
        recorder.wait_for_count(3, "the last value, three times", |datagram| {
            of(1)(datagram).filter(|frame| frame.slots[0] == 255)
        });
        let (times, frames): (Vec<_>, Vec<_>) = recorder.all(timed(of(1))).into_iter().unzip();
        assert_at_most_44_per_second(&times);
        assert!(frames.len() > 60, "{} frames for changes of 3 s", frames.len());
        assert_consecutive(&sequences(&frames), |sequence| sequence.wrapping_add(1));
        show.stop();
    });
}

#[test]
fn the_end_of_a_show_ends_its_universes_with_three_frames() {
    in_network(|| {
        let lan = Lan::new();
        let (host, receiver) = (lan.host(), lan.host());
        let recorder = listen(&receiver, &[1, 2]);
        let show = run(&host, &OUT.replace("[map]", "[sacn silent]\nuniverse = 2\npriority = 100\n[map]"));
        show.send("/1", &[level(9)]);
        recorder.wait_for("the first frame", of(1));
        show.stop();
        let is_last = |frame: &Frame| frame.options & TERMINATED != 0;
        recorder
            .wait_for_count(3, "frames that end the universe", |datagram| of(1)(datagram).filter(is_last));
        let frames = recorder.all(of(1));
        let first = frames.iter().position(is_last).expect("it was waited for");
        assert!(frames.len() == first + 3 && frames[first..].iter().all(is_last), "{frames:?}");
        assert_consecutive(&sequences(&frames), |sequence| sequence.wrapping_add(1));
        assert_eq!(recorder.all(of(2)).len(), 0, "a universe without a value was sent");
    });
}

#[test]
fn hup_ends_a_universe_that_it_removes_and_leaves_the_others_as_they_are() {
    in_network(|| {
        let lan = Lan::new();
        let (host, receiver) = (lan.host(), lan.host());
        let recorder = listen(&receiver, &[1, 2, 3]);
        let both = "[sacn a]\nuniverse = 1\npriority = 100\n[sacn b]\nuniverse = 2\npriority = 100\n\
                    [map]\nnet./1 > a.1\nnet./2 > b.1\n";
        let show = run(&host, both);
        show.send("/1", &[level(11)]);
        show.send("/2", &[level(22)]);
        recorder.wait_for_count(3, "frames of a universe that stays", of(1));
        recorder.wait_for_count(3, "frames of a universe that goes", of(2));
        let other = both.replace("universe = 2", "universe = 3");
        reload(&show, &other);
        let is_last = |frame: &Frame| frame.options & TERMINATED != 0;
        recorder.wait_for_count(3, "frames that end a universe", |datagram| of(2)(datagram).filter(is_last));
        let first = recorder.wait_for("a frame of the new universe, with the value there is", of(3));
        assert_eq!((first.slots[0], first.options), (22, 0));
        show.send("/2", &[level(33)]);
        let is_new = |frame: &Frame| frame.slots[0] == 33;
        recorder.wait_for("the next value", |datagram| of(3)(datagram).filter(is_new));
        let count = recorder.all(of(1)).len();
        let frames = recorder.wait_for_count(count + 1, "a frame that keeps a universe alive", of(1));
        assert!(frames.iter().all(|frame| frame.options == 0 && frame.slots[0] == 11));
        assert_consecutive(&sequences(&frames), |sequence| sequence.wrapping_add(1));
        show.stop();
    });
}

#[test]
fn discovery_lists_600_universes_in_order_on_two_pages() {
    in_network(|| {
        let lan = Lan::new();
        let (host, receiver) = (lan.host(), lan.host());
        let recorder = listen(&receiver, &[DISCOVERY]);
        // In an order of their own: 601 is a prime.
        let numbers: Vec<u16> = (1..=600).map(|number| number * 7 % 601).collect();
        let mut text = String::new();
        for (index, universe) in (1..).zip(&numbers) {
            text += &format!("[sacn u{index}]\nuniverse = {universe}\npriority = 100\n");
            text += &format!("[map]\nnet./all > u{index}.1\n");
        }
        let show = run(&host, &text);
        show.send("/all", &[level(1)]);
        let read = |datagram: &mm_tests::dmx::Datagram| DiscoveryPage::decode(&datagram.bytes);
        let full = |page: &DiscoveryPage| (page.page, page.last, page.universes.len());
        recorder
            .wait_for("the second page", |datagram| read(datagram).filter(|page| full(page) == (1, 1, 88)));
        let pages = recorder.all(read).into_iter().filter(|page| page.last == 1);
        let pages: BTreeMap<u8, DiscoveryPage> = pages.map(|page| (page.page, page)).collect();
        let listed: Vec<u16> = pages.values().flat_map(|page| page.universes.clone()).collect();
        assert_eq!(listed, (1..=600).collect::<Vec<_>>());
        assert_eq!(pages.values().map(full).collect::<Vec<_>>(), [(0, 1, 512), (1, 1, 88)]);
        show.stop();
    });
}

#[test]
fn values_of_the_state_file_go_out_without_a_new_one() {
    in_network(|| {
        let lan = Lan::new();
        let (host, receiver) = (lan.host(), lan.host());
        let recorder = listen(&receiver, &[1, 2]);
        let text = "[sacn a]\nuniverse = 1\npriority = 100\n[sacn b]\nuniverse = 2\npriority = 100\n\
                    [map]\nnet./1 > a.7\nnet./2 > b.7\n";
        let state = "[supervisor]\nstate-file = state\n";
        let mut show = run(&host, &format!("{state}{text}"));
        show.send("/1", &[level(77)]);
        let before = recorder.wait_for("the first frame", of(1));
        show.pause();
        recorder.clear();
        let show = host.run(|| show.run_again());
        let after = recorder.wait_for("a frame of the next start", of(1));
        assert_eq!((after.slots[6], after.cid), (77, before.cid), "another value or source");
        recorder.wait_for_count(6, "frames of a universe at rest", of(1));
        assert_eq!(recorder.all(of(2)).len(), 0, "a universe without a value was sent");
        show.stop();
    });
}
