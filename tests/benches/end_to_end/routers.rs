//! A router at work on a show in a directory of its own.

use crate::processes;
use mm_tests::binaries;
use std::cell::Cell;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};
use tempfile::TempDir;

/// How long a router may take to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);

/// A program that runs shows.
pub struct Router {
    pub name: &'static str,
    program: PathBuf,
    pub is_reference: bool,
    /// The value of `MM_WAKEUP`, if it is to have one.
    wakeup_mode: Option<&'static str>,
}

impl Router {
    /// The release build of this tree.
    pub fn named(name: &'static str, wakeup_mode: Option<&'static str>) -> Router {
        Router { name, program: binaries::supervisor(), is_reference: false, wakeup_mode }
    }

    /// Another build of this project, if `MM_OTHER_BUILD` names it.
    pub fn other_build() -> Option<Router> {
        let program = from_env("MM_OTHER_BUILD")?;
        Some(Router { name: "other build", program, is_reference: false, wakeup_mode: None })
    }

    /// MIDIMonster, if `MM_REFERENCE` names it.
    pub fn reference() -> Option<Router> {
        let program = from_env("MM_REFERENCE")?;
        Some(Router { name: "reference", program, is_reference: true, wakeup_mode: None })
    }

    /// Starts a show: `show` with the numbers of its two ports in it, and scripts beside it.
    pub fn run(&self, show: &str, scripts: &[(String, String)]) -> Running {
        let directory = TempDir::new().expect("a directory");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let out = socket.local_addr().expect("an address").port();
        let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let input = taken.local_addr().expect("an address").port();
        drop(taken);
        let show = show.replace("$IN", &input.to_string()).replace("$OUT", &out.to_string());
        let path = directory.path().join("show.cfg");
        fs::write(&path, show).expect("a file");
        for (name, text) in scripts {
            fs::write(directory.path().join(format!("{name}.py")), text).expect("a file");
        }
        let mut command = Command::new(&self.program);
        if self.is_reference {
            // it finds its backends from the directory that it is started in
            command.current_dir(self.program.parent().expect("a program is in a directory")).arg(&path);
        } else {
            command.arg("--config").arg(&path).env("XDG_RUNTIME_DIR", directory.path());
        }
        if let Some(mode) = self.wakeup_mode {
            command.env("MM_WAKEUP", mode);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("the router can be started");
        socket.connect(("127.0.0.1", input)).expect("an address");
        Running { child, socket, turns: Cell::new(0), directory }
    }
}

/// The program that an environment variable names.
fn from_env(variable: &str) -> Option<PathBuf> {
    let program = PathBuf::from(env::var_os(variable)?);
    Some(fs::canonicalize(program).unwrap_or_else(|error| panic!("`{variable}`: {error}")))
}

/// A router that runs; it ends when this is dropped.
pub struct Running {
    child: Child,
    /// Sends to the show, and receives what it sends.
    pub socket: UdpSocket,
    /// How many values were sent, so that none is sent twice in a row.
    pub turns: Cell<usize>,
    #[expect(dead_code, reason = "keeps the show's files")]
    directory: TempDir,
}

impl Running {
    /// Its processes: the router and all that it has started.
    pub fn processes(&self) -> Vec<u32> {
        processes::family(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT);
        let asked = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if asked.elapsed() > FAREWELL {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
