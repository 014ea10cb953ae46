//! Reloads and starts that do not go as planned: a script of which only one can run, files that
//! are broken at the moment, handlers that are missing.

use super::versions::ReloadCause;
use super::{ScriptInstance, moment, reports};
use crate::ids::WorkerId;
use crate::instances::context::LoopContext;
use crate::instances::exit::{ExitReason, ExitRecord};
use crate::instances::supervision::lifecycle::{AfterExit, LifeEvent, LifeState};
use crate::instances::supervision::workers::Role;
use crate::instances::transition::Transition;
use mm_shared::ChannelId;
use mm_shared::control::BitSet;

/// How many channels without a handler are named.
const NAMED_LIMIT: usize = 5;

impl ScriptInstance {
    /// A worker has imported its modules.
    pub(super) fn imported(&mut self, id: WorkerId, handled: BitSet, cx: &mut LoopContext<'_>) {
        let (lost, start) = (self.lost_handlers(id, &handled), self.start_of(id));
        let Some(member) = self.supervision.workers_mut().get_mut(id) else { return };
        member.worker.handled = handled;
        match (lost, member.role(), self.versions.cause()) {
            (Some(lost), Role::Replacement, ReloadCause::FileChange) => {
                reports::reload_refused(&self.name, &lost);
                let reason = ExitReason::HandlersMissing(lost).to_string();
                self.history.reach(start, Transition::ReloadFailed { reason, traceback: None });
                self.supervision.refuse_replacement(moment(cx));
            }
            (Some(lost), Role::Replacement, ReloadCause::User) => {
                reports::handlers_lost(&self.name, &lost);
                self.supervision.ready(id, moment(cx));
            }
            (Some(lost), ..) => {
                member.worker.process.ending = Some(ExitReason::HandlersMissing(lost));
                self.supervision.fault(id, true, moment(cx));
            }
            (None, ..) => self.supervision.ready(id, moment(cx)),
        }
    }

    /// The channels, in words, that this worker does not handle although the script did until now.
    /// For a start it matters only where a change of a file would be refused as well, and where
    /// there is a version to go back to.
    fn lost_handlers(&self, id: WorkerId, handled: &BitSet) -> Option<String> {
        let workers = self.supervision.workers();
        let member = workers.get(id)?;
        let before = match member.role() {
            Role::Replacement => &workers.main()?.worker.handled,
            Role::Starting if self.spec.watched_files().is_some() => {
                &self.versions.alternative(id, &member.worker.sources)?.handled
            }
            _ => return None,
        };
        let values = self.data.values();
        let handled = member.worker.handled_by_names(handled, values);
        let mut lost = before.minus(&handled, values.mapped());
        let named: Vec<String> = lost
            .by_ref()
            .take(NAMED_LIMIT)
            .map(|number| format!("`{}`", values.name(ChannelId(number))))
            .collect();
        let more = match lost.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!named.is_empty()).then(|| named.join(", ") + &more)
    }

    /// An exception of a script that goes on shows that another process holds what it needs.
    pub(super) fn resource_busy(&mut self, id: WorkerId, exception: String, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers_mut().get_mut(id) else { return };
        if let Some(reason) = member.worker.note_busy(exception, cx.now) {
            self.start_alone(id, reason, cx);
        }
    }

    /// A worker has ended. One that is left alone and lacks what the ended one held starts again.
    pub(super) fn note_end_of_another(&mut self, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers_mut().only_mut() else { return };
        let id = member.worker.process.id;
        if let Some(reason) = member.worker.note_alone(cx.now) {
            self.start_alone(id, reason, cx);
        }
    }

    fn start_alone(&mut self, id: WorkerId, reason: String, cx: &mut LoopContext<'_>) {
        let is_main = self.supervision.workers().get(id).is_some_and(|member| member.role().is_main());
        let runs =
            matches!(self.supervision.state(), LifeState::Running { .. } | LifeState::Reloading { .. });
        if is_main && runs {
            self.stop_first(&reason, cx);
        }
    }

    /// The script cannot run twice at once: the worker that runs is stopped before the next one is
    /// started.
    pub(super) fn stop_first(&mut self, reason: &str, cx: &mut LoopContext<'_>) {
        reports::fallback(&self.name, reason);
        self.versions.expect_start();
        self.supervision.command(LifeEvent::Restart, moment(cx));
    }

    /// Whether the last good version of the script is started in place of a worker that has ended.
    pub(super) fn rolls_back(&self, id: WorkerId, reason: &ExitReason) -> bool {
        let Some(member) = self.supervision.workers().get(id) else { return false };
        let is_the_scripts = matches!(
            reason,
            ExitReason::ImportFailed(_)
                | ExitReason::HandlersMissing(_)
                | ExitReason::StartTimeout
                | ExitReason::Exited(_)
                | ExitReason::Killed(_)
        );
        // A reload that was asked for in the meantime may have other files.
        let starts = matches!(
            self.supervision.state(),
            LifeState::Starting { .. } | LifeState::Stopping { after: AfterExit::ApplyPolicy }
        ) && !self.supervision.reloads_again();
        let is_possible = || self.versions.alternative(id, &member.worker.sources).is_some();
        member.role() == Role::Starting && is_the_scripts && starts && is_possible()
    }

    /// Starts the last good version in place of a worker that has ended.
    pub(super) fn roll_back(&mut self, id: WorkerId, exit: ExitRecord, cx: &mut LoopContext<'_>) {
        reports::rolling_back(&self.name, &exit.reason);
        let (reason, traceback) = (exit.reason.clone(), exit.traceback.clone());
        self.history.reach(self.start_of(id), Transition::RolledBack { reason, traceback });
        self.note_failed_next(id, &exit.reason);
        self.versions.roll_back(exit.reason.clone());
        self.history.note_exit(exit, false);
        self.supervision.exited_for_another(id, moment(cx));
    }
}
