//! Networks of their own for tests: threads that have left the network of this machine.

use super::super::InterfaceTable;
use nix::sched::{CloneFlags, unshare};
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The time that anything in a test may take.
pub const TIMEOUT: Duration = Duration::from_secs(20);

type Job = Box<dyn FnOnce() + Send>;

/// Another machine of a test: a network without any interface but `lo`, and a thread in it.
pub struct Machine {
    jobs: Sender<Job>,
    thread: i32,
}

/// Runs a test in a network of its own, with another machine to connect to, unless this user may
/// not have one.
pub fn with_machine(test: impl FnOnce(&Machine) + Send + 'static) -> nix::Result<()> {
    let there = Machine::start()?;
    let test = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        ip("link set lo up");
        test(&there);
        Ok(())
    });
    test.join().unwrap_or_else(|panic| resume_unwind(panic))
}

impl Machine {
    fn start() -> nix::Result<Self> {
        let (jobs, receiver) = channel::<Job>();
        let (ready, is_ready) = channel();
        thread::spawn(move || {
            let left = unshare(CloneFlags::CLONE_NEWNET);
            ready.send(left.map(|()| nix::unistd::gettid().as_raw())).expect("the test waits");
            receiver.into_iter().for_each(|job| job());
        });
        let thread = is_ready.recv().expect("the thread answers")?;
        let machine = Self { jobs, thread };
        machine.run(|| ip("link set lo up"));
        Ok(machine)
    }

    /// Does something there, and waits for it.
    pub fn run<R: Send + 'static>(&self, act: impl FnOnce() -> R + Send + 'static) -> R {
        let (done, result) = channel();
        self.jobs.send(Box::new(move || drop(done.send(act())))).expect("the thread lives");
        result.recv().expect("it did not panic")
    }

    /// Lays a cable to there: an interface of one name at both ends, with an address of a 24-bit
    /// network each.
    pub fn connect(&self, name: &'static str, here: &str, there: &str) {
        ip(&format!("link add name {name} type veth peer name {name} netns {}", self.thread));
        let end = move |address: String| {
            ip(&format!("addr add {address}/24 brd + dev {name}"));
            ip(&format!("link set dev {name} up"));
        };
        let there = there.to_owned();
        self.run(move || end(there));
        end(here.to_owned());
        // What is sent before the kernel has noticed the link is lost.
        let has_link = move || {
            let table = InterfaceTable::read().expect("the kernel answers");
            table.by_name(name).is_some_and(|interface| interface.is_running)
        };
        self.run(move || wait_until("there is a link there", has_link));
        wait_until("there is a link here", has_link);
    }
}

/// Runs `ip` on the machine of this thread.
pub fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output();
    let output = output.expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
    }
}
