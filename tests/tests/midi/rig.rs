//! A JACK server without a sound card, the build of the supervisor that speaks to it, and peers.

use mm_tests::binaries::{worker, workspace};
use mm_tests::log::Log;
use mm_tests::processes::Process;
use mm_tests::{Event, Running, TestShow, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio, id};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};

/// The environment variable that selects the JACK server.
const SERVER: &str = "JACK_DEFAULT_SERVER";

/// The folder of the programs built with JACK. Runs cargo, which builds them if necessary.
pub fn jack_programs() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let profile = worker().parent().expect("a target directory").to_owned();
        let target = profile.parent().expect("a target directory").join("jack");
        let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "-p", "mm-supervisor", "-p", "mm-tests", "--bins"])
            .args(["--features", "mm-supervisor/jack,mm-tests/jack"])
            .env("CARGO_TARGET_DIR", &target)
            .current_dir(workspace())
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "the build with JACK failed; `make test` installs it"
        );
        let directory = target.join("debug");
        let beside = directory.join("mm-worker");
        // In one step: another test may be starting it.
        let copy = directory.join(format!("mm-worker.{}", id()));
        fs::copy(worker(), &copy).expect("the worker was built");
        fs::rename(copy, beside).expect("the directory is ours");
        directory
    })
}

/// Removes the shared memory of JACK servers and clients, unless a JACK process runs. Each one that
/// is killed leaves some behind. Once the space is used up, no server of another name starts, and
/// JACK's library prints an error whenever a client starts.
fn remove_stale_shared_memory() {
    let uses_jack = |pid: i32| Process::of(pid).is_some_and(|process| process.name().starts_with("jack"));
    let entries = |path| fs::read_dir(path).into_iter().flatten().flatten();
    let mut pids = entries("/proc").filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    if pids.any(uses_jack) {
        return;
    }
    for entry in entries("/dev/shm") {
        if entry.file_name().to_string_lossy().starts_with("jack") {
            // Those of other users stay.
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
    }
}

/// A JACK server for one test at a time: servers are registered machine-wide, in eight places. A
/// server that was killed keeps its place until another one of its name starts, so all tests of one
/// build share a name.
pub struct Server {
    name: String,
    child: Option<Child>,
    _turn: MutexGuard<'static, ()>,
}

impl Server {
    pub fn new() -> Self {
        let mut server = Self::stopped();
        let mut hasher = DefaultHasher::new();
        worker().hash(&mut hasher);
        server.name = format!("mm-{:x}", hasher.finish());
        server.start();
        server
    }

    /// The name of a server that does not run.
    pub fn stopped() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        static CLEAN_UP: Once = Once::new();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        CLEAN_UP.call_once(remove_stale_shared_memory);
        Self { name: format!("mm-{}-none", id()), child: None, _turn: turn }
    }

    pub fn start(&mut self) {
        let mut command = Command::new("jackd");
        // It waits for its clients (-S, -t): a client that misses a period loses the events in it.
        command.args(["-n", &self.name, "-r", "-S", "-t", "2000", "-d", "dummy", "-r", "48000", "-p", "64"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("`jackd`; `make test` installs it"));
        wait_for("the JACK server", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok()).flatten();
            assert_eq!(
                ended, None,
                "jackd cannot start; is a server `{}` left from another test?",
                self.name
            );
            let mut wait = Command::new("jack_lsp");
            let wait = wait.env(SERVER, &self.name).env("JACK_NO_START_SERVER", "1");
            wait.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?.success().then_some(())
        });
    }

    /// Waits until a client has this port.
    pub fn wait_for_port(&self, name: &str) {
        mm_tests::wait_until("a port", || {
            let ports =
                Command::new("jack_lsp").env(SERVER, &self.name).env("JACK_NO_START_SERVER", "1").output();
            ports.is_ok_and(|ports| String::from_utf8_lossy(&ports.stdout).lines().any(|port| port == name))
        });
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A show for the build with JACK.
    pub fn stage(&self) -> TestShow {
        TestShow::new().with_program(jack_programs().join("mm-supervisor"))
    }

    /// Runs `show.cfg` and waits until it is up.
    pub fn run(&self, stage: TestShow) -> Running {
        let mut command = stage.show_command();
        command.env(SERVER, &self.name);
        let show = stage.start_command(command);
        show.wait_for(Event::named("show_running"));
        show
    }

    /// A peer with the ports `NAME:in` and `NAME:out`.
    pub fn peer(&self, name: &str) -> Peer {
        let peer =
            self.program(jack_programs().join("mm-jack-peer").to_str().expect("a path of ours"), &[name]);
        peer.log.wait_for(&["ready"]);
        peer
    }

    /// Starts a program that uses the server.
    pub fn program(&self, program: &str, arguments: &[&str]) -> Peer {
        let mut command = Command::new(program);
        command.args(arguments).env(SERVER, &self.name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a program of JACK; `make test` installs them");
        let log = Log::default();
        child.stdout.take().into_iter().for_each(|stream| log.follow(stream));
        let stdin = child.stdin.take();
        Peer { child, stdin, log, taken: 0 }
    }
}

impl Drop for Server {
    /// SIGTERM would make it wait for clients that are gone. The next server of its name cleans up.
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client of the server.
pub struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    pub log: Log,
    /// Events that a test has taken.
    taken: usize,
}

impl Peer {
    pub fn command(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("a peer takes commands");
        writeln!(stdin, "{line}").expect("a peer reads its commands");
    }

    /// Sends byte strings, separated by commas, in one period.
    pub fn send(&mut self, events: &str) {
        self.command(&format!("send {events}"));
    }

    /// The next event that it receives.
    #[track_caller]
    pub fn next(&mut self) -> String {
        self.taken += 1;
        let line = self.log.wait_for_nth(self.taken, &["got "]);
        line.trim_start_matches("got ").to_owned()
    }

    /// Waits for its end; returns whether it succeeded.
    pub fn ends_well(&mut self) -> bool {
        self.child.wait().is_ok_and(|status| status.success())
    }

    #[track_caller]
    pub fn expect(&mut self, events: &[&str]) {
        let got: Vec<_> = events.iter().map(|_| self.next()).collect();
        assert_eq!(got, events);
    }
}

impl Drop for Peer {
    /// Lets it disconnect, since the server waits for a client that is killed.
    fn drop(&mut self) {
        drop(self.stdin.take());
        if !self.log.lines().iter().any(|line| line == "ready") {
            // A program of JACK, which ends on a signal.
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}
