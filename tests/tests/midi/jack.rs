//! Programs that come with JACK as the other side.

use crate::rig::Server;
use mm_tests::Event;

#[test]
fn what_a_sequencer_plays_reaches_a_monitor() {
    let server = Server::new();
    let stage = server.stage();
    stage.show(
        "[midi box]\nread = midiseq\nwrite = midi-monitor\n[map]\nbox.ch0.note60 > box.ch1.cc7\nbox.ch0.note62 > box.ch2.pitch",
    );
    let monitor = server.program("jack_midi_dump", &[]);
    server.wait_for_port("midi-monitor:input");
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));
    // Name, length of the loop, then start, note and length of each note, in samples.
    let _sequencer =
        server.program("jack_midiseq", &["midiseq", "24000", "0", "60", "8000", "12000", "62", "8000"]);
    show.wait_for(Event::named("midi_source_connected").instance("box"));
    for line in ["b1 07 40", "b1 07 00", "e2 40 40", "e2 00 00"] {
        monitor.log.wait_for(&[line]);
    }
    show.stop();
}

#[test]
fn an_instance_has_ports_of_its_own_name_for_anybody_to_connect() {
    let server = Server::new();
    let stage = server.stage();
    stage.show("[backend midi]\nname = stage\n[midi box]\n[map]\nbox.ch0.cc1 > box.ch0.cc2");
    let show = server.run(stage);
    let mut pad = server.peer("pad");
    for ports in [["pad:out", "stage box in:box"], ["stage box out:box", "pad:in"]] {
        mm_tests::wait_until("the ports of the instance", || {
            let mut connect = server.program("jack_connect", &ports);
            connect.ends_well()
        });
    }
    pad.send("b0 01 11");
    pad.expect(&["b0 02 11"]);
    show.stop();
}
