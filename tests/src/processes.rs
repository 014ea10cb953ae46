//! Processes as `/proc` shows them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;

/// The environment variable that marks all processes of a test, so that they are found also when
/// their parent has changed.
pub const TAG: &str = "MM_TEST_TAG";

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in ticks since the machine did.
    started: u64,
}

/// What `/proc/PID/stat` contains.
struct Stat {
    name: String,
    state: char,
    parent: i32,
    group: i32,
    session: i32,
    started: u64,
}

impl Process {
    /// The living process of this number.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = stat(pid)?;
        (!matches!(stat.state, 'Z' | 'X')).then_some(Self { pid, started: stat.started })
    }

    /// Whether it is there and no zombie.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// The name of its program, 15 bytes at most.
    #[must_use]
    pub fn name(self) -> String {
        stat(self.pid).map(|stat| stat.name).unwrap_or_default()
    }

    /// Its command line.
    #[must_use]
    pub fn arguments(self) -> Vec<String> {
        let line = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        words.collect()
    }

    /// The numbers of its parent, its process group and its session.
    #[must_use]
    pub fn family(self) -> Option<(i32, i32, i32)> {
        stat(self.pid).map(|stat| (stat.parent, stat.group, stat.session))
    }

    /// Sends a signal.
    ///
    /// # Panics
    ///
    /// When the process is gone.
    pub fn signal(self, signal: Signal) {
        assert!(self.is_alive(), "process {} is gone", self.pid);
        kill(Pid::from_raw(self.pid), signal).expect("a process of our own takes signals");
    }

    /// The numbers and states of its children; the state of a zombie is `Z`.
    #[must_use]
    pub fn children(self) -> Vec<(i32, char)> {
        let stats = pids("/proc").filter_map(|pid| Some((pid, stat(pid)?)));
        stats.filter(|(_, stat)| stat.parent == self.pid).map(|(pid, stat)| (pid, stat.state)).collect()
    }

    /// Its threads, the main thread first; each has a status like a process.
    #[must_use]
    pub fn threads(self) -> Vec<Self> {
        let mut pids: Vec<i32> = pids(&format!("/proc/{}/task", self.pid)).collect();
        pids.sort_unstable();
        pids.into_iter().filter_map(Self::of).collect()
    }

    /// A line of `/proc/PID/status`, without its name.
    #[must_use]
    pub fn status(self, name: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|line| line.trim().to_owned())
    }

    /// Its resident memory in kilobytes.
    ///
    /// # Panics
    ///
    /// When the process is gone.
    #[must_use]
    pub fn memory(self) -> u64 {
        let line = self.status("VmRSS").unwrap_or_default();
        line.trim_end_matches(" kB").trim().parse().expect("a number of kilobytes")
    }

    /// What each of its descriptors leads to.
    #[must_use]
    pub fn descriptors(self) -> Vec<(i32, PathBuf)> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten().flatten();
        let described = entries.filter_map(|entry| {
            let number = entry.file_name().to_string_lossy().parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?))
        });
        let mut descriptors: Vec<_> = described.collect();
        descriptors.sort();
        descriptors
    }
}

/// All living processes.
#[must_use]
pub fn all() -> Vec<Process> {
    pids("/proc").filter_map(Process::of).collect()
}

/// All living processes that carry the tag in their environment.
#[must_use]
pub fn tagged(tag: &str) -> Vec<Process> {
    let wanted = format!("{TAG}={tag}");
    let carries = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    pids("/proc").filter(carries).filter_map(Process::of).collect()
}

/// The children of a process that have ended and were not taken note of.
#[must_use]
pub fn zombies(parent: i32) -> Vec<i32> {
    let is_one = |pid: &i32| stat(*pid).is_some_and(|stat| stat.parent == parent && stat.state == 'Z');
    pids("/proc").filter(is_one).collect()
}

/// The numbers in a folder of the system's.
fn pids(folder: &str) -> impl Iterator<Item = i32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, even parentheses.
    let (before, after) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Stat {
        name: before.split_once('(')?.1.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}
