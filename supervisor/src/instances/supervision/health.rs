//! Looks after one worker that handles events: whether it hangs, and whether it has grown too
//! large.

use super::watchdog::{Look, Watchdog};
use mm_shared::sys::process::{is_traced, resident};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How often memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// What a worker must not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long it may be without progress.
    pub watchdog: Option<Duration>,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
}

/// What is wrong with a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It uses more resident memory, in bytes, than it may.
    OverMemory {
        /// What it uses.
        used: u64,
        /// What it may use.
        limit: u64,
    },
    /// It makes no progress.
    Hang {
        /// What it does.
        look: Look,
        /// For how long.
        time: Duration,
    },
}

/// Looks after one worker.
#[derive(Debug)]
pub struct HealthMonitor {
    watchdog: Option<Watchdog>,
    memory: Option<(u64, Instant)>,
}

impl HealthMonitor {
    /// Looks after a worker that serves from `now` on.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            watchdog: limits.watchdog.map(|limit| Watchdog::new(limit, now)),
            memory: limits.memory.map(|limit| (limit, now + MEMORY_INTERVAL)),
        }
    }

    /// When [`HealthMonitor::check`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let watchdog = self.watchdog.as_ref().map(Watchdog::deadline);
        let memory = self.memory.map(|(_, next)| next);
        watchdog.into_iter().chain(memory).min()
    }

    /// Checks what it is time to check. `look` looks at what the worker does.
    ///
    /// # Errors
    ///
    /// Those of `look`.
    pub fn check<E>(
        &mut self,
        pid: Option<Pid>,
        now: Instant,
        look: impl FnOnce() -> Result<Look, E>,
    ) -> Result<Option<Finding>, E> {
        if let Some(finding) = self.check_memory(pid, now) {
            return Ok(Some(finding));
        }
        let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.deadline() <= now) else {
            return Ok(None);
        };
        let look = look()?;
        let time = watchdog.look(look, now);
        // A debugger may hold the worker for as long as it likes.
        let time = time.filter(|_| !pid.is_some_and(|pid| is_traced(pid.as_raw())));
        Ok(time.map(|time| Finding::Hang { look, time }))
    }

    fn check_memory(&mut self, pid: Option<Pid>, now: Instant) -> Option<Finding> {
        let (limit, next) = self.memory.as_mut().filter(|(_, next)| *next <= now)?;
        *next = now + MEMORY_INTERVAL;
        let used = resident(pid?.as_raw())?;
        (used > *limit).then_some(Finding::OverMemory { used, limit: *limit })
    }
}
