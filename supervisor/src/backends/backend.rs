//! The interface between the event loop and a backend: what a backend is before, while and after it
//! is open.
//!
//! ```text
//! BackendKind::plan ─► Plan ─► Plan::open ─► Backend::start ─► on_ready, on_timer, handle, flush ─► close ─► is_closed
//!                                            reconfigure (HUP) ┘
//! ```
//!
//! Rules for implementations:
//!
//! - No call blocks or waits. What may take long belongs into a thread, whose doorbell is a source.
//! - [`Backend::on_ready`] reads at most its budget, [`Backend::handle`] only stores,
//!   [`Backend::flush`] sends.
//! - What there is no room for waits where it came from. Descriptors are watched level-triggered,
//!   so that the kernel reports them again.
//! - Instances are local indices: [`LocalInstance`] 0 is the first that [`Plan::instances`]
//!   returned.
//! - A readiness may be spurious, so all descriptors are non-blocking.
//! - A panic costs the backend, not the show: it is dropped and opened again. `Drop` must not
//!   block.

use super::context::{BackendContext, SourceId, TimerId};
use crate::ids::InstanceId;
use crate::resolver::ResolvedHost;
use crate::show::{LiveInstance, LiveShow};
use crate::status::UniverseStatus;
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section, Span};
use mm_shared::ChannelId;
use std::any::Any;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// A kind of backend: what a show file can say about it, and how that becomes plans.
pub trait BackendKind: Sync {
    /// Its name and its options.
    fn spec(&self) -> BackendSpec;

    /// Whether an event that goes into a channel comes out of an instance again without anything
    /// outside the show.
    fn echoes(&self) -> bool {
        false
    }

    /// Whether what it sends is a state that peers lose without it: after it had to be opened again,
    /// it is handed the last values of its outputs.
    fn repeats_outputs(&self) -> bool {
        false
    }

    /// Whether its instances are closed and opened again where they have other channels. They are
    /// spared that where they only lack some: those stay until there is another reason.
    fn reopens_for_channels(&self) -> bool {
        false
    }

    /// Plans its `instances`, which may be none. What the show file has wrong goes to
    /// `diagnostics`, names of channels included; what is returned then is not opened. `section`
    /// holds the global options.
    fn plan(
        &self,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>>;

    /// As [`BackendKind::plan`], for a kind that has to know more of the show than its own sections:
    /// its mappings, its name, its state file.
    fn plan_in_show(
        &self,
        _show: &LiveShow,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        self.plan(section, instances, diagnostics)
    }
}

/// What a plan opens, by a name that stays over reloads of the show file: a plan of the same key
/// takes over the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanKey {
    /// The name of the backend's kind.
    pub backend: &'static str,
    /// What one plan of that kind has and no other: the instance's name, or the address that all
    /// instances share.
    pub name: String,
}

/// What the show file asks of a backend, checked, with nothing opened yet.
pub trait Plan: Any + Send {
    /// What it opens.
    fn key(&self) -> PlanKey;

    /// The instances that it serves, in the order of their local indices.
    fn instances(&self) -> Vec<InstanceId>;

    /// Hosts whose addresses [`Plan::open`] needs, as far as they have to be looked up.
    fn hosts(&self) -> Vec<String> {
        Vec::new()
    }

    /// The addresses that it needs from the network, for `check`: a warning is added for each that
    /// is not there now.
    fn needed_addresses(&self) -> Vec<NeededAddress> {
        Vec::new()
    }

    /// Takes the addresses of a host, which may be one of [`Plan::hosts`].
    fn on_resolved(&mut self, _answer: &ResolvedHost) {}

    /// Whether it differs from `other`, a plan of the same key, also where their instances have the
    /// same options and channels: by something else of the show.
    fn differs(&self, _other: &dyn Plan) -> bool {
        false
    }

    /// Opens ports and devices, without waiting for the network. Called again after a failure, and
    /// when a host was looked up.
    ///
    /// # Errors
    ///
    /// A port in use, an address that the machine does not have and the like; the text names the
    /// instance or section.
    fn open(&self) -> Result<Box<dyn Backend>, OpenError>;
}

/// An address that a plan needs, as the show file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededAddress {
    /// An IP address, the name of a host, or of an interface of this machine.
    pub host: String,
    /// Where it is written.
    pub span: Span,
    pub usage: AddressUse,
}

/// Whose address a plan needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressUse {
    /// This machine's, to listen on.
    Own,
    /// A peer's, to send to. Whether it answers is not looked at.
    Peer,
}

impl NeededAddress {
    /// The address, if it need not be looked up.
    #[must_use]
    pub fn addresses(&self) -> Option<Vec<IpAddr>> {
        if self.host.eq_ignore_ascii_case("localhost") || self.host == "*" {
            return Some(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        self.host.parse().ok().map(|address| vec![address])
    }

    /// Whether it need not be looked up.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.addresses().is_some()
    }
}

/// An instance by its place in [`Plan::instances`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalInstance(pub usize);

/// An open backend. One object serves one instance or several, as the protocol requires.
pub trait Backend {
    /// Registers descriptors and timers. Called once, right after opening.
    ///
    /// # Errors
    ///
    /// The system refuses; the backend is dropped and opened again later.
    fn start(&mut self, cx: &mut BackendContext<'_>) -> std::io::Result<()>;

    /// A source is ready for what it is watched for, or has an error. `budget` is how many more
    /// events of the backend's instances can wait; 0 is possible. A message that was read is
    /// delivered whole, but none is read once the budget is used up. The kernel reports again what
    /// is left; for what was read already there is [`BackendContext::call_again`]. Input that
    /// cannot wait where it came from is read even so, and conflated by the router if need be.
    fn on_ready(&mut self, source: SourceId, budget: usize, cx: &mut BackendContext<'_>);

    /// The deadline of a timer has come, which it no longer has.
    fn on_timer(&mut self, _timer: TimerId, _now: Instant, _cx: &mut BackendContext<'_>) {}

    /// A host was looked up, for this backend (see [`BackendContext::look_up`]) or for another one.
    fn on_resolved(&mut self, _answer: &ResolvedHost, _cx: &mut BackendContext<'_>) {}

    /// Takes an event that was routed to `channel` of `instance`. [`Backend::flush`] always
    /// follows.
    fn handle(
        &mut self,
        instance: LocalInstance,
        channel: ChannelId,
        value: f64,
        cx: &mut BackendContext<'_>,
    );

    /// The routing step is over: sends what changed in it.
    fn flush(&mut self, _cx: &mut BackendContext<'_>) {}

    /// In place of [`Backend::flush`] where the step is over before all was routed, or while a script
    /// is at work: more is likely to follow at once. What is better sent whole may wait for that,
    /// for a few milliseconds at most.
    fn flush_part(&mut self, cx: &mut BackendContext<'_>) {
        self.flush(cx);
    }

    /// A channel had this value before the supervisor was started again. `is_output`: it was routed
    /// there, and mappings still lead there; nothing is sent for it yet, [`Backend::handle`] follows
    /// unless the show sends another value before. Otherwise it had come in there. A channel may
    /// have both.
    fn restore(&mut self, _instance: LocalInstance, _channel: ChannelId, _value: f64, _is_output: bool) {}

    /// Goes on under a new plan of the same key and kind, without closing what did not change.
    /// Local indices and channel numbers are those of the new plan from this call on.
    fn reconfigure(
        &mut self,
        _plan: &dyn Plan,
        _change: &PlanChange,
        _cx: &mut BackendContext<'_>,
    ) -> Reconfigured {
        Reconfigured::Reopen
    }

    /// State, counters and peers of an instance.
    fn status(&self, instance: LocalInstance) -> BackendStatus;

    /// Begins to close: sends what is to be sent last. Sources and timers stay in use until
    /// [`Backend::is_closed`], but for a bounded time only; then the backend is dropped.
    fn close(&mut self, _cx: &mut BackendContext<'_>) {}

    /// Whether the backend, which was told to close, can be dropped. Asked every few milliseconds.
    fn is_closed(&mut self) -> bool {
        true
    }
}

/// What became of a backend under a new plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconfigured {
    /// It goes on.
    Kept,
    /// It has to be closed and opened again.
    Reopen,
}

/// How the instances of a new plan relate to those of the old one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanChange {
    /// For each instance of the new plan: its index in the old one, and whether it is the same to
    /// the letter.
    before: Vec<Option<(LocalInstance, bool)>>,
}

impl PlanChange {
    /// Compares two plans' instances; `is_unchanged` tells which are the same to the letter.
    pub fn new(old: &[InstanceId], new: &[InstanceId], is_unchanged: impl Fn(InstanceId) -> bool) -> Self {
        let before = |id: &InstanceId| {
            let index = old.iter().position(|other| other == id)?;
            Some((LocalInstance(index), is_unchanged(*id)))
        };
        Self { before: new.iter().map(before).collect() }
    }

    /// The index that an instance of the new plan had in the old one.
    #[must_use]
    pub fn before(&self, instance: LocalInstance) -> Option<LocalInstance> {
        self.before.get(instance.0).copied().flatten().map(|(before, _)| before)
    }

    /// Whether an instance of the new plan was in the old one with the same options and channels.
    #[must_use]
    pub fn is_unchanged(&self, instance: LocalInstance) -> bool {
        self.before.get(instance.0).copied().flatten().is_some_and(|(_, unchanged)| unchanged)
    }
}

/// What a backend reports about one of its instances.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BackendStatus {
    pub state: BackendState,
    /// Incoming packets that were not messages, messages that could not be sent, and the like.
    pub errors: u64,
    /// Values that were replaced by later ones of their channel, because the output was too slow
    /// for them.
    pub conflated: u64,
    /// The other side: addresses or names that the instance sends to, or receives from.
    pub peers: Vec<String>,
    /// What else a user should know, such as a device that is missing.
    pub note: Option<String>,
    /// The universe of an instance that speaks DMX.
    pub universes: Vec<UniverseStatus>,
}

/// What an open backend does for an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BackendState {
    #[default]
    Running,
    /// It waits for its peer; events are kept or conflated until then.
    Connecting,
}

/// Why a backend could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    /// What failed, where and why, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether it may come right by itself.
    pub cause: OpenCause,
}

/// Whether what keeps a backend from opening may come right by itself. It is tried again in any
/// case while the show runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenCause {
    /// It does not, so the show does not start: status 1.
    Lasting,
    /// The network lacks something: a warning.
    Network,
    /// A host is being looked up: no news yet.
    LookUp,
}
