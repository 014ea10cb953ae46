//! Fault `midi-device-away`: devices, and whole MIDI systems, that come and go.

use crate::rig::Server;
use mm_tests::{BackgroundTraffic, Event, Running, wait_until};
use serde_json::Value;

const SHOW: &str = "[midi box]\nread = pad\nwrite = pad\n[map]
box.ch0.cc{1..3} > box.ch1.cc{1..3}\nnet./fader > box.ch2.pitch\n";

/// Waits until the note of the instance in `status` contains this.
fn wait_for_note(show: &Running, words: &str) {
    let says = |status: &Value| status["note"].as_str().is_some_and(|note| note.contains(words));
    show.control().wait_for("`status` to say it", "box", says);
}

#[test]
fn a_device_that_comes_back_is_connected_again_and_gets_its_values_back() {
    let server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    BackgroundTraffic::show(&stage, SHOW);
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    let steady = BackgroundTraffic::start(&show);
    pad.send("b0 01 11, b0 03 33, b0 01 12");
    pad.expect(&["b1 01 11", "b1 03 33", "b1 01 12"]);
    drop(pad);
    show.wait_for(Event::named("midi_destination_lost").instance("box"));
    show.wait_for(Event::named("midi_source_lost").instance("box"));
    wait_for_note(&show, "read: `pad:out` is gone, write: `pad:in` is gone");

    let mut pad = server.peer("pad");
    wait_until("both values", || pad.log.count(&["got "]) >= 2);
    pad.expect(&["b1 01 12", "b1 03 33"]);
    show.wait_for(Event::named("midi_destination_restored").instance("box"));
    show.wait_for(Event::named("midi_source_restored").instance("box"));
    pad.send("b0 02 22");
    pad.expect(&["b1 02 22"]);
    wait_for_note(&show, "read: `pad:out`, write: `pad:in`");
    for lost in ["midi_source_lost", "midi_destination_lost"] {
        assert_eq!(show.log().count(Event::named(lost)), 1, "{lost}");
    }
    steady.finish(&show);
    show.stop();
}

#[test]
fn a_device_that_is_back_before_anybody_looked_is_connected_again() {
    let server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    stage.osc_show(SHOW);
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    for round in 0..5 {
        pad.send(&format!("b0 01 {round:02x}"));
        pad.expect(&[&format!("b1 01 {round:02x}")]);
        drop(pad);
        pad = server.peer("pad");
        wait_until("the last value", || pad.log.count(&["got "]) >= 1);
        pad.expect(&[&format!("b1 01 {round:02x}")]);
        // The other direction may take one scan more.
        show.log().wait_for_nth(round + 1, Event::named("midi_source_restored"));
    }
    show.stop();
}

#[test]
fn a_server_that_dies_and_comes_back_finds_everything_as_it_was() {
    let mut server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    BackgroundTraffic::show(&stage, SHOW);
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    let steady = BackgroundTraffic::start(&show);
    pad.send("b0 01 11");
    pad.expect(&["b1 01 11"]);

    server.kill();
    drop(pad);
    show.wait_for(Event::named("midi_unavailable").level("warn").message("no JACK server is running"));
    server.start();
    let mut pad = server.peer("pad");
    show.wait_for(Event::named("midi_available").level("info"));
    pad.expect(&["b1 01 11"]);
    pad.send("b0 02 22");
    pad.expect(&["b1 02 22"]);
    assert_eq!(show.log().count(Event::named("midi_unavailable")), 1);
    steady.finish(&show);
    show.stop();
}
