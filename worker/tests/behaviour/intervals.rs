//! `interval`.

use crate::rig::Script;

fn serve(code: &str) -> crate::rig::Worker {
    Script::new(&format!("import midimonster as m, time\n{code}"), &["h.f", "h.g"]).serve()
}

#[test]
fn ticks_come_without_drift_and_not_too_early() {
    let mut worker = serve(
        "
times = []
def tick():
    times.append(time.monotonic())
    time.sleep(0.001)
    if len(times) == 101:
        m.interval(tick, 0)
        total = times[-1] - times[0]
        # a drift by the millisecond of each call would make it 0.3 s
        print(0.19 < total)
m.interval(tick, 2)
",
    );
    assert_eq!(worker.line(), "True");
}

#[test]
fn a_tick_that_was_missed_is_not_made_up_for() {
    let mut worker = serve(
        "
calls = 0
def tick():
    global calls
    calls += 1
    if calls == 1:
        time.sleep(0.2)
def stop():
    # 20 ticks were missed
    print(calls < 15)
    m.interval(tick, 0)
    m.interval(stop, 0)
m.interval(tick, 10)
m.interval(stop, 250)
",
    );
    assert_eq!(worker.line(), "True");
}

#[test]
fn an_equal_callable_changes_its_interval_and_zero_ends_it() {
    let mut worker = serve(
        "
class Timer:
    def tick(self):
        print('tick')
        m.interval(self.tick, 0)
timer = Timer()
m.interval(timer.tick, 1000000)
m.interval(timer.tick, 1)
def end():
    print('end')
    m.interval(end, 0)
    m.interval(end, 0)
def f(v):
    m.interval(end, 20)
",
    );
    assert_eq!(worker.line(), "tick");
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "end");
}

#[test]
fn setting_the_same_interval_again_and_again_does_not_put_its_ticks_off() {
    let mut worker = serve(
        "
def slow():
    print('slow')
    m.interval(slow, 0)
    m.interval(fast, 0)
def fast():
    m.interval(slow, 100)
m.interval(fast, 5)
m.interval(slow, 100)
",
    );
    assert_eq!(worker.line(), "slow");
}

#[test]
fn wrong_arguments_are_refused() {
    let mut worker = serve(
        "
def g(v): pass
def f(v):
    for args in ((3, 10), (g, 'x'), (g, 1.5), (g, None), (g,), (g, -1), (g, 2**70), (g, 10**13)):
        try:
            m.interval(*args)
            print('accepted', args)
        except Exception as e:
            print(type(e).__name__)
",
    );
    worker.send("h.f", 1.0);
    let names: Vec<String> = (0..8).map(|_| worker.line()).collect();
    let expected = ["TypeError"; 5].into_iter().chain(["ValueError"; 3]);
    assert!(names.iter().eq(expected), "{names:?}");
}

#[test]
fn an_error_of_a_tick_is_reported_and_the_next_one_comes() {
    let mut worker = serve(
        "
calls = 0
def tick():
    global calls
    calls += 1
    if calls == 3:
        m.interval(tick, 0)
        print('third')
    raise SystemExit('tick failed')
m.interval(tick, 1)
",
    );
    let (place, traceback) = worker.error();
    assert_eq!(place, "interval `tick`");
    assert!(traceback.contains("SystemExit: tick failed"), "{traceback}");
    assert_eq!(worker.line(), "third");
}

#[test]
fn an_error_of_a_comparison_reaches_the_caller() {
    let mut worker = serve(
        "
class Odd:
    def __call__(self): pass
    def __eq__(self, other): raise LookupError('odd')
odd = Odd()
m.interval(odd, 1000)
def f(v):
    try:
        m.interval(Odd(), 1000)
    except LookupError:
        print('refused')
    m.interval(odd, 0)
    print('ended')
",
    );
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "refused");
    assert_eq!(worker.line(), "ended");
}

#[test]
fn a_flood_of_events_does_not_starve_ticks_nor_ticks_the_events() {
    let mut worker = serve(
        "
handled = 0
ticks = 0
def f(v):
    global handled
    handled += 1
    time.sleep(0.0001)
def tick():
    global ticks
    ticks += 1
    if ticks == 20:
        m.interval(tick, 0)
        # there is still work to do, so the ticks came in between
        print(0 < handled < 16000)
m.interval(tick, 1)
",
    );
    for _ in 0..16_000 {
        worker.send("h.f", 1.0);
    }
    assert_eq!(worker.line(), "True");
}

#[test]
fn a_thread_can_set_an_interval_while_the_instance_sleeps() {
    let mut worker = serve(
        "
import threading
def tick():
    m.interval(tick, 0)
    print('tick')
def later():
    time.sleep(0.05)
    m.interval(tick, 1)
threading.Thread(target=later).start()
",
    );
    assert_eq!(worker.line(), "tick");
}

#[test]
fn intervals_set_at_import_count_from_the_start_of_the_show() {
    let code = "
import midimonster as m, time
def tick():
    m.interval(tick, 0)
    print(time.monotonic() - begun > 0.05)
m.interval(tick, 60)
over = time.monotonic() + 0.06
while time.monotonic() < over: time.sleep(0.001)
begun = 0
def f(v):
    global begun
    begun = time.monotonic()
";
    let mut worker = Script::new(code, &["h.f"]).start();
    worker.ready();
    worker.send("h.f", 1.0);
    worker.say(mm_shared::control::ToWorker::Serve(Vec::new()));
    assert_eq!(worker.line(), "True");
}
