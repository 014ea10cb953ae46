//! HUP: the show file is read again, and what it describes now takes the place of the running show.

use super::state_file::SharedNames;
use super::{EventLoop, Phase};
use crate::event_loop::message::LoopMessage;
use crate::router::cycles::{self, LoopMonitor};
use crate::show_reload::{self, LoadedShow};
use mm_config::SupervisorOptions;
use std::sync::Arc;
use std::time::Instant;

/// Whether the show file is being read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowReload {
    /// It is not.
    Idle,
    /// A thread reads it.
    Reading,
    /// A thread reads it, and it is to be read once more after that.
    ReadingAgain,
}

impl EventLoop {
    /// Starts to read the show file again; if a thread does already, once more when that is done.
    pub(super) fn begin_show_reload(&mut self) {
        if self.show_reload != ShowReload::Idle {
            self.show_reload = ShowReload::ReadingAgain;
            return;
        }
        tracing::info!(event = "show_reload_began", "reloading the show file");
        self.systemd.reloading("reloading the show file", Instant::now());
        let to_loop = self.sender.clone();
        let report = move |outcome| {
            to_loop.send(LoopMessage::ShowRead(outcome));
        };
        match show_reload::begin(self.origin.clone(), report) {
            Ok(()) => self.show_reload = ShowReload::Reading,
            Err(error) => {
                tracing::error!(event = "show_reload_failed", "the show file cannot be read: {error}");
            }
        }
    }

    /// The show file was read.
    pub(super) fn show_was_read(&mut self, outcome: Result<Box<LoadedShow>, String>, now: Instant) {
        let again = self.show_reload == ShowReload::ReadingAgain;
        self.show_reload = ShowReload::Idle;
        self.systemd_status_is_old = true;
        match outcome {
            Ok(loaded) if self.phase != Phase::Ending => self.apply(*loaded, now),
            Ok(_) => {}
            Err(report) => {
                self.last_good.refused(&report);
                tracing::error!(
                    event = "show_reload_failed",
                    report = %report.trim_end(),
                    "the show file has errors, nothing changes"
                );
            }
        }
        if again {
            self.begin_show_reload();
        }
    }

    /// Puts a show in the place of the running one.
    fn apply(&mut self, loaded: LoadedShow, now: Instant) {
        let LoadedShow { show, plans, table, change, state_file, copy } = loaded;
        // What workers have sent so far goes where it was meant to go.
        self.route(now);
        self.finish_begun();
        self.with_backends(|backends, access| backends.apply(plans, &show, &change, access));
        self.with_instances(now, |instances, cx| instances.apply(&show, &change, cx));
        self.router.apply(table);
        if self.phase == Phase::Running && self.instances.wants_spare() {
            self.spare.wanted(now);
        }
        tracing::info!(event = "show_reloaded", "show reloaded: {change}");
        let old_options = SupervisorOptions::of(&self.origin.show);
        self.apply_supervisor_options(&old_options, &SupervisorOptions::of(&show), state_file);
        cycles::warn(&show);
        let removed = change.removed().filter_map(|id| self.origin.show.instance(id));
        let removed: Vec<String> = removed.map(|instance| instance.name.clone()).collect();
        self.control.apply(&show, &removed);
        self.names = SharedNames::new(&show);
        self.loop_monitor = LoopMonitor::new(&show);
        self.systemd_status_is_old = true;
        self.last_good.accepted(copy);
        if self.phase == Phase::Running {
            self.last_good.keep();
        }
        self.origin.show = Arc::new(show);
    }
}
