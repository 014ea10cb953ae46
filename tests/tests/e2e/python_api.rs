//! The module `midimonster`: channel values and what can be asked of them.

use crate::{python, python_with};
use mm_tests::Event;
use mm_tests::osc::F;

#[test]
fn output_clamps_remembers_and_returns_none() {
    let script = "
        from midimonster import output, outputvalue
        def go(value):
            print('high', output('x', 7), outputvalue('x'))
            print('low', output('x', -0.5), outputvalue('x'))
            print('between', output('x', value), outputvalue('x'))
    ";
    let show = python(script, "net./go > py.h.go\npy.x > net./x").run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "high None 1.0"));
    show.wait_for(Event::printed("py", "low None 0.0"));
    show.wait_for(Event::printed("py", "between None 0.5"));
    show.expect("/x", &[F(0.5)]);
    show.stop();
}

#[test]
fn output_on_a_channel_without_a_mapping_is_remembered_only() {
    let script = "
        from midimonster import output, outputvalue, channels
        def go(value):
            print('before', outputvalue('nowhere'))
            output('nowhere', 0.25)
            print('after', outputvalue('nowhere'))
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "before None"));
    show.wait_for(Event::printed("py", "after 0.25"));
    show.stop();
}

#[test]
fn the_input_value_is_the_previous_one_until_the_handler_returns() {
    let script = "
        from midimonster import inputvalue
        def go(value):
            print('now', value, 'previous', inputvalue('h.go'))
        def ask(value):
            print('asked', inputvalue('h.go'), 'carried', inputvalue('carried'), 'unknown', inputvalue('unknown'))
    ";
    let show = python(script, "net./go > py.h.go\nnet./ask > py.h.ask\nnet./carried > py.carried").run();
    show.send("/ask", &[F(0.5)]);
    show.wait_for(Event::printed("py", "asked 0.0 carried 0.0 unknown None"));
    show.send("/go", &[F(0.25)]);
    show.wait_for(Event::printed("py", "now 0.25 previous 0.0"));
    show.send("/go", &[F(0.75)]);
    show.wait_for(Event::printed("py", "now 0.75 previous 0.25"));
    show.send("/carried", &[F(0.125)]);
    show.send("/ask", &[F(0.25)]);
    show.wait_for(Event::printed("py", "asked 0.75 carried 0.125 unknown None"));
    show.stop();
}

#[test]
fn current_names_the_channel_whose_handler_runs_and_nothing_elsewhere() {
    let script = "
        import midimonster
        from midimonster import current
        print('at import', current())
        def go(value):
            print('handler', current())
            midimonster.interval(tick, 1)
        def tick():
            print('interval', current())
            midimonster.interval(tick, 0)
        def default(value):
            print('default', current())
    ";
    let mappings = "net./go > py.h.go\nnet./plain > py.plain";
    let show = python_with("default-handler = h.default", script, mappings).run();
    show.wait_for(Event::printed("py", "at import None"));
    show.send("/plain", &[F(0.5)]);
    show.wait_for(Event::printed("py", "default plain"));
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "handler h.go"));
    show.wait_for(Event::printed("py", "interval None"));
    show.stop();
}

#[test]
fn timestamp_is_monotonic_milliseconds_as_an_integer() {
    let script = "
        import time, midimonster
        def go(value):
            first = midimonster.timestamp()
            time.sleep(0.05)
            passed = midimonster.timestamp() - first
            print('type', type(first).__name__, 'passed', 45 <= passed < 30000)
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "type int passed True"));
    show.stop();
}

#[test]
fn channels_lists_the_names_of_the_instance() {
    let script = "
        import midimonster
        def go(value):
            names = midimonster.channels()
            print('names', type(names).__name__, sorted(names))
    ";
    let show = python(script, "net./go > py.h.go\npy.x{1..2} > net./x{1..2}").run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "names list ['h.go', 'x1', 'x2']"));
    show.stop();
}

#[test]
fn output_while_the_modules_are_imported_is_sent_once_when_the_instance_is_ready() {
    let script = "
        import midimonster
        midimonster.output('x', 0.25)
        midimonster.output('x', 0.75)
        midimonster.output('created', 0.5)
        def go(value):
            print('values', midimonster.outputvalue('x'), midimonster.outputvalue('created'))
            midimonster.output('x', value)
    ";
    let show = python(script, "net./go > py.h.go\npy.x > net./x").run();
    let message = show.peer().receive();
    assert_eq!((message.path.as_str(), message.arguments.as_slice()), ("/x", [F(0.75)].as_slice()));
    show.send("/go", &[F(0.125)]);
    show.wait_for(Event::printed("py", "values 0.75 0.5"));
    assert_eq!(show.peer().receive().arguments, [F(0.125)]);
    show.stop();
}

#[test]
fn output_does_not_call_the_handler_of_the_same_channel() {
    let script = "
        import midimonster
        def go(value):
            midimonster.output('h.own', value)
            print('sent')
        def own(value):
            print('own handler called')
        def end(value):
            print('end')
    ";
    let mappings = "net./go > py.h.go\npy.h.own > net./own\nnet./own > py.h.own\nnet./end > py.h.end";
    let show = python(script, mappings).run();
    show.send("/go", &[F(0.5)]);
    show.expect("/own", &[F(0.5)]);
    show.send("/end", &[F(0.5)]);
    show.wait_for(Event::printed("py", "end"));
    assert_eq!(show.log().count(Event::printed("py", "own handler called")), 0);
    show.stop();
}

#[test]
fn calls_with_wrong_arguments_raise_type_errors() {
    let script = "
        import midimonster
        def attempt(name, *arguments):
            try:
                getattr(midimonster, name)(*arguments)
                print('accepted', name, arguments)
            except TypeError:
                print('refused', name)
        def go(value):
            attempt('output', 'x')
            attempt('output', 'x', 'loud')
            attempt('output', 5, 0.5)
            attempt('inputvalue', None)
            attempt('interval', 5, 100)
            attempt('interval', None, 100)
            attempt('manage', 5, None)
            attempt('manage', go, 'no socket')
            attempt('cleanup_handler', 5)
            print('done')
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "done"));
    assert_eq!(show.log().count(Event::printed("py", "accepted")), 0, "{}", show.log().text());
    show.stop();
}
