//! Faults `supervisor-stopped` and `machine-busy`: no worker is killed for what the machine, the
//! supervisor or a debugger caused.

use crate::{assert_serves, finish, run};
use mm_tests::osc::F;
use mm_tests::wait::last;
use mm_tests::{Event, TestShow};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SCRIPT: &str = "
    import midimonster, time
    def work(value):
        time.sleep(value)
        print('worked', value)
    def ask(value):
        midimonster.output('answer', value)
";

/// Several times the watchdog's time.
const PAUSE: Duration = Duration::from_secs(3);

/// Processes that do nothing but keep the processors busy.
struct Busy(Vec<Child>);

impl Busy {
    fn start(count: usize) -> Self {
        let spin = || Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Self((0..count).map(|_| spin().expect("a shell")).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_supervisor_that_was_stopped_does_not_blame_its_workers() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    let names: Vec<String> = (0..4).map(|number| format!("py{number}")).collect();
    let instances: String =
        names.iter().map(|name| format!("[python {name}]\nmodule = h\nwatchdog = 1s\n")).collect();
    let mappings: String = names.iter().map(|name| format!("net./work > {name}.h.work\n")).collect();
    stage.osc_show(&format!("{instances}[map]\n{mappings}"));
    let show = stage.run();
    // One event in hand and others behind it, in every worker.
    for _ in 0..4 {
        show.send("/work", &[F(0.5)]);
    }
    for name in &names {
        show.wait_for(Event::printed(name, "worked 0.5"));
    }
    show.signal(Signal::SIGSTOP);
    last(PAUSE);
    show.signal(Signal::SIGCONT);
    for name in &names {
        show.log().wait_for_nth(4, Event::printed(name, "worked 0.5"));
        assert_eq!(
            show.log().count(Event::named("worker_ready").instance(name)),
            1,
            "`{name}` was restarted"
        );
    }
    show.stop();
}

#[test]
fn a_machine_that_was_frozen_as_a_whole_has_no_hung_workers() {
    let (show, others) =
        run(SCRIPT, "watchdog = 1s", "net./work > py.h.work\nnet./ask > py.h.ask\npy.answer > net./answer");
    let worker = show.worker("py");
    others.finish(&show);
    show.send("/work", &[F(0.5)]);
    show.send("/work", &[F(0.25)]);
    let mut control = show.control();
    control.wait_for("an event that waits", "py", |status| status["queued"] == 1);
    worker.signal(Signal::SIGSTOP);
    show.signal(Signal::SIGSTOP);
    last(PAUSE);
    show.signal(Signal::SIGCONT);
    worker.signal(Signal::SIGCONT);
    show.wait_for(Event::printed("py", "worked 0.25"));
    assert_serves(&show);
    assert_eq!(show.worker("py"), worker);
    show.stop();
}

#[test]
fn a_worker_that_a_debugger_holds_is_left_to_it() {
    let (show, others) = run(
        SCRIPT,
        "watchdog = 500ms",
        "net./work > py.h.work\nnet./ask > py.h.ask\npy.answer > net./answer",
    );
    let worker = show.worker("py");
    let pid = Pid::from_raw(worker.pid);
    ptrace::seize(pid, ptrace::Options::empty()).expect("no other process debugs it");
    ptrace::interrupt(pid).expect("it is ours");
    assert!(matches!(waitpid(pid, Some(WaitPidFlag::__WALL)), Ok(WaitStatus::PtraceEvent(..))));
    show.send("/work", &[F(0.0)]);
    last(PAUSE);
    assert!(worker.is_alive());
    assert_eq!(show.log().count(Event::named("worker_hung")), 0);
    ptrace::detach(pid, None).expect("it is ours");
    show.wait_for(Event::printed("py", "worked 0.0"));
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn sixteen_busy_processes_beside_it_make_no_worker_look_hung() {
    let (show, others) =
        run(SCRIPT, "", "net./work > py.h.work\nnet./ask > py.h.ask\npy.answer > net./answer");
    let busy = Busy::start(16);
    for round in 1..=100_u8 {
        let value = F(f32::from(round) / 128.0);
        show.send("/work", &[F(0.01)]);
        show.send("/ask", &[value]);
        show.expect("/answer", &[value]);
    }
    drop(busy);
    assert_eq!(show.log().count(Event::named("worker_hung")), 0);
    let log = finish(show, others).log;
    assert_eq!(log.count(Event::named("worker_ready").instance("py")), 1);
}
