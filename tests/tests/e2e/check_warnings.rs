//! Fault `show-cannot-work`: what `check` warns of, shows that are valid but cannot do what they say.

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

#[test]
fn a_handler_without_its_module_is_found_where_the_module_has_it() {
    let stage = stage(&format!("{WHOLE}[map]\ndesk./fader > room.fader\nroom.lamp > desk./lamp\n"));
    warns(stage, 1, &["--> show.cfg:8:20", "did you mean `room.good.fader`?"]);
}

#[test]
fn values_that_a_script_reads_itself_are_no_mistake() {
    let stage = stage(&format!("{WHOLE}[map]\ndesk./level > room.level\nroom.fader > desk./lamp\n"));
    stage.finish_here(&["check", "--strict", "show.cfg"]).assert(0, &["is valid: "]);
}

#[test]
fn an_instance_without_a_module_is_named_once() {
    let stage = stage("[loopback l]\n[python room]\n[map]\nl.a > room.good.fader\nl.a > room.good.b\n");
    warns(stage, 1, &["--> show.cfg:2:9", "add a line such as `module = good` to `[python room]`"]);
}

#[test]
fn a_failsafe_value_for_no_output_is_named() {
    let map = "[map]\ndesk./fader > room.good.fader\nroom.lamp > desk./lamp\n";
    let stage = stage(&format!("{WHOLE}failsafe.lmap = 1\nfailsafe.lamp = 0\n{map}"));
    warns(stage, 1, &["--> show.cfg:7:1", "did you mean `failsafe.lamp`?"]);
}

const CALLABLES: &str = "
import functools
def fader(value): pass
def none(): pass
def two(a, b): pass
def keyword(value, *, more): pass
async def later(value): pass
def any(*values): pass
def optional(value, more=1): pass
class Lamp:
    def __init__(self, value): pass
    def set(self, value): pass
    def off(self): pass
class Empty: pass
lamp = Lamp(0)
set_lamp = lamp.set
lamp_off = lamp.off
part = functools.partial(two, 1)
full = functools.partial(two, 1, 2)
called = []
def wraps(function):
    @functools.wraps(function)
    def inner(value):
        called.append(function())
    return inner
wrapped = wraps(none)
builtin = abs
number = max
if called: raise RuntimeError('something was called')
";

#[test]
fn handlers_that_cannot_take_a_value_are_named_and_nothing_is_called() {
    let fit = ["fader", "any", "optional", "Lamp", "set_lamp", "part", "wrapped", "builtin", "number"];
    let unfit = ["none", "two", "keyword", "later", "Empty", "lamp_off", "full", "fadr"];
    let mappings =
        |names: &[&str]| -> String { names.iter().map(|name| format!("l.a > room.good.{name}\n")).collect() };
    let show = |names: &[&str]| {
        let stage = stage(&format!("[loopback l]\n[python room]\nmodule = good\n[map]\n{}", mappings(names)));
        stage.write("good.py", CALLABLES);
        stage
    };
    show(&fit).finish_here(&["check", "--strict", "show.cfg"]).assert(0, &["is valid: "]);
    let ended =
        warns(show(&unfit), unfit.len(), &["as in `def none(value):`", "needs 2 arguments", "async def"]);
    for (line, name) in (5..).zip(unfit) {
        let place = format!("--> show.cfg:{line}:12");
        assert!(ended.text.contains(&place), "{name}: {}", ended.text);
    }
}

#[test]
fn a_module_that_is_misspelt_stands_there_once_with_the_one_that_is_meant() {
    let stage = stage("[python room]\nmodule = godo\n");
    let ended = stage.finish_here(&["check", "show.cfg"]);
    ended.assert(
        2,
        &["--> show.cfg:2:10", "hint: did you mean `good`?", "1 instance of `show.cfg` cannot start"],
    );
    assert_eq!(ended.text.matches("no module `godo`").count(), 1, "{}", ended.text);
}

#[test]
fn a_package_that_is_not_installed_has_a_hint() {
    let stage = stage("[python room]\nmodule = lamps\n");
    stage.write("lamps.py", "import numpie_of_no_one\n");
    let ended = stage.finish_here(&["check", "show.cfg"]);
    ended.assert(2, &["--> show.cfg:2:10", "`numpie_of_no_one`", "`venv = PATH`", "lamps.py\", line 1"]);
}

#[test]
fn a_venv_that_is_none_is_underlined() {
    let stage = stage("[python room]\nmodule = good\nvenv = nowhere\n");
    let ended = stage.finish_here(&["check", "show.cfg"]);
    ended.assert(2, &["--> show.cfg:3:8", "is not a virtual environment", "-m venv"]);
}

#[test]
fn comments_of_other_languages_have_a_hint() {
    let text = "# first\n[loopback a]\n# second\n# third = 1\n[map]\n// fourth\na.x > a.y\n";
    let ended = stage(text).finish_here(&["check", "show.cfg"]);
    ended.assert(2, &["4 errors"]);
    assert_eq!(ended.text.matches("a comment begins with `;`").count(), 4, "{}", ended.text);
}

#[test]
fn a_show_that_runs_can_be_checked() {
    let stage = stage(&format!("{WHOLE}[map]\ndesk./fader > room.good.fadr\nroom.lamp > desk./lamp\n"));
    let show = stage.run();
    let said = show.ask(&["check", &show.stage().path("show.cfg")]);
    said.assert(0, &["did you mean `fader`?", "is valid, with 1 warning"]);
    show.stop();
}

#[test]
fn a_range_of_missing_handlers_is_one_warning() {
    let stage = stage("[loopback l]\n[python room]\nmodule = good\n[map]\nl.{1..40} > room.good.x{1..40}\n");
    warns(stage, 1, &["`good.x1` has no handler", "(and 39 more of this range)", "--> show.cfg:5:18"]);
}

#[test]
fn an_empty_show_is_a_warning() {
    warns(stage(""), 1, &["the show declares no instance", "not saved completely"]);
    stage("").finish_here(&["check", "--strict", "show.cfg"]).assert(2, &["1 warning"]);
}
