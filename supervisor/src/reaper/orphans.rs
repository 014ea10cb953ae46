//! Clears away the children that this process has adopted, and what these leave when they die.
//!
//! Only this process reaps them, so until then a number is that of the child, and no child is
//! missing from the list. Where the system keeps no list, the process groups of workers are still
//! killed; what left them lives on.
//!
//! A program that forks faster than it is killed is killed in rounds of bounded work, for as long
//! as it takes.
//!
//! One kind of orphan has work to do: Python's resource tracker removes the shared memory and the
//! semaphores of a script from `/dev/shm` when the last process that uses them has ended. It is to
//! outlive the others, so it withstands TERM: it ignores that signal, and blocks it until it does.
//! A process that does so, whichever it is, has [`GRACE`] to end by itself, and all others are
//! killed at once, as the tracker needs it. The grace ends [`GRACE`] after the last worker has
//! ended, also for processes that have come since: so a program that forks without end gains no
//! more than that, whatever it ignores.

use mm_shared::sys::children::children;
use mm_shared::sys::process::withstands_term;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgid, getpgrp};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

/// How long a process that withstands TERM may take to end by itself. The tracker takes a few
/// milliseconds on a calm machine, and hundreds on one whose CPUs are all busy.
const GRACE: Duration = Duration::from_millis(600);

/// How long after the end of a worker the groups of its orphans are not killed as a whole.
const GROUP_DELAY: Duration = Duration::from_millis(20);

/// How long killed processes are given to die before the next round, as long as each finds other
/// ones …
const SHORT_PAUSE: Duration = Duration::from_millis(1);
/// … and when it is always the same ones, which are stuck in the kernel or belong to another user.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// How long [`clear`] takes at most.
const CLEAR_WITHIN: Duration = Duration::from_secs(1);

/// The longest pause of [`clear`].
const CLEAR_PAUSE: Duration = Duration::from_millis(5);

/// Clears away in rounds, between which there is time for other things.
#[derive(Debug, Default)]
pub struct OrphanKiller {
    /// How long to wait before the next round; `None`: there is nothing to clear away.
    pause: Option<Duration>,
    /// When the next round is to be.
    due: Option<Instant>,
    /// The processes that the last round found.
    found: Vec<i32>,
    /// Those of them that were spared when they were found first, and when that was.
    spared: HashMap<i32, Instant>,
    /// Until when any process is spared.
    grace_until: Option<Instant>,
}

impl OrphanKiller {
    /// A worker has ended: there may be something to clear away.
    pub fn worker_ended(&mut self) {
        let now = Instant::now();
        self.pause = Some(Duration::ZERO);
        self.due = Some(now);
        self.grace_until = Some(now + GRACE);
    }

    /// How long until the next round; `None`: none is needed.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Whether it is time for a round.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Kills and reaps all children but `keep` and those that are spared; what they leave is for
    /// the next round.
    pub fn round(&mut self, keep: &[i32]) {
        let now = Instant::now();
        // Without the list, no process is found.
        let mut found = children().unwrap_or_default();
        found.retain(|pid| !keep.contains(pid));
        let next_kill = self.spare(&found, now);
        let killed: Vec<i32> = found.iter().copied().filter(|pid| !self.is_spared(*pid, now)).collect();
        let is_any_spared = killed.len() < found.len();
        for pid in killed.into_iter().map(Pid::from_raw) {
            // One of another user stays; this process may not kill it.
            let _ = kill(pid, Signal::SIGKILL);
            if !is_any_spared && let Some(group) = self.group_to_kill(pid, &found, keep, now) {
                let _ = killpg(group, Signal::SIGKILL);
            }
        }
        for pid in &found {
            let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
        }
        let pause = match self.pause {
            Some(pause) if found == self.found => (pause * 2).clamp(SHORT_PAUSE, LONG_PAUSE),
            _ => SHORT_PAUSE,
        };
        self.pause = (!found.is_empty()).then_some(pause);
        self.due = self.pause.map(|pause| next_kill.into_iter().fold(now + pause, Instant::min));
        self.found = found;
    }

    /// Notes which of the processes that were found are to be spared. Returns when the first of
    /// them is to be killed.
    fn spare(&mut self, found: &[i32], now: Instant) -> Option<Instant> {
        self.spared.retain(|pid, _| found.contains(pid));
        let grace_until = self.grace_until.filter(|until| now < *until)?;
        for pid in found {
            if !self.found.contains(pid) && withstands_term(*pid) {
                self.spared.entry(*pid).or_insert(now);
            }
        }
        let times = self.spared.values().map(|since| (*since + GRACE).min(grace_until));
        times.filter(|time| now < *time).min()
    }

    /// The group of a process, unless one to be spared may be in it that is not a child of this
    /// process yet: its parent has to die first, which a process does in a moment once it is killed.
    fn group_to_kill(&self, pid: Pid, found: &[i32], keep: &[i32], now: Instant) -> Option<Pid> {
        let group = getpgid(Some(pid)).ok()?;
        let leader = group.as_raw();
        if group == getpgrp() || keep.contains(&leader) {
            return None;
        }
        let until = self.grace_until.filter(|until| now < *until);
        let may_hide_one =
            until.is_some_and(|until| now < until - GRACE + GROUP_DELAY || found.contains(&leader));
        (!may_hide_one).then_some(group)
    }

    fn is_spared(&self, pid: i32, now: Instant) -> bool {
        let has_grace = self.grace_until.is_some_and(|until| now < until);
        has_grace && self.spared.get(&pid).is_some_and(|since| now < *since + GRACE)
    }
}

/// Clears away all children but `keep`, and waits until none is left, for a second at most.
pub fn clear(keep: &[i32]) {
    let start = Instant::now();
    let mut killer = OrphanKiller::default();
    killer.worker_ended();
    loop {
        killer.round(keep);
        match killer.pause() {
            Some(pause) if start.elapsed() < CLEAR_WITHIN => thread::sleep(pause.min(CLEAR_PAUSE)),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_until_nobody_is_left() {
        let mut orphans = OrphanKiller::default();
        assert!(!orphans.is_due() && orphans.pause().is_none());
        orphans.worker_ended();
        assert!(orphans.is_due());
        let all = children().unwrap_or_default();
        orphans.round(&all);
        assert!(!orphans.is_due() && orphans.pause().is_none());
    }
}
