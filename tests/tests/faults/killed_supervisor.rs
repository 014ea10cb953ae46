//! Fault `supervisor-killed`: the supervisor itself is killed.

use mm_tests::running::GONE_WITHIN;
use mm_tests::wait::wait_within;
use mm_tests::{Event, Running, TestShow};

const SCRIPT: &str = "
    import midimonster
    def event(value):
        print('event', value)
";

const BUSY: &str = "
    import time
    def event(value):
        print('in the handler')
        while True:
            time.sleep(3600)
";

fn stage(script: &str) -> TestShow {
    let stage = TestShow::new();
    stage.python("h.py", script);
    let names: Vec<String> = (0..4).map(|number| format!("py{number}")).collect();
    let instances: String = names.iter().map(|name| format!("[python {name}]\nmodule = h\n")).collect();
    let mappings: String = names.iter().map(|name| format!("net./event > {name}.h.event\n")).collect();
    stage.osc_show(&format!("{instances}[map]\n{mappings}"));
    stage
}

fn kill_and_watch(show: &mut Running) {
    let left = show.kill();
    wait_within("the end of all workers", GONE_WITHIN, || {
        left.iter().all(|process| !process.is_alive()).then_some(())
    });
}

#[test]
fn no_worker_outlives_it_and_the_show_starts_again_at_once() {
    let mut show = stage(SCRIPT).run();
    let workers: Vec<_> = (0..4).map(|number| show.worker(&format!("py{number}"))).collect();
    kill_and_watch(&mut show);
    assert!(workers.iter().all(|worker| !worker.is_alive()));
    // The same ports, the same directory, the same temporary files.
    let again = show.run_again();
    again.stop();
}

#[test]
fn workers_in_the_middle_of_a_handler_go_as_well() {
    let mut show = stage(BUSY).run();
    show.send("/event", &[mm_tests::osc::F(0.5)]);
    for number in 0..4 {
        show.wait_for(Event::printed(&format!("py{number}"), "in the handler"));
    }
    kill_and_watch(&mut show);
}

#[test]
fn workers_that_are_being_imported_go_as_well() {
    let mut show = stage("import time\nprint('importing')\ntime.sleep(3600)\n").start_show();
    for number in 0..4 {
        show.wait_for(Event::printed(&format!("py{number}"), "importing"));
    }
    kill_and_watch(&mut show);
}
