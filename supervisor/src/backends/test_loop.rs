//! One backend without the event loop around it, for the backends' unit tests.

use super::context::BackendTimer;
use super::context::TimerPurpose;
use super::{Backend, BackendContext, EventSink, Incoming, LocalInstance, SourceId};
use crate::ids::InstanceId;
use crate::poller::{Poller, Wake};
use crate::resolver::{ResolvedHost, Resolver};
use crate::timers::Timers;
use mm_shared::ChannelId;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How many events a test reads at once, where it does not say.
pub const BUDGET: usize = 4096;

/// A backend with a poller and timers of its own.
pub struct TestLoop<B: ?Sized> {
    pub backend: Box<B>,
    instances: Vec<InstanceId>,
    poller: Poller,
    timers: Timers<BackendTimer>,
    unfinished: Vec<Wake>,
    events: Vec<Incoming>,
    resolver: Resolver,
    answers: Receiver<ResolvedHost>,
}

impl<B: Backend + ?Sized> TestLoop<B> {
    /// A backend that was just opened, which serves `instances`.
    pub fn start(backend: Box<B>, instances: Vec<InstanceId>) -> Self {
        let poller = Poller::new().expect("a descriptor");
        let (sender, answers) = channel();
        let resolver = Resolver::new(move |answer| drop(sender.send(answer)));
        let (timers, unfinished, events) = (Timers::default(), Vec::new(), Vec::new());
        let mut this = Self { backend, instances, poller, timers, unfinished, events, resolver, answers };
        this.with(|backend, cx| backend.start(cx).expect("it can be watched"));
        this
    }

    pub fn with<R>(&mut self, act: impl FnOnce(&mut B, &mut BackendContext<'_>) -> R) -> R {
        let sink = EventSink::new(&mut self.events, &self.instances);
        let Self { poller, timers, unfinished, resolver, .. } = self;
        let mut cx = BackendContext::new(sink, poller, timers, unfinished, resolver, 0);
        act(&mut self.backend, &mut cx)
    }

    pub fn handle(&mut self, instance: usize, channel: u32, value: f64) {
        self.with(|backend, cx| backend.handle(LocalInstance(instance), ChannelId(channel), value, cx));
    }

    pub fn flush(&mut self) {
        self.with(|backend, cx| backend.flush(cx));
    }

    /// Waits for sources and lets the backend read them, up to `budget` events each; false: none
    /// was ready in time.
    pub fn receive(&mut self, timeout: Duration, budget: usize) -> bool {
        let mut wakes = Vec::new();
        let timeout = if self.unfinished.is_empty() { timeout } else { Duration::ZERO };
        self.poller.wait(Some(timeout), &mut wakes).expect("it may wait");
        self.unfinished.retain(|wake| !wakes.contains(wake));
        wakes.append(&mut self.unfinished);
        for wake in &wakes {
            let Wake::Backend { token, .. } = *wake else { continue };
            self.with(|backend, cx| backend.on_ready(SourceId(token), budget, cx));
        }
        !wakes.is_empty()
    }

    /// Hands the next answer of the resolver to the backend, which has asked for it.
    pub fn receive_answer(&mut self, timeout: Duration) {
        let answer = self.answers.recv_timeout(timeout).expect("a host is looked up");
        self.with(|backend, cx| backend.on_resolved(&answer, cx));
    }

    /// How many events came in since they were last taken.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// What came in since the last call.
    pub fn drain(&mut self) -> Vec<Incoming> {
        std::mem::take(&mut self.events)
    }

    /// When the next timer is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The time has come for all timers that are due at `now`.
    pub fn tick(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            let TimerPurpose::Own(id) = timer.purpose else { continue };
            self.with(|backend, cx| backend.on_timer(id, now, cx));
        }
    }
}
