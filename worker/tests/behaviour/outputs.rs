//! `output` and `outputvalue`.

use crate::rig::Script;
use mm_shared::control::ToWorker;

#[test]
fn an_output_is_clamped_and_arrives() {
    let code = "
import midimonster as m
def f(v):
    for x in (0.25, 7, -3, True, float('inf'), -float('inf')):
        m.output('out', x)
";
    let mut worker = Script::new(code, &["h.f", "out"]).serve();
    worker.send("h.f", 1.0);
    for expected in [0.25, 1.0, 0.0, 1.0, 1.0, 0.0] {
        assert_eq!(worker.output(), ("out".into(), expected));
    }
}

#[test]
fn wrong_arguments_are_type_errors_and_nan_is_a_value_error() {
    let code = "
import midimonster as m
def f(v):
    for args in (('out',), ('out', 'x'), (1, 0.5), ('out', None), ('out', 1, 2), ('out', float('nan')), ('', 1.0), ('a\\0b', 1.0)):
        try:
            m.output(*args)
            print('accepted', args)
        except Exception as e:
            print(type(e).__name__)
";
    let mut worker = Script::new(code, &["h.f", "out"]).serve();
    worker.send("h.f", 1.0);
    let names: Vec<String> = (0..8).map(|_| worker.line()).collect();
    let expected = ["TypeError"; 5].into_iter().chain(["ValueError"; 3]);
    assert!(names.iter().eq(expected), "{names:?}");
}

#[test]
fn an_output_returns_none_and_is_remembered() {
    let code = "
import midimonster as m
def f(v):
    print(m.outputvalue('out'), m.output('out', 0.5), m.outputvalue('out'), m.outputvalue('unknown'))
";
    let mut worker = Script::new(code, &["h.f", "out"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "0.0 None 0.5 None");
}

#[test]
fn an_output_during_import_is_sent_once_with_its_last_value_when_the_show_starts() {
    let code = "
import midimonster as m
m.output('out', 0.1)
m.output('new', 0.7)
m.output('out', 0.2)
def f(v):
    m.output('end', v)
";
    let mut worker = Script::new(code, &["h.f", "out", "end"]).start();
    worker.ready();
    assert_eq!(worker.try_event(), None);
    worker.say(ToWorker::Serve(Vec::new()));
    worker.send("h.f", 1.0);
    assert_eq!(worker.output(), ("out".into(), 0.2));
    assert_eq!(worker.output(), ("new".into(), 0.7));
    assert_eq!(worker.output(), ("end".into(), 1.0));
}

#[test]
fn an_unknown_name_is_announced_remembered_and_carries_its_value() {
    let code = "
import midimonster as m
def f(v):
    m.output('new', v)
    m.output('new', v / 2)
    print(m.outputvalue('new'), m.inputvalue('new'), m.channels())
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.output(), ("new".into(), 1.0));
    assert_eq!(worker.output(), ("new".into(), 0.5));
    assert_eq!(worker.line(), "0.5 0.0 ['h.f', 'new']");
    assert_eq!(worker.names, ["h.f", "new"]);
}

#[test]
fn names_of_any_characters_and_subclasses_of_str_work() {
    let code = "
import midimonster as m
class Name(str):
    def __eq__(self, other): return str.__eq__(self, other)
    __hash__ = str.__hash__
def f(v):
    m.output('/päth with.dots/:1', 0.1)
    m.output(Name('out'), 0.2)
    m.output(Name('added'), 0.3)
    m.output('added', 0.4)
    try:
        m.output('\\ud800', 0.1)
    except UnicodeEncodeError:
        print('refused', [type(n).__name__ for n in m.channels()])
";
    let mut worker = Script::new(code, &["h.f", "out", "/päth with.dots/:1"]).serve();
    worker.send("h.f", 1.0);
    let seen: Vec<_> = (0..4).map(|_| worker.output()).collect();
    let expected = [("/päth with.dots/:1", 0.1), ("out", 0.2), ("added", 0.3), ("added", 0.4)];
    assert!(seen.iter().map(|(name, value)| (name.as_str(), *value)).eq(expected), "{seen:?}");
    assert_eq!(worker.line(), "refused ['str', 'str', 'str', 'str']");
}

#[test]
fn there_is_a_bound_to_the_names_that_a_script_adds() {
    let code = "
import midimonster as m
def f(v):
    for i in range(65536 + 3):
        m.output(f'c{i}', 0.5)
    print(m.outputvalue('c65535'), m.outputvalue('c65536'), len(m.channels()))
";
    let mut worker = Script::new(code, &["h.f"]).slots(1024, 1 << 17).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "0.5 None 65537");
    assert!(worker.warning().contains("too many names"));
}

#[test]
fn a_full_ring_makes_the_script_wait_and_loses_nothing() {
    let code = "
import midimonster as m
def f(v):
    for i in range(10000):
        m.output('out', i / 10000)
";
    let mut worker = Script::new(code, &["h.f", "out"]).slots(16, 16).serve();
    worker.send("h.f", 1.0);
    for i in 0..10_000 {
        assert_eq!(worker.event().value, f64::from(i) / 10_000.0);
    }
}

#[test]
fn a_supervisor_that_naps_is_rung_when_the_worker_runs_out_of_work() {
    let code = "
import midimonster as m
def f(v):
    m.output('out', v)
";
    let mut worker = Script::new(code, &["h.f", "out"]).serve();
    for _ in 0..3 {
        assert_eq!(worker.outputs_when_rung("h.f", &[0.1, 0.2, 0.3, 0.4]), 4);
    }
}
