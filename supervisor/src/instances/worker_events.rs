//! What happens to the workers of an instance: they start, say something, and end.

use super::context::LoopContext;
use super::exit::{ExitReason, ExitRecord};
use super::instance::ScriptInstance;
use super::lifecycle::{self, State, Then};
use super::transition::Transition;
use super::worker::Worker;
use crate::backends::Incoming;
use crate::ids::WorkerId;
use crate::reaper::{Spawned, WaitStatus};
use crate::script_output::OutputStream;
use mm_shared::control::{Failure, FromWorker, PROTOCOL};
use mm_shared::progress::ActivitySnapshot;
use mm_shared::{Activity, Event};
use std::io;
use std::time::Duration;

/// How long what a worker said before it ended is waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Which of an instance's workers an incarnation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Current,
    Beside,
    RetiringWorker(usize),
}

impl ScriptInstance {
    fn role(&self, worker_id: WorkerId) -> Option<Role> {
        let is = |worker: &Option<Worker>| worker.as_ref().is_some_and(|worker| worker.id == worker_id);
        if is(&self.current) {
            return Some(Role::Current);
        }
        if is(&self.beside) {
            return Some(Role::Beside);
        }
        self.leaving.iter().position(|leaving| leaving.worker.id == worker_id).map(Role::RetiringWorker)
    }

    /// Whether an incarnation is one of this instance's workers.
    #[must_use]
    pub fn has(&self, worker_id: WorkerId) -> bool {
        self.role(worker_id).is_some()
    }

    fn worker(&mut self, role: Role) -> Option<&mut Worker> {
        match role {
            Role::Current => self.current.as_mut(),
            Role::Beside => self.beside.as_mut(),
            Role::RetiringWorker(index) => self.leaving.get_mut(index).map(|leaving| &mut leaving.worker),
        }
    }

    /// The process of an incarnation was started, or could not be.
    pub fn spawned(&mut self, worker_id: WorkerId, outcome: io::Result<Spawned>, cx: &mut LoopContext<'_>) {
        let Some(role) = self.role(worker_id) else { return };
        let name = self.name.clone();
        let Some(worker) = self.worker(role) else { return };
        match outcome {
            Ok(Spawned { pid, pidfd, stdout, stderr }) => {
                cx.drain.add(name.clone(), worker_id, stdout, OutputStream::Stdout);
                cx.drain.add(name, worker_id, stderr, OutputStream::Stderr);
                worker.arrived(pid, pidfd);
            }
            Err(error) => {
                worker.never_arrived();
                let ending = ExitReason::NotStarted(error.to_string());
                let exit = ExitRecord::now(&ending, "");
                self.note_transition(role, &ending, &exit);
                self.last_exit = Some(exit.clone());
                cx.registry.forget(worker_id);
                self.gone(role, worker_id, &ending, &exit, cx);
                self.log_exit(role, &ending, &exit.reason, cx);
            }
        }
    }

    /// A worker has said something.
    pub fn said(&mut self, worker_id: WorkerId, message: FromWorker, cx: &mut LoopContext<'_>) {
        let Some(role) = self.role(worker_id) else {
            self.said_by_the_dead(message);
            return;
        };
        match message {
            FromWorker::Hello { protocol: PROTOCOL, .. } => {}
            FromWorker::Hello { protocol, .. } => {
                let what = format!("it speaks protocol {protocol}, this supervisor {PROTOCOL}");
                self.faulty(role, &what, cx);
            }
            FromWorker::Sources(files) => self.watch_files(files, cx),
            FromWorker::Ready => match role {
                Role::Current => self.step(lifecycle::Event::Ready, cx),
                Role::Beside => self.step(lifecycle::Event::BesideReady, cx),
                Role::RetiringWorker(_) => {}
            },
            FromWorker::Failed(failure) => {
                self.log_failure(&failure);
                if let Some(worker) = self.worker(role) {
                    worker.ending = Some(ExitReason::ImportFailed(failure.summary.clone()));
                }
                self.failure = Some(failure);
            }
            FromWorker::Channel { number, name } => {
                let possible = match role {
                    Role::Current => self.flow.values.named(number, name),
                    Role::Beside => self.beside_names.add(number, name),
                    Role::RetiringWorker(_) => true,
                };
                if !possible {
                    self.faulty(role, &format!("it names channel {number}"), cx);
                }
            }
            FromWorker::Yielded => self.yielded(role, worker_id, cx),
            FromWorker::Stopped => {
                if let Some(worker) = self.worker(role) {
                    worker.ending.get_or_insert(ExitReason::Stopped);
                }
            }
            FromWorker::Warning(_) | FromWorker::Error { .. } => self.log_message(message),
        }
    }

    /// What an incarnation had said before it ended, but was read only now.
    fn said_by_the_dead(&self, message: FromWorker) {
        match message {
            FromWorker::Failed(failure) => self.log_failure(&failure),
            message => self.log_message(message),
        }
    }

    fn log_failure(&self, failure: &Failure) {
        let Failure { module, summary, traceback } = failure;
        if traceback.trim_end().contains('\n') {
            tracing::error!(
                instance = %self.name,
                traceback = %traceback,
                "module `{module}` could not be imported: {summary}"
            );
        } else {
            tracing::error!(instance = %self.name, "module `{module}` could not be imported: {summary}");
        }
    }

    fn log_message(&self, message: FromWorker) {
        match message {
            FromWorker::Warning(text) => tracing::warn!(instance = %self.name, "{text}"),
            FromWorker::Error { place, traceback, suppressed: 0 } => {
                tracing::error!(instance = %self.name, traceback = %traceback, "exception in {place}");
            }
            FromWorker::Error { place, traceback, suppressed } => tracing::error!(
                instance = %self.name,
                traceback = %traceback,
                "exception in {place} (and {suppressed} before it that are not shown)"
            ),
            _ => {}
        }
    }

    fn yielded(&mut self, role: Role, worker_id: WorkerId, cx: &mut LoopContext<'_>) {
        match role {
            Role::RetiringWorker(_) => self.hand_over(worker_id, cx),
            Role::Current => {
                // what it has sent until now still goes out; its cleanup handler sends nothing
                self.settle(worker_id, cx);
                self.serving = false;
            }
            Role::Beside => {}
        }
    }

    /// The control channel of an incarnation has ended.
    pub fn closed(&mut self, worker_id: WorkerId, fault: Option<String>, cx: &mut LoopContext<'_>) {
        let Some(role) = self.role(worker_id) else {
            cx.registry.forget(worker_id);
            return;
        };
        if let Some(worker) = self.worker(role) {
            worker.closed = true;
        }
        if let (Role::Current, Some(patrol)) = (role, &mut self.patrol) {
            patrol.expect_end(cx.now);
        }
        if let Some(fault) = fault {
            self.faulty(role, &fault, cx);
        }
        if self.workers().any(|worker| worker.id == worker_id && worker.last_words_until.is_some()) {
            self.ended(worker_id, cx);
        }
    }

    /// The worker of an incarnation broke a rule.
    pub(super) fn broke_rule(&mut self, worker_id: WorkerId, what: &str, cx: &mut LoopContext<'_>) {
        if let Some(role) = self.role(worker_id) {
            self.faulty(role, what, cx);
        }
    }

    fn faulty(&mut self, role: Role, what: &str, cx: &mut LoopContext<'_>) {
        if role == Role::Current {
            self.violated(what, cx);
            return;
        }
        if let Some(worker) = self.worker(role) {
            worker.ending = Some(ExitReason::Violation(what.to_owned()));
            worker.kill();
        }
    }

    /// All workers of the instance.
    pub(super) fn workers(&self) -> impl Iterator<Item = &Worker> {
        let leaving = self.leaving.iter().map(|leaving| &leaving.worker);
        self.current.iter().chain(&self.beside).chain(leaving)
    }

    /// The process of an incarnation has ended.
    ///
    /// Of one that did not serve yet, the reason may still be on its way: an import that failed is told by the control
    /// channel, which another thread reads.
    pub fn exited(&mut self, worker_id: WorkerId, how: WaitStatus, cx: &mut LoopContext<'_>) {
        let Some(role) = self.role(worker_id) else { return };
        let Some(worker) = self.worker(role) else { return };
        worker.exited(how);
        if worker.attached || worker.closed || worker.ending.is_some() {
            self.ended(worker_id, cx);
        } else {
            worker.last_words_until = Some(cx.now + LAST_WORDS);
        }
    }

    /// What was to be heard of workers that have ended has been waited for long enough.
    pub(super) fn end_last_words(&mut self, cx: &mut LoopContext<'_>) {
        let over = |worker: &&Worker| worker.last_words_until.is_some_and(|at| at <= cx.now);
        let ended: Vec<WorkerId> = self.workers().filter(over).map(|worker| worker.id).collect();
        for worker_id in ended {
            self.ended(worker_id, cx);
        }
    }

    /// The process of an incarnation has ended, and all that it said is known.
    fn ended(&mut self, worker_id: WorkerId, cx: &mut LoopContext<'_>) {
        let Some(role) = self.role(worker_id) else { return };
        let in_hand = self.settle(worker_id, cx);
        let Some(worker) = self.worker(role) else { return };
        let doing = worker.end.progress.activity();
        let ending = worker.ended(cx.poller);
        let (closed, errors) = (worker.closed, worker.end.progress.errors());
        self.past_errors = self.past_errors.saturating_add(errors);
        cx.drain.remove(worker_id);
        if closed {
            cx.registry.forget(worker_id);
        }
        let place = if ending.is_self_explanatory() { String::new() } else { self.place(doing, in_hand) };
        let traceback = self.failure.take().map(|failure| failure.traceback);
        let exit = ExitRecord { worker_id: Some(worker_id), traceback, ..ExitRecord::now(&ending, &place) };
        self.note_transition(role, &ending, &exit);
        if role == Role::Current {
            self.last_exit = Some(exit.clone());
        }
        self.gone(role, worker_id, &ending, &exit, cx);
        self.log_exit(role, &ending, &exit.reason, cx);
    }

    fn note_transition(&mut self, role: Role, ending: &ExitReason, exit: &ExitRecord) {
        let (reason, traceback) = (exit.reason.clone(), exit.traceback.clone());
        let transition = match (role, self.lifecycle.state()) {
            (Role::Current, State::Stopping { then: Then::Stay, .. }) => Transition::Stopped { reason },
            (Role::Current, State::Stopping { then: Then::Start, .. }) => return,
            (Role::Current, _) => Transition::Failed { reason, traceback },
            (Role::Beside, _) if cannot_run_twice(ending) => Transition::Fallback { reason },
            (Role::Beside, _) => Transition::ReloadFailed { reason, traceback },
            (Role::RetiringWorker(_), _) => return,
        };
        self.transitions.push(transition);
    }

    /// A worker takes and sends nothing any more: what it has sent goes on, what it has not taken comes back.
    /// Returns the event that it was working on.
    pub(super) fn settle(&mut self, worker_id: WorkerId, cx: &mut LoopContext<'_>) -> Option<Event> {
        let (instance, router) = (self.no, &mut *cx.router);
        let leaving = self.leaving.iter_mut().map(|leaving| &mut leaving.worker);
        let mut workers = self.current.iter_mut().chain(leaving);
        let worker = workers.find(|worker| worker.id == worker_id && worker.attached)?;
        worker.attached = false;
        let failsafe = &mut self.failsafe;
        let route = |event: Event| {
            failsafe.sent(event.channel);
            let value = event.value.clamp(0.0, 1.0);
            router.accept(Incoming { instance, channel: event.channel, value });
        };
        if !matches!(worker.ending, Some(ExitReason::Violation(_))) {
            // the ring's length bounds it, and a record that cannot be believed ends it
            let _ = self.flow.collect(&mut worker.end, usize::MAX, route);
        }
        self.flow.take_back(&mut worker.end)
    }

    /// What a worker was doing when it ended, as far as that points to the cause.
    fn place(&self, doing: ActivitySnapshot, in_hand: Option<Event>) -> String {
        if let Some(Event { channel, value }) = in_hand {
            let name = self.flow.values.name(channel);
            return format!(" while handling `{name}` = {value} (the probable cause, not delivered again)");
        }
        match doing.activity {
            Some(Activity::Import) => " during import".into(),
            Some(Activity::Interval) => " in a callable of `interval`".into(),
            Some(Activity::Socket) => {
                format!(" in a callable of `manage`, descriptor {}", doing.subject)
            }
            Some(Activity::Cleanup) => " in the cleanup handler".into(),
            _ => String::new(),
        }
    }

    /// A worker is no more: what follows for the instance.
    fn gone(
        &mut self,
        role: Role,
        worker_id: WorkerId,
        ending: &ExitReason,
        exit: &ExitRecord,
        cx: &mut LoopContext<'_>,
    ) {
        match role {
            Role::Current => {
                self.current = None;
                self.serving = false;
                self.step(lifecycle::Event::Exited { clean: ending.is_clean() }, cx);
            }
            Role::Beside => {
                self.beside = None;
                self.step(lifecycle::Event::BesideFailed, cx);
                if cannot_run_twice(ending) {
                    let reason = &exit.reason;
                    tracing::warn!(instance = %self.name, "the script cannot run twice at once ({reason}): restarting it instead");
                    self.step(lifecycle::Event::Restart, cx);
                }
            }
            Role::RetiringWorker(_) => {
                if let Some(index) = self.leaving.iter().position(|leaving| leaving.worker.id == worker_id) {
                    let hands_over_events = self.leaving.swap_remove(index).hands_over_events;
                    if hands_over_events {
                        self.serve_with_values(cx);
                    }
                }
            }
        }
    }

    fn log_exit(&self, role: Role, ending: &ExitReason, reason: &str, cx: &LoopContext<'_>) {
        let name = &self.name;
        let next = match (role, self.lifecycle.state()) {
            (Role::RetiringWorker(_), _) => String::new(),
            // it is restarted, which was said
            (Role::Beside, _) if cannot_run_twice(ending) => String::new(),
            (Role::Beside, _) => "; the old worker goes on".to_owned(),
            (Role::Current, State::Starting { .. }) => "; restarting at once".to_owned(),
            (Role::Current, State::Backoff { until }) => {
                let wait = until.saturating_duration_since(cx.now).as_millis();
                format!("; restarting in {wait} ms")
            }
            (Role::Current, State::Failed) => "; not restarting".to_owned(),
            (Role::Current, _) => String::new(),
        };
        match (role, ending) {
            (_, ExitReason::Stopped) => tracing::info!(instance = %name, "worker stopped{next}"),
            (Role::RetiringWorker(_), _) => tracing::debug!(instance = %name, "worker exited: {reason}"),
            // its traceback is in the log already
            (Role::Beside, ExitReason::ImportFailed(_)) => {
                tracing::error!(instance = %name, "not reloaded{next}")
            }
            (_, ExitReason::ImportFailed(_)) => tracing::error!(instance = %name, "not started{next}"),
            _ => tracing::error!(instance = %name, "worker exited: {reason}{next}"),
        }
    }
}

/// Whether an import failed because the worker beside it holds something that there is only one of, such as a port.
fn cannot_run_twice(ending: &ExitReason) -> bool {
    let text = match ending {
        ExitReason::ImportFailed(summary) => summary,
        _ => return false,
    };
    // EADDRINUSE, in the words of Python and of the C library
    text.contains("[Errno 98]") || text.contains("Address already in use")
}
