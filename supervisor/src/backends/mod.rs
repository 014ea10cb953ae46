//! Backends: how the show talks to the world outside its scripts.
//!
//! A backend goes through two types. A [`Plan`] is what the show file asks for, checked without
//! touching anything outside; `check` stops there. [`Plan::open`] binds ports and makes a
//! [`Backend`] of it, which the event loop drives through the [`BackendSet`](set::BackendSet).
//! Backends put events into a sink and never call the router.
//!
//! [`loopback`] is the smallest backend and the example for a new one. The others share names of
//! files, of which each has those it needs: `options` (what the show file may say), `codec` (bytes
//! to values, pure), `rx` and `tx` (the receiving and the sending side), `socket` or `port`
//! (descriptors).

pub mod artnet;
pub mod loopback;
pub mod midi;
pub mod osc;
pub mod sacn;

pub mod dmx;
pub mod udp;

pub mod backend;
pub mod context;

pub mod set;

pub use backend::{
    AddressUse, Backend, BackendKind, BackendState, BackendStatus, LocalInstance, NeededAddress, OpenCause,
    OpenError, Plan, PlanChange, PlanKey, Reconfigured,
};
pub use context::{BackendContext, EventSink, Incoming, SourceId, TimerId};

use crate::show::LiveShow;
use mm_config::Diagnostics;
use std::time::Duration;

/// All backends, one line each.
pub static BACKENDS: &[&dyn BackendKind] = &[
    &loopback::LoopbackKind, // echoes
    &midi::MidiKind,         // ALSA or JACK
    &osc::OscKind,           // UDP
    &artnet::ArtnetKind,     // UDP
    &sacn::SacnKind,         // UDP
];

/// The name of the one kind of instance that no backend serves: its instances are workers.
pub const PYTHON: &str = "python";

/// Whether instances of this backend can send the events that they receive back into the show.
#[must_use]
pub fn echoes(backend: &str) -> bool {
    BACKENDS.iter().any(|kind| kind.spec().name == backend && kind.echoes())
}

/// Whether this backend is handed the last values of its outputs after it was opened again.
#[must_use]
pub fn repeats_outputs(backend: &str) -> bool {
    BACKENDS.iter().any(|kind| kind.spec().name == backend && kind.repeats_outputs())
}

/// Whether instances of this backend are closed and opened again where they have other channels.
#[must_use]
pub fn reopens_for_channels(backend: &str) -> bool {
    BACKENDS.iter().any(|kind| kind.spec().name == backend && kind.reopens_for_channels())
}

/// Waits until MIDI ports of backends that were dropped are closed by their threads, for at most
/// `timeout`. Returns whether they are.
pub fn wait_until_closed(timeout: Duration) -> bool {
    midi::wait_until_closed(timeout)
}

/// Plans all backends of a show.
///
/// Whatever the show file has wrong goes to `diagnostics`; what is returned then is not to be
/// opened.
pub fn plan(show: &LiveShow, diagnostics: &mut Diagnostics) -> Vec<Box<dyn Plan>> {
    let mut plans = Vec::new();
    for kind in BACKENDS {
        let name = kind.spec().name;
        let section = show.backends.iter().find(|section| section.backend == name);
        plans.extend(kind.plan_in_show(show, section, &show.instances_of(name), diagnostics));
    }
    plans
}

#[cfg(test)]
mod test_loop;
