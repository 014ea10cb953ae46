//! A host: a network namespace, and what runs in it.

use super::lan::Lan;
use crate::wait::wait_for;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

/// A machine of the test's network, with a loopback interface and those that are plugged in.
#[derive(Debug)]
pub struct Host {
    namespace: File,
    number: u8,
}

/// A program that runs beside the test, and is killed with this.
#[derive(Debug)]
pub struct Background(Child);

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A host without a network.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            // Addresses that the kernel chooses by itself send packets by themselves.
            let _ = fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
            let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
            ip("link set lo up");
            File::open("/proc/thread-self/ns/net").expect("the namespace of this thread")
        });
        Self { namespace: made.join().expect("a host"), number }
    }

    /// Its number, which is the last byte of its addresses.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Gives it an interface in a network, with an address there.
    pub fn plug(&self, lan: &Lan, interface: &str) {
        self.plug_as(lan, interface, lan.address(self.number));
    }

    /// The same with another address.
    pub fn plug_as(&self, lan: &Lan, interface: &str, address: Ipv4Addr) {
        let port = lan.port(self);
        let here = format!("/proc/{}/fd/{}", process::id(), self.namespace.as_raw_fd());
        ip(&format!(
            "link add {port} type veth peer name {interface} netns {here}\nlink set {port} master {}\nlink set {port} up",
            lan.bridge()
        ));
        self.ip(&format!("addr add {address}/24 broadcast + dev {interface}\nlink set {interface} up"));
        wait_for("a port of the switch that forwards", || {
            let output = Command::new("ip").args(["-details", "link", "show", "dev", &port]).output().ok()?;
            String::from_utf8_lossy(&output.stdout).contains("state forwarding").then_some(())
        });
    }

    /// Takes an interface away, as a card that is pulled out.
    pub fn unplug(&self, interface: &str) {
        self.ip(&format!("link del {interface}"));
    }

    /// Runs lines of `ip` here, for instance `link set eth0 down`.
    pub fn ip(&self, lines: &str) {
        self.run(|| ip(lines));
    }

    /// Runs a closure here: sockets that it opens and programs that it starts are this host's.
    ///
    /// # Panics
    ///
    /// As the closure does.
    pub fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let outcome = thread::scope(|scope| {
            let acting = scope.spawn(|| {
                self.enter();
                act()
            });
            acting.join()
        });
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves this thread here, with all that it opens and starts from now on.
    ///
    /// # Panics
    ///
    /// When that is not permitted.
    pub fn enter(&self) {
        setns(&self.namespace, CloneFlags::CLONE_NEWNET).expect("a namespace of our own");
    }

    /// Starts a program here.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(&self, mut command: Command) -> Background {
        command.stdin(Stdio::null());
        Background(self.run(|| command.spawn().expect("a program that is installed")))
    }

    /// The first IPv4 address of an interface.
    #[must_use]
    pub fn address(&self, interface: &str) -> Option<Ipv4Addr> {
        self.run(|| {
            let mut interfaces = getifaddrs().ok()?.filter(|found| found.interface_name == interface);
            interfaces.find_map(|found| Some(found.address?.as_sockaddr_in()?.ip()))
        })
    }

    /// What a file of the kernel says here, for instance `net/igmp`.
    #[must_use]
    pub fn proc(&self, name: &str) -> String {
        self.run(|| fs::read_to_string(format!("/proc/thread-self/{name}")).unwrap_or_default())
    }

    /// Whether an interface here has joined a multicast group.
    #[must_use]
    pub fn has_joined(&self, interface: &str, group: Ipv4Addr) -> bool {
        // The file shows the address as a number of the machine's byte order.
        let group = format!("{:08X}", u32::from_ne_bytes(group.octets()));
        let igmp = self.proc("net/igmp");
        let mut of_interface = false;
        igmp.lines().any(|line| {
            if line.starts_with(|first: char| first.is_ascii_digit()) {
                of_interface = line.split_whitespace().nth(1) == Some(interface);
            }
            of_interface && line.split_whitespace().next() == Some(&group)
        })
    }
}

impl Background {
    /// The process, to take its streams or wait for its end.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs lines of `ip` in the namespace of this thread.
pub(super) fn ip(lines: &str) {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("`ip` is installed");
    let mut input = ip.stdin.take().expect("it was asked for");
    input.write_all(lines.as_bytes()).expect("`ip` reads its input");
    drop(input);
    let status = ip.wait().expect("a child of our own");
    assert!(status.success(), "`ip` refused:\n{lines}");
}
