//! What supervision does about workers that import well or badly and are not to serve.

use super::lifecycle::LifeEvent;
use super::workers::WorkerHandle;
use super::{Moment, Supervision};
use crate::ids::WorkerId;

impl<W: WorkerHandle> Supervision<W> {
    /// A worker that has never served has ended, and another version of its script is to be tried
    /// at once, whatever the restart policy is.
    pub fn exited_for_another(&mut self, id: WorkerId, moment: Moment) -> Option<W> {
        let member = self.workers.remove(id)?;
        self.unreported_exit = None;
        for action in self.lifecycle.start_another() {
            self.perform(action, moment.now);
        }
        Some(member.worker)
    }

    /// Whether one more reload follows the import that is under way.
    #[must_use]
    pub fn reloads_again(&self) -> bool {
        self.lifecycle.reloads_again()
    }

    /// The replacement has imported its modules, and is not to serve.
    pub fn refuse_replacement(&mut self, moment: Moment) {
        self.step(LifeEvent::ReplacementFailed, moment);
    }
}
