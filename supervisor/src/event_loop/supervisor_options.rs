//! `[supervisor]` when the show file is read again: applies what can change while the show runs,
//! and names what cannot.

use super::EventLoop;
use crate::state::StateFile;
use mm_config::SupervisorOptions;
use mm_shared::wakeup::{BusyPoller, WakeupMode};

impl EventLoop {
    /// Applies the options that differ. `state_file` is the one to use from now on, if it is
    /// another one.
    pub(super) fn apply_supervisor_options(
        &mut self,
        old: &SupervisorOptions,
        new: &SupervisorOptions,
        state_file: Option<Option<StateFile>>,
    ) {
        let mut applied = Vec::new();
        if let Some(state_file) = state_file {
            if let Some(previous) = std::mem::replace(&mut self.state_file, state_file) {
                previous.detach();
            }
            // The values of the running show are the first that the new file gets.
            if let Some(file) = &mut self.state_file {
                file.touch();
            }
            applied.push("`state-file`");
        }
        if old.low_latency != new.low_latency {
            self.realtime.apply_low_latency(new.low_latency);
            self.busy_poller = BusyPoller::new(WakeupMode::of_process(), new.low_latency);
            applied.push("`low-latency`");
        }
        if old.priority != new.priority {
            self.realtime.apply_priority(new.priority);
            applied.push("`priority`");
        }
        if !applied.is_empty() {
            let options = applied.join(", ");
            tracing::info!(event = "supervisor_options_applied", "applied {options} of `[supervisor]`");
        }
        if old.socket != new.socket {
            tracing::warn!(
                event = "supervisor_option_not_applied",
                option = "socket",
                "`socket` of `[supervisor]` has changed; it takes effect when the show is restarted"
            );
        }
    }
}
