//! Faults `output-without-measure` and `log-not-read`: what scripts print without measure, and a
//! log that no process reads.

use crate::{finish, run};
use mm_tests::osc::{F, Peer};
use mm_tests::processes::tagged;
use mm_tests::wait::wait_within;
use mm_tests::{Event, TestShow, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

const MAPPINGS: &str = "net./flood > py.h.flood\nnet./ask > py.h.ask\npy.answer > net./answer";

/// How long a gigabyte may take on a machine that has other things to do.
const FLOOD: Duration = Duration::from_secs(180);

/// Writes a gigabyte of what `chunk` makes, a mebibyte at a time.
fn gigabyte(chunk: &str) -> String {
    format!(
        "import os, midimonster
chunk = {chunk}
def flood(value):
    for _ in range(1024):
        done = 0
        while done < len(chunk):
            done += os.write(1, chunk[done:])
    print('\\nafter the flood')
def ask(value):
    midimonster.output('answer', value)
"
    )
}

/// The resident memory of the supervisor in kilobytes.
fn memory(show: &mm_tests::Running) -> u64 {
    let line = show.process().status("VmRSS").unwrap_or_default();
    line.trim_end_matches(" kB").trim().parse().expect("a number of kilobytes")
}

fn assert_survived(chunk: &str) {
    let (show, others) = run(&gigabyte(chunk), "watchdog = off", MAPPINGS);
    let before = memory(&show);
    show.send("/flood", &[F(0.5)]);
    show.wait_for(Event::named("output_left_out").instance("py"));
    show.send("/ask", &[F(0.5)]);
    let answer = || show.peer().receive_within(Duration::from_millis(100));
    assert_eq!(wait_within("an answer after the flood", FLOOD, answer).path, "/answer");
    // What is not shown is counted; the end of it may be left out, like all that comes too fast.
    let after = memory(&show);
    assert!(after < before + 64 * 1024, "{before} kB before, {after} kB after");
    let text = finish(show, others).text;
    assert!(text.len() < 64 * 1024 * 1024, "{} bytes of log", text.len());
}

#[test]
fn a_gigabyte_without_an_end_of_line_needs_no_memory() {
    assert_survived("b'x' * (1 << 20)");
}

#[test]
fn a_gigabyte_of_lines_that_are_not_utf_8_needs_no_memory() {
    assert_survived("b''.join(b'\\xff\\xfe\\x1b[2J %d\\n' % number for number in range(80000))[:1 << 20]");
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_up_the_show_or_its_end() {
    let stage = TestShow::new();
    let script = "
        import midimonster
        def ask(value):
            for _ in range(2000):
                print('a line that nobody will ever read,', value)
            midimonster.output('answer', value)
    ";
    stage.python("h.py", script);
    stage.osc_show("[python py]\nmodule = h\n[map]\nnet./ask > py.h.ask\npy.answer > net./answer");
    let peer: Peer = stage.open_peer();
    let other = Peer::new(SocketAddr::new(stage.bind().ip(), 0), stage.bind());
    let mut command = stage.show_command();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // The log is not read, so it cannot tell when the show is up.
    wait_for("an answer", || {
        other.send("/ask", &[F(1.0)]);
        peer.receive_within(Duration::from_millis(100))
    });
    for number in 1..=50_u8 {
        let value = f32::from(number) / 64.0;
        other.send("/ask", &[F(value)]);
        peer.expect("/answer", &[F(value)]);
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let status = wait_for("the end of the supervisor", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    wait_within("the end of all processes", Duration::from_secs(5), || {
        tagged(stage.tag()).is_empty().then_some(())
    });
}
