//! The example shows that speak DMX, with peers in place of lamps and pixels.

use mm_tests::binaries::workspace;
use mm_tests::dmx::artnet::{self, Dmx, PollReply, is_poll};
use mm_tests::dmx::sacn::{self, Frame, TERMINATED, group};
use mm_tests::dmx::{Datagram, DmxPort, Recorder};
use mm_tests::netns::{Host, Lan, in_network};
use mm_tests::osc::F;
use mm_tests::{Event, Running, TestShow};
use std::fs;
use std::net::SocketAddrV4;

fn example(name: &str) -> String {
    fs::read_to_string(workspace().join("config/examples").join(name)).expect("an example")
}

fn run(host: &Host, stage: TestShow) -> Running {
    let show = host.run(|| stage.start_show());
    show.wait_for(Event::named("show_running"));
    show
}

/// The lamps of dimmers.cfg.
fn dimmers(datagram: &Datagram) -> Option<Frame> {
    sacn::of(1)(datagram)
}

#[test]
fn a_fader_box_dims_lamps_over_sacn_and_they_come_back_after_a_restart() {
    in_network(|| {
        let lan = Lan::new();
        let (host, lamps) = (lan.host(), lan.host());
        let recorder = Recorder::of(DmxPort::open(&lamps, "eth0", sacn::PORT));
        recorder.port().join(group(1));
        let stage = TestShow::new();
        stage.show(&example("dimmers.cfg"));
        let mut show = run(&host, stage);
        // In place of the box, which no machine of these tests has.
        for (fader, value) in [("box.ch0.cc0", "1"), ("box.ch0.cc7", "0.2")] {
            show.ask(&["send", fader, value]).assert(0, &[]);
        }
        let frame = recorder.wait_for("both levels", |datagram| {
            dimmers(datagram).filter(|frame| frame.slots[..8] == [255, 0, 0, 0, 0, 0, 0, 51])
        });
        assert_eq!((frame.name.as_str(), frame.priority), ("Fader box", 100));
        assert_eq!((frame.slots.len(), frame.slots[8..].iter().max()), (512, Some(&0)));
        let status = show.control().standing("dimmers");
        let universe = &status["universes"][0];
        assert_eq!(universe["universe"], 1);
        assert!(universe["frames_out"].as_u64() >= Some(1), "{universe}");

        show.pause();
        recorder.wait_for("the end of the stream", |datagram| {
            dimmers(datagram).filter(|frame| frame.options & TERMINATED != 0)
        });
        recorder.clear();
        let show = host.run(|| show.run_again());
        recorder.wait_for("the levels of before", |datagram| {
            dimmers(datagram)
                .filter(|frame| frame.options == 0 && (frame.slots[0], frame.slots[7]) == (255, 51))
        });
        show.stop();
    });
}

#[test]
fn a_tablet_steers_an_effect_over_four_universes() {
    in_network(|| {
        let lan = Lan::new();
        let (host, wall) = (lan.host(), lan.host());
        let node = Recorder::of(DmxPort::open(&wall, "eth0", artnet::PORT));
        let stage = TestShow::new();
        stage.python("pixels.py", &example("pixels.py"));
        stage.show(&example("pixels.cfg").replace("* 8050", "$IN"));
        let show = run(&host, stage);
        node.wait_for("a poll", |datagram| is_poll(&datagram.bytes).then_some(()));
        let to = SocketAddrV4::new(lan.address(host.number()), artnet::PORT);
        for (page, universe) in (1..).zip(0..4) {
            let mut reply = PollReply::of_node(node.port().address(), universe);
            reply.bind_index = page;
            node.port().send(to, &reply.encode());
        }
        show.send("/colour", &[F(0.0)]);
        show.send("/speed", &[F(1.0)]);
        // Red, which comes first, is the only colour that is on.
        let is_red = |levels: &[u8]| {
            let (red, rest): (Vec<_>, Vec<_>) = (0..levels.len()).partition(|slot| slot % 3 == 0);
            red.iter().any(|slot| levels[*slot] > 0) && rest.iter().all(|slot| levels[*slot] == 0)
        };
        let frame = |universe| {
            move |datagram: &Datagram| artnet::of(universe)(datagram).filter(|dmx| is_red(&dmx.slots))
        };
        for universe in 0..4 {
            let Dmx { slots, .. } = node.wait_for("red pixels", frame(universe));
            assert_eq!((slots.len(), &slots[510..]), (512, &[0, 0][..]));
        }
        show.send("/master", &[F(0.0)]);
        node.clear();
        for universe in 0..4 {
            node.wait_for("dark pixels", |datagram| {
                artnet::of(universe)(datagram).filter(|dmx| dmx.slots.iter().all(|level| *level == 0))
            });
        }
        show.stop();
    });
}
