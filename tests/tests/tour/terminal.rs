//! The reader's terminals: one that a show runs in, one for a listener, one for commands.

use mm_tests::log::Log;
use mm_tests::processes::TAG;
use mm_tests::wait::eventually;
use mm_tests::{TestShow, wait_until};
use nix::pty::openpty;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// What the README's `/tmp/fade` stands for.
const README_FOLDER: &str = "/tmp/fade";

/// A folder with files of the README in it, and what runs there. Addresses are those of this test,
/// so that it does not meet others.
pub struct Terminal {
    stage: TestShow,
    folder: PathBuf,
    /// What the README has, and what is in its place here.
    replaced: Vec<(String, String)>,
    show: Option<(Child, Log)>,
    listener: Option<(Child, Log)>,
}

impl Terminal {
    /// `$HOST` stands for the test's own.
    pub fn new(replaced: &[(&str, &str)]) -> Self {
        let stage = TestShow::new();
        let host = stage.bind().ip().to_string();
        let owned = |(readme, here): &(&str, &str)| ((*readme).to_owned(), here.replace("$HOST", &host));
        let folder = stage.directory().join("fade");
        fs::create_dir(&folder).expect("the stage is ours");
        Self { folder, replaced: replaced.iter().map(owned).collect(), stage, show: None, listener: None }
    }

    /// Writes a file of the README.
    pub fn write(&self, name: &str, text: &str) {
        self.stage.write(&format!("fade/{name}"), self.here(text));
    }

    /// Runs a command to its end and returns what it prints.
    pub fn run(&self, command: &str) -> Vec<String> {
        let mut shell = self.command(command);
        let output = shell.output().expect("a shell");
        let text = [output.stdout, output.stderr].concat();
        let text = self.as_in_readme(&String::from_utf8_lossy(&text));
        // `status` names shows that run beside the tour's, as those of other tests do.
        text.lines().filter(|line| !line.starts_with("also running: ")).map(str::to_owned).collect()
    }

    /// Starts a show whose log goes to a terminal.
    pub fn start_show(&mut self, command: &str) {
        let pty = openpty(None, None).expect("a terminal");
        let mut shell = self.command(&format!("exec {command}"));
        // A terminal without colours.
        let child = shell.env("NO_COLOR", "1").stderr(pty.slave).spawn().expect("a shell");
        let log = Log::default();
        log.follow(File::from(pty.master));
        self.show = Some((child, log));
    }

    /// Starts a program that listens on this port, and waits until it does.
    pub fn start_listener(&mut self, command: &str, port: u16) {
        let mut child =
            self.command(&format!("exec {command}")).stdout(Stdio::piped()).spawn().expect("a shell");
        let log = Log::default();
        log.follow(child.stdout.take().expect("a pipe"));
        self.listener = Some((child, log));
        let IpAddr::V4(host) = self.stage.bind().ip() else { panic!("tests have IPv4 addresses") };
        let address = format!(" {:08X}:{port:04X} ", u32::from(host).swap_bytes());
        wait_until("a listener", || {
            fs::read_to_string("/proc/net/udp").is_ok_and(|sockets| sockets.contains(&address))
        });
    }

    /// Waits for so many lines of the show behind the first `from`.
    pub fn show_lines(&self, from: usize, count: usize) -> Vec<String> {
        self.lines(self.show.as_ref(), from, count)
    }

    /// The same for the listener.
    pub fn listener_lines(&self, from: usize, count: usize) -> Vec<String> {
        self.lines(self.listener.as_ref(), from, count)
    }

    /// All that the show printed, which has to end by itself now.
    pub fn end(&mut self) -> Vec<String> {
        let (mut show, log) = self.show.take().expect("a show was started");
        assert!(show.wait().is_ok_and(|status| status.success()));
        log.wait_for_end();
        with_text(&log)
    }

    fn lines(&self, printer: Option<&(Child, Log)>, from: usize, count: usize) -> Vec<String> {
        if count == 0 {
            return Vec::new();
        }
        let (_, log) = printer.expect("it was started");
        eventually(|| with_text(log).len() >= from + count);
        let lines = with_text(log);
        assert!(lines.len() >= from + count, "no {} lines, but {lines:#?}", from + count);
        lines[from..from + count].iter().map(|line| self.as_in_readme(line.trim_end())).collect()
    }

    /// A command line of the README, in the folder, with the programs on the PATH.
    fn command(&self, command: &str) -> Command {
        let direct = self.stage.command(&[]);
        let programs = PathBuf::from(direct.get_program());
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.here(command)]).current_dir(&self.folder).stdin(Stdio::null());
        for (name, value) in direct.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env("PATH", format!("{}:{path}", programs.parent().expect("a folder").display()));
        shell.env(TAG, self.stage.tag());
        shell
    }

    fn here(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (readme, here)| text.replace(readme, here))
    }

    fn as_in_readme(&self, text: &str) -> String {
        let text =
            self.replaced.iter().fold(text.to_owned(), |text, (readme, here)| text.replace(here, readme));
        text.replace(&*self.folder.to_string_lossy(), README_FOLDER)
    }
}

/// The lines so far, without those that have no text behind the name of the instance: Python puts
/// empty lines into what it writes when it dies.
fn with_text(log: &Log) -> Vec<String> {
    let lines = log.lines().into_iter();
    lines.filter(|line| !line.trim_end().ends_with(']')).collect()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        for (mut child, _) in [self.show.take(), self.listener.take()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
