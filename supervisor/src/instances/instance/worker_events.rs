//! What comes from the workers of an instance: they are spawned, send messages, and exit.

use super::{ScriptInstance, moment, reports};
use crate::ids::WorkerId;
use crate::instances::context::LoopContext;
use crate::instances::exit::{ExitReason, ExitRecord};
use crate::instances::supervision::lifecycle::{AfterExit, LifeState};
use crate::instances::supervision::stop::StopStage;
use crate::instances::supervision::workers::Role;
use crate::instances::transition::Transition;
use crate::instances::worker::Worker;
use crate::instances::worker_event::WorkerEvent;
use crate::reaper::{Spawned, WaitStatus};
use crate::script_output::OutputStream;
use mm_shared::control::{FromWorker, NameError, PROTOCOL};
use std::io;
use std::time::Instant;

impl ScriptInstance {
    /// The worker with this id.
    pub fn worker(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.supervision.workers_mut().get_mut(id).map(|member| &mut member.worker.process)
    }

    /// Something happened to a worker.
    pub fn worker_event(&mut self, id: WorkerId, event: WorkerEvent, cx: &mut LoopContext<'_>) {
        match event {
            WorkerEvent::Spawned(outcome) => self.spawned(id, outcome, cx),
            WorkerEvent::Message(message) => self.message(id, message, cx),
            WorkerEvent::ChannelClosed(fault) => self.channel_closed(id, fault, cx),
            WorkerEvent::Exited(how) => self.exited(id, how, cx),
        }
        self.follow_up(cx);
    }

    /// The process was started, or could not be.
    fn spawned(&mut self, id: WorkerId, outcome: io::Result<Spawned>, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers_mut().get_mut(id) else { return };
        let process = &mut member.worker.process;
        match outcome {
            Ok(Spawned { pid, pidfd, stdout, stderr }) => {
                cx.script_output.add(self.name.clone(), id, stdout, OutputStream::Stdout);
                cx.script_output.add(self.name.clone(), id, stderr, OutputStream::Stderr);
                process.arrived(pid, pidfd, cx.poller);
                self.watch_memory(id, cx);
            }
            Err(error) => {
                process.ending = Some(ExitReason::NotStarted(error.to_string()));
                self.exited(id, WaitStatus::Unknown, cx);
            }
        }
    }

    fn message(&mut self, id: WorkerId, message: FromWorker, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers_mut().get_mut(id) else { return };
        match message {
            FromWorker::Hello { protocol: PROTOCOL, .. } => {}
            FromWorker::Hello { protocol, .. } => {
                self.violated(id, &format!("it speaks protocol {protocol}, this supervisor {PROTOCOL}"), cx);
            }
            FromWorker::Sources(list) => match member.worker.sources.add(&list) {
                Ok(()) => self.watch_sources(id, cx),
                Err(what) => self.violated(id, &what, cx),
            },
            FromWorker::Ready { handled } => {
                cx.registry.starts.finished(id);
                self.imported(id, handled, cx);
            }
            FromWorker::ResourceBusy(exception) => self.resource_busy(id, exception, cx),
            FromWorker::Failed(failure) => {
                cx.registry.starts.finished(id);
                // The restart that follows logs it otherwise.
                if member.role() != Role::Replacement {
                    let repeats = self.history.note_import_failure(&failure);
                    reports::import_failed(&self.name, &failure, repeats);
                } else if !failure.is_busy {
                    reports::import_failed(&self.name, &failure, 0);
                }
                member.worker.note_failure(failure);
            }
            FromWorker::Channel { number, name } => match self.name_channel(id, number, &name) {
                Ok(()) => self.warn_of_output(&name, cx.now),
                Err(error) => self.violated(id, &format!("it names channel {number}: {error}"), cx),
            },
            FromWorker::Yielded => self.yielded(id, cx),
            FromWorker::Stopped => {
                member.worker.process.ending.get_or_insert(ExitReason::Stopped);
            }
            FromWorker::HandlerWarning { text, .. } => {
                member.worker.remarks.add(&text);
                reports::worker_message(&self.name, FromWorker::Warning(text));
            }
            FromWorker::Error { ref place, ref traceback, .. } => {
                self.history.note_error(place, traceback);
                reports::worker_message(&self.name, message);
            }
            FromWorker::Warning(_) => reports::worker_message(&self.name, message),
        }
    }

    /// The script sends on a name that no mapping uses, for the first time.
    fn warn_of_output(&mut self, name: &str, now: Instant) {
        // A script may send thousands, and each suggestion costs some work.
        if let Some(suppressed) = self.unmapped_outputs.hit(now) {
            let hint = mm_config::did_you_mean(name, self.data.values().mapped_names());
            reports::output_unmapped(&self.name, name, hint, suppressed);
        }
    }

    /// The script sends on a name that the show does not have. Until a worker serves, the numbers
    /// that it gives are its own.
    fn name_channel(&mut self, id: WorkerId, number: u32, name: &str) -> Result<(), NameError> {
        let Some(member) = self.supervision.workers_mut().get_mut(id) else { return Ok(()) };
        if let Some(outcome) = member.worker.add_name(number, name) {
            return outcome;
        }
        // A worker that has handed over has nothing to say about the channels of the next.
        if member.role().is_attached() { self.data.values_mut().named(number, name) } else { Ok(()) }
    }

    /// A worker takes no more events, and what it has sent is in its ring.
    fn yielded(&mut self, id: WorkerId, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers().get(id) else { return };
        let is_trusted = member.is_trusted();
        if member.role() == Role::Serving && member.stage().is_none() {
            reports::yielded_unasked(&self.name);
        }
        let (moment, data) = (moment(cx), &mut self.data);
        self.supervision.yielded(id, moment, |worker| {
            cx.poller.forget(&worker.rings().bell_from_worker);
            data.detach(worker.rings(), is_trusted, cx);
        });
    }

    /// The control channel of a worker has closed.
    fn channel_closed(&mut self, id: WorkerId, fault: Option<String>, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers().get(id) else { return };
        if let Some(fault) = fault {
            self.violated(id, &fault, cx);
        } else if member.worker.process.is_alive() {
            self.violated(id, "it has closed its control channel and goes on", cx);
        }
    }

    /// A worker broke a rule of the shared memory or of the control channel.
    pub(super) fn violated(&mut self, id: WorkerId, what: &str, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers_mut().get_mut(id) else { return };
        if member.is_trusted() {
            reports::violation(&self.name, what);
            member.worker.process.ending = Some(ExitReason::Violation(what.to_owned()));
        }
        self.supervision.fault(id, false, moment(cx));
    }

    /// The process of a worker has ended, and all that it has sent was read.
    fn exited(&mut self, id: WorkerId, how: WaitStatus, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers_mut().get_mut(id) else { return };
        let (role, is_trusted) = (member.role(), member.is_trusted());
        let is_pressed = matches!(member.stage(), Some(StopStage::Terminated { .. } | StopStage::Killed));
        let worker = &mut member.worker;
        let mut in_hand = None;
        if role.is_attached() {
            in_hand = self.data.detach(worker.rings(), is_trusted, cx);
        }
        worker.process.exited(how);
        let doing = worker.process.end.progress.activity();
        let callable = worker.process.end.progress.callable();
        let mut reason = worker.process.ended(cx.poller);
        let was_asked = is_pressed && reason.is_of_stop_ladder();
        let has_served = worker.served_since().is_some();
        reason = match reason {
            // It had nothing to clean up, so KILL was how it was asked to stop.
            _ if was_asked && !has_served => ExitReason::Stopped,
            ExitReason::Killed(signal) if was_asked => ExitReason::Pressed(signal),
            reason => reason,
        };
        let failure = worker.take_failure();
        let busy = failure.as_ref().filter(|failure| failure.is_busy).map(|failure| failure.summary.clone());
        self.versions.note_end(id, worker);
        self.history.note_errors(worker.process.end.progress.errors());
        cx.script_output.remove(id);
        cx.registry.forget(id);
        cx.memory_watch.forget(id);
        let place = if reason.is_self_explanatory() {
            String::new()
        } else {
            reports::exit_place(doing, callable.as_deref(), in_hand, self.data.values())
        };
        let traceback = failure.map(|failure| failure.traceback);
        let exit = ExitRecord { worker_id: Some(id), traceback, ..ExitRecord::now(&reason, &place) };
        let is_fault = matches!(
            self.supervision.state(),
            LifeState::Starting { .. }
                | LifeState::Running { .. }
                | LifeState::Reloading { .. }
                | LifeState::Stopping { after: AfterExit::ApplyPolicy }
        );
        if role.is_main() && is_fault && !self.supervision.reloads_again() {
            self.history.note_fault();
        }
        if self.rolls_back(id, &reason) {
            self.roll_back(id, exit, cx);
            return;
        }
        let promotes = role.is_main() && matches!(self.supervision.state(), LifeState::Reloading { .. });
        if let Some(busy) = busy.filter(|_| role == Role::Replacement) {
            self.supervision.exited(id, false, moment(cx));
            self.stop_first(&busy, cx);
            return;
        }
        self.note_exit(id, &exit, has_served);
        match reason {
            ExitReason::Lost => self.supervision.lost(id, moment(cx)),
            _ => self.supervision.exited(id, reason.is_clean(), moment(cx)),
        };
        let lost_event = in_hand.is_some();
        let text = &exit.reason;
        let report = reports::Exit { role, reason: &reason, text, lost_event, was_asked, promotes };
        reports::exit(&self.name, &report, self.supervision.state(), cx.now);
        self.note_end_of_another(cx);
    }

    /// Notes the end of a worker, and what it means to clients, before the state machine knows of
    /// it.
    fn note_exit(&mut self, id: WorkerId, exit: &ExitRecord, has_served: bool) {
        let Some(member) = self.supervision.workers().get(id) else { return };
        let (role, start) = (member.role(), member.worker.start());
        let (text, traceback) = (exit.reason.clone(), exit.traceback.clone());
        match (role, self.supervision.state()) {
            (Role::Replacement, _) => {
                self.note_failed_next(id, &text);
                self.history.reach(start, Transition::ReloadFailed { reason: text, traceback });
            }
            (Role::HandingOver | Role::Retiring, _) => return,
            // Whether its replacement serves is what clients wait for.
            (_, LifeState::Reloading { .. }) => {}
            (_, LifeState::Stopping { after: AfterExit::StayStopped | AfterExit::Restart }) => {}
            _ => self.history.reach(start, Transition::Failed { reason: text, traceback }),
        }
        if role.is_main() {
            self.history.note_exit(exit.clone(), has_served);
        }
    }
}
