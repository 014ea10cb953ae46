//! Reload: the successor is made ready beside the worker that serves, then takes its place between two events.
//!
//! ```text
//! predecessor  serves ───────────────── Stop ─► last handler ─ Yielded ─ cleanup handler ─ Stopped
//! successor    Boot ─ imports ─ Ready ─┘                          └─► Serve ─ serves
//! ```
//!
//! Between `Stop` and `Yielded` events wait in the queue. With `Yielded` everything that the predecessor has sent is in
//! its ring, and what it has not taken will not be taken: the one goes out first, the other waits in front. So no
//! event is lost, doubled or overtaken.

use super::context::LoopContext;
use super::exit::ExitReason;
use super::instance::ScriptInstance;
use super::lifecycle;
use super::retiring::RetiringWorker;
use super::transition::Transition;
use crate::ids::WorkerId;
use std::time::Instant;

impl ScriptInstance {
    pub(super) fn spawn_beside(&mut self, cx: &mut LoopContext<'_>) -> Option<lifecycle::Event> {
        self.beside_names = self.flow.values.extra_names();
        self.started_at = Some(cx.now);
        if let Some(worker) = self.current.as_mut().filter(|_| self.serving) {
            // the modules may ask for values; a cursor that cannot be is found out elsewhere
            let _ = self.flow.waiting(&mut worker.end);
        }
        match self.incarnate(cx) {
            Ok(worker) => {
                self.beside = Some(worker);
                None
            }
            Err(error) => {
                tracing::error!(instance = %self.name, "not reloaded: the worker could not be started: {error}");
                let reason = ExitReason::NotStarted(error).to_string();
                self.transitions.push(Transition::ReloadFailed { reason, traceback: None });
                Some(lifecycle::Event::BesideFailed)
            }
        }
    }

    /// The successor is given up.
    pub(super) fn drop_beside(&mut self) {
        if let Some(mut worker) = self.beside.take() {
            worker.kill();
            self.leaving.push(RetiringWorker::killed(worker));
        }
    }

    /// The successor has not imported its modules in time: it is given up, and shows where it hangs.
    pub(super) fn beside_timed_out(&mut self, now: Instant) {
        let Some(worker) = self.beside.take() else { return };
        tracing::error!(
            instance = %self.name,
            "not reloaded: the modules were not imported within `start-timeout`, their stacks follow; \
             the old worker goes on"
        );
        self.leaving.push(RetiringWorker::hung(worker, now));
        let reason = ExitReason::StartTimeout.to_string();
        self.transitions.push(Transition::ReloadFailed { reason, traceback: None });
    }

    /// The successor is ready: the worker is asked to stop, and [`ScriptInstance::hand_over`] follows.
    pub(super) fn swap(&mut self, cx: &mut LoopContext<'_>) {
        let Some(successor) = self.beside.take() else { return };
        let stop_timeout = self.stop_timeout();
        self.starts += 1;
        if let Some(predecessor) = self.current.replace(successor) {
            predecessor.send(mm_shared::control::ToWorker::Stop);
            self.serving = false;
            self.leaving.push(RetiringWorker::predecessor(predecessor, cx.now, stop_timeout));
        } else {
            self.serve_with_values(cx);
        }
    }

    /// The predecessor takes no more events: what it has sent goes out, the rest waits for the successor.
    pub(super) fn hand_over(&mut self, worker_id: WorkerId, cx: &mut LoopContext<'_>) {
        let found = self.leaving.iter_mut().find(|leaving| leaving.worker.id == worker_id);
        let Some(leaving) = found.filter(|leaving| leaving.hands_over_events) else { return };
        leaving.hands_over_events = false;
        cx.poller.forget(&leaving.worker.end.bell_from_worker);
        self.settle(worker_id, cx);
        self.serve_with_values(cx);
    }

    pub(super) fn serve_with_values(&mut self, cx: &mut LoopContext<'_>) {
        let values = self.flow.values.for_boot();
        self.flow.values.renumber(std::mem::take(&mut self.beside_names));
        self.serve(values, cx);
    }
}
