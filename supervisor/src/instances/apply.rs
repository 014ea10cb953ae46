//! HUP: the Python instances of a show that was read again. Those that did not change are not touched; what changed only
//! in how it is supervised changes in place; what changed in what runs is restarted, with its values.

use super::InstanceSet;
use super::context::LoopContext;
use super::failsafe::Failsafe;
use super::health::HealthMonitor;
use super::instance::{ScriptInstance, limits, policy};
use super::lifecycle::{self, State};
use super::worker_spec::WorkerSpec;
use crate::backends::PYTHON;
use crate::ids::InstanceId;
use crate::instances::options::PythonOptions;
use crate::show::change::ShowChange;
use crate::show::{LiveInstance, LiveShow};
use std::collections::HashMap;

impl InstanceSet {
    /// Applies a new show.
    pub fn apply(&mut self, show: &LiveShow, change: &ShowChange, cx: &mut LoopContext<'_>) {
        let removed: Vec<InstanceId> = change.removed().collect();
        let (gone, kept) = std::mem::take(&mut self.instances)
            .into_iter()
            .partition::<Vec<_>, _>(|instance| removed.contains(&instance.no));
        for mut instance in gone {
            tracing::info!(instance = %instance.name, "no longer in the show");
            cx.watch.unwatch(&instance.name);
            instance.step(lifecycle::Event::Stop, cx);
            self.removed.push(instance);
        }
        self.removed.retain(|instance| !instance.is_gone());
        let mut kept: HashMap<InstanceId, ScriptInstance> =
            kept.into_iter().map(|instance| (instance.no, instance)).collect();
        for live in show.instances_of(PYTHON) {
            let instance = match kept.remove(&live.id) {
                Some(mut instance) => {
                    instance.update(show, live, cx);
                    instance
                }
                None => {
                    let mut instance = ScriptInstance::new(show, live);
                    instance.step(lifecycle::Event::Start, cx);
                    instance
                }
            };
            self.instances.push(instance);
        }
        self.build_index(show);
    }
}

impl ScriptInstance {
    /// Takes over what the show says of it now.
    fn update(&mut self, show: &LiveShow, live: LiveInstance<'_>, cx: &mut LoopContext<'_>) {
        let options = PythonOptions::of(show, live.instance);
        self.policy = policy(&options);
        self.flow.set_limit(options.queue);
        self.failsafe.update(Failsafe::new(show, live.place, &options));
        if self.limits != limits(&options) {
            self.limits = limits(&options);
            self.patrol = Some(HealthMonitor::new(self.limits, cx.now));
        }
        let recipe = WorkerSpec::new(show, &live.instance.name, &options);
        let names: Vec<String> = live.instance.channels.iter().map(|channel| channel.name.clone()).collect();
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
