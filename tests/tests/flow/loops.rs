//! Fault `mapping-loop`: mappings that form loops.

use mm_tests::osc::F;
use mm_tests::{BackgroundTraffic, Event, Running, TestShow, wait_until};

const ECHO: &str = "
    import midimonster
    def echo(value):
        midimonster.output('back', value)
    def ask(value):
        midimonster.output('answer', value)
    def split(value):
        midimonster.output('left', value)
        midimonster.output('right', value)
";

fn run(text: &str) -> (Running, BackgroundTraffic) {
    let stage = TestShow::new();
    stage.python("h.py", ECHO);
    BackgroundTraffic::show(&stage, text);
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    (show, others)
}

/// Outside input is served beside the loop, again and again, and a warning names what goes round.
fn assert_served(show: Running, others: BackgroundTraffic, warned: Event) {
    show.send("/start", &[F(0.5)]);
    for number in 1..=50_u8 {
        let value = f32::from(number) / 64.0;
        show.send("/ask", &[F(value)]);
        show.expect("/answer", &[F(value)]);
    }
    show.wait_for(warned.level("warn"));
    let memory = show.process().memory();
    assert!(memory < 256 * 1024, "{memory} kB");
    others.finish(&show);
    show.stop();
}

const ASK: &str = "[python asked]\nmodule = h\n[map]\nnet./ask > asked.h.ask\nasked.answer > net./answer\n";

#[test]
fn a_loop_of_loopback_channels_is_bounded_and_named() {
    let (show, others) =
        run(&format!("[loopback a]\n[loopback b]\n{ASK}net./start > a.x\na.x > b.y\nb.y > a.x\n"));
    assert_served(show, others, Event::named("mappings_loop").message("a.x").message("b.y"));
}

#[test]
fn a_loop_of_loopback_channels_that_multiplies_its_events_is_bounded_and_named() {
    let (show, others) = run(&format!(
        "[loopback a]\n[loopback b]\n{ASK}net./start > a.x1\na.x{{1..8}} > b.y{{1..8}}\nb.y{{1..8}} > a.x{{1..8}}\n\
         a.x1 > b.y{{2..8}}\na.x5 > b.y{{1..4}}\n"
    ));
    assert_served(show, others, Event::named("mappings_loop").message("a.x1").message("b.y"));
}

#[test]
fn what_a_loop_has_no_room_for_is_conflated_counted_and_logged_for_it_alone() {
    let (show, others) = run(&format!(
        "[loopback a]\n[loopback b]\n{ASK}net./start > a.x1\na.x1 > b.y{{1..8}}\nb.y{{1..8}} > a.x1\n"
    ));
    show.send("/start", &[F(0.5)]);
    let mut control = show.control();
    control.wait_for("events that are too many", "a", |status| status["conflated"].as_u64() > Some(0));
    let logged = show.wait_for(Event::named("events_conflated").instance("a").level("warn"));
    assert!(logged.field("conflated").as_u64() > Some(0));
    for number in 1..=50_u8 {
        let value = F(f32::from(number) / 64.0);
        show.send("/ask", &[value]);
        show.expect("/answer", &[value]);
    }
    others.finish(&show);
    for instance in ["net", "asked", "calm", "steady"] {
        assert_eq!(control.standing(instance)["conflated"].as_u64().unwrap_or(0), 0, "{instance}");
        assert_eq!(show.log().count(Event::named("events_conflated").instance(instance)), 0);
    }
    // Once per minute.
    assert_eq!(show.log().count(Event::named("events_conflated").instance("a")), 1);
    show.stop();
}

#[test]
fn two_instances_that_answer_each_other_are_bounded_and_named() {
    let (show, others) = run(&format!(
        "[python one]\nmodule = h\n[python two]\nmodule = h\n{ASK}net./start > one.h.echo\n\
         one.back > two.h.echo\ntwo.back > one.h.echo\n"
    ));
    // A single event that goes round is slow enough to be on purpose; many are not.
    for _ in 0..100 {
        show.send("/start", &[F(0.5)]);
    }
    assert_served(show, others, Event::named("mapping_loop_busy").message("one.back").message("two.h.echo"));
}

#[test]
fn two_instances_that_double_each_others_events_are_bounded_and_named() {
    let (show, others) = run(&format!(
        "[python one]\nmodule = h\nqueue = 1000\n[python two]\nmodule = h\nqueue = 1000\n{ASK}\
         net./start > one.h.split\none.left > two.h.split\none.right > two.h.split\n\
         two.left > one.h.split\ntwo.right > one.h.split\n"
    ));
    show.send("/start", &[F(0.5)]);
    let mut control = show.control();
    wait_until("events that are too many", || control.standing("one")["conflated"].as_u64() > Some(0));
    assert_served(show, others, Event::named("mapping_loop_busy").message("one.left").message("two.h.split"));
}
