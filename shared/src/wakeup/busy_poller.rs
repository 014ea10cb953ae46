//! Polling the sockets for a moment before the event loop sleeps.
//!
//! When an answer has gone out, the next request may be on its way. Where requests follow each
//! other within tens of microseconds, a loop that polls saves the way out of a core's idle state
//! each time, which is more than the rest of an event's way. Polling ends after a few polls without
//! result, or when another thread needs the core.
//!
//! As long as it goes on, the loop is pinned to its CPU: otherwise the kernel, which sees one busy
//! and one idle core, moves the loop and its worker from core to core, each at its own time.
//! Workers learn of the pin through their rings, and sleep on the same CPU.

use super::cpu::{self, CpuPin};
use super::{Spinner, WakeupMode};

/// Polls where that pays.
#[derive(Debug)]
pub struct BusyPoller {
    /// `None`: polling never pays.
    spinner: Option<Spinner>,
    pin: Option<CpuPin>,
}

impl BusyPoller {
    /// `low_latency`: the show asks for cores that are kept awake, so there is nothing to save.
    #[must_use]
    pub fn new(mode: WakeupMode, low_latency: bool) -> Self {
        let spinner = (mode.is_adaptive() && !low_latency).then(|| Spinner::new(mode));
        Self { spinner, pin: None }
    }

    /// Calls `poll` for a moment, if that is likely to pay, until it returns `Ok(true)`: something
    /// has come. Returns the same.
    ///
    /// # Errors
    ///
    /// Those of `poll`.
    pub fn look<E>(&mut self, mut poll: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
        let Some(spinner) = &mut self.spinner else { return Ok(false) };
        let mut outcome = Ok(false);
        let goes_on = spinner.spin_outside(|| {
            outcome = poll();
            !matches!(outcome, Ok(false))
        });
        match goes_on {
            Some(true) if matches!(outcome, Ok(true)) => self.enter(),
            // The loop may sleep for any time now.
            Some(_) => self.leave(),
            None => {}
        }
        outcome
    }

    fn enter(&mut self) {
        if self.pin.is_none() {
            self.pin = cpu::current().and_then(|cpu| cpu::pin(cpu).ok());
        }
    }

    /// Whether the loop is pinned to its CPU.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    /// Ends the pin: the loop has other work than to pass on events, and threads that it starts
    /// would inherit the CPU.
    pub fn leave(&mut self) {
        self.pin = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::constants::FIRST_PROBE_INTERVAL;
    use super::*;

    /// How many of 100 waits poll at all, each with success, and whether the loop is pinned after
    /// that.
    fn polls(poller: &mut BusyPoller) -> (usize, bool) {
        let count = (0..100).filter(|_| poller.look(|| Ok::<_, ()>(true)) == Ok(true)).count();
        (count, poller.is_pinned())
    }

    #[test]
    fn after_the_first_probe_with_success_every_wait_polls_and_the_loop_is_pinned() {
        let mut poller = BusyPoller::new(WakeupMode::Adaptive, false);
        let (count, is_pinned) = polls(&mut poller);
        // An interruption ends the polling for a while.
        assert!(count > 0 && count <= 101 - FIRST_PROBE_INTERVAL as usize, "{count}");
        poller.leave();
        assert!(!poller.is_pinned() && (is_pinned || count < 100));
    }

    #[test]
    fn in_plain_mode_and_with_cores_kept_awake_nobody_polls_or_pins() {
        assert_eq!(polls(&mut BusyPoller::new(WakeupMode::Plain, false)), (0, false));
        assert_eq!(polls(&mut BusyPoller::new(WakeupMode::Adaptive, true)), (0, false));
    }

    #[test]
    fn an_error_is_passed_on_and_ends_the_pin() {
        let mut poller = BusyPoller::new(WakeupMode::Adaptive, false);
        let failed = (0..FIRST_PROBE_INTERVAL).any(|_| poller.look(|| Err(())).is_err());
        assert!(failed && !poller.is_pinned());
    }
}
