//! Messages in and out.

use crate::rig::Server;
use mm_tests::Event;
use std::fmt::Write as _;

/// A show with these mappings and one instance, which is connected to the peer `pad`.
fn show(mappings: &str) -> String {
    format!("[midi box]\nread = pad\nwrite = pad\n[map]\n{mappings}")
}

#[test]
fn every_kind_of_event_comes_in_and_goes_out() {
    let server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    stage.show(&show(
        "box.ch0.cc7 > box.channel1.cc8
         box.ch0.note60 > box.ch1.note61
         box.ch2.pressure60 > box.ch3.pressure61
         box.ch4.aftertouch > box.ch5.aftertouch
         box.ch6.program > box.ch7.program
         box.ch8.pitch > box.ch9.pitch
         box.ch10.rpn1 > box.ch11.rpn2
         box.ch12.nrpn900 > box.ch15.nrpn16382",
    ));
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    let cases: [(&str, &[&str]); 9] = [
        ("b0 07 40", &["b1 08 40"]),
        ("90 3c 64", &["91 3d 64"]),
        ("80 3c 40", &["91 3d 00"]),
        ("a2 3c 01", &["a3 3d 01"]),
        ("d4 7f", &["d5 7f"]),
        ("c6 05", &["c7 05"]),
        ("e8 01 40", &["e9 01 40"]),
        (
            "ba 65 00, ba 64 01, ba 06 12, ba 26 34",
            &["bb 65 00", "bb 64 02", "bb 06 12", "bb 26 34", "bb 65 7f", "bb 64 7f"],
        ),
        (
            "bc 63 07, bc 62 04, bc 06 7f, bc 26 7f",
            &["bf 63 7f", "bf 62 7e", "bf 06 7f", "bf 26 7f", "bf 65 7f", "bf 64 7f"],
        ),
    ];
    for (sent, expected) in cases {
        pad.send(sent);
        pad.expect(expected);
    }
    show.stop();
}

#[test]
fn all_values_of_seven_bits_and_many_of_fourteen_survive_a_script() {
    let server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    stage.python("h.py", "import midimonster\ndef cc(v):\n    midimonster.output('a', v)\ndef pitch(v):\n    midimonster.output('b', v)\n");
    stage.show(
        "[midi box]\nread = pad\nwrite = pad\n[python py]\nmodule = h\n[map]\nbox.ch0.cc1 > py.h.cc\nbox.ch0.pitch > py.h.pitch
         py.a > box.ch0.cc2\npy.b > box.ch1.pitch",
    );
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    for value in 0..128 {
        pad.send(&format!("b0 01 {value:02x}, e0 {value:02x} {:02x}", (value * 5) % 128));
        pad.expect(&[&format!("b0 02 {value:02x}"), &format!("e1 {value:02x} {:02x}", (value * 5) % 128)]);
    }
    show.stop();
}

#[test]
fn a_parameter_is_not_deselected_with_epn_tx_short() {
    let server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    stage.show("[midi box]\nread = pad\nwrite = pad\nepn-tx = short\n[map]\nbox.ch0.cc1 > box.ch0.rpn0\nbox.ch0.cc2 > box.ch0.cc2");
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    pad.send("b0 01 7f, b0 02 01");
    pad.expect(&["b0 65 00", "b0 64 00", "b0 06 7f", "b0 26 7f", "b0 02 01"]);
    show.stop();
}

#[test]
fn running_status_real_time_bytes_and_long_messages_are_read_as_midi_has_them() {
    let server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    stage.show(&show("box.ch0.cc{1..9} > box.ch1.cc{1..9}"));
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    pad.send("b0 01 05 02 06, f8, fe, b0 03 f8 07, f0 7e 01 02 f7, f0 b0 04 08, ff, b0 05 09");
    pad.expect(&["b1 01 05", "b1 02 06", "b1 03 07", "b1 04 08", "b1 05 09"]);
    show.stop();
}

/// With JACK, midir holds 2047 messages and loses or corrupts any more.
#[test]
fn of_five_thousand_values_at_once_none_is_lost() {
    let server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    let script = "
        import midimonster
        def go(value):
            for n in range(5000):
                midimonster.output('a' if n % 2 else 'b', (n // 2 % 128) / 127)
    ";
    stage.python("h.py", script);
    stage.show(
        "[midi box]\nread = pad\nwrite = pad\n[python py]\nmodule = h\n[map]\nbox.ch0.note1 > py.h.go\npy.{a,b} > box.ch0.cc{1,2}",
    );
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    pad.send("90 01 01");
    pad.log.wait_for_nth(5000, &["got "]);
    let mut expected = String::new();
    for n in 0..5000 {
        let _ = writeln!(expected, "got b0 {:02x} {:02x}", if n % 2 == 1 { 1 } else { 2 }, n / 2 % 128);
    }
    assert_eq!(pad.log.text().trim_start_matches("ready\n"), expected);
    show.stop();
}

fn detected(text: &str) -> Event {
    Event::named("midi_message_detected").instance("box").message(text)
}

#[test]
fn detect_shows_what_comes_in_as_it_is_mapped() {
    let server = Server::new();
    let mut pad = server.peer("pad");
    let stage = server.stage();
    stage.show(
        "[backend midi]\ndetect = on\nname = stage\n[midi box]\nread = pad\n[map]\nbox.ch0.cc1 > box.ch0.cc2",
    );
    let show = server.run(stage);
    show.wait_for(Event::named("midi_source_connected").instance("box"));
    pad.send("93 3c 7f, b0 63 07, b0 62 04, b0 06 7f, b0 26 7f, e0 00 40");
    show.wait_for(detected("detect: box.ch3.note60 = 1.0000 (127 of 127)"));
    show.wait_for(detected("detect: box.ch0.nrpn900 = 1.0000 (16383 of 16383)"));
    show.wait_for(detected("detect: box.ch0.pitch = 0.5000 (8192 of 16383)"));
    show.stop();
}
