//! What a backend is handed with each call: its descriptors and timers in the event loop, and a
//! sink for its events.

use super::backend::LocalInstance;
use crate::ids::InstanceId;
use crate::poller::{Interest, Poller, Wake};
use crate::resolver::Resolver;
use crate::timers::Timers;
use mm_shared::ChannelId;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

/// An event that came in through a backend: `channel` of `instance` took on `value`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Incoming {
    /// The instance it came in on.
    pub instance: InstanceId,
    /// The channel's index in [`Instance::channels`](mm_config::Instance::channels).
    pub channel: ChannelId,
    /// The value, finite and from 0.0 to 1.0.
    pub value: f64,
}

/// Where a backend puts the events that came in; the event loop hands them to the router.
#[derive(Debug)]
pub struct EventSink<'a> {
    events: &'a mut Vec<Incoming>,
    /// By local index.
    instances: &'a [InstanceId],
}

impl<'a> EventSink<'a> {
    /// A sink for a backend that serves `instances`.
    pub fn new(events: &'a mut Vec<Incoming>, instances: &'a [InstanceId]) -> Self {
        Self { events, instances }
    }

    /// Takes one event. That of an instance which the backend does not have is dropped.
    pub fn push(&mut self, instance: LocalInstance, channel: ChannelId, value: f64) {
        if let Some(&instance) = self.instances.get(instance.0) {
            self.events.push(Incoming { instance, channel, value });
        }
    }

    /// How many events wait for the router.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// A descriptor of a backend, by a number that the backend picks: below 2^28, and unique within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceId(pub u32);

/// A timer of a backend, by a number that the backend picks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u32);

/// What is due at a time, in the timers of all backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendTimer {
    /// Which backend.
    pub slot: u32,
    /// What for.
    pub purpose: TimerPurpose,
}

/// What a timer of a backend is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerPurpose {
    /// The backend has set it.
    Own(TimerId),
    /// It is to be opened.
    Open,
    /// It is closing: time to ask whether it is closed.
    Close,
}

/// A backend's access to the event loop, for the time of one call.
#[derive(Debug)]
pub struct BackendContext<'a> {
    /// Takes the events that came in.
    pub sink: EventSink<'a>,
    poller: &'a Poller,
    timers: &'a mut Timers<BackendTimer>,
    unfinished: &'a mut Vec<Wake>,
    resolver: &'a Resolver,
    slot: u32,
}

impl<'a> BackendContext<'a> {
    /// For the backend in `slot`.
    pub fn new(
        sink: EventSink<'a>,
        poller: &'a Poller,
        timers: &'a mut Timers<BackendTimer>,
        unfinished: &'a mut Vec<Wake>,
        resolver: &'a Resolver,
        slot: u32,
    ) -> Self {
        Self { sink, poller, timers, unfinished, resolver, slot }
    }

    /// Asks for the addresses of a host; [`Backend::on_resolved`](super::Backend::on_resolved) is
    /// called with them. Asking again before that changes nothing.
    pub fn look_up(&self, host: &str) {
        self.resolver.look_up(host);
    }

    /// Watches a descriptor: [`Backend::on_ready`](super::Backend::on_ready) is called with
    /// `source`.
    ///
    /// # Errors
    ///
    /// It is watched already, cannot be watched, or the system's limit is reached.
    pub fn watch(&self, descriptor: impl AsFd, interest: Interest, source: SourceId) -> io::Result<()> {
        self.poller.watch(descriptor, interest, self.wake(source))
    }

    /// Changes what a watched descriptor is watched for, or its source.
    ///
    /// # Errors
    ///
    /// It is not watched.
    pub fn change(&self, descriptor: impl AsFd, interest: Interest, source: SourceId) -> io::Result<()> {
        self.poller.change(descriptor, interest, self.wake(source))
    }

    /// The source has input left that was read already but had no room:
    /// [`Backend::on_ready`](super::Backend::on_ready) is called with it once more in the next turn,
    /// whether the descriptor is ready or not.
    pub fn call_again(&mut self, source: SourceId) {
        self.unfinished.push(self.wake(source));
    }

    /// Ends watching. Closing a descriptor does so as well, unless it has a clone.
    pub fn forget(&self, descriptor: impl AsFd) {
        self.poller.forget(descriptor);
    }

    /// Sets the deadline of a timer, in place of the one it had; `None` ends it.
    pub fn set_timer(&mut self, timer: TimerId, deadline: Option<Instant>) {
        self.timers.set(BackendTimer { slot: self.slot, purpose: TimerPurpose::Own(timer) }, deadline);
    }

    fn wake(&self, source: SourceId) -> Wake {
        Wake::Backend { index: self.slot, token: source.0 }
    }
}
