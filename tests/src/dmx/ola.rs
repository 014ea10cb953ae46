//! OLA, the Open Lighting Architecture, as a peer: `olad` with its Art-Net and E1.31 plugins and a
//! configuration of its own, steered through its web server and its command line.

use crate::binaries::tool;
use crate::netns::{Background, Host};
use crate::wait::wait_for;
use nix::unistd::{Gid, Uid, chown, geteuid};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What a test with OLA needs.
pub const PROGRAMS: [&str; 3] = ["olad", "ola_dev_info", "ola_patch"];

/// The address of its web server, on its host alone.
const WEB: &str = "127.0.0.1:9090";

/// `nobody`: `olad` refuses to run as root.
const NOBODY: u32 = 65534;

/// The plugins that would look for devices, or open ports that nothing here needs.
const UNUSED: &[&str] = &[
    "dummy",
    "espnet",
    "ftdidmx",
    "gpio",
    "karate",
    "kinet",
    "milinst",
    "opendmx",
    "openpixelcontrol",
    "osc",
    "pathport",
    "renard",
    "sandnet",
    "shownet",
    "spi",
    "stageprofi",
    "uartdmx",
    "usbdmx",
    "usbserial",
];

/// One of its two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Art-Net, net 0, subnet 0.
    ArtNet,
    /// sACN.
    Sacn,
}

/// A running `olad`.
pub struct Ola<'host> {
    host: &'host Host,
    _process: Background,
    directory: TempDir,
}

impl<'host> Ola<'host> {
    /// Starts one on each of these hosts, which have one interface, and waits until they answer.
    ///
    /// # Panics
    ///
    /// When they do not.
    #[must_use]
    pub fn start_all<const COUNT: usize>(hosts: [&'host Host; COUNT]) -> [Self; COUNT] {
        let all = hosts.map(Self::start);
        for ola in &all {
            wait_for("the devices of OLA", || {
                ola.try_device(Protocol::Sacn).and(ola.try_device(Protocol::ArtNet))
            });
            wait_for("the web server of OLA", || ola.try_get("/json/server_stats"));
        }
        all
    }

    /// The host that it runs on.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.host
    }

    fn start(host: &'host Host) -> Self {
        let directory = TempDir::with_prefix("mm-tests-ola-").expect("a temporary directory");
        for plugin in UNUSED {
            configure(directory.path(), plugin, "enabled = false\n");
        }
        configure(directory.path(), "artnet", "enabled = true\noutput_ports = 4\nuse_loopback = false\n");
        configure(
            directory.path(),
            "e131",
            "enabled = true\nrevision = 0.46\ninput_ports = 8\noutput_ports = 8\nprepend_hostname = false\n",
        );
        let mut command = Command::new(tool("olad").expect("it was asked for before"));
        command.arg("--config-dir").arg(directory.path());
        command.args(["--no-register-with-dns-sd", "--log-level", "2"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        if geteuid().is_root() {
            let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
            chown(directory.path(), Some(user), Some(group)).expect("we are root");
            command.uid(NOBODY).gid(NOBODY);
        }
        let process = host.start(command);
        Self { host, _process: process, directory }
    }

    /// Receives a universe from the network through this port of the protocol's device.
    pub fn receive(&self, protocol: Protocol, port: u8, universe: u16) {
        self.patch(protocol, port, universe, &["--input"]);
    }

    /// Sends a universe to the network through this port of the protocol's device.
    pub fn send(&self, protocol: Protocol, port: u8, universe: u16) {
        self.patch(protocol, port, universe, &[]);
    }

    /// Sets the levels of a universe, as a user of its web page.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub fn set(&self, universe: u16, levels: &[u8]) {
        let levels: Vec<String> = levels.iter().map(u8::to_string).collect();
        let body = format!("u={universe}&d={}", levels.join(","));
        let request = format!(
            "POST /set_dmx HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.ask(&request).expect("the web server of OLA");
        assert!(answer.contains(" 200 "), "OLA refused levels: {answer}");
    }

    /// The levels of a universe.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    #[must_use]
    pub fn levels(&self, universe: u16) -> Vec<u8> {
        let answer = self.try_get(&format!("/get_dmx?u={universe}")).expect("the web server of OLA");
        let levels = answer["dmx"].as_array().cloned().unwrap_or_default();
        levels.iter().filter_map(|level| u8::try_from(level.as_u64()?).ok()).collect()
    }

    /// Waits until the levels of a universe begin with these.
    pub fn wait_for_levels(&self, universe: u16, levels: &[u8]) {
        wait_for(&format!("levels {levels:?} of universe {universe} in OLA"), || {
            self.levels(universe).starts_with(levels).then_some(())
        });
    }

    /// Runs one of its programs and returns what it printed.
    ///
    /// # Panics
    ///
    /// When it is not installed.
    #[must_use]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let program = tool(program).expect("a program of OLA");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).current_dir(self.directory.path());
        let output = self.host.run(|| command.output()).expect("it can be started");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// The number of the device of a protocol.
    ///
    /// # Panics
    ///
    /// When it has none.
    #[must_use]
    pub fn device(&self, protocol: Protocol) -> String {
        self.try_device(protocol).expect("the device was there at the start")
    }

    fn patch(&self, protocol: Protocol, port: u8, universe: u16, options: &[&str]) {
        let (device, port, universe) = (self.device(protocol), port.to_string(), universe.to_string());
        let numbers = ["--device", &device, "--port", &port, "--universe", &universe];
        let said = self.run("ola_patch", &[options, &numbers].concat());
        assert_eq!(said.trim(), "", "OLA refused a port");
    }

    fn try_device(&self, protocol: Protocol) -> Option<String> {
        let name = match protocol {
            Protocol::ArtNet => "ArtNet",
            Protocol::Sacn => "E1.31",
        };
        let said = self.run("ola_dev_info", &[]);
        let device = said.lines().find(|line| line.starts_with("Device ") && line.contains(name))?;
        Some(device.strip_prefix("Device ")?.split(':').next()?.to_owned())
    }

    fn try_get(&self, path: &str) -> Option<Value> {
        let answer = self.ask(&format!("GET {path} HTTP/1.0\r\n\r\n"))?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn ask(&self, request: &str) -> Option<String> {
        let mut stream = self.host.run(|| TcpStream::connect(WEB)).ok()?;
        stream.set_read_timeout(Some(crate::PATIENCE)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

fn configure(directory: &Path, plugin: &str, text: &str) {
    let path = directory.join(format!("ola-{plugin}.conf"));
    fs::write(path, text).expect("a directory of our own");
}
