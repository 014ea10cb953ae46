//! HUP: the running show becomes the one that its file describes now.

use super::{EventLoop, Phase};
use crate::event_loop::chores::SharedNames;
use crate::instances::Fleet;
use crate::reread::{self, Successor};
use crate::router::cycles::Rounds;
use crate::router::table::RouteTable;
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
        if let Err(error) = reread::begin(self.origin.clone(), self.tools.post.clone()) {
            tracing::error!("the show file cannot be read again: {error}");
            self.rereading = false;
        }
    }

    /// The show file was read again.
    pub(super) fn reread(&mut self, outcome: Result<Box<Successor>, String>, now: Instant) {
        self.rereading = false;
        self.systemd_status_is_old = true;
        self.become_successor(outcome, now);
        if std::mem::take(&mut self.reread_again) {
            self.begin_reread();
        }
    }

    fn become_successor(&mut self, outcome: Result<Box<Successor>, String>, now: Instant) {
        let Successor { show, plans, diff } = match outcome {
            Ok(successor) if self.phase != Phase::Ending => *successor,
            Ok(_) => return,
            Err(report) => {
                tracing::error!(report = %report.trim_end(), "the show file has errors, nothing changes");
                return;
            }
        };
        // what workers have sent so far goes where it was meant to go
        self.with_fleet(now, Fleet::collect);
        self.route();
        self.hosts.apply(plans, &show, &diff, &self.poller);
        self.with_fleet(now, |fleet, surroundings| fleet.apply(&show, &diff, surroundings));
        self.router.replace(RouteTable::new(&show), |no| diff.now(no));
        tracing::info!("the show file was read again: {diff}");
        startup::warn_of_cycles(&show);
        let removed = diff.removed.iter().filter_map(|no| self.origin.show.instances.get(*no));
        let removed: Vec<String> = removed.map(|instance| instance.name.clone()).collect();
        self.desk.renew(&show, &removed);
        self.names = SharedNames::new(&show);
        self.rounds = Rounds::new(&show);
        self.systemd_status_is_old = true;
        self.origin.show = Arc::new(show);
    }
}
