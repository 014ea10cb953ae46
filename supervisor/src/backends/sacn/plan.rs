//! What the show file asks of the backend, checked. All instances share one plan, because they share
//! sockets.

use super::backend::SacnBackend;
use super::cid::OwnCid;
use super::options::{self, SPEC, SacnBackendOptions, SacnDetect, SacnInstanceOptions};
use crate::backends::dmx::SlotMap;
use crate::backends::dmx::net::BindSpec;
use crate::backends::{Backend, OpenError, Plan, PlanKey};
use crate::ids::InstanceId;
use crate::show::{LiveInstance, LiveShow};
use mm_config::{Diagnostics, Instance, Section, SupervisorOptions};
use std::any::Any;
use std::time::Instant;

/// All instances of the show.
#[derive(Debug, Clone, PartialEq)]
pub struct SacnPlan {
    pub binds: Vec<BindSpec>,
    /// The name of this source.
    pub name: String,
    pub cid: OwnCid,
    pub detect: SacnDetect,
    pub instances: Vec<SacnInstance>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct SacnInstance {
    pub id: InstanceId,
    pub name: String,
    pub options: SacnInstanceOptions,
    pub slots: SlotMap,
    /// Whether a mapping leads away from it, so that its universe is received.
    pub receives: bool,
}

impl SacnInstance {
    /// The bind that it uses.
    pub fn bind<'a>(&self, plan: &'a SacnPlan) -> Option<&'a BindSpec> {
        plan.binds.get(self.options.interface.0)
    }
}

impl SacnPlan {
    /// `show`: `None` where only the instances are known; the CID is that of a show without a name
    /// then.
    pub fn new(
        show: Option<&LiveShow>,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let SacnBackendOptions { binds, name, cid, detect } = SacnBackendOptions::read(section);
        let cid = match (cid, show) {
            (Some(cid), _) => OwnCid::configured(cid),
            (None, Some(show)) => {
                let state_file = SupervisorOptions::of(show).state_file;
                OwnCid::of_show(&show.name, state_file.as_deref())
            }
            (None, None) => OwnCid::of_show("", None),
        };
        let mut this = Self { binds, name, cid, detect, instances: Vec::new() };
        for live in instances {
            let LiveInstance { id, instance, .. } = *live;
            let options = SacnInstanceOptions::read(instance, this.binds.len(), diagnostics);
            let slots = SlotMap::read(instance, diagnostics);
            let Some(options) = options else { continue };
            let receives = live.sources().next().is_some();
            if options.priority.is_none() && !options::is_mentioned(instance, "priority") {
                warn_of_missing_priority(live, diagnostics);
            }
            this.instances.push(SacnInstance { id, name: instance.name.clone(), options, slots, receives });
        }
        this.warn_of_collisions(instances, diagnostics);
        this
    }

    /// Warns of instances that send one universe to one place.
    fn warn_of_collisions(&self, instances: &[LiveInstance<'_>], diagnostics: &mut Diagnostics) {
        let place = |instance: &SacnInstance| {
            let SacnInstanceOptions { universe, interface, destination, .. } = &instance.options;
            (*universe, *interface, destination.clone())
        };
        let sends = |instance: &&SacnInstance| instance.options.priority.is_some();
        let sending: Vec<_> = self.instances.iter().filter(sends).collect();
        for (index, later) in sending.iter().enumerate() {
            let Some(earlier) = sending[..index].iter().find(|earlier| place(earlier) == place(later)) else {
                continue;
            };
            let (Some(first), Some(second)) = (find(instances, earlier.id), find(instances, later.id)) else {
                continue;
            };
            let universe = later.options.universe;
            let message =
                format!("`{}` and `{}` both send universe {universe} to one place", earlier.name, later.name);
            let span = |instance: &Instance| options::setting(instance, "universe").unwrap_or(instance.span);
            let warning = diagnostics.warning(span(second), message).label("receivers see both in turn");
            warning.also(span(first), "sent here too").hint("map all channels of a universe to one instance");
        }
    }
}

fn find<'a>(instances: &[LiveInstance<'a>], id: InstanceId) -> Option<&'a Instance> {
    instances.iter().find(|live| live.id == id).map(|live| live.instance)
}

/// Warns of channels that are mapped as outputs of an instance that sends nothing.
fn warn_of_missing_priority(live: &LiveInstance<'_>, diagnostics: &mut Diagnostics) {
    let Some((_, channel)) = live.targets().next() else { return };
    let name = &live.instance.name;
    let message = format!("`{name}.{}` is mapped as an output, but `{name}` has no `priority`", channel.name);
    let warning = diagnostics.warning(channel.span, message).label("nothing is sent");
    warning.hint("`priority = 100` enables the output");
}

impl Plan for SacnPlan {
    fn key(&self) -> PlanKey {
        PlanKey { backend: SPEC.name, name: SPEC.name.to_owned() }
    }

    fn instances(&self) -> Vec<InstanceId> {
        self.instances.iter().map(|instance| instance.id).collect()
    }

    fn differs(&self, other: &dyn Plan) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<Self>() != Some(self)
    }

    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        let backend = SacnBackend::open(self.clone(), Instant::now())?;
        self.cid.save();
        Ok(Box::new(backend))
    }
}

#[cfg(test)]
mod tests;
