//! The example show of a box with motor faders, with a peer in place of the box.

use crate::rig::Server;
use mm_tests::Event;
use mm_tests::binaries::workspace;
use mm_tests::osc::F;
use std::fs;

#[test]
fn a_fader_box_and_a_desk_move_each_other_and_nothing_runs_in_circles() {
    let server = Server::new();
    let mut faders = server.peer("BCF2000");
    let stage = server.stage();
    let example = |name: &str| fs::read_to_string(workspace().join("config/examples").join(name)).unwrap();
    stage.python("faders.py", &example("faders.py"));
    stage.show(&example("faders.cfg").replace("* 8040", "$IN").replace("learn@9040", "$OUT"));
    let show = server.run(stage);
    show.wait_for(Event::named("midi_destination_connected").instance("box"));

    faders.send("b0 51 7f");
    show.expect("/level/1", &[F(1.0)]);
    show.send("/level/2", &[F(1.0)]);
    show.expect("/level/2", &[F(1.0)]);
    // Nothing before it: the fader that the hand moved was left alone.
    faders.expect(&["b0 52 7f"]);
    // The motor has arrived, and the desk shows the value.
    faders.send("b0 52 7f");
    show.send("/level/1", &[F(1.0)]);
    // The hand moves it, and the next motor moves.
    faders.send("b0 52 00");
    show.expect("/level/2", &[F(0.0)]);
    show.send("/level/8", &[F(0.0)]);
    faders.expect(&["b0 58 00"]);
    show.stop();
}
