//! Backends: how the show talks to the world outside its scripts.
//!
//! A backend goes through two types. A [`Plan`] is what the show file asks for, checked without touching
//! anything outside; `check` stops there. [`Plan::open`] binds ports and makes a [`Backend`] of it, which the event
//! loop drives. Backends return events and never call the router; they never block, and they never wait.
//!
//! Backends share a set of files, of which each has those it needs: `mod` (what it is), `options` (what the show file may
//! say), `codec` (bytes or names to channels and values, pure), `port` (descriptors).

pub mod loopback;
pub mod midi;
pub mod osc;

pub mod set;

use crate::ids::InstanceId;
use crate::show::{LiveInstance, LiveShow};
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use mm_shared::ChannelId;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// An event that came in through a backend: `channel` of `instance` took on `value`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Incoming {
    /// The instance it came in on.
    pub instance: InstanceId,
    /// The channel, by its index in [`Instance::channels`].
    pub channel: ChannelId,
    /// The value, finite and from 0.0 to 1.0.
    pub value: f64,
}

/// Where backends put the events that came in; the event loop hands them to the router.
#[derive(Debug, Default)]
pub struct EventSink {
    events: Vec<Incoming>,
}

impl EventSink {
    /// Takes in one event.
    pub fn push(&mut self, instance: InstanceId, channel: ChannelId, value: f64) {
        self.events.push(Incoming { instance, channel, value });
    }

    /// Takes out all events, in order; the memory stays for the next ones.
    pub fn drain(&mut self) -> impl Iterator<Item = Incoming> + '_ {
        self.events.drain(..)
    }

    /// Whether nothing came in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many events wait here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }
}

/// A descriptor that a backend wants to be told of when it is readable.
#[derive(Debug)]
pub struct Watch<'a> {
    /// The descriptor, watched level-triggered.
    pub descriptor: BorrowedFd<'a>,
    /// What [`Backend::receive`] is called with; small, and unique within the backend.
    pub token: u32,
}

/// What the show file asks of a backend, checked, with nothing opened yet.
pub trait Plan: Send {
    /// The instances that this plan serves.
    fn instances(&self) -> Vec<InstanceId>;

    /// Looks up the names of hosts, so that opening need not wait for that.
    ///
    /// # Errors
    ///
    /// A name that does not resolve.
    fn resolve(&mut self) -> Result<(), OpenError> {
        Ok(())
    }

    /// Opens ports and devices. It may be asked to again, after a fault or in vain.
    ///
    /// # Errors
    ///
    /// An address that does not resolve, a port in use and the like; the text names the instance or section.
    fn open(&self) -> Result<Box<dyn Backend>, OpenError>;
}

/// A backend at work. One object serves one instance or several, as the protocol has it.
pub trait Backend {
    /// The descriptors to watch, asked for once after opening.
    fn watches(&self) -> Vec<Watch<'_>>;

    /// Reads what is there behind `token`, a bounded amount: what is left is reported again by the kernel.
    fn receive(&mut self, token: u32, sink: &mut EventSink);

    /// Takes an event that was routed to `channel` of `instance`. Nothing is sent before [`Backend::flush`].
    fn handle(&mut self, instance: InstanceId, channel: ChannelId, value: f64, sink: &mut EventSink);

    /// The routing step is over: sends what changed in it.
    fn flush(&mut self);

    /// When [`Backend::tick`] wants to be called next; `None` costs nothing.
    fn deadline(&self) -> Option<Instant>;

    /// A channel had this value before the show was started again; nothing is sent for it.
    fn restore(&mut self, _instance: InstanceId, _channel: ChannelId, _value: f64) {}

    /// What a user should know of an instance beyond its errors, such as a device that is missing.
    fn note(&self, _instance: InstanceId) -> Option<String> {
        None
    }

    /// What went wrong so far with what came in or should have gone out: packets that were no messages, messages that
    /// could not be sent.
    fn errors(&self) -> u64 {
        0
    }

    /// How many values were replaced by later ones of their channel, because what goes out was too slow for them.
    fn conflated(&self) -> u64 {
        0
    }

    /// The time of [`Backend::deadline`] has come.
    fn tick(&mut self, now: Instant, sink: &mut EventSink);
}

/// Why a backend could not be opened. Status 1 at start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    /// What failed, where and why, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A kind of backend: what a show file can say about it, and how that becomes plans.
pub trait BackendKind: Sync {
    /// Its name and its options.
    fn spec(&self) -> BackendSpec;

    /// Whether an event that goes into a channel comes out of an instance again without anything outside the show.
    fn echoes(&self) -> bool {
        false
    }

    /// Plans its `instances`, which may be none. What the show file has wrong goes to `diagnostics`, names of channels
    /// included; what is returned then is not opened. `section` holds the global options.
    fn plan(
        &self,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>>;
}

/// All backends, one line each.
pub static BACKENDS: &[&dyn BackendKind] = &[&loopback::LoopbackKind, &midi::MidiKind, &osc::OscKind];

/// The name of the one kind of instance that no backend serves: its instances are workers.
pub const PYTHON: &str = "python";

/// Whether instances of this backend can send the events that they receive back into the show.
#[must_use]
pub fn echoes(backend: &str) -> bool {
    BACKENDS.iter().any(|kind| kind.spec().name == backend && kind.echoes())
}

/// Waits until backends that were closed have ended their threads, for at most `timeout`: they send
/// what is left and close their ports without keeping the loop. Returns whether they have.
pub fn wait_until_closed(timeout: Duration) -> bool {
    midi::wait_until_closed(timeout)
}

/// Plans all backends of a show.
///
/// Whatever the show file has wrong goes to `diagnostics`; what is returned then is not to be opened.
pub fn plan(show: &LiveShow, diagnostics: &mut Diagnostics) -> Vec<Box<dyn Plan>> {
    let mut plans = Vec::new();
    for kind in BACKENDS {
        let name = kind.spec().name;
        let section = show.backends.iter().find(|section| section.backend == name);
        plans.extend(kind.plan(section, &show.instances_of(name), diagnostics));
    }
    plans
}
