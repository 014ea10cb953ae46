//! One Python instance: its life, its events, and the worker processes that it has at the moment.
//!
//! At most one worker serves. Beside it there may be its successor during a reload, and workers that are ending.

use super::context::LoopContext;
use super::exit::{ExitReason, ExitRecord};
use super::failsafe::Failsafe;
use super::flow::Flow;
use super::health::{HealthMonitor, Limits};
use super::lifecycle::{self, Action, Context, Lifecycle, Policy, State};
use super::retiring::RetiringWorker;
use super::transition::Transition;
use super::values::{Names, Values};
use super::worker::Worker;
use super::worker_spec::WorkerSpec;
use crate::ids::InstanceId;
use crate::instances::options::PythonOptions;
use crate::poller::{Interest, Wake};
use crate::show::{LiveInstance, LiveShow};
use mm_shared::control::{ChannelBoot, Failure, ToWorker};
use mm_shared::wakeup::{Spinner, WakeupMode};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One Python instance.
pub struct ScriptInstance {
    /// Its number in the show.
    pub no: InstanceId,
    /// Its name in the show.
    pub name: String,
    pub(super) flow: Flow,
    pub(super) lifecycle: Lifecycle,
    /// The worker that serves, or will.
    pub(super) current: Option<Worker>,
    /// Whether `current` was told to serve and takes events.
    pub(super) serving: bool,
    /// The successor during a reload.
    pub(super) beside: Option<Worker>,
    pub(super) beside_names: Names,
    /// Workers that are ending, apart from `current`.
    pub(super) leaving: Vec<RetiringWorker>,
    pub(super) starts: u64,
    pub(super) started_at: Option<Instant>,
    pub(super) serving_since: Option<Instant>,
    /// How often the worker had changed what it does when it was told to serve.
    pub(super) told_to_serve_at: Option<u64>,
    /// Errors of the script that were counted by workers that have ended.
    pub(super) past_errors: u64,
    pub(super) last_exit: Option<ExitRecord>,
    /// The failure of the import that is under way, or was last.
    pub(super) failure: Option<Failure>,
    /// What has been reached since the loop last asked.
    pub(super) transitions: Vec<Transition>,
    pub(super) patrol: Option<HealthMonitor>,
    pub(super) failsafe: Failsafe,
    pub(super) spinner: Spinner,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    pub(super) recipe: WorkerSpec,
    /// The channels of the show that the next worker is to know, if they are others.
    pub(super) next_names: Option<Vec<String>>,
}

impl ScriptInstance {
    /// An instance as the show file has it; nothing is started yet.
    #[must_use]
    pub fn new(show: &LiveShow, live: LiveInstance<'_>) -> Self {
        let options = PythonOptions::of(show, live.instance);
        let names = live.instance.channels.iter().map(|channel| channel.name.clone());
        Self {
            no: live.id,
            name: live.instance.name.clone(),
            flow: Flow::new(Values::new(names), options.queue),
            lifecycle: Lifecycle::default(),
            current: None,
            serving: false,
            beside: None,
            beside_names: Names::default(),
            leaving: Vec::new(),
            starts: 0,
            started_at: None,
            serving_since: None,
            told_to_serve_at: None,
            past_errors: 0,
            last_exit: None,
            failure: None,
            transitions: Vec::new(),
            patrol: None,
            spinner: Spinner::new(WakeupMode::of_process()),
            failsafe: Failsafe::new(show, live.place, &options),
            policy: policy(&options),
            limits: limits(&options),
            recipe: WorkerSpec::new(show, &live.instance.name, &options),
            next_names: None,
        }
    }

    /// When [`ScriptInstance::tick`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.iter().filter_map(|leaving| leaving.deadline());
        let last_words = self.workers().filter_map(|worker| worker.last_words_until);
        self.lifecycle
            .deadline()
            .into_iter()
            .chain(leaving)
            .chain(self.patrol_deadline())
            .chain(self.failsafe.deadline())
            .chain(last_words)
            .min()
    }

    /// Some time has passed.
    pub fn tick(&mut self, cx: &mut LoopContext<'_>) {
        self.leaving.iter_mut().for_each(|leaving| leaving.tick(cx.now));
        self.end_last_words(cx);
        self.patrol(cx);
        self.apply_failsafe(cx);
        self.step(lifecycle::Event::Tick, cx);
    }

    /// Takes an event into the life of the instance, and does what follows from it.
    pub fn step(&mut self, event: lifecycle::Event, cx: &mut LoopContext<'_>) {
        let mut actions = VecDeque::from(self.lifecycle_step(event, cx));
        while let Some(action) = actions.pop_front() {
            if let Some(event) = self.perform(action, cx) {
                actions.extend(self.lifecycle_step(event, cx));
            }
        }
        if !self.serving {
            self.failsafe.ceased(cx.now);
        }
        match self.lifecycle.state() {
            State::Stopped | State::Failed => self.flow.keep_latest_only(),
            _ => self.flow.keep_order(),
        }
    }

    fn lifecycle_step(&mut self, event: lifecycle::Event, cx: &mut LoopContext<'_>) -> Vec<Action> {
        let context = Context { now: cx.now, jitter: cx.jitter(), policy: &self.policy };
        self.lifecycle.step(event, context)
    }

    /// Does what the life of the instance asks for; what comes of it at once is returned.
    fn perform(&mut self, action: Action, cx: &mut LoopContext<'_>) -> Option<lifecycle::Event> {
        match action {
            Action::Spawn => return self.spawn(cx),
            Action::Serve => self.serve(Vec::new(), cx),
            Action::Ask => self.with_current(|worker| worker.send(ToWorker::Stop)),
            Action::Terminate => self.with_current(|worker| worker.terminate()),
            Action::Kill => self.with_current(Worker::kill),
            Action::NameStopTimeout => {
                tracing::warn!(instance = %self.name, "not stopped within `stop-timeout`, TERM follows its stacks");
            }
            Action::Stacks => self.with_current(|worker| worker.ask_for_stacks()),
            Action::NameStartTimeout => {
                tracing::error!(instance = %self.name, "the modules were not imported within `start-timeout`");
                self.with_current(|worker| worker.ending = Some(ExitReason::StartTimeout));
            }
            Action::SpawnBeside => return self.spawn_beside(cx),
            Action::Swap => self.swap(cx),
            Action::Promote => {
                self.current = self.beside.take();
                self.serving = false;
            }
            Action::NameBesideTimeout => self.beside_timed_out(cx.now),
            Action::DropBeside => self.drop_beside(),
            Action::GiveUp => {
                tracing::error!(instance = %self.name, "restarted more often than `max-restarts` allows, giving up");
            }
        }
        None
    }

    /// Whether it has no worker left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.current.is_none() && self.beside.is_none() && self.leaving.is_empty()
    }

    /// Whether the spare worker can become one of this instance.
    #[must_use]
    pub fn fits_spare(&self) -> bool {
        self.recipe.fits_spare()
    }

    /// Whether its first start has come to an end, good or bad.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.starts > 1 || !matches!(self.lifecycle.state(), State::Starting { .. })
    }

    /// Ends at once all workers but the one that serves.
    pub fn kill_leaving(&mut self) {
        self.drop_beside();
        self.leaving.iter_mut().for_each(RetiringWorker::kill);
    }

    pub(super) fn stop_timeout(&self) -> Duration {
        self.policy.stop_timeout
    }

    fn with_current(&mut self, act: impl FnOnce(&mut Worker)) {
        if let Some(worker) = &mut self.current {
            act(worker);
        }
    }

    fn spawn(&mut self, cx: &mut LoopContext<'_>) -> Option<lifecycle::Event> {
        self.starts += 1;
        self.started_at = Some(cx.now);
        self.serving = false;
        self.take_next_names();
        match self.incarnate(cx) {
            Ok(worker) => {
                self.current = Some(worker);
                None
            }
            Err(error) => {
                self.not_started(&error);
                Some(lifecycle::Event::SpawnFailed)
            }
        }
    }

    fn not_started(&mut self, error: &str) {
        tracing::error!(instance = %self.name, "the worker could not be started: {error}");
        let exit = ExitRecord::now(&ExitReason::NotStarted(error.to_owned()), "");
        self.transitions.push(Transition::Failed { reason: exit.reason.clone(), traceback: None });
        self.last_exit = Some(exit);
    }

    /// Has the files of the script watched, if the show asks for it; `more` are files that an import has told of.
    pub(super) fn watch_files(&self, more: Vec<PathBuf>, cx: &mut LoopContext<'_>) {
        let Some(mut files) = self.recipe.watched_files() else { return };
        files.extend(more);
        cx.watch.watch(&self.name, files);
    }

    /// Makes a worker of this instance: of the spare if it can be, else a new one.
    pub(super) fn incarnate(&mut self, cx: &mut LoopContext<'_>) -> Result<Worker, String> {
        self.watch_files(Vec::new(), cx);
        let (recipe, values) = (&self.recipe, &mut self.flow.values);
        if recipe.fits_spare()
            && let Some(mut worker) = cx.take_spare(self.no, &self.name)
        {
            return recipe.boot(&mut worker, values).map(|()| worker);
        }
        let id = cx.next_worker_id(self.no);
        let begun = recipe.begin(cx.tools, id, values);
        if begun.is_err() {
            cx.registry.forget(id);
        }
        begun
    }

    /// Lets the worker serve; it is ready. `changed` are the channels whose values are no longer those of its boot.
    pub(super) fn serve(&mut self, changed: Vec<ChannelBoot>, cx: &mut LoopContext<'_>) {
        let Some(worker) = &mut self.current else { return };
        let bell = &worker.end.bell_from_worker;
        if let Err(error) = cx.poller.watch(bell, Interest::ReadEdge, Wake::Bell(worker.id)) {
            self.violated(&format!("its doorbell cannot be watched: {error}"), cx);
            return;
        }
        self.told_to_serve_at = Some(worker.end.progress.activity().generation);
        worker.send(ToWorker::Serve(changed));
        worker.attached = true;
        self.serving = true;
        self.failsafe.resumed(cx.now);
        self.patrol = Some(HealthMonitor::new(self.limits, cx.now));
        cx.registry.hot.push(self.no);
        let took = self.started_at.map_or(0, |at| cx.now.duration_since(at).as_millis());
        let pid = worker.pid().map_or(0, |pid| pid.as_raw());
        tracing::info!(event = "worker_ready", instance = %self.name, pid, "ready after {took} ms");
        self.serving_since = Some(cx.now);
        self.transitions.push(Transition::Serves { pid, took });
    }
}

pub(super) fn limits(options: &PythonOptions) -> Limits {
    Limits { watchdog: options.watchdog, memory: options.memory_limit }
}

pub(super) fn policy(options: &PythonOptions) -> Policy {
    Policy {
        restart: options.restart,
        backoff: options.backoff,
        backoff_max: options.backoff_max,
        stable: options.stable,
        max_restarts: options.max_restarts,
        start_timeout: options.start_timeout,
        stop_timeout: options.stop_timeout,
    }
}
