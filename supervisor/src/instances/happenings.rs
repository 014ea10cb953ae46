//! What happens to the workers of an instance: they start, say something, and end.

use super::ending::{Ending, Exit};
use super::incarnation::Incarnation;
use super::instance::PythonInstance;
use super::lifecycle::{self, State, Then};
use super::milestone::Milestone;
use super::surroundings::Surroundings;
use crate::backends::Incoming;
use crate::nursery::{How, Spawned};
use crate::stdio::Stream;
use mm_shared::control::{Failure, FromWorker, PROTOCOL};
use mm_shared::progress::Doing;
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
    Leaving(usize),
}

impl PythonInstance {
    fn role(&self, incarnation: u64) -> Option<Role> {
        let is =
            |worker: &Option<Incarnation>| worker.as_ref().is_some_and(|worker| worker.id == incarnation);
        if is(&self.current) {
            return Some(Role::Current);
        }
        if is(&self.beside) {
            return Some(Role::Beside);
        }
        self.leaving.iter().position(|leaving| leaving.worker.id == incarnation).map(Role::Leaving)
    }

    /// Whether an incarnation is one of this instance's workers.
    #[must_use]
    pub fn has(&self, incarnation: u64) -> bool {
        self.role(incarnation).is_some()
    }

    fn worker(&mut self, role: Role) -> Option<&mut Incarnation> {
        match role {
            Role::Current => self.current.as_mut(),
            Role::Beside => self.beside.as_mut(),
            Role::Leaving(index) => self.leaving.get_mut(index).map(|leaving| &mut leaving.worker),
        }
    }

    /// The process of an incarnation was started, or could not be.
    pub fn spawned(
        &mut self,
        incarnation: u64,
        outcome: io::Result<Spawned>,
        surroundings: &mut Surroundings<'_>,
    ) {
        let Some(role) = self.role(incarnation) else { return };
        let name = self.name.clone();
        let Some(worker) = self.worker(role) else { return };
        match outcome {
            Ok(Spawned { pid, pidfd, stdout, stderr }) => {
                surroundings.drain.adopt(name.clone(), incarnation, stdout, Stream::Stdout);
                surroundings.drain.adopt(name, incarnation, stderr, Stream::Stderr);
                worker.arrived(pid, pidfd);
            }
            Err(error) => {
                worker.never_arrived();
                let ending = Ending::NotStarted(error.to_string());
                let exit = Exit::now(&ending, "");
                self.note_milestone(role, &ending, &exit);
                self.last_exit = Some(exit.clone());
                surroundings.registry.forget(incarnation);
                self.gone(role, incarnation, &ending, &exit, surroundings);
                self.log_exit(role, &ending, &exit.reason, surroundings);
            }
        }
    }

    /// A worker has said something.
    pub fn said(&mut self, incarnation: u64, message: FromWorker, surroundings: &mut Surroundings<'_>) {
        let Some(role) = self.role(incarnation) else {
            self.said_by_the_dead(message);
            return;
        };
        match message {
            FromWorker::Hello { protocol: PROTOCOL, .. } => {}
            FromWorker::Hello { protocol, .. } => {
                let what = format!("it speaks protocol {protocol}, this supervisor {PROTOCOL}");
                self.faulty(role, &what, surroundings);
            }
            FromWorker::Sources(files) => self.watch_files(files, surroundings),
            FromWorker::Ready => match role {
                Role::Current => self.step(lifecycle::Event::Ready, surroundings),
                Role::Beside => self.step(lifecycle::Event::BesideReady, surroundings),
                Role::Leaving(_) => {}
            },
            FromWorker::Failed(failure) => {
                self.log_failure(&failure);
                if let Some(worker) = self.worker(role) {
                    worker.ending = Some(Ending::ImportFailed(failure.summary.clone()));
                }
                self.failure = Some(failure);
            }
            FromWorker::Channel { number, name } => {
                let possible = match role {
                    Role::Current => self.flow.values.named(number, name),
                    Role::Beside => self.beside_names.add(number, name),
                    Role::Leaving(_) => true,
                };
                if !possible {
                    self.faulty(role, &format!("it names channel {number}"), surroundings);
                }
            }
            FromWorker::Yielded => self.yielded(role, incarnation, surroundings),
            FromWorker::Stopped => {
                if let Some(worker) = self.worker(role) {
                    worker.ending.get_or_insert(Ending::Stopped);
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

    fn yielded(&mut self, role: Role, incarnation: u64, surroundings: &mut Surroundings<'_>) {
        match role {
            Role::Leaving(_) => self.hand_over(incarnation, surroundings),
            Role::Current => {
                // what it has sent until now still goes out; its cleanup handler sends nothing
                self.settle(incarnation, surroundings);
                self.serving = false;
            }
            Role::Beside => {}
        }
    }

    /// The control channel of an incarnation has ended.
    pub fn closed(&mut self, incarnation: u64, fault: Option<String>, surroundings: &mut Surroundings<'_>) {
        let Some(role) = self.role(incarnation) else {
            surroundings.registry.forget(incarnation);
            return;
        };
        if let Some(worker) = self.worker(role) {
            worker.closed = true;
        }
        if let (Role::Current, Some(patrol)) = (role, &mut self.patrol) {
            patrol.expect_end(surroundings.now);
        }
        if let Some(fault) = fault {
            self.faulty(role, &fault, surroundings);
        }
        if self.workers().any(|worker| worker.id == incarnation && worker.last_words_until.is_some()) {
            self.ended(incarnation, surroundings);
        }
    }

    /// The worker of an incarnation broke a rule.
    pub(super) fn broke_rule(&mut self, incarnation: u64, what: &str, surroundings: &mut Surroundings<'_>) {
        if let Some(role) = self.role(incarnation) {
            self.faulty(role, what, surroundings);
        }
    }

    fn faulty(&mut self, role: Role, what: &str, surroundings: &mut Surroundings<'_>) {
        if role == Role::Current {
            self.violated(what, surroundings);
            return;
        }
        if let Some(worker) = self.worker(role) {
            worker.ending = Some(Ending::Violation(what.to_owned()));
            worker.kill();
        }
    }

    /// All workers of the instance.
    pub(super) fn workers(&self) -> impl Iterator<Item = &Incarnation> {
        let leaving = self.leaving.iter().map(|leaving| &leaving.worker);
        self.current.iter().chain(&self.beside).chain(leaving)
    }

    /// The process of an incarnation has ended.
    ///
    /// Of one that did not serve yet, the reason may still be on its way: an import that failed is told by the control
    /// channel, which another thread reads.
    pub fn exited(&mut self, incarnation: u64, how: How, surroundings: &mut Surroundings<'_>) {
        let Some(role) = self.role(incarnation) else { return };
        let Some(worker) = self.worker(role) else { return };
        worker.exited(how);
        if worker.attached || worker.closed || worker.ending.is_some() {
            self.ended(incarnation, surroundings);
        } else {
            worker.last_words_until = Some(surroundings.now + LAST_WORDS);
        }
    }

    /// What was to be heard of workers that have ended has been waited for long enough.
    pub(super) fn end_last_words(&mut self, surroundings: &mut Surroundings<'_>) {
        let over = |worker: &&Incarnation| worker.last_words_until.is_some_and(|at| at <= surroundings.now);
        let ended: Vec<u64> = self.workers().filter(over).map(|worker| worker.id).collect();
        for incarnation in ended {
            self.ended(incarnation, surroundings);
        }
    }

    /// The process of an incarnation has ended, and all that it said is known.
    fn ended(&mut self, incarnation: u64, surroundings: &mut Surroundings<'_>) {
        let Some(role) = self.role(incarnation) else { return };
        let in_hand = self.settle(incarnation, surroundings);
        let Some(worker) = self.worker(role) else { return };
        let doing = worker.end.progress.doing();
        let ending = worker.ended(surroundings.poller);
        let (closed, errors) = (worker.closed, worker.end.progress.errors());
        self.past_errors = self.past_errors.saturating_add(errors);
        surroundings.drain.retire(incarnation);
        if closed {
            surroundings.registry.forget(incarnation);
        }
        let place = if ending.is_told() { String::new() } else { self.place(doing, in_hand) };
        let traceback = self.failure.take().map(|failure| failure.traceback);
        let exit = Exit { incarnation: Some(incarnation), traceback, ..Exit::now(&ending, &place) };
        self.note_milestone(role, &ending, &exit);
        if role == Role::Current {
            self.last_exit = Some(exit.clone());
        }
        self.gone(role, incarnation, &ending, &exit, surroundings);
        self.log_exit(role, &ending, &exit.reason, surroundings);
    }

    fn note_milestone(&mut self, role: Role, ending: &Ending, exit: &Exit) {
        let (reason, traceback) = (exit.reason.clone(), exit.traceback.clone());
        let milestone = match (role, self.lifecycle.state()) {
            (Role::Current, State::Stopping { then: Then::Stay, .. }) => Milestone::Stopped { reason },
            (Role::Current, State::Stopping { then: Then::Start, .. }) => return,
            (Role::Current, _) => Milestone::Failed { reason, traceback },
            (Role::Beside, _) if cannot_run_twice(ending) => Milestone::Fallback { reason },
            (Role::Beside, _) => Milestone::ReloadFailed { reason, traceback },
            (Role::Leaving(_), _) => return,
        };
        self.milestones.push(milestone);
    }

    /// A worker takes and sends nothing any more: what it has sent goes on, what it has not taken comes back.
    /// Returns the event that it was working on.
    pub(super) fn settle(&mut self, incarnation: u64, surroundings: &mut Surroundings<'_>) -> Option<Event> {
        let (instance, router) = (self.no, &mut *surroundings.router);
        let leaving = self.leaving.iter_mut().map(|leaving| &mut leaving.worker);
        let mut workers = self.current.iter_mut().chain(leaving);
        let worker = workers.find(|worker| worker.id == incarnation && worker.attached)?;
        worker.attached = false;
        let failsafe = &mut self.failsafe;
        let route = |event: Event| {
            failsafe.sent(event.channel);
            let value = event.value.clamp(0.0, 1.0);
            router.accept(Incoming { instance, channel: event.channel, value });
        };
        if !matches!(worker.ending, Some(Ending::Violation(_))) {
            // the ring's length bounds it, and a record that cannot be believed ends it
            let _ = self.flow.collect(&mut worker.end, usize::MAX, route);
        }
        self.flow.take_back(&mut worker.end)
    }

    /// What a worker was doing when it ended, as far as that points to the cause.
    fn place(&self, doing: Doing, in_hand: Option<Event>) -> String {
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
        incarnation: u64,
        ending: &Ending,
        exit: &Exit,
        surroundings: &mut Surroundings<'_>,
    ) {
        match role {
            Role::Current => {
                self.current = None;
                self.serving = false;
                self.step(lifecycle::Event::Exited { clean: ending.is_clean() }, surroundings);
            }
            Role::Beside => {
                self.beside = None;
                self.step(lifecycle::Event::BesideFailed, surroundings);
                if cannot_run_twice(ending) {
                    let reason = &exit.reason;
                    tracing::warn!(instance = %self.name, "the script cannot run twice at once ({reason}): restarting it instead");
                    self.step(lifecycle::Event::Restart, surroundings);
                }
            }
            Role::Leaving(_) => {
                if let Some(index) = self.leaving.iter().position(|leaving| leaving.worker.id == incarnation)
                {
                    let hands_over = self.leaving.swap_remove(index).hands_over;
                    if hands_over {
                        self.serve_with_values(surroundings);
                    }
                }
            }
        }
    }

    fn log_exit(&self, role: Role, ending: &Ending, reason: &str, surroundings: &Surroundings<'_>) {
        let name = &self.name;
        let next = match (role, self.lifecycle.state()) {
            (Role::Leaving(_), _) => String::new(),
            // it is restarted, which was said
            (Role::Beside, _) if cannot_run_twice(ending) => String::new(),
            (Role::Beside, _) => "; the old worker goes on".to_owned(),
            (Role::Current, State::Starting { .. }) => "; restarting at once".to_owned(),
            (Role::Current, State::Backoff { until }) => {
                let wait = until.saturating_duration_since(surroundings.now).as_millis();
                format!("; restarting in {wait} ms")
            }
            (Role::Current, State::Failed) => "; not restarting".to_owned(),
            (Role::Current, _) => String::new(),
        };
        match (role, ending) {
            (_, Ending::Stopped) => tracing::info!(instance = %name, "worker stopped{next}"),
            (Role::Leaving(_), _) => tracing::debug!(instance = %name, "worker exited: {reason}"),
            // its traceback is in the log already
            (Role::Beside, Ending::ImportFailed(_)) => {
                tracing::error!(instance = %name, "not reloaded{next}")
            }
            (_, Ending::ImportFailed(_)) => tracing::error!(instance = %name, "not started{next}"),
            _ => tracing::error!(instance = %name, "worker exited: {reason}{next}"),
        }
    }
}

/// Whether an import failed because the worker beside it holds something that there is only one of, such as a port.
fn cannot_run_twice(ending: &Ending) -> bool {
    let text = match ending {
        Ending::ImportFailed(summary) => summary,
        _ => return false,
    };
    // EADDRINUSE, in the words of Python and of the C library
    text.contains("[Errno 98]") || text.contains("Address already in use")
}
