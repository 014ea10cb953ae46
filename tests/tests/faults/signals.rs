//! Fault `stray-signal`: signals that are not meant for the supervisor, and the limit of file size,
//! which arrives as one.

use crate::limits::limit;
use crate::{finish, run};
use mm_tests::osc::F;
use mm_tests::processes::Process;
use mm_tests::{BackgroundTraffic, Event, Running, TestShow, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::process::Command;
use std::str::FromStr as _;

const SCRIPT: &str = "
    import midimonster
    def ignored():
        with open('/proc/self/status') as status:
            mask = next(line.split()[1] for line in status if line.startswith('SigIgn'))
        # The C library lets no program touch 32 and 33.
        return [n for n in range(1, 65) if int(mask, 16) >> (n - 1) & 1 and n not in (32, 33)]
    print('ignored signals', ignored())
    def ask(value):
        midimonster.output('answer', value)
";

const MAPPINGS: &str = "net./ask > py.h.ask\npy.answer > net./answer";

/// The signals that end or stop a program by default, without those by which a person does that,
/// and those of faults.
const STRAY: [&str; 13] =
    ["USR1", "USR2", "PIPE", "ALRM", "VTALRM", "PROF", "IO", "PWR", "STKFLT", "XCPU", "XFSZ", "TTIN", "TTOU"];

fn send(process: Process, signal: &str) {
    let named = || Signal::from_str(&format!("SIG{signal}")).map(|signal| signal as i32);
    let number = signal.parse().or_else(|_| named()).expect("a signal of this system");
    // The shell has `kill` built in; the program is not part of every system. It knows numbers that
    // `nix` does not.
    let kill = format!("kill -s {number} {}", process.pid);
    let status = Command::new("sh").args(["-c", &kill]).status();
    assert!(status.is_ok_and(|status| status.success()), "signal {signal} cannot be sent");
}

/// `value` differs from call to call.
fn assert_answers(show: &Running, value: f32) {
    show.send("/ask", &[F(value)]);
    show.expect("/answer", &[F(value)]);
}

#[test]
fn signals_without_a_meaning_do_not_end_the_show_and_workers_get_them_as_the_system_made_them() {
    let (show, others) = run(SCRIPT, "", MAPPINGS);
    // PIPE and XFSZ, as in any Python.
    show.wait_for(Event::printed("py", "ignored signals [13, 25]"));
    let real_time: Vec<String> = (34..=64).map(|number: u32| number.to_string()).collect();
    for (process, value) in [(show.process(), 0.25), (show.reaper(), 0.5)] {
        for signal in STRAY.into_iter().chain(real_time.iter().map(String::as_str)) {
            send(process, signal);
        }
        assert_answers(&show, value);
    }
    // A new worker needs both processes.
    show.ask(&["restart", "py"]).assert(0, &[]);
    assert_answers(&show, 0.75);
    finish(show, others);
}

#[test]
fn a_limit_of_file_size_delays_the_state_file_and_does_not_end_the_show() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    let supervisor = "[supervisor]\nstate-file = state\n";
    BackgroundTraffic::show(&stage, &format!("{supervisor}[python py]\nmodule = h\n[map]\n{MAPPINGS}\n"));
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    limit(show.process(), "fsize", "1");
    assert_answers(&show, 0.25);
    show.wait_for(Event::named("state_write_failed").message("File too large"));
    assert_answers(&show, 0.5);
    let path = show.stage().directory().join("state");
    let _ = fs::remove_file(&path);
    limit(show.process(), "fsize", "unlimited");
    wait_until("a state file", || fs::metadata(&path).is_ok_and(|file| file.len() > 0));
    finish(show, others);
}

#[test]
fn a_log_that_reaches_the_limit_of_file_size_ends_neither_the_show_nor_its_restarts() {
    let stage = TestShow::new();
    stage.python("h.py", &format!("{SCRIPT}    for number in range(1000):\n        print('x' * 1000)\n"));
    stage.osc_show(&format!("[python py]\nmodule = h\n[map]\n{MAPPINGS}\n"));
    let log = stage.directory().join("show.log");
    let direct = stage.show_command();
    let mut command = Command::new("sh");
    // In blocks of 512 bytes, or of 1024: more than the shared memory of a worker.
    command.args(["-c", "ulimit -f 1024; exec \"$0\" \"$@\" 2> \"$LOG\""]).env("LOG", &log);
    command.arg(direct.get_program()).args(direct.get_args()).args(["--log-level", "debug"]);
    for (name, value) in direct.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let show = stage.start_command(command);
    let has_grown = |bytes: u64| fs::metadata(&log).is_ok_and(|file| file.len() >= bytes);
    wait_until("a log that is full", || {
        let _ = show.ask(&["restart", "py"]);
        has_grown(512 << 10)
    });
    for value in [0.25, 0.5] {
        show.ask(&["restart", "py"]).assert(0, &["py: running"]);
        assert_answers(&show, value);
    }
    let mut reaper = show.process().children().into_iter().filter_map(|(pid, _)| Process::of(pid));
    let reaper = reaper.find(|process| process.name() == "mm-reaper").expect("a reaper");
    for signal in ["QUIT", "TSTP"].into_iter().chain(STRAY) {
        send(reaper, signal);
    }
    show.ask(&["restart", "py"]).assert(0, &["py: running"]);
    assert_answers(&show, 0.75);
    assert!(reaper.is_alive());
    show.stop();
}
