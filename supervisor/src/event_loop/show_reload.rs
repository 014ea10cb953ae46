//! HUP: the running show becomes the one that its file describes now.

use super::state_file::SharedNames;
use super::{EventLoop, Phase};
use crate::instances::InstanceSet;
use crate::router::cycles::Rounds;
use crate::router::table::RouteTable;
use crate::show_reload::{self, LoadedShow};
use crate::startup;
use std::sync::Arc;
use std::time::Instant;

impl EventLoop {
    /// Starts to read the show file again; if that is going on already, once more when it is over.
    pub(super) fn begin_reread(&mut self) {
        if self.rereading {
            self.reread_again = true;
            return;
        }
        tracing::info!("reading the show file again");
        self.systemd.reloading("reading the show file again", Instant::now());
        self.rereading = true;
        if let Err(error) = show_reload::begin(self.origin.clone(), self.tools.post.clone()) {
            tracing::error!("the show file cannot be read again: {error}");
            self.rereading = false;
        }
    }

    /// The show file was read again.
    pub(super) fn reread(&mut self, outcome: Result<Box<LoadedShow>, String>, now: Instant) {
        self.rereading = false;
        self.systemd_status_is_old = true;
        self.become_successor(outcome, now);
        if std::mem::take(&mut self.reread_again) {
            self.begin_reread();
        }
    }

    fn become_successor(&mut self, outcome: Result<Box<LoadedShow>, String>, now: Instant) {
        let LoadedShow { show, plans, change } = match outcome {
            Ok(successor) if self.phase != Phase::Ending => *successor,
            Ok(_) => return,
            Err(report) => {
                tracing::error!(report = %report.trim_end(), "the show file has errors, nothing changes");
                return;
            }
        };
        // what workers have sent so far goes where it was meant to go
        self.with_instances(now, InstanceSet::collect);
        self.route();
        self.hosts.apply(plans, &show, &change, &self.poller);
        self.with_instances(now, |fleet, cx| fleet.apply(&show, &change, cx));
        self.router.apply(RouteTable::new(&show));
        tracing::info!(event = "show_reloaded", "show reloaded: {change}");
        startup::warn_of_cycles(&show);
        let removed = change.removed().filter_map(|id| self.origin.show.instance(id));
        let removed: Vec<String> = removed.map(|instance| instance.name.clone()).collect();
        self.control.apply(&show, &removed);
        self.names = SharedNames::new(&show);
        self.rounds = Rounds::new(&show);
        self.systemd_status_is_old = true;
        self.origin.show = Arc::new(show);
    }
}
