//! The rings of one worker, as an instance may use them.
//!
//! The ring from the worker is private here: to take from it, or to tell the worker that it need
//! not ring, needs a [`Looking`], so no instance is forgotten whose worker does not ring
//! ([`super::hot`] says why).

use super::hot::Looking;
use mm_shared::{Consumer, Doorbell, Event, Mapped, Producer, ProgressReader, SupervisorEnd, Violation};

/// The supervisor's end of a worker's data plane.
pub struct WorkerRings {
    /// Events for the worker.
    pub down: Producer<Mapped>,
    /// What the worker publishes about what it does.
    pub progress: ProgressReader,
    /// Rung here when `down.publish()` asks for it.
    pub bell_to_worker: Doorbell,
    /// Rung by the worker.
    pub bell_from_worker: Doorbell,
    up: Consumer<Mapped>,
    space: Doorbell,
}

impl From<SupervisorEnd> for WorkerRings {
    fn from(end: SupervisorEnd) -> Self {
        let SupervisorEnd { down, up, progress, bell_to_worker, bell_from_worker, space } = end;
        Self { down, progress, bell_to_worker, bell_from_worker, up, space }
    }
}

impl WorkerRings {
    /// Channel numbers in the worker's records must be below this.
    pub fn set_channel_limit(&mut self, limit: u32) {
        self.up.set_channel_limit(limit);
    }

    /// The worker need not ring when it sends something.
    pub fn stop_ringing(&mut self, looking: Looking) {
        drop(looking);
        self.up.wake();
    }

    /// Takes up to `most` events of the worker, which need not ring from now on. Returns how many
    /// it were.
    ///
    /// # Errors
    ///
    /// A record or a cursor breaks a rule.
    #[inline]
    pub fn take(
        &mut self,
        looking: Looking,
        most: usize,
        each: impl FnMut(Event),
    ) -> Result<usize, Violation> {
        self.stop_ringing(looking);
        let taken = self.up.drain(most, each);
        // A worker that waits is woken when half of its ring is free: it would otherwise be woken
        // for each few events that are taken. What is left is taken in any case.
        if self.up.is_half_free() && self.up.wants_space() {
            self.space.ring();
        }
        taken
    }

    /// Asks the worker to ring when it sends something. False: it has sent something already.
    #[must_use = "blocking is right only if this returns true"]
    pub fn prepare_sleep(&mut self) -> bool {
        self.up.prepare_sleep()
    }

    /// Asks the worker to ring when it has no more work. False: it has sent something already.
    #[must_use = "waiting is right only if this returns true"]
    pub fn prepare_nap(&mut self) -> bool {
        self.up.prepare_nap()
    }

    /// Whether the worker has sent something.
    #[inline]
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.up.has_work()
    }

    /// Notes the CPU that the loop runs on; returns the one that the worker ran on last.
    pub fn exchange_cpu(&mut self, own: Option<u32>, is_pinned: bool) -> Option<u32> {
        if let Some(own) = own {
            self.down.publish_cpu(own, is_pinned);
            self.up.publish_cpu(own);
        }
        self.up.peer_cpu()
    }
}
