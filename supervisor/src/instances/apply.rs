//! HUP: the Python instances of a show that was read again. Those that did not change are not touched; what changed only
//! in how it is supervised changes in place; what changed in what runs is restarted, with its values.

use super::InstanceSet;
use super::context::LoopContext;
use super::failsafe::Failsafe;
use super::health::HealthMonitor;
use super::instance::{ScriptInstance, limits, policy};
use super::lifecycle::{self, State};
use super::worker_spec::WorkerSpec;
use crate::backends::{Numbered, numbered};
use crate::show_reload::change::ShowChange;
use mm_config::{Kind, PythonOptions, Show};

impl InstanceSet {
    /// Becomes the fleet of `show`.
    pub fn apply(&mut self, show: &Show, diff: &ShowChange, cx: &mut LoopContext<'_>) {
        cx.registry.renumber(|no| diff.now(no));
        let mut before: Vec<Option<ScriptInstance>> = Vec::new();
        before.resize_with(show.instances.len(), || None);
        for mut instance in std::mem::take(&mut self.instances) {
            if let Some(no) = diff.now(instance.no) {
                instance.no = no;
                before[no.0] = Some(instance);
            } else {
                tracing::info!(instance = %instance.name, "no longer in the show");
                cx.watch.unwatch(&instance.name);
                instance.step(lifecycle::Event::Stop, cx);
                self.removed.push(instance);
            }
        }
        self.removed.retain(|instance| !instance.is_gone());
        self.index = vec![None; show.instances.len()];
        for numbered in numbered(show, Kind::Python) {
            self.index[numbered.no.0] = Some(self.instances.len());
            let instance = match before[numbered.no.0].take() {
                Some(mut instance) => {
                    instance.update(show, numbered, cx);
                    instance
                }
                None => {
                    let mut instance = ScriptInstance::new(show, numbered);
                    instance.step(lifecycle::Event::Start, cx);
                    instance
                }
            };
            self.instances.push(instance);
        }
    }
}

impl ScriptInstance {
    /// Takes over what the show says of it now.
    fn update(&mut self, show: &Show, numbered: Numbered<'_>, cx: &mut LoopContext<'_>) {
        let options = PythonOptions::of(show, numbered.instance);
        self.policy = policy(&options);
        self.flow.set_limit(options.queue);
        self.failsafe.update(Failsafe::new(show, numbered.no.0, &options));
        if self.limits != limits(&options) {
            self.limits = limits(&options);
            self.patrol = Some(HealthMonitor::new(self.limits, cx.now));
        }
        let recipe = WorkerSpec::new(show, &numbered.instance.name, &options);
        let names: Vec<String> =
            numbered.instance.channels.iter().map(|channel| channel.name.clone()).collect();
        let same_names = match &self.next_names {
            Some(next) => *next == names,
            None => names.iter().map(String::as_str).eq(self.flow.values.mapped_names()),
        };
        if recipe == self.recipe && same_names {
            return;
        }
        if recipe.watched_files().is_none() {
            cx.watch.unwatch(&self.name);
        }
        self.recipe = recipe;
        self.next_names = Some(names);
        // the worker knows other channels than those that events are for from now on
        self.serving = false;
        match self.lifecycle.state() {
            State::Stopped => self.take_next_names(),
            _ => {
                tracing::info!(instance = %self.name, "changed in the show, restarting");
                self.step(lifecycle::Event::Restart, cx);
            }
        }
    }

    /// No worker is left that knows the channels as they were.
    pub(super) fn take_next_names(&mut self) {
        if let Some(names) = self.next_names.take() {
            self.flow.values.rename(names);
        }
    }
}
