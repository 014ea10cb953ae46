//! Networks of a test's own: hosts in network namespaces, joined by switches, on which multicast
//! and broadcast work as on a real one and nothing of this machine's network is reached.
//!
//! [`in_network`] runs the body of a test in another process: the test's own program once more,
//! started by `unshare` with that one test. This process is root of its network, mount and process
//! namespaces, also for an ordinary user, where the system permits user namespaces. It is process 1
//! there, so that all that it has started ends with it, and it ends with the process that has
//! started it, however that ends. Namespaces have no names; they are gone with the last process.

mod host;
mod lan;

pub use host::{Background, Host};
pub use lan::Lan;

use crate::skip;
use crate::wait::wait_within;
use nix::unistd::geteuid;
use std::any::type_name_of_val;
use std::env;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio, exit};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Tells the test's program that it runs inside.
pub const INSIDE: &str = "MM_TEST_IN_NETWORK";

/// How long a test in a network may take: several waits may use up their patience before.
const TEST_TIMEOUT: Duration = Duration::from_secs(150);

/// Runs the body of a test in namespaces of its own. The closure has to stand in the test function:
/// the test is found by its name. Where the system does not permit it, the test is skipped with the
/// reason.
///
/// # Panics
///
/// When the test fails inside.
pub fn in_network(test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        end_with_the_outer_process();
        test();
        return;
    }
    let place = type_name_of_val(&test);
    match permission() {
        Ok(()) => run_inside(skip::test_name(place)),
        Err(reason) => skip::report(place, format_args!("{reason}")),
    }
}

/// Whether programs are installed, for tests with real peers; the error says which one is not.
///
/// # Errors
///
/// The name of a program that is missing.
pub fn require(programs: &[&str]) -> Result<(), String> {
    let missing = programs.iter().find(|program| crate::binaries::tool(program).is_none());
    missing.map_or(Ok(()), |program| Err(format!("`{program}` is not installed")))
}

/// [`in_network`] for a test with peers that not every machine has.
///
/// # Panics
///
/// When the test fails inside.
pub fn in_network_with(programs: &[&str], test: impl FnOnce()) {
    match require(programs) {
        Ok(()) => in_network(test),
        Err(reason) => skip::report(type_name_of_val(&test), format_args!("{reason}")),
    }
}

/// `unshare` with the namespaces of a test.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    // An ordinary user is root of a user namespace, but keeps its number: some peers refuse to run
    // as root.
    if !geteuid().is_root() {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command
}

/// Whether namespaces and what the tests have in them can be made; asked once in a process.
fn permission() -> Result<(), String> {
    static PERMISSION: OnceLock<Result<(), String>> = OnceLock::new();
    let ask = || {
        let mut probe = unshare();
        let commands = "ip link set lo up && ip link add probe0 type bridge && \
                        ip link add probe1 type veth peer name probe2 && unshare --net true";
        let output = probe.args(["sh", "-c", commands]).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("`unshare` cannot be started: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().next_back().unwrap_or("no reason given");
        let reason = || format!("network namespaces with bridges cannot be had here: {last}");
        output.status.success().then_some(()).ok_or_else(reason)
    };
    PERMISSION.get_or_init(ask).clone()
}

/// Runs this one test of this program inside, and fails as it fails.
fn run_inside(test: &str) {
    let program = env::current_exe().expect("a test knows its own program");
    let mut command = unshare();
    command.arg(program).args(["--exact", test, "--nocapture", "--test-threads", "1"]);
    command.env(INSIDE, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut inside = Inside(command.spawn().expect("`unshare` was there a moment ago"));
    let said = inside.0.stdout.take().map(collect);
    let complained = inside.0.stderr.take().map(collect);
    let status = wait_within("the end of the test in its network", TEST_TIMEOUT, || {
        inside.0.try_wait().expect("a child of our own")
    });
    let said = said.map_or_else(String::new, |said| said.join().expect("it only reads"));
    let complained = complained.map_or_else(String::new, |said| said.join().expect("it only reads"));
    // Shown by the harness when this test fails.
    print!("{said}");
    eprint!("{complained}");
    assert!(status.success(), "the test failed in its network, see above");
    assert!(said.contains("1 passed"), "`{test}` is not the name of a test of this program");
}

/// The process inside; it ends before the test does, also where that gives up.
struct Inside(Child);

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Ends this process, and with it all others of its namespace, when the one outside is gone: it
/// holds the other end of standard input.
fn end_with_the_outer_process() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        exit(1);
    });
}
