//! Looks after one worker that handles events: whether it hangs.

use super::watchdog::{Look, Watchdog};
use mm_shared::sys::process::is_traced;
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// What a worker must not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long it may be without progress.
    pub watchdog: Option<Duration>,
}

/// A worker makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hang {
    /// What it does.
    pub look: Look,
    /// For how long.
    pub time: Duration,
}

/// Looks after one worker.
#[derive(Debug)]
pub struct HealthMonitor {
    watchdog: Option<Watchdog>,
}

impl HealthMonitor {
    /// Looks after a worker that serves from `now` on.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self { watchdog: limits.watchdog.map(|limit| Watchdog::new(limit, now)) }
    }

    /// When [`HealthMonitor::check`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.watchdog.as_ref().map(Watchdog::deadline)
    }

    /// Checks if it is time to. `look` looks at what the worker does.
    ///
    /// # Errors
    ///
    /// Those of `look`.
    pub fn check<E>(
        &mut self,
        pid: Option<Pid>,
        now: Instant,
        look: impl FnOnce() -> Result<Look, E>,
    ) -> Result<Option<Hang>, E> {
        let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.deadline() <= now) else {
            return Ok(None);
        };
        let look = look()?;
        let time = watchdog.look(look, now);
        // A debugger may hold the worker for as long as it likes.
        let time = time.filter(|_| !pid.is_some_and(|pid| is_traced(pid.as_raw())));
        Ok(time.map(|time| Hang { look, time }))
    }
}
