//! Whether the core loop, when it has answered, looks a little longer for the next message before it sleeps.
//!
//! A sender that waits for one answer before it sends again is quicker than a core that has gone to sleep. Where such
//! messages keep coming within microseconds, waking up for each of them would be half of its way. [`Spinner`] decides
//! as it does for the rings: probes ever more rarely what is in vain, and ends when somebody else wants this CPU, the sender
//! included.

use crate::poller::{Poller, Wake};
use mm_shared::spin::{FEW, Spinner};
use std::io;
use std::time::Duration;

/// Looks for what comes from outside.
#[derive(Debug, Default)]
pub struct Outside(Spinner);

impl Outside {
    /// Looks for wake-ups as long as that seems worth it; `events` were routed since the last wait. True: `wakes` holds
    /// some.
    ///
    /// # Errors
    ///
    /// The system refuses to look.
    pub fn look(&mut self, events: usize, poller: &mut Poller, wakes: &mut Vec<Wake>) -> io::Result<bool> {
        if !(1..=FEW).contains(&events) {
            return Ok(false);
        }
        let Some(plan) = self.0.plan_anywhere() else { return Ok(false) };
        let mut outcome = Ok(());
        self.0.look_with_effort(plan, || {
            outcome = poller.wait(Some(Duration::ZERO), wakes);
            outcome.is_err() || !wakes.is_empty()
        });
        outcome.map(|()| !wakes.is_empty())
    }
}
