//! HUP: a show file that was read again says something else of an instance.
//!
//! What it says of how workers are supervised applies at once. What it says of what they run, or of
//! their channels, applies with a reload: the worker that serves goes on with what it was started
//! with, channel numbers included, until one that was started with the new specification takes over.
//! Until then events are translated to its numbers and back
//! ([`crate::instances::data_plane`]), and those of channels that it does not know wait. If the new script cannot be imported, the
//! old worker stays, and a crash of it is followed by one that runs what it ran.

use super::{ScriptInstance, limits, policy};
use crate::ids::WorkerId;
use crate::instances::context::LoopContext;
use crate::instances::data_plane::failsafe::Failsafe;
use crate::instances::options::PythonOptions;
use crate::instances::supervision::lifecycle::{AfterExit, LifeEvent, LifeState};
use crate::instances::worker_spec::{Specification, WorkerSpec};
use crate::show::change::ShowChange;
use crate::show::{LiveInstance, LiveShow};

/// What a new show file says of the workers of an instance, while none serves with it.
#[derive(Debug)]
pub struct NextSpec {
    /// What it says.
    pub specification: Specification,
    /// Why a worker could not be started with it, unless a user has asked for another one since.
    pub failure: Option<String>,
}

impl ScriptInstance {
    /// Applies what a new show file says about it.
    pub fn apply(
        &mut self,
        show: &LiveShow,
        live: LiveInstance<'_>,
        change: &ShowChange,
        cx: &mut LoopContext<'_>,
    ) {
        let options = PythonOptions::of(show, live.instance);
        self.supervision.apply(policy(&options), limits(&options), cx.now);
        self.apply_memory_limit(options.memory_limit, cx);
        self.reload_rule = options.reload;
        let names = live.instance.channels.iter().map(|channel| channel.name.as_str());
        let failsafe = Failsafe::new(show, live.place, &options);
        self.data.apply(options.queue, failsafe, names.clone(), change.renumbering(live.id));
        let spec = WorkerSpec::new(show, live, &options);
        let same_names = match &self.next {
            Some(next) => names.clone().eq(next.specification.names.iter().map(String::as_str)),
            None => names.clone().eq(self.data.values().mapped_names()),
        };
        if spec == *self.wanted_spec() && same_names {
            self.follow_up(cx);
            return;
        }
        if spec.watched_files().is_none() {
            cx.script_watch.unwatch(&self.name);
        }
        let names = names.map(str::to_owned).collect();
        let generation = self.last_generation() + 1;
        let specification = Specification { spec, names, generation };
        self.next = Some(NextSpec { specification, failure: None });
        match self.supervision.state() {
            LifeState::Stopped => {
                // No worker knows the channels as they were.
                self.take_next();
                self.follow_up(cx);
            }
            LifeState::Stopping { after: AfterExit::StayStopped } => self.follow_up(cx),
            _ => {
                tracing::info!(event = "instance_changed", instance = %self.name, "changed in the show, reloading");
                self.command(LifeEvent::Reload, cx);
            }
        }
    }

    /// What the show says of its workers.
    pub(super) fn wanted_spec(&self) -> &WorkerSpec {
        self.next.as_ref().map_or(&self.spec, |next| &next.specification.spec)
    }

    /// What the next worker is started with, if that is not what the last one had.
    pub(super) fn usable_next(&self) -> Option<&Specification> {
        let next = self.next.as_ref().filter(|next| next.failure.is_none())?;
        Some(&next.specification)
    }

    /// Why the instance does not run what the show says, for `status`.
    pub(super) fn failed_next(&self) -> Option<&str> {
        self.next.as_ref()?.failure.as_deref()
    }

    fn last_generation(&self) -> u64 {
        self.next.as_ref().map_or(self.generation, |next| next.specification.generation)
    }

    /// What the show says of its workers is what they run from now on.
    fn take_next(&mut self) {
        if let Some(next) = self.next.take() {
            self.take_specification(next.specification);
        }
    }

    /// A worker is about to serve: the channels are those that it was started with.
    pub(super) fn take_specification_of(&mut self, id: WorkerId) {
        let member = self.supervision.workers_mut().get_mut(id);
        if let Some(specification) = member.and_then(|member| member.worker.take_specification()) {
            self.next.take_if(|next| next.specification.generation == specification.generation);
            self.take_specification(specification);
        }
    }

    fn take_specification(&mut self, Specification { spec, names, generation }: Specification) {
        self.generation = generation;
        if spec != self.spec {
            self.versions.forget();
        }
        self.spec = spec;
        // A later show file may have others.
        let show = self.next.as_ref().map_or_else(|| names.clone(), |next| next.specification.names.clone());
        self.data.rename(names, show.iter().map(String::as_str));
        self.versions.renumber();
    }

    /// A user, or a changed file, asks for another worker, which may be started with it.
    pub(super) fn forget_failed_next(&mut self) {
        if let Some(next) = &mut self.next {
            next.failure = None;
        }
    }

    /// A worker that was to run what a new show file says could not be started.
    pub(super) fn note_failed_next(&mut self, id: WorkerId, reason: &str) {
        let member = self.supervision.workers().get(id);
        let Some(generation) = member.and_then(|member| member.worker.generation()) else { return };
        if let Some(next) = self.next.as_mut().filter(|next| next.specification.generation == generation) {
            next.failure = Some(reason.to_owned());
        }
    }
}
