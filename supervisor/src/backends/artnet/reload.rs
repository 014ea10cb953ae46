//! Goes on under another show file: sockets of binds that stay, levels, numbers of packets and sources
//! are kept.

use super::ArtnetPlan;
use super::backend::{ArtnetBackend, ArtnetInstance};
use super::options::{ArtnetBind, ArtnetDetect, SPEC};
use super::polls::ReplyPages;
use crate::backends::dmx::net::{BindIndex, BindSpec};
use crate::backends::{BackendContext, LocalInstance, Plan, PlanChange, Reconfigured};
use std::any::Any;
use std::time::Instant;

/// Applies a new plan.
pub fn apply(
    backend: &mut ArtnetBackend,
    plan: &dyn Plan,
    change: &PlanChange,
    cx: &mut BackendContext<'_>,
) -> Reconfigured {
    let plan: &dyn Any = plan;
    let Some(plan) = plan.downcast_ref::<ArtnetPlan>() else { return Reconfigured::Reopen };
    let now = Instant::now();
    // What was set under the old channel numbers goes out first.
    backend.settle(now, cx);
    let old_specs: Vec<BindSpec> = backend.binds.iter().map(|bind| bind.spec.clone()).collect();
    let new_specs = plan.specs();
    let has_other_binds = old_specs != new_specs;
    if has_other_binds {
        if backend.sockets.reconfigure(&new_specs, [], now, cx).is_err() {
            // The error is reported by opening the new plan.
            return Reconfigured::Reopen;
        }
        backend.polls.clear();
        backend.traffic.resize(new_specs.len());
    }
    backend.binds.clone_from(&plan.common.binds);
    backend.detect = plan.common.detect;
    let detects = backend.detect > ArtnetDetect::Off;
    let mut before: Vec<_> = std::mem::take(&mut backend.instances).into_iter().map(Some).collect();
    for (place, planned) in plan.instances.iter().enumerate() {
        let mut instance = ArtnetInstance::new(planned, backend.detect, now);
        let old = change.before(LocalInstance(place));
        if let Some(old) = old.and_then(|old| before.get_mut(old.0)).and_then(Option::take) {
            let spec_before = |bind: BindIndex| old_specs.get(bind.0);
            let is_same_bind = spec_before(old.options.bind) == new_specs.get(planned.options.bind.0);
            inherit(&mut instance, old, is_same_bind, detects, now);
        }
        backend.instances.push(instance);
    }
    backend.changed.clear();
    backend.index(now);
    if has_other_binds {
        log_binds(&backend.binds, &backend.pages);
    }
    backend.look_up(now, cx);
    backend.settle(now, cx);
    Reconfigured::Kept
}

/// Takes over what an instance has received and sent before.
fn inherit(
    instance: &mut ArtnetInstance,
    old: ArtnetInstance,
    is_same_bind: bool,
    detects: bool,
    now: Instant,
) {
    let ArtnetInstance { name, options, map, rx: new_rx, receives, .. } = instance;
    let ArtnetInstance { mut rx, mut tx, map: old_map, options: old_options, has_warned, .. } = old;
    if is_same_bind && old_options.address == options.address && *receives {
        rx.apply(options, &old_map, map, detects);
        *new_rx = rx;
    } else {
        new_rx.inherit(rx, &old_map, map);
    }
    tx.apply(name, options, map, now);
    if !is_same_bind {
        tx.refresh(now);
    }
    instance.tx = tx;
    instance.has_warned = has_warned && instance.options.destination.is_none();
}

/// One line for each bind.
pub fn log_binds(binds: &[ArtnetBind], pages: &[ReplyPages]) {
    for (number, (bind, pages)) in binds.iter().zip(pages).enumerate() {
        let universes: usize = pages.iter().map(|(_, universes)| universes.len()).sum();
        tracing::info!(
            event = "artnet_listening",
            backend = SPEC.name,
            "bind {number}, `{}`: listening for {universes} universe{}",
            bind.spec,
            if universes == 1 { "" } else { "s" }
        );
    }
}
