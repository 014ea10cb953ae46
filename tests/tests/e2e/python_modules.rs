//! What a Python instance imports, which handlers it finds, and what it prints.

use crate::{python, python_with};
use mm_tests::osc::F;
use mm_tests::{Event, TestShow};

const ECHO: &str = "
    import midimonster
    def go(value):
        midimonster.output('x', value)
";

fn assert_echo(stage: TestShow) {
    let show = stage.run();
    show.send("/go", &[F(0.5)]);
    show.expect("/x", &[F(0.5)]);
    show.stop();
}

#[test]
fn a_module_can_be_named_as_a_module_a_file_or_a_path() {
    for (option, file) in
        [("h", "h.py"), ("h.py", "h.py"), ("scripts/h.py", "scripts/h.py"), ("./h.py", "h.py")]
    {
        let stage = TestShow::new();
        stage.python(file, ECHO);
        let map = "[map]\nnet./go > py.h.go\npy.x > net./x";
        stage.osc_show(&format!("[python py]\nmodule = {option}\n{map}"));
        assert_echo(stage);
    }
}

#[test]
fn a_function_in_a_package_is_a_handler_too() {
    let stage = TestShow::new();
    stage.write("lights/__init__.py", "");
    stage.python("lights/front.py", ECHO);
    stage.osc_show("[python py]\nmodule = lights.front\n[map]\nnet./go > py.lights.front.go\npy.x > net./x");
    assert_echo(stage);
}

#[test]
fn an_instance_may_have_several_modules() {
    let stage = TestShow::new();
    stage.python("one.py", "import midimonster\ndef go(value):\n    midimonster.output('x', value)\n");
    stage.python("two.py", "import midimonster\ndef go(value):\n    midimonster.output('y', value / 2)\n");
    stage.osc_show(
        "[python py]\nmodule = one\nmodule = two\n[map]
         net./go > py.one.go
         net./go > py.two.go
         py.x > net./x
         py.y > net./y",
    );
    let show = stage.run();
    show.send("/go", &[F(0.5)]);
    show.expect("/x", &[F(0.5)]);
    show.send("/go", &[F(0.75)]);
    show.expect("/y", &[F(0.375)]);
    show.stop();
}

#[test]
fn scripts_run_in_the_directory_of_the_show_and_import_from_there() {
    let script = "
        import os, sys, neighbour
        print('here', os.getcwd(), sys.path[0])
        def go(value):
            pass
    ";
    let stage = python(script, "net./go > py.h.go");
    stage.write("neighbour.py", "print('neighbour imported')\n");
    let directory = std::fs::canonicalize(stage.directory()).unwrap();
    let show = stage.run();
    show.wait_for(Event::printed("py", "neighbour imported"));
    let here = directory.to_string_lossy();
    show.wait_for(Event::printed("py", &format!("here {here} {here}")));
    show.stop();
}

#[test]
fn the_default_handler_gets_channels_without_a_dot_only() {
    let script = "
        def default(value):
            print('default', value)
        def named(value):
            print('named', value)
    ";
    let mappings = "net./plain > py.plain\nnet./named > py.h.named";
    let show = python_with("default-handler = h.default", script, mappings).run();
    show.send("/plain", &[F(0.25)]);
    show.wait_for(Event::printed("py", "default 0.25"));
    show.send("/named", &[F(0.5)]);
    show.wait_for(Event::printed("py", "named 0.5"));
    assert_eq!(show.log().count(Event::printed("py", "default 0.5")), 0);
    show.stop();
}

#[test]
fn a_handler_that_is_missing_is_a_warning_and_its_channel_carries_values() {
    let script = "
        import midimonster
        def handle_fader(value):
            print('fader', midimonster.inputvalue('h.handle_fadr'))
    ";
    let show = python(script, "net./a > py.h.handle_fadr\nnet./b > py.h.handle_fader").run();
    show.wait_for(
        Event::named("script_warned")
            .level("warn")
            .instance("py")
            .message("handle_fadr")
            .message("handle_fader"),
    );
    show.send("/a", &[F(0.75)]);
    show.send("/b", &[F(0.5)]);
    show.wait_for(Event::printed("py", "fader 0.75"));
    show.stop();
}

#[test]
fn what_a_script_prints_is_in_the_log_at_once() {
    let script = "
        import os, sys
        print('at import')
        def go(value):
            print('in a handler')
            print('without an end', end='', flush=True)
            print('to stderr', file=sys.stderr)
            os.write(1, b'past Python\\n')
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.wait_for(Event::printed("py", "at import").level("info"));
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "in a handler").level("info"));
    show.wait_for(Event::printed("py", "without an end").level("info"));
    show.wait_for(Event::printed("py", "to stderr").level("warn"));
    show.wait_for(Event::printed("py", "").level("info").message("past Python"));
    show.stop();
}

#[test]
fn a_script_that_writes_to_a_closed_socket_gets_an_exception() {
    let script = "
        import socket
        def go(value):
            ours, theirs = socket.socketpair()
            theirs.close()
            try:
                ours.send(b'x')
            except BrokenPipeError:
                print('told so')
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "told so"));
    show.stop();
}

#[test]
fn instances_do_not_share_an_interpreter() {
    let stage = TestShow::new();
    let script = "
        import sys, midimonster
        sys.shared = getattr(sys, 'shared', 0) + 1
        print('shared', sys.shared)
    ";
    stage.python("h.py", script);
    stage.osc_show(
        "[python one]\nmodule = h\n[python two]\nmodule = h\n[map]\nnet./a > one.a\nnet./a > two.a",
    );
    let show = stage.run();
    show.wait_for(Event::printed("one", "shared 1"));
    show.wait_for(Event::printed("two", "shared 1"));
    show.stop();
}
