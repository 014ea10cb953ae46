//! HUP: the script instances of a show that was read again. Those that did not change are not
//! touched; what changed only in how it is supervised changes in place; what changed in what runs
//! is restarted, with its values.

use super::InstanceSet;
use super::context::LoopContext;
use super::instance::ScriptInstance;
use super::supervision::lifecycle::LifeEvent;
use crate::backends::PYTHON;
use crate::ids::InstanceId;
use crate::show::LiveShow;
use crate::show::change::ShowChange;
use std::collections::HashMap;

impl InstanceSet {
    /// Applies a new show.
    pub fn apply(&mut self, show: &LiveShow, change: &ShowChange, cx: &mut LoopContext<'_>) {
        let removed: Vec<InstanceId> = change.removed().collect();
        let (gone, kept) = std::mem::take(&mut self.instances)
            .into_iter()
            .partition::<Vec<_>, _>(|instance| removed.contains(&instance.id()));
        for mut instance in gone {
            tracing::info!(event = "instance_removed", instance = %instance.name(), "no longer in the show");
            cx.script_watch.unwatch(instance.name());
            instance.command(LifeEvent::Stop, cx);
            self.removed.push(instance);
        }
        self.removed.retain(|instance| !instance.is_gone());
        let mut kept: HashMap<InstanceId, ScriptInstance> =
            kept.into_iter().map(|instance| (instance.id(), instance)).collect();
        for live in show.instances_of(PYTHON) {
            let instance = match kept.remove(&live.id) {
                Some(mut instance) => {
                    instance.apply(show, live, change, cx);
                    instance
                }
                None => {
                    let mut instance = ScriptInstance::new(show, live);
                    instance.command(LifeEvent::Start, cx);
                    instance
                }
            };
            self.instances.push(instance);
        }
        self.build_index(show);
    }
}
