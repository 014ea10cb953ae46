//! A start of one version of a script that is followed by the start of another.

use super::{Action, AfterExit, LifeState, Lifecycle};

impl Lifecycle {
    /// Whether one more reload follows the import that is under way.
    #[must_use]
    pub fn reloads_again(&self) -> bool {
        self.reload_again
    }

    /// The worker that was being started has ended, and another version of its script is to be
    /// started at once.
    pub fn start_another(&mut self) -> Vec<Action> {
        match self.state {
            LifeState::Starting { .. } | LifeState::Stopping { after: AfterExit::ApplyPolicy } => {
                self.spawn()
            }
            _ => Vec::new(),
        }
    }
}
