//! The service manager from the loop's side: reports the state of the show, and keeps its watchdog
//! from triggering.

use super::{EventLoop, Phase};
use std::time::Instant;

impl EventLoop {
    /// Reports the state of the show if it has changed, and that the loop is alive.
    pub(super) fn notify_service_manager(&mut self, now: Instant) {
        // While the show file is being read again, the service manager waits for the end of that.
        if self.show_reload.is_idle() && std::mem::take(&mut self.systemd_status_is_old) {
            let text = self.summary();
            match self.phase {
                Phase::Starting => self.systemd.status(&text, now),
                Phase::Running => self.systemd.ready(&text, now),
                Phase::Ending => self.systemd.stopping(&text, now),
            }
        }
        self.systemd.feed(now);
    }

    fn summary(&self) -> String {
        let name = &self.origin.show.name;
        match (self.phase, self.instances.serving()) {
            (Phase::Starting, (all, serving)) => {
                format!("starting `{name}`: {serving} of {all} instances run")
            }
            (Phase::Ending, _) => format!("ending `{name}`"),
            (Phase::Running, (all, serving)) => {
                let which = self.last_good.reason().map_or("", |_| " (last good show)");
                if all == serving {
                    format!("`{name}`{which}: all {all} instances run")
                } else {
                    format!("`{name}`{which}: {serving} of {all} instances run")
                }
            }
        }
    }
}
