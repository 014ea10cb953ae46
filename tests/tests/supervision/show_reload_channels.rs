//! Fault `show-reloads-many`: HUP again and again, each time with a thousand names that the show did
//! not have before and without those of the last time.

use super::show_reload::{done, reload};
use mm_tests::counter::{COUNTER, NumberedStream};
use mm_tests::osc::F;
use mm_tests::{Event, Running, TestShow};
use std::time::Duration;

/// Each event carries its number, and is sent on. The names that a worker knows are printed by its
/// import, before it serves.
const SCRIPT: &str = "
    import midimonster
    names = midimonster.channels()
    print('names', len(names), sum(name.startswith('h.r') for name in names))
    def tick(value):
        midimonster.output('x', value)
";

const RELOADS: usize = 30;
const NAMES: usize = 1000;

/// Time between two events of the stream: 1,000 per second.
const PERIOD: Duration = Duration::from_millis(1);

/// What tables and allocators may keep of all that in kilobytes. Every reload of the test brings
/// about 3 MB of names and tables.
const KEPT_MEMORY: u64 = 24_000;

/// The show after so many reloads. The names that only this one has stand in front of the others,
/// so those have other numbers when they go.
fn text(stage: &TestShow, number: usize) -> String {
    let names = format!("{{1..{NAMES}}}");
    stage.fill(&format!(
        "[osc net]\nbind = $IN\ndest = $OUT\n/* = f 0 1\n/*/* = f 0 1\n\
         [python py]\nmodule = h\n[python witness]\nmodule = w\n[map]\n\
         net./r{number}/n{names} > py.h.r{number}n{names}\npy.back{number}n{names} > net./b{number}/n{names}\n\
         net./tick > py.h.tick\npy.x > witness.w.tick\nnet./report > witness.w.report\n"
    ))
}

/// Reloads with the names of this number; returns when the script serves with them.
fn reload_with(show: &Running, number: usize) {
    let served = show.log().count(Event::named("worker_ready").instance("py"));
    reload(show, |_| text(show.stage(), number), &done());
    show.log().wait_for_nth(served + 1, Event::named("worker_ready").instance("py"));
}

#[test]
fn names_that_the_show_no_longer_has_are_forgotten_and_no_event_is_lost_meanwhile() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.write("w.py", COUNTER);
    let first = text(&stage, 0);
    stage.write("show.cfg", first);
    let show = stage.run();
    let stream = NumberedStream::begin(&show, 1, PERIOD);

    reload_with(&show, 1);
    let before = show.process().memory();
    (2..=RELOADS).for_each(|number| reload_with(&show, number));
    reload_with(&show, 0);
    let after = show.process().memory();
    assert!(after < before + KEPT_MEMORY, "{before} kB after the first reload, {after} kB after all");

    // Every worker had the names of its show, and no others.
    let names = format!("names {} {NAMES}", 2 * NAMES + 2);
    assert_eq!(show.log().count(Event::printed("py", "names ")), RELOADS + 2);
    assert_eq!(show.log().count(Event::printed("py", &names)), RELOADS + 2);
    for gone in ["net./r1/n1", "net./b30/n7", "py.h.r30n1000", "py.back2n1"] {
        show.ask(&["send", gone, "0.5"]).assert(1, &["channel"]);
    }
    for there in ["net./r0/n1", "py.h.r0n1000"] {
        show.ask(&["send", there, "0.5"]).assert(0, &[]);
    }

    stream.finish(&show);
    show.stop();
}

/// The worker does not know the show's numbers as long as its successor is not there.
#[test]
fn a_worker_that_goes_on_gets_and_sends_nothing_on_channels_of_others() {
    const OLD: &str = "net./away > py.h.away\nnet./ask > py.h.ask\npy.gone > net./from/gone\npy.answer > net./from/answer\n";
    const NEW: &str =
        "net./new > py.h.new\nnet./ask > py.h.ask\npy.answer > net./from/answer\npy.more > net./from/more\n";
    const GOES_ON: &str = "
        import midimonster
        def away(value):
            print('away', value)
        def ask(value):
            midimonster.output('gone', value / 2)
            midimonster.output('more', value / 4)
            midimonster.output('answer', value)
    ";
    let stage = TestShow::new();
    stage.python("h.py", GOES_ON);
    stage.osc_show(&format!("[python py]\nmodule = h\n[map]\n{OLD}"));
    let show = stage.run();
    let worker = show.worker("py");
    show.stage().replace("h.py", "raise ValueError('broken')\n");
    reload(&show, |text| text.replace(OLD, NEW), &done());
    show.wait_for(Event::named("reload_failed").instance("py"));
    for (sent, path) in [(0.25, "/new"), (0.5, "/ask"), (0.75, "/away"), (1.0, "/ask")] {
        show.send(path, &[F(sent)]);
    }
    show.expect("/from/answer", &[F(0.5)]);
    show.expect("/from/answer", &[F(1.0)]);
    assert_eq!(show.worker("py"), worker);
    assert_eq!(show.log().count(Event::printed("py", "away")), 0);

    // Back again: the channels are those that the worker knows.
    reload(&show, |text| text.replace(NEW, OLD), &done());
    show.log().wait_for_nth(2, Event::named("reload_failed").instance("py"));
    show.send("/ask", &[F(0.5)]);
    show.expect("/from/gone", &[F(0.25)]);
    show.expect("/from/answer", &[F(0.5)]);

    // An event of a new channel waits for the worker that knows it.
    reload(&show, |text| text.replace(OLD, NEW), &done());
    show.log().wait_for_nth(3, Event::named("reload_failed").instance("py"));
    show.send("/new", &[F(0.375)]);
    show.stage().replace(
        "h.py",
        "import midimonster
def new(value):
    print('new', value)
def ask(value):
    midimonster.output('more', value)
",
    );
    show.ask(&["reload", "py"]).assert(0, &[]);
    show.wait_for(Event::printed("py", "new 0.375"));
    show.send("/ask", &[F(0.5)]);
    show.expect("/from/more", &[F(0.5)]);
    show.stop();
}
