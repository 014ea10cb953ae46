//! How a worker lives as a process. Each part is played by this program, started again for one
//! ignored test.

use mm_shared::sys::process;
use nix::sys::signal::{Signal, raise};
use std::os::unix::process::parent_id;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a process that should have been killed waits before it says that it was not.
const PATIENCE: Duration = Duration::from_secs(20);

fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command
}

#[test]
fn a_worker_starts_with_default_signals_apart_from_interrupt_and_errors_of_writing() {
    assert!(role("look_at_signals").status().expect("a process").success());
}

#[test]
#[ignore = "run as a process by a_worker_starts_with_default_signals_apart_from_interrupt_and_errors_of_writing"]
fn look_at_signals() {
    process::reset_signals().expect("permitted");
    let reset = masks();
    process::ignore_interrupt_and_write_errors().expect("permitted");
    let ignoring = masks();
    raise(Signal::SIGINT).expect("permitted");
    assert_eq!(reset, (0, 0), "nothing blocked, nothing ignored");
    let bit = |signal: Signal| 1 << (signal as u32 - 1);
    assert_eq!(ignoring, (0, bit(Signal::SIGPIPE) | bit(Signal::SIGXFSZ)));
}

/// The signals that this thread blocks, and those that this process ignores; without 32 and 33,
/// which the C library keeps for itself and leaves ignored in some of the processes that it starts.
fn masks() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("proc");
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of that name");
        u64::from_str_radix(line.trim(), 16).expect("a mask") & !(0b11 << 31)
    };
    (mask("SigBlk:"), mask("SigIgn:"))
}

#[test]
fn a_worker_of_another_parent_does_not_start() {
    assert!(role("expect_another_parent").status().expect("a process").success());
}

#[test]
#[ignore = "run as a process by a_worker_of_another_parent_does_not_start"]
fn expect_another_parent() {
    let refused = process::die_with_parent(parent_id() + 1).expect_err("not our parent");
    assert_eq!(refused.kind(), std::io::ErrorKind::NotConnected);
}

#[test]
fn a_worker_ends_with_its_parent() {
    // `output` returns when the pipe is closed by all that hold it, the orphan among them
    let output = role("start_a_worker_and_end").stdout(Stdio::piped()).output().expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("set up"), "{said}");
    assert!(!said.contains("survived"), "{said}");
}

#[test]
#[ignore = "run as a process by a_worker_ends_with_its_parent"]
fn start_a_worker_and_end() {
    let (reader, writer) = std::io::pipe().expect("descriptors");
    role("outlive_the_parent").stdin(Stdio::null()).stderr(writer).spawn().expect("a process");
    wait_for_a_byte(reader);
    std::process::exit(0);
}

#[test]
#[ignore = "run as a process by a_worker_ends_with_its_parent"]
fn outlive_the_parent() {
    process::lead_session();
    process::die_with_parent(parent_id()).expect("it waits for us");
    println!("set up");
    eprintln!();
    std::thread::sleep(PATIENCE);
    println!("survived");
}

fn wait_for_a_byte(mut reader: impl std::io::Read) {
    reader.read_exact(&mut [0]).expect("the other side writes before it ends");
}
