//! Clears away the children that this process has adopted, and what these leave when they die.
//!
//! Only this process reaps them, so until then a number is that of the child, and no child is
//! missing from the list. Where the system keeps no list, the process groups of workers are still
//! killed; what left them lives on.
//!
//! A program that forks faster than it is killed is killed in rounds of bounded work, for as long
//! as it takes.

use mm_shared::sys::children::children;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgid, getpgrp};
use std::thread;
use std::time::{Duration, Instant};

/// How long killed processes are given to die before the next round, as long as each finds other
/// ones …
const SHORT_PAUSE: Duration = Duration::from_millis(1);
/// … and when it is always the same ones, which are stuck in the kernel or belong to another user.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// How long [`clear`] takes at most.
const CLEAR_WITHIN: Duration = Duration::from_secs(1);

/// Clears away in rounds, between which there is time for other things.
#[derive(Debug, Default)]
pub struct OrphanKiller {
    /// How long to wait before the next round; `None`: there is nothing to clear away.
    pause: Option<Duration>,
    /// When the next round is to be.
    due: Option<Instant>,
    /// The processes that the last round found.
    found: Vec<i32>,
}

impl OrphanKiller {
    /// There may be something to clear away.
    pub fn wanted(&mut self) {
        self.pause = Some(Duration::ZERO);
        self.due = Some(Instant::now());
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

    /// Kills and reaps all children but `keep`; those that they leave are for the next round.
    pub fn round(&mut self, keep: &[i32]) {
        let found = orphans(keep);
        let pause = match self.pause {
            Some(pause) if found == self.found => (pause * 2).clamp(SHORT_PAUSE, LONG_PAUSE),
            _ => SHORT_PAUSE,
        };
        self.pause = (!found.is_empty()).then_some(pause);
        self.due = self.pause.map(|pause| Instant::now() + pause);
        self.found = found;
    }
}

/// Clears away all children but `keep`, and waits until none is left, for a second at most.
pub fn clear(keep: &[i32]) {
    let start = Instant::now();
    while !orphans(keep).is_empty() && start.elapsed() < CLEAR_WITHIN {
        thread::sleep(SHORT_PAUSE);
    }
}

/// Kills all children but `keep` with their groups, reaps those that have died, and returns all
/// that were there.
fn orphans(keep: &[i32]) -> Vec<i32> {
    // Without the list, no process is found.
    let mut found = children().unwrap_or_default();
    found.retain(|pid| !keep.contains(pid));
    for pid in found.iter().copied().map(Pid::from_raw) {
        // One of another user stays; this process may not kill it.
        let _ = kill(pid, Signal::SIGKILL);
        if let Ok(group) = getpgid(Some(pid))
            && group != getpgrp()
            && !keep.contains(&group.as_raw())
        {
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_until_nobody_is_left() {
        let mut orphans = OrphanKiller::default();
        assert!(!orphans.is_due() && orphans.pause().is_none());
        orphans.wanted();
        assert!(orphans.is_due());
        let all = children().unwrap_or_default();
        orphans.round(&all);
        assert!(!orphans.is_due() && orphans.pause().is_none());
    }
}
