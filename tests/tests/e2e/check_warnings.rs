//! What `check` warns of: shows that are valid, but cannot do what they say.

use mm_tests::{Ended, TestShow};

const SCRIPT: &str = "import midimonster\n\ndef fader(value):\n    midimonster.output('lamp', value)\n";

/// A directory with `good.py` and a show.
fn stage(show: &str) -> TestShow {
    let stage = TestShow::new();
    stage.write("good.py", SCRIPT);
    stage.show(show);
    stage
}

/// Checks a show that has as many warnings, and `check` prints these texts in this order.
fn warns(stage: TestShow, count: usize, said: &[&str]) -> Ended {
    let ended = stage.finish_here(&["check", "show.cfg"]);
    let counted = match count {
        1 => "1 warning".to_owned(),
        count => format!("{count} warnings"),
    };
    ended.assert(0, &[&format!("is valid, with {counted}: ")]);
    let warnings = ended.text.lines().filter(|line| line.starts_with("warning: "));
    assert_eq!(warnings.count(), count, "{}", ended.text);
    let mut rest = ended.text.as_str();
    for part in said {
        let (_, behind) = rest.split_once(part).unwrap_or_else(|| panic!("`{part}`: {}", ended.text));
        rest = behind;
    }
    ended
}

const WHOLE: &str =
    "[osc desk]\nbind = $IN\ndestination = $OUT\n/lamp = f 0 1\n[python room]\nmodule = good\n";

#[test]
fn warnings_count_and_are_errors_with_strict() {
    let show = format!("{WHOLE}[map]\ndesk./fader > room.good.fader\nroom.lamp > desk./lmap\n");
    warns(stage(&show), 1, &["--> show.cfg:9:18\n", "no pattern", "add a line such as `/lmap = f 0.0 1.0`"]);
    let strict = stage(&show).finish_here(&["check", "--strict", "show.cfg"]);
    strict.assert(2, &["no pattern", "error: `show.cfg` has 1 warning, which `--strict` does not accept"]);
    stage(&show.replace("lmap", "lamp"))
        .finish_here(&["check", "--strict", "show.cfg"])
        .assert(0, &["is valid: 2 instances, 2 mappings"]);
}

#[test]
fn osc_channels_that_cannot_be_sent_or_received_are_named() {
    let mapped =
        "[python room]\nmodule = good\n[map]\ndesk./fader > room.good.fader\nroom.lamp > desk./lamp\n";
    let no_destination = stage(&format!("[osc desk]\nbind = $IN\n/lamp = f 0 1\n{mapped}"));
    warns(
        no_destination,
        1,
        &["`desk` has no `destination`, so it sends nothing", "as a target", "`destination = "],
    );
    let no_bind = stage(&format!("[osc desk]\ndestination = $OUT\n/lamp = f 0 1\n{mapped}"));
    warns(
        no_bind,
        1,
        &["`desk` has no `bind`, so it receives only answers", "as a source", "`bind = * 8000`"],
    );
    let any_port = stage(&format!("[osc desk]\nbind = * 0\ndestination = $OUT\n/lamp = f 0 1\n{mapped}"));
    any_port.check().assert(0, &["is valid: "]);
}

#[test]
fn a_range_without_a_pattern_is_one_warning() {
    let stage = stage(&format!("{WHOLE}[map]\nroom.lamp > desk./spot/{{1..40}}\n"));
    warns(stage, 1, &["`desk./spot/1` and 39 more are not sent", "--> show.cfg:8:18"]);
}

#[test]
fn what_the_network_lacks_is_a_warning_that_opens_nothing() {
    let stage = stage("[osc desk]\nbind = 192.0.2.1 8000\ndestination = nowhere.invalid 9000\n");
    warns(stage, 2, &["--> show.cfg:2:8", "this machine does not have this address", "--> show.cfg:3:15"]);
}
