//! What went over a wire, as tshark reads it.

use super::DmxPort;
use crate::binaries::tool;
use crate::netns::{Background, Host};
use crate::wait::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a test with a capture needs.
pub const PROGRAMS: [&str; 2] = ["dumpcap", "tshark"];

/// The last packet of a capture.
const MARK: &[u8] = b"the end of the capture of a test";

/// Everything that an interface sends and receives, written to a file.
pub struct Capture<'host> {
    host: &'host Host,
    interface: String,
    process: Background,
    directory: TempDir,
}

/// A capture that has ended.
pub struct Captured {
    file: PathBuf,
    _directory: TempDir,
}

impl<'host> Capture<'host> {
    /// Begins, and waits until packets are captured.
    ///
    /// # Panics
    ///
    /// When they are not.
    #[must_use]
    pub fn start(host: &'host Host, interface: &str) -> Self {
        let directory = TempDir::with_prefix("mm-tests-capture-").expect("a temporary directory");
        let mut command = Command::new(tool("dumpcap").expect("it was asked for before"));
        command.args(["-q", "-i", interface, "-w"]).arg(directory.path().join("packets"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = host.start(command);
        let capture = Self { host, interface: interface.into(), process, directory };
        // The file is made before the first packet is taken; the first mark shows that they are.
        capture.wait_for_mark(b"the begin of the capture of a test");
        capture
    }

    /// Ends it, after all packets up to now.
    ///
    /// # Panics
    ///
    /// When it does not end.
    #[must_use]
    pub fn finish(mut self) -> Captured {
        self.wait_for_mark(MARK);
        let process = self.process.child();
        kill(Pid::from_raw(i32::try_from(process.id()).expect("a number of a process")), Signal::SIGINT)
            .expect("it runs");
        wait_for("the end of the capture", || process.try_wait().expect("a child of our own"));
        Captured { file: self.directory.path().join("packets"), _directory: self.directory }
    }

    /// Sends packets with a text until one of them is in the file.
    fn wait_for_mark(&self, mark: &[u8]) {
        // The port of `discard`.
        let port = DmxPort::open(self.host, &self.interface, 0);
        let [a, b, c, _] = port.address().octets();
        let broadcast = SocketAddrV4::new([a, b, c, 255].into(), 9);
        wait_for("a packet in the capture", || {
            port.send(broadcast, mark);
            let file = fs::read(self.directory.path().join("packets")).unwrap_or_default();
            file.windows(mark.len()).any(|window| window == mark).then_some(())
        });
    }
}

impl Captured {
    /// The fields of all packets that pass a display filter of tshark.
    ///
    /// # Panics
    ///
    /// When tshark does not know them.
    #[must_use]
    pub fn fields(&self, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let read = |heuristic: &str| {
            let mut command = Command::new(tool("tshark").expect("it was asked for before"));
            // ACN has no port of its own in tshark; looking for it and for DMX in it is off by
            // default.
            command.arg("-r").arg(&self.file).args(["-n", "--enable-heuristic", heuristic]);
            command.args(["-o", "acn.dmx_enable:TRUE", "-T", "fields", "-Y", filter]);
            command.args(fields.iter().flat_map(|field| ["-e", field]));
            command.stdin(Stdio::null()).output().expect("it can be started")
        };
        // What it is called depends on the version.
        let output = Some(read("acn")).filter(|output| output.status.success());
        let output = output.unwrap_or_else(|| read("acn_udp"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tshark: {complaint}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// What tshark has to complain about in packets that pass a filter: malformed ones, and all
    /// that it warns of.
    #[must_use]
    pub fn complaints(&self, filter: &str) -> Vec<Vec<String>> {
        let complaint = format!("({filter}) && (_ws.malformed || _ws.expert.severity >= \"Warning\")");
        self.fields(&complaint, &["frame.number", "frame.protocols", "_ws.expert.message"])
    }
}
