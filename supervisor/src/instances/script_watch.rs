//! `watch = on`: what an instance does when its script has changed on disk.

use super::context::LoopContext;
use super::instance::ScriptInstance;
use super::lifecycle::{self, State, Then};

impl ScriptInstance {
    /// Reloads the instance, unless it was stopped: saving a file does not start what a user has
    /// stopped.
    pub(super) fn changed(&mut self, cx: &mut LoopContext<'_>) {
        let is_stopped =
            matches!(self.lifecycle.state(), State::Stopped | State::Stopping { then: Then::Stay, .. });
        if is_stopped || self.recipe.watched_files().is_none() {
            return;
        }
        tracing::info!(event = "script_changed", instance = %self.name, "the script has changed, reloading");
        self.step(lifecycle::Event::Reload, cx);
    }
}
