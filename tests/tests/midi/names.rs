//! Diagnostics of channel names and options.

use mm_tests::TestShow;

#[test]
fn what_is_wrong_is_pointed_at() {
    let stage = TestShow::new();
    stage.show(
        "[backend midi]\nname = x\ndetect = maybe\n[midi box]\nepn-tx = long\nraed = pad\n[map]
box.ch16.cc1 > box.ch0.knob1\nbox.fader > box.ch0.cc128\nbox.ch0.cc{1..2} > box.ch1cc{1..2}
box.ch0.cc > box.ch0.pitch3\nbox.ch0.cc1 > box.ch0.cc2",
    );
    let ended = stage.finish_here(&["check", "show.cfg"]);
    ended.assert(2, &[]);
    insta::assert_snapshot!(ended.text);
}
