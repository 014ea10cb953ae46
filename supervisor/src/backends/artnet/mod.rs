//! `artnet`: DMX over the network by Art-Net 4, UDP.
//!
//! All instances are one backend, because they share binds, what is known of nodes, and the answers to
//! ArtPoll. An instance is a universe: its [`rx`] merges sources and turns levels into events, its
//! [`tx`] turns events into packets.
//!
//! ```text
//! sockets ─► receiving ─► rx (merger) ─► events          events ─► tx ─► destination ─► sockets
//!                 ├─► polls: who asked ─► pages of ArtPollReply              ▲
//!                 └─► nodes: who has which universe ─────────────────────────┘
//! ```
//!
//! Pure parts: [`codec`] (bytes to packets), [`merger`] (which sources count), [`nodes`] and [`polls`].

pub mod codec;
mod options;

mod merger;
mod nodes;
mod polls;

mod detect;
mod rx;
mod traffic;
mod tx;

mod backend;
mod pages;
mod receiving;
mod reload;
mod report;

use super::{Backend, BackendKind, NeededAddress, OpenError, Plan, PlanKey};
use crate::backends::dmx::SlotMap;
use crate::backends::dmx::net::{BindSpec, DmxSockets};
use crate::ids::InstanceId;
use crate::show::LiveInstance;
use backend::ArtnetBackend;
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use options::{ArtnetBackendOptions, ArtnetInstanceOptions, destination_span};
use std::time::Instant;

/// The kind of backend that a show file calls `artnet`.
pub struct ArtnetKind;

impl BackendKind for ArtnetKind {
    fn spec(&self) -> BackendSpec {
        options::SPEC
    }

    fn repeats_outputs(&self) -> bool {
        true
    }

    /// One plan for all instances.
    fn plan(
        &self,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        if instances.is_empty() {
            return Vec::new();
        }
        let common = ArtnetBackendOptions::read(section);
        let read = |live: &LiveInstance<'_>, diagnostics: &mut Diagnostics| PlannedInstance {
            id: live.id,
            name: live.instance.name.clone(),
            options: ArtnetInstanceOptions::read(live, &common, diagnostics),
            map: SlotMap::read(live.instance, diagnostics),
            receives: live.sources().next().is_some(),
        };
        let planned: Vec<_> = instances.iter().map(|live| read(live, diagnostics)).collect();
        for (index, later) in planned.iter().enumerate() {
            let earlier =
                planned[..index].iter().position(|earlier| earlier.options.collides(&later.options));
            if let Some(earlier) = earlier {
                warn_of_collision(&instances[earlier], &instances[index], diagnostics);
            }
        }
        let needed = options::needed_addresses(section, instances);
        vec![Box::new(ArtnetPlan { common, instances: planned, needed })]
    }
}

fn warn_of_collision(earlier: &LiveInstance<'_>, later: &LiveInstance<'_>, diagnostics: &mut Diagnostics) {
    let (first, second) = (&earlier.instance.name, &later.instance.name);
    let message = format!("`{first}` and `{second}` send the same universe to the same place");
    let warning = diagnostics.warning(destination_span(later.instance), message);
    warning.label("the receiver gets the levels of both in turn");
    warning
        .also(destination_span(earlier.instance), "here")
        .hint("map all channels of a universe to one instance");
}

/// All instances, as the show file describes them.
#[derive(Debug, Clone)]
struct ArtnetPlan {
    common: ArtnetBackendOptions,
    instances: Vec<PlannedInstance>,
    needed: Vec<NeededAddress>,
}

/// An instance, as the show file describes it.
#[derive(Debug, Clone)]
struct PlannedInstance {
    id: InstanceId,
    name: String,
    options: ArtnetInstanceOptions,
    map: SlotMap,
    /// Whether a mapping takes its events.
    receives: bool,
}

impl ArtnetPlan {
    fn specs(&self) -> Vec<BindSpec> {
        self.common.binds.iter().map(|bind| bind.spec.clone()).collect()
    }
}

impl Plan for ArtnetPlan {
    fn key(&self) -> PlanKey {
        PlanKey { backend: options::SPEC.name, name: options::SPEC.name.to_owned() }
    }

    fn instances(&self) -> Vec<InstanceId> {
        self.instances.iter().map(|instance| instance.id).collect()
    }

    fn needed_addresses(&self) -> Vec<NeededAddress> {
        self.needed.clone()
    }

    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        let now = Instant::now();
        let sockets = DmxSockets::open(options::SPEC.name, &self.specs(), now)?;
        Ok(Box::new(ArtnetBackend::new(self, sockets, now)))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod traces;
