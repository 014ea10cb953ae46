//! From channel to function: which names find a handler, and what happens when it raises.

use crate::rig::Script;
use mm_shared::control::BitSet;

#[test]
fn functions_of_modules_packages_and_objects_are_handlers() {
    let code = "
import pkg.mod
class Fader:
    def move(self, v): print('object', v)
fader = Fader()
def f(v): print('function', type(v).__name__, v)
";
    let script = Script::new(code, &["h.f", "h.fader.move", "pkg.mod.g"]);
    script.write("pkg/__init__.py", "");
    script.write("pkg/mod.py", "def g(v): print('package', v)\n");
    let mut worker = script.serve();
    worker.send("h.f", 0.5);
    worker.send("h.fader.move", 0.25);
    worker.send("pkg.mod.g", 1.0);
    assert_eq!(worker.line(), "function float 0.5");
    assert_eq!(worker.line(), "object 0.25");
    assert_eq!(worker.line(), "package 1.0");
}

#[test]
fn the_default_handler_gets_names_without_a_dot_only() {
    let code = "
import midimonster as m
def g(v): print(m.current(), v)
def f(v): print('f', v)
";
    let mut worker = Script::new(code, &["a", "h.f", "no.such", "b"]).default_handler("h.g").serve();
    for name in ["a", "h.f", "no.such", "b"] {
        worker.send(name, 0.5);
    }
    assert_eq!(worker.line(), "a 0.5");
    assert_eq!(worker.line(), "f 0.5");
    assert_eq!(worker.line(), "b 0.5");
}

#[test]
fn a_mapped_handler_that_does_not_exist_is_a_warning_that_suggests_one() {
    let code = "
import os
limit = 3
def strobe(v): pass
def blackout(v): pass
";
    let channels = ["h.stobe", "h.limit", "hh.strobe", "fader.1", "plain", "h.strobe"];
    let mut worker = Script::new(code, &channels).default_handler("h.nothing").start();
    worker.ready();
    let warnings = worker.warnings.join("\n---\n");
    assert_eq!(worker.warnings.len(), 4, "{warnings}");
    assert!(warnings.contains("channel `h.stobe` has no handler: module `h` has no `stobe`"), "{warnings}");
    assert!(warnings.contains("it holds `strobe`, `blackout`\nhint: did you mean `strobe`?"), "{warnings}");
    assert!(warnings.contains("`limit` of module `h` is not callable"), "{warnings}");
    assert!(warnings.contains("module `hh` is not imported"), "{warnings}");
    assert!(warnings.contains("default handler `h.nothing`"), "{warnings}");
}

#[test]
fn names_that_no_mapping_uses_make_no_warning() {
    let mut script = Script::new("", &["h.gone"]);
    script.boot.mapped = 0;
    script.boot.targets = BitSet::default();
    let mut worker = script.start();
    worker.ready();
    assert_eq!(worker.warnings, Vec::<String>::new());
}

#[test]
fn whatever_a_handler_raises_is_reported_and_the_instance_goes_on() {
    let code = "
import sys
class Odd(BaseException):
    def __str__(self): raise RuntimeError('no text')
def f(v):
    def deep(n): return deep(n + 1)
    kind = int(v * 10)
    if kind == 0: return 'fine'
    if kind == 1: sys.exit(3)
    if kind == 2: raise KeyboardInterrupt
    if kind == 3: deep(0)
    if kind == 4: raise MemoryError('all of it')
    if kind == 5: raise Odd
    if kind == 6: exec('1 +')
    raise ValueError('x' * 1000000)
def g(v): print('alive')
";
    let mut worker = Script::new(code, &["h.f", "h.g"]).serve();
    let kinds = ["SystemExit: 3", "KeyboardInterrupt", "RecursionError", "MemoryError: all of it", "Odd"];
    for (kind, expected) in kinds.iter().enumerate() {
        worker.send("h.f", (kind as f64 + 1.5) / 10.0);
        let (place, traceback) = worker.error();
        assert_eq!(place, "handler of `h.f`");
        assert!(traceback.contains(expected) && traceback.contains("h.py\", line "), "{traceback}");
    }
    worker.send("h.g", 1.0);
    assert_eq!(worker.line(), "alive");
    worker.until("the errors are counted", |worker| worker.end.progress.errors() == 5);
}

#[test]
fn a_huge_exception_is_cut() {
    let mut worker = Script::new("def f(v): raise ValueError('x' * 10_000_000)", &["h.f"]).serve();
    worker.send("h.f", 1.0);
    let (_, traceback) = worker.error();
    assert!(traceback.len() < 100_000);
    assert!(traceback.starts_with("Traceback (most recent call last):"));
}

#[test]
fn a_flood_of_errors_is_counted_and_does_not_hide_another_place() {
    let code = "
def f(v): raise ValueError('again')
def g(v): raise KeyError('rare')
";
    let mut worker = Script::new(code, &["h.f", "h.g"]).serve();
    for _ in 0..2000 {
        worker.send("h.f", 1.0);
    }
    worker.send("h.g", 1.0);
    let mut count = 0;
    while worker.error().0 != "handler of `h.g`" {
        count += 1;
    }
    assert!(count < 100, "{count} errors were sent");
    worker.until("all errors are counted", |worker| worker.end.progress.errors() == 2001);
}

#[test]
fn a_flood_of_errors_does_not_hide_another_error_of_the_same_handler() {
    let code = "
def f(v):
    if v < 0.5:
        raise ValueError(f'again {v}')
    raise KeyError('rare')
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    for number in 0..2000 {
        worker.send("h.f", f64::from(number) / 5000.0);
    }
    worker.send("h.f", 1.0);
    let mut count = 0;
    while !worker.error().1.ends_with("KeyError: 'rare'") {
        count += 1;
    }
    assert!(count < 100, "{count} errors were sent");
}

#[test]
fn events_are_handled_in_order_and_counted() {
    let code = "
last = 0
def f(v):
    global last
    assert v > last, (v, last)
    last = v
def g(v): print('done', last)
";
    let mut worker = Script::new(code, &["h.f", "h.g"]).slots(64, 64).serve();
    for i in 1..=50_000 {
        worker.send("h.f", f64::from(i) / 50_000.0);
    }
    worker.send("h.g", 1.0);
    assert_eq!(worker.line(), "done 1.0");
    worker.until("all events are counted", |worker| worker.end.progress.handled() == 50_001);
    assert_eq!(worker.end.progress.errors(), 0);
    assert_eq!(worker.end.progress.handler_times().count(), 50_001);
}

#[test]
fn an_event_is_in_hand_while_its_handler_runs_and_not_afterwards() {
    let code = "
import time, os
def f(v):
    print('in')
    while not os.path.exists('go'): time.sleep(0.001)
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 0.5);
    assert_eq!(worker.line(), "in");
    worker.end.down.reclaim().expect("a correct worker");
    assert_eq!(worker.end.down.in_hand().map(|event| event.value), Some(0.5));
    worker.script.write("go", "");
    worker.until("nothing is in hand", |worker| worker.end.down.in_hand().is_none());
}
