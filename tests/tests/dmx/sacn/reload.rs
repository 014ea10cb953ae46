//! Fault `sacn-universe-removed`, and what else HUP changes; the streams that it leaves alone.

use super::{Stage, assert_no_hole};
use mm_tests::dmx::sacn::{Frame, TERMINATED, group, of};
use mm_tests::netns::in_network;
use mm_tests::osc::F;
use mm_tests::{Event, wait_until};
use nix::sys::signal::Signal;

impl Stage {
    /// Replaces the show and waits until it is applied.
    fn reload(&self, sections: &str) {
        let before = self.show.log().count(Event::named("show_reloaded"));
        self.show.stage().osc_show(sections);
        self.show.signal(Signal::SIGHUP);
        self.show.log().wait_for_nth(before + 1, Event::named("show_reloaded"));
    }
}

fn out(universe: u16, priority: u8) -> String {
    format!("[sacn u{universe}]\nuniverse = {universe}\npriority = {priority}\n")
}

#[test]
fn hup_ends_the_stream_of_a_universe_that_goes_and_no_other() {
    in_network(|| {
        let both = format!("{}{}[map]\nnet./a > u1.1\nnet./a > u2.1\n", out(1, 100), out(2, 100));
        let stage = Stage::start(&both, &[1, 2]);
        stage.show.send("/a", &[F(1.0)]);
        stage.expect(1, &[255]);
        stage.expect(2, &[255]);
        stage.reload(&format!("{}[map]\nnet./a > u1.1\n", out(1, 100)));
        let ends = |frame: Frame| (frame.options == TERMINATED).then_some(frame);
        let ended =
            stage.peer.wait_for_count(3, "the end of the stream", |datagram| of(2)(datagram).and_then(ends));
        assert_eq!(ended.len(), 3);
        assert_no_hole(&stage.peer.all(of(2)));
        stage.show.send("/a", &[F(0.2)]);
        stage.expect(1, &[51]);
        let kept = stage.peer.all(of(1));
        assert_no_hole(&kept);
        assert!(kept.iter().all(|frame| frame.options == 0), "the other stream has ended");
        assert_eq!(stage.peer.all(of(2)).last().map(|frame| frame.options), Some(TERMINATED));
    });
}

#[test]
fn hup_keeps_levels_sequence_and_sources_under_other_options() {
    in_network(|| {
        let sections = |priority, universe, map: &str| {
            format!("[sacn in]\nuniverse = {universe}\n{}[map]\nnet./a > u2.1\n{map}", out(2, priority))
        };
        let stage = Stage::start(&sections(100, 1, "in.1 > u2.2\n"), &[2]);
        stage.wait_for_group(1);
        let mut desk = Frame::new(1, 1, &[]);
        stage.send(&mut desk, &[9, 8]);
        stage.show.send("/a", &[F(1.0)]);
        stage.expect(2, &[255, 9]);
        stage.reload(&sections(110, 1, "in.1 > u2.2\nin.2 > u2.3\n"));
        stage
            .peer
            .wait_for("the other priority", |datagram| of(2)(datagram).filter(|frame| frame.priority == 110));
        // The source has sent this level before the reload.
        stage.send(&mut desk, &[9, 8]);
        let frame = stage.expect(2, &[255, 9, 8]);
        assert_eq!(frame.priority, 110);
        let frames = stage.peer.all(of(2));
        assert_no_hole(&frames);
        assert!(frames.iter().all(|frame| frame.options == 0), "the stream has ended");
        assert_eq!(stage.show.log().count(Event::named("universe_source_appeared")), 1);
        stage.reload(&sections(110, 3, "in.1 > u2.2\nin.2 > u2.3\n"));
        stage.wait_for_group(3);
        wait_until("the end of the old group", || !stage.host.has_joined("eth0", group(1)));
    });
}

#[test]
fn hup_that_only_turns_a_mapping_around_begins_to_receive() {
    in_network(|| {
        let turned = |map: &str| format!("{}[map]\n{map}\n", out(1, 100));
        let stage = Stage::start(&turned("net./a > u1.1"), &[1]);
        stage.show.send("/a", &[F(1.0)]);
        stage.expect(1, &[255]);
        stage.reload(&turned("net./a < u1.1"));
        stage.wait_for_group(1);
        stage.send(&mut Frame::new(1, 1, &[]), &[51]);
        stage.show.expect("/a", &[F(0.2)]);
    });
}
