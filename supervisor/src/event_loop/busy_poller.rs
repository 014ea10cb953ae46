//! Looking out for what comes in next, for a moment before the loop sleeps.
//!
//! When an answer has gone out, the next question may be on its way. Where these follow each other within tens of
//! microseconds, whoever looks out saves the way out of a core's idle state each time, which is more than all the rest of an
//! event's way. It is given up when some looks in a row were in vain, or when somebody else needs the core.
//!
//! As long as it goes on the loop stays on its core: else the system, which sees one core busy and others idle, moves the
//! loop and its worker from core to core, each at its own time. Workers are told, and sleep on the same core.

use crate::poller::{Poller, Wake};
use mm_shared::spin::Spinner;
use mm_shared::sys::cpu::{self, Stay};
use std::io;
use std::time::Duration;

/// Looks out where it is worth it.
#[derive(Debug)]
pub struct BusyPoller {
    /// `None`: cores are kept awake anyhow.
    spinner: Option<Spinner>,
    stay: Option<Stay>,
}

impl BusyPoller {
    /// `low_latency`: the show asks for cores that are kept awake.
    #[must_use]
    pub fn new(low_latency: bool) -> Self {
        Self { spinner: (!low_latency).then(Spinner::default), stay: None }
    }

    /// Looks for a while, if that is likely to be worth it; says whether something has come. Adds to `wakes`.
    ///
    /// # Errors
    ///
    /// As for [`Poller::wait`].
    pub fn look(&mut self, poller: &mut Poller, wakes: &mut Vec<Wake>) -> io::Result<bool> {
        let Some(spinner) = &mut self.spinner else { return Ok(false) };
        let mut outcome = Ok(());
        let goes_on = spinner.look_outside(|| {
            outcome = poller.wait(Some(Duration::ZERO), wakes).map(drop);
            outcome.is_err() || !wakes.is_empty()
        });
        let came = !wakes.is_empty();
        match goes_on {
            Some(true) if came => self.enter(),
            // for how long the loop sleeps now, nobody knows
            Some(_) => self.leave(),
            None => {}
        }
        outcome.map(|()| came)
    }

    fn enter(&mut self) {
        if self.stay.is_none() {
            self.stay = cpu::current().and_then(|cpu| cpu::stay(cpu).ok());
        }
    }

    /// Whether the loop stays on its core.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.stay.is_some()
    }

    /// There is something else to do than to pass on events, which may start threads: they are not to inherit the stay.
    pub fn leave(&mut self) {
        self.stay = None;
    }
}
