//! The switch for the latency heuristics, `MM_WAKEUP`.

use crate::{assert_answers, stage};
use mm_tests::osc::F;
use mm_tests::{Event, TestShow};

/// More events than a ring has room for.
const BURST: u16 = 40_000;

/// A show in which `sends` streams to `takes`, which counts; `sends` also echoes single events.
fn burst_stage() -> TestShow {
    let stage = TestShow::new();
    stage.python(
        "sends.py",
        &format!(
            "
            import midimonster
            def ask(value):
                midimonster.output('answer', value)
            def go(value):
                for i in range({BURST}):
                    midimonster.output('event', i % 2)
                midimonster.output('last', value)
            "
        ),
    );
    stage.python(
        "takes.py",
        "
        import midimonster
        count = 0
        def event(value):
            global count
            count += 1
        def last(value):
            midimonster.output('counted', count / 65536)
        ",
    );
    stage.osc_show(
        "[python py]\nmodule = sends\n[python other]\nmodule = takes\n[map]\n\
         net./ask > py.sends.ask\npy.answer > net./answer\nnet./go > py.sends.go\n\
         py.event > other.takes.event\npy.last > other.takes.last\nother.counted > net./counted\n",
    );
    stage
}

#[test]
fn a_show_without_latency_heuristics_answers_each_event_and_loses_none_of_a_burst() {
    let stage = burst_stage();
    let mut command = stage.show_command();
    command.env("MM_WAKEUP", "plain");
    let show = stage.start_command(command);
    show.wait_for(Event::named("show_running"));
    show.wait_for(Event::named("wakeup_mode").field("mode", "plain"));
    let processes = [show.process(), show.worker("py")];
    let cpus = || processes.map(|process| process.status("Cpus_allowed"));
    let before = cpus();
    for value in (1..=200_u8).map(|step| f32::from(step) / 256.0) {
        assert_answers(&show, value);
        assert_eq!(cpus(), before, "no thread is pinned to a CPU");
    }
    show.send("/go", &[F(1.0)]);
    show.expect("/counted", &[F(f32::from(BURST) / 65536.0)]);
    show.stop();
}

#[test]
fn a_wakeup_mode_that_does_not_exist_is_refused() {
    let stage = stage("");
    let mut command = stage.show_command();
    command.env("MM_WAKEUP", "off");
    let ended = stage.start_command(command).wait_for_end();
    ended.assert(1, &["error: `MM_WAKEUP`: `off` is not a wake-up mode; use `adaptive` or `plain`"]);
}
