//! The `osc` backend: values, formats, bundles, prefixes.

use mm_tests::osc::{D, F, H, I, bundle, encode};
use mm_tests::{Event, TestShow};

/// A show of one OSC instance with these options, and these mappings.
fn osc(options: &str, mappings: &str) -> TestShow {
    let stage = TestShow::new();
    stage.show(&format!("[osc net]\nbind = $IN\ndest = $OUT\n{options}\n[map]\n{mappings}"));
    stage
}

#[test]
fn each_format_has_its_own_default_range_on_the_way_in() {
    let show = osc("/out = d 0 1", "net./in > net./out").run();
    for (sent, fraction) in [(I(51), 51.0 / 255.0), (F(0.75), 0.75), (H(256), 0.25), (D(0.125), 0.125)] {
        show.send("/in", &[sent]);
        show.expect("/out", &[D(fraction)]);
    }
    show.stop();
}

#[test]
fn each_format_and_range_goes_out_as_the_show_file_says() {
    let show = osc(
        "/i = i 0 100\n/f = f -1 1\n/h = h 0 1000000000000\n/d = d 10 20\n/in = f 0 1",
        "net./in > net./{i,f,h,d}",
    )
    .run();
    show.send("/in", &[F(0.75)]);
    let mut messages: Vec<_> = (0..4).map(|_| show.peer().receive()).collect();
    messages.sort_by(|one, two| one.path.cmp(&two.path));
    let values: Vec<_> = messages.iter().flat_map(|message| message.arguments.clone()).collect();
    assert_eq!(values, [D(17.5), F(0.5), H(750_000_000_000), I(75)]);
    show.stop();
}

#[test]
fn a_range_on_the_way_in_is_taken_from_the_pattern_and_clipped() {
    let show = osc("/in = i 100 200\n/out = f 0 1", "net./in > net./out").run();
    for (sent, value) in [(150, 0.5), (1000, 1.0), (125, 0.25), (-5, 0.0)] {
        show.send("/in", &[I(sent)]);
        show.expect("/out", &[F(value)]);
    }
    show.stop();
}

#[test]
fn parameters_are_channels_and_a_message_carries_all_of_them() {
    let script = "
        import midimonster
        def both(value):
            midimonster.output('x', value)
            midimonster.output('y', value / 2)
        def one(value):
            midimonster.output('y', value)
    ";
    let stage = TestShow::new();
    stage.python("h.py", script);
    stage.show(
        "[osc net]\nbind = $IN\ndest = $OUT\n/xy = ff 0 1 0 1\n[python py]\nmodule = h\n[map]
         net./in:0 > py.h.both
         net./in:1 > py.h.one
         py.x > net./xy:0
         py.y > net./xy:1",
    );
    let show = stage.run();
    show.send("/in", &[F(0.5)]);
    show.expect("/xy", &[F(0.5), F(0.25)]);
    show.send("/in", &[F(0.5), F(0.75)]);
    show.expect("/xy", &[F(0.5), F(0.75)]);
    show.stop();
}

#[test]
fn a_pulse_goes_out_as_two_messages_wherever_it_comes_from() {
    let stage = TestShow::new();
    stage.python(
        "h.py",
        "
        import midimonster
        def cue(value):
            midimonster.output('go', 1)
            midimonster.output('go', 0)
        ",
    );
    stage.show(
        "[osc net]\nbind = $IN\ndest = $OUT\n/* = i 0 1\n[python py]\nmodule = h\n[map]
         net./button > net./lamp
         net./cue > py.h.cue
         py.go > net./go",
    );
    let show = stage.run();
    for round in 0..50 {
        let (on, off) = (encode("/button", &[I(1)]), encode("/button", &[I(0)]));
        match round % 2 {
            0 => show.peer().send_raw(&bundle(&[on, off])),
            _ => [on, off].iter().for_each(|packet| show.peer().send_raw(packet)),
        }
        show.send("/cue", &[F(0.5)]);
        let mut messages: Vec<_> = (0..4).map(|_| show.peer().receive()).collect();
        messages.sort_by(|one, two| two.path.cmp(&one.path));
        let values: Vec<_> = messages.iter().flat_map(|message| message.arguments.clone()).collect();
        assert_eq!(values, [I(1), I(0), I(1), I(0)], "in round {round}");
    }
    show.stop();
}

#[test]
fn with_send_all_a_trigger_that_is_repeated_is_sent_each_time() {
    let show = osc("send = all\n/cue = i 1 1", "net./go > net./cue").run();
    for _ in 0..3 {
        show.send("/go", &[F(1.0)]);
        assert_eq!(show.peer().receive().arguments, [I(1)]);
    }
    show.stop();
}

#[test]
fn nothing_is_sent_when_nothing_changed() {
    let show = osc("/out = f 0 1\n/last = f 0 1", "net./in > net./out\nnet./end > net./last").run();
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    show.send("/in", &[F(0.5)]);
    show.send("/end", &[F(1.0)]);
    assert_eq!(show.peer().receive().path, "/last");
    show.stop();
}

#[test]
fn bundles_are_read_also_when_they_are_nested() {
    let show = osc("/out* = f 0 1", "net./in{1..3} > net./out{1..3}").run();
    let inner = bundle(&[encode("/in2", &[F(0.5)]), encode("/in3", &[F(0.75)])]);
    show.peer().send_raw(&bundle(&[encode("/in1", &[F(0.25)]), inner]));
    let mut messages: Vec<_> = (0..3).map(|_| show.peer().receive()).collect();
    messages.sort_by(|one, two| one.path.cmp(&two.path));
    let values: Vec<_> = messages.iter().flat_map(|message| message.arguments.clone()).collect();
    assert_eq!(values, [F(0.25), F(0.5), F(0.75)]);
    show.stop();
}

#[test]
fn a_root_is_required_on_the_way_in_and_put_in_front_on_the_way_out() {
    let show = osc("root = /stage\n/out = f 0 1", "net./in > net./out").run();
    show.send("/in", &[F(0.25)]);
    show.send("/stage/in", &[F(0.5)]);
    let message = show.peer().receive();
    assert_eq!((message.path.as_str(), message.arguments.as_slice()), ("/stage/out", [F(0.5)].as_slice()));
    show.stop();
}

#[test]
fn a_learned_destination_is_the_one_who_sent_last() {
    let stage = TestShow::new();
    stage.show("[osc net]\nbind = $IN\ndest = learn\n/out = f 0 1\n[map]\nnet./in > net./out");
    let show = stage.run();
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    let other = show.another_peer();
    other.send("/in", &[F(0.25)]);
    other.expect("/out", &[F(0.25)]);
    let stranger = show.another_peer();
    stranger.send("/unmapped", &[F(0.25)]);
    other.send("/in", &[F(0.75)]);
    other.expect("/out", &[F(0.75)]);
    show.stop();
}

#[test]
fn an_output_without_a_pattern_is_a_warning_that_says_what_to_add() {
    let show = osc("/out = f 0 1", "net./in > net./silent\nnet./in > net./out").run();
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    show.wait_for(Event::named("osc_output_unformatted").instance("net").message("/silent ="));
    show.stop();
}

#[test]
fn malformed_packets_are_counted_and_harm_nothing() {
    let show = osc("/out = f 0 1", "net./in > net./out").run();
    let packets: [&[u8]; 7] = [
        b"",
        b"/",
        b"/in",
        b"/in\0,f\0\0\x3f",
        b"#bundle\0\0\0\0\0\0\0\0\x01\xff\xff\xff\xff",
        b"no slash\0\0\0\0,f\0\0\x3f\0\0\0",
        b"\xff\xfe\xfd\xfc",
    ];
    packets.iter().for_each(|packet| show.peer().send_raw(packet));
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    show.wait_for(Event::named("osc_packet_malformed").level("warn").instance("net"));
    show.stop();
}
