//! A directory with a show and its scripts, and addresses that no other test uses.

use crate::binaries::supervisor;
use crate::log_event::Event;
use crate::osc::Peer;
use crate::processes::TAG;
use crate::running::{Ended, Running};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use tempfile::TempDir;

/// Where a show is made ready. Texts may hold `$IN` (host and port that the show binds), `$OUT`
/// (where it sends to) and `$CALM` (a second address to bind, see [`crate::BackgroundTraffic`]).
pub struct TestShow {
    directory: TempDir,
    /// The value of [`TAG`] in the environment of all its processes.
    tag: String,
    program: PathBuf,
    bind: SocketAddr,
    peer: SocketAddr,
    calm: SocketAddr,
}

impl Default for TestShow {
    fn default() -> Self {
        Self::new()
    }
}

impl TestShow {
    /// An empty stage.
    ///
    /// # Panics
    ///
    /// When a temporary directory cannot be created.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            directory: TempDir::with_prefix("mm-tests-").expect("a temporary directory"),
            tag: format!("{}-{number}", process::id()),
            program: supervisor(),
            bind: own_address(),
            peer: own_address(),
            calm: own_address(),
        }
    }

    /// The same stage for another copy of the program.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    /// The directory of the show.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What marks all processes of this stage.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The address that the show binds as `$IN`.
    #[must_use]
    pub fn bind(&self) -> SocketAddr {
        self.bind
    }

    /// The address that the show binds as `$CALM`.
    #[must_use]
    pub fn calm(&self) -> SocketAddr {
        self.calm
    }

    /// Writes a script, without the margin that it has in the test.
    pub fn python(&self, name: &str, text: &str) -> PathBuf {
        self.write(name, dedent(text))
    }

    /// Writes a file; directories are made.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).expect("the stage is ours");
        }
        fs::write(&path, text).expect("the stage is ours");
        path
    }

    /// Replaces a script in one step, so that no process reads half of it.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn replace(&self, name: &str, text: &str) {
        let path = self.python(&format!("{name}.new"), text);
        // Python takes compiled code of the old text for that of the new one when both have the
        // same second and size.
        let _ = fs::remove_dir_all(self.directory.path().join("__pycache__"));
        fs::rename(path, self.directory.path().join(name)).expect("the stage is ours");
    }

    /// The text of a file.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).expect("a file that was written")
    }

    /// Writes `show.cfg`.
    pub fn show(&self, text: &str) -> PathBuf {
        self.write("show.cfg", self.fill(text))
    }

    /// A show of `net`, an OSC instance on both addresses, in which every path goes out as a float.
    pub fn osc_show(&self, text: &str) -> PathBuf {
        self.show(&format!("[osc net]\nbind = $IN\ndest = $OUT\n/* = f 0 1\n/*/* = f 0 1\n{text}"))
    }

    /// The text with the stage's addresses in place of `$IN` and `$OUT`.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let words = |address: SocketAddr| format!("{} {}", address.ip(), address.port());
        text.replace("$IN", &words(self.bind))
            .replace("$OUT", &words(self.peer))
            .replace("$CALM", &words(self.calm))
    }

    /// The program, ready to be started in another directory than the show's.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments.iter().map(|argument| self.fill(argument)));
        command.env(TAG, &self.tag).env_remove("NO_COLOR").env_remove("MM_LOG").env_remove("JOURNAL_STREAM");
        // every stage's show has the same name, and so would have the same control socket
        let runtime = self.directory.path().join("runtime");
        fs::create_dir_all(&runtime).expect("the stage is ours");
        command.env("XDG_RUNTIME_DIR", runtime);
        command.current_dir("/");
        command
    }

    /// Starts the program with these arguments, and does not wait for anything.
    #[must_use]
    pub fn start(self, arguments: &[&str]) -> Running {
        let command = self.command(arguments);
        self.start_command(command)
    }

    /// Starts a show with these arguments and a log in JSON, and does not wait for anything.
    #[must_use]
    pub fn start_show_with(self, arguments: &[&str]) -> Running {
        self.start(&[&["--log-format", "json"], arguments].concat())
    }

    /// Starts the program as prepared, and does not wait for anything.
    #[must_use]
    pub fn start_command(self, command: Command) -> Running {
        let peer = Arc::new(self.open_peer());
        Running::start(command, Arc::new(self), peer)
    }

    /// Starts `show.cfg`, and does not wait for anything.
    #[must_use]
    pub fn start_show(self) -> Running {
        let command = self.show_command();
        self.start_command(command)
    }

    /// The program with `show.cfg`, to be started; it logs JSON, so that tests can match on events.
    #[must_use]
    pub fn show_command(&self) -> Command {
        self.command(&["--log-format", "json", "--config", &self.path("show.cfg")])
    }

    /// The far end of the show.
    ///
    /// # Panics
    ///
    /// When it is open already.
    #[must_use]
    pub fn open_peer(&self) -> Peer {
        Peer::new(self.peer, self.bind)
    }

    /// Runs `show.cfg` and waits until it is up.
    #[must_use]
    pub fn run(self) -> Running {
        let show = self.start_show();
        show.wait_for(Event::named("show_running"));
        show
    }

    /// Runs the program to its end, which has to come by itself.
    #[must_use]
    pub fn finish(self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait_for_end()
    }

    /// The same with the show's directory as the working directory, so that paths are the same for
    /// every stage.
    #[must_use]
    pub fn finish_here(self, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.current_dir(self.directory());
        self.start_command(command).wait_for_end()
    }

    /// Runs `check show.cfg`.
    #[must_use]
    pub fn check(self) -> Ended {
        let path = self.path("show.cfg");
        self.finish(&["check", &path])
    }

    /// The path of a file as text.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_string_lossy().into_owned()
    }
}

/// The text without the white space that all its lines start with.
fn dedent(text: &str) -> String {
    let margin = |line: &&str| line.len() - line.trim_start().len();
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let common = lines().map(|line| margin(&line)).min().unwrap_or(0);
    text.lines().map(|line| line.get(common..).unwrap_or("").to_owned() + "\n").collect()
}

/// An address that no other test has: each test process has a host of its own in 127.0.0.0/8, and
/// counts ports there. Another process could take a free port of the kernel's choice before the
/// show binds it.
fn own_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(10_000);
    let [_, high, middle, low] = process::id().to_be_bytes();
    // Numbers of processes have 22 bits. 127.0.0.1 itself is never met.
    let host = Ipv4Addr::new(127, 64 | (high & 63), middle, low);
    SocketAddr::from((host, PORT.fetch_add(1, Ordering::Relaxed)))
}
