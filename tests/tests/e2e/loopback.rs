//! The `loopback` backend, and mappings that go in circles.

use mm_tests::osc::F;
use mm_tests::{Event, TestShow};

#[test]
fn an_event_comes_out_on_the_channel_that_it_went_in_on() {
    let stage = TestShow::new();
    stage.osc_show(
        "[loopback lb]
         any = option is fine
         [map]
         net./in > lb.some.channel
         lb.some.channel > net./out
         net./other > lb.another",
    );
    let show = stage.run();
    show.send("/other", &[F(0.5)]);
    show.send("/in", &[F(0.25)]);
    let message = show.peer().receive();
    assert_eq!((message.path.as_str(), message.arguments.as_slice()), ("/out", [F(0.25)].as_slice()));
    show.stop();
}

#[test]
fn a_circle_of_mappings_is_named_and_leaves_room_for_the_rest() {
    let stage = TestShow::new();
    stage.osc_show(
        "[loopback one]
         [loopback two]
         [map]
         net./kick > one.x
         one.x > two.y
         two.y > one.x
         net./in > net./out",
    );
    let show = stage.run();
    show.send("/kick", &[F(0.5)]);
    show.wait_for(Event::named("mappings_loop").message("one.x"));
    for number in 1..50_u8 {
        let value = f32::from(number) / 64.0;
        show.send("/in", &[F(value)]);
        show.expect("/out", &[F(value)]);
    }
    show.stop();
}
