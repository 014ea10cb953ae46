//! `sacn`: DMX512 over streaming ACN (ANSI E1.31-2018), UDP.
//!
//! [`codec`] reads and writes packets, and [`merger`] decides which of several sources of a universe
//! counts; both are pure. `rx` turns datagrams into events, `tx` turns values into datagrams. All
//! instances are one backend, because they share sockets, the CID and universe discovery.
//!
//! What this program is on the network is not read from it: packets with its own CID are ignored.

pub mod codec;
pub mod merger;

mod cid;
mod group;
mod options;

mod detect;
mod discovery;
mod input;
mod rx;
mod tx;

mod backend;
mod plan;

use super::{BackendKind, Plan};
use crate::show::{LiveInstance, LiveShow};
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use plan::SacnPlan;

/// The kind of backend that a show file calls `sacn`.
pub struct SacnKind;

impl BackendKind for SacnKind {
    fn spec(&self) -> BackendSpec {
        options::SPEC
    }

    fn repeats_outputs(&self) -> bool {
        true
    }

    fn plan(
        &self,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        plans(None, section, instances, diagnostics)
    }

    fn plan_in_show(
        &self,
        show: &LiveShow,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        plans(Some(show), section, instances, diagnostics)
    }
}

/// One plan for all instances; none where there are no instances.
fn plans(
    show: Option<&LiveShow>,
    section: Option<&Section>,
    instances: &[LiveInstance<'_>],
    diagnostics: &mut Diagnostics,
) -> Vec<Box<dyn Plan>> {
    if instances.is_empty() {
        return Vec::new();
    }
    vec![Box::new(SacnPlan::new(show, section, instances, diagnostics))]
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod traces;
