//! Events on their way from instance to instance.

use crate::python;
use mm_tests::osc::F;
use mm_tests::{Event, TestShow};

#[test]
fn an_osc_message_goes_through_a_handler_and_out_again() {
    let script = "
        import midimonster
        def turn(value):
            midimonster.output('turned', 1 - value)
    ";
    let show = python(script, "net./in > py.h.turn\npy.turned > net./out").run();
    for value in [0.25, 0.75, 0.5] {
        show.send("/in", &[F(value)]);
        show.expect("/out", &[F(1.0 - value)]);
    }
    show.stop();
}

#[test]
fn two_instances_that_are_mapped_to_each_other_play_ball() {
    let stage = TestShow::new();
    let player = "
        import midimonster
        def ball(value):
            midimonster.output('throw' if value > 0.05 else 'drop', value / 2)
    ";
    stage.python("left.py", player);
    stage.python("right.py", player);
    stage.osc_show(
        "[python l]\nmodule = left\n[python r]\nmodule = right\n[map]
         net./in > l.left.ball
         l.throw > r.right.ball
         r.throw > l.left.ball
         l.drop > net./left
         r.drop > net./right",
    );
    let show = stage.run();
    show.send("/in", &[F(1.0)]);
    // 1, 1/2, 1/4, 1/8, 1/16, and the sixth to have it drops it.
    show.expect("/right", &[F(1.0 / 64.0)]);
    show.stop();
}

#[test]
fn a_thousand_events_keep_their_order_from_one_process_to_the_next() {
    let stage = TestShow::new();
    let sender = "
        import midimonster
        def go(value):
            for number in range(1, 1001):
                midimonster.output('event', number / 1024)
    ";
    let receiver = "
        last = 0
        def event(value):
            global last
            if value * 1024 != last + 1:
                print('out of order:', value * 1024, 'after', last)
            last = value * 1024
            if last == 1000:
                print('all in order')
    ";
    stage.python("sender.py", sender);
    stage.python("receiver.py", receiver);
    stage.osc_show(
        "[python a]\nmodule = sender\n[python b]\nmodule = receiver\n[map]
         net./go > a.sender.go
         a.event > b.receiver.event",
    );
    let show = stage.run();
    show.send("/go", &[F(1.0)]);
    show.wait_for(Event::printed("b", "all in order"));
    assert_eq!(show.log().count(Event::printed("b", "out of order")), 0);
    show.stop();
}

#[test]
fn one_channel_reaches_several_and_several_reach_one() {
    let stage = TestShow::new();
    stage.osc_show(
        "[map]
         net./fan > net./out1
         net./fan > net./out2
         net./one > net./sum
         net./two > net./sum",
    );
    let show = stage.run();
    show.send("/fan", &[F(0.5)]);
    let mut paths = [show.peer().receive().path, show.peer().receive().path];
    paths.sort();
    assert_eq!(paths, ["/out1", "/out2"]);
    show.send("/one", &[F(0.25)]);
    show.expect("/sum", &[F(0.25)]);
    show.send("/two", &[F(0.75)]);
    show.expect("/sum", &[F(0.75)]);
    show.stop();
}

#[test]
fn mappings_go_the_way_that_their_sign_points() {
    let stage = TestShow::new();
    stage.osc_show(
        "[loopback lb]
         [map]
         net./right > net./right/out
         net./left/out < net./left
         net./both <> lb.x",
    );
    let show = stage.run();
    show.send("/right", &[F(0.25)]);
    show.expect("/right/out", &[F(0.25)]);
    show.send("/left", &[F(0.5)]);
    show.expect("/left/out", &[F(0.5)]);
    show.send("/both", &[F(0.75)]);
    show.expect("/both", &[F(0.75)]);
    // Nothing goes against its sign.
    show.send("/right/out", &[F(0.1)]);
    show.send("/left/out", &[F(0.1)]);
    show.send("/both", &[F(0.125)]);
    assert_eq!(show.peer().receive().path, "/both");
    show.stop();
}

#[test]
fn the_same_mapping_twice_is_one_mapping() {
    let stage = TestShow::new();
    let script = "
        import midimonster
        count = 0
        def event(value):
            global count
            count += 1
            midimonster.output('count', count / 16)
    ";
    stage.python("h.py", script);
    stage.osc_show(
        "[python py]\nmodule = h\n[map]
         net./in > py.h.event
         py.h.event < net./in
         py.count > net./count",
    );
    let show = stage.run();
    show.send("/in", &[F(0.5)]);
    show.expect("/count", &[F(1.0 / 16.0)]);
    show.send("/in", &[F(0.5)]);
    assert_eq!(show.peer().receive().arguments, [F(2.0 / 16.0)]);
    show.stop();
}

#[test]
fn ranges_and_lists_map_channel_by_channel() {
    let stage = TestShow::new();
    stage.osc_show(
        "[map]
         net./in{1..3} > net./out{3..1}
         net./list{a,b} > net./named{x,y}
         net./one > net./all{01..03}",
    );
    let show = stage.run();
    show.send("/in1", &[F(0.25)]);
    show.expect("/out3", &[F(0.25)]);
    show.send("/in3", &[F(0.5)]);
    show.expect("/out1", &[F(0.5)]);
    show.send("/listb", &[F(0.75)]);
    show.expect("/namedy", &[F(0.75)]);
    show.send("/one", &[F(1.0)]);
    let mut paths = [(); 3].map(|()| show.peer().receive().path);
    paths.sort();
    assert_eq!(paths, ["/all1", "/all2", "/all3"]);
    show.stop();
}

#[test]
fn an_include_inside_of_map_holds_bare_mappings() {
    let stage = TestShow::new();
    stage.write("maps/more.map", "net./in > net./out\n[include deeper/last.map]\n");
    stage.write("maps/deeper/last.map", "net./in2 > net./out2\n");
    stage.osc_show("[map]\n[include ./maps/more.map]\nnet./in3 > net./out3\n");
    let show = stage.run();
    for number in ["", "2", "3"] {
        show.send(&format!("/in{number}"), &[F(0.5)]);
        show.expect(&format!("/out{number}"), &[F(0.5)]);
    }
    show.stop();
}
