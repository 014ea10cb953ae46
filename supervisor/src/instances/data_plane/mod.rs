//! The data plane of one instance: its events on their way to the worker and back, the last values
//! of its channels, and what its outputs are set to while no worker serves.
//!
//! It does not know which worker serves: the instance lends it the rings of the one that does.

pub mod failsafe;
pub mod flow;
pub mod hot;
pub mod rings;
mod translation;
pub mod values;

use super::context::LoopContext;
use crate::backends::Incoming;
use crate::ids::InstanceId;
use crate::router::Router;
use crate::show::change::Renumbering;
use failsafe::Failsafe;
use flow::{EventFlow, ROUTER_LIMIT};
use mm_shared::wakeup::constants::SPARSE_EVENTS_LIMIT;
use mm_shared::wakeup::{IdleMode, Spinner, WakeupMode, cpu};
use mm_shared::{ChannelId, Event, Violation};
use rings::WorkerRings;
use std::time::Instant;
use values::{BootedNames, ChangedValue, Values};

/// The data plane of one instance.
pub struct DataPlane {
    instance: InstanceId,
    flow: EventFlow,
    failsafe: Failsafe,
    spinner: Spinner,
}

/// What an instance's events are for, as far as the queue is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// A worker handles events.
    Attached,
    /// The next worker will.
    NextWorker,
    /// No worker will until a user starts one: the last value of each channel is enough.
    NoWorker,
}

/// Passes an event of the worker on to the router. A worker keeps to the range; one that does not
/// harms its own channels only.
#[inline]
fn router_sink<'a>(
    instance: InstanceId,
    failsafe: &'a mut Failsafe,
    router: &'a mut Router,
) -> impl FnMut(Event) + use<'a> {
    move |Event { channel, value }| {
        if failsafe.is_giving_back() {
            failsafe.sent(channel);
        }
        router.accept(Incoming { instance, channel, value: value.clamp(0.0, 1.0) });
    }
}

impl DataPlane {
    /// The queue keeps `queue_limit` events in order.
    #[must_use]
    pub fn new(instance: InstanceId, values: Values, queue_limit: usize, failsafe: Failsafe) -> Self {
        Self {
            instance,
            flow: EventFlow::new(values, queue_limit),
            failsafe,
            spinner: Spinner::new(WakeupMode::of_process()),
        }
    }

    /// Applies what a new show says: other options, and other channels, by these names.
    pub fn apply<'a>(
        &mut self,
        queue_limit: usize,
        failsafe: Failsafe,
        names: impl Iterator<Item = &'a str> + Clone,
        renumbering: Renumbering<'_>,
    ) {
        self.flow.set_limit(queue_limit);
        self.flow.apply(names, renumbering);
        self.failsafe.update(failsafe, renumbering);
    }

    /// Names and last values of the channels.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.flow.values
    }

    /// The worker that serves next was started with these channels; `show` are those of the show.
    pub fn rename<'a>(&mut self, names: Vec<String>, show: impl Iterator<Item = &'a str> + Clone) {
        self.flow.rename(names, show);
    }

    /// Names and last values of the channels.
    pub fn values_mut(&mut self) -> &mut Values {
        &mut self.flow.values
    }

    /// Events that wait for a worker, and those that were replaced by a later one of their channel.
    #[must_use]
    pub fn queue(&self) -> (usize, u64) {
        (self.flow.queued(), self.flow.conflated())
    }

    /// How many events wait in order.
    #[must_use]
    pub fn queue_limit(&self) -> usize {
        self.flow.limit()
    }

    /// Takes an event that was routed here; `receiver` are the rings of the worker that takes new
    /// events.
    #[inline]
    pub fn accept(&mut self, event: Event, receiver: Option<&mut WorkerRings>) {
        self.flow.accept(event, receiver);
    }

    /// Whether [`DataPlane::deliver`] has anything to do.
    #[inline]
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.flow.has_work()
    }

    /// Moves what waits into the worker's ring, and wakes the worker if it sleeps.
    ///
    /// # Errors
    ///
    /// The worker's cursor is where it cannot be.
    pub fn deliver(&mut self, rings: &mut WorkerRings, is_pinned: bool) -> Result<(), Violation> {
        self.flow.deliver(rings, is_pinned)
    }

    /// Takes what the worker has sent, as far as the router has room. Returns whether there may be
    /// more.
    ///
    /// # Errors
    ///
    /// A record or a cursor breaks a rule.
    pub fn collect(&mut self, rings: &mut WorkerRings, cx: &mut LoopContext<'_>) -> Result<bool, Violation> {
        let looking = cx.registry.hot.look_at(self.instance);
        // What there is no room for stays with the worker, whose next output waits if need be.
        let most = ROUTER_LIMIT.saturating_sub(cx.router.waiting(self.instance));
        let sink = router_sink(self.instance, &mut self.failsafe, cx.router);
        Ok(self.flow.collect(rings, looking, most, sink)? == most)
    }

    /// Takes all that the worker has sent so far, which is one ring at most: the router has room
    /// for that.
    ///
    /// # Errors
    ///
    /// A record or a cursor breaks a rule.
    pub fn collect_all(
        &mut self,
        rings: &mut WorkerRings,
        cx: &mut LoopContext<'_>,
    ) -> Result<(), Violation> {
        let looking = cx.registry.hot.look_at(self.instance);
        let sink = router_sink(self.instance, &mut self.failsafe, cx.router);
        self.flow.collect(rings, looking, usize::MAX, sink).map(drop)
    }

    /// The worker takes and sends nothing more: what it has sent goes on, unless it is not
    /// `trusted`, and what it has not taken is queued in front. Returns the event that it was still
    /// handling.
    pub fn detach(
        &mut self,
        rings: &mut WorkerRings,
        is_trusted: bool,
        cx: &mut LoopContext<'_>,
    ) -> Option<Event> {
        if is_trusted {
            // A record that breaks a rule ends it.
            let _ = self.collect_all(rings, cx);
        }
        self.flow.take_back(rings)
    }

    /// A worker serves from now on; its rings are looked at until it was asked to ring. Returns
    /// what the worker has to be told of values that have changed since its boot.
    #[must_use]
    pub fn attach(
        &mut self,
        rings: &mut WorkerRings,
        booted: BootedNames,
        cx: &mut LoopContext<'_>,
    ) -> Vec<ChangedValue> {
        self.failsafe.resumed(cx.now);
        rings.stop_ringing(cx.registry.hot.look_at(self.instance));
        self.flow.values.serve(booted)
    }

    /// The worker has rung: it has sent something, or there is space again.
    pub fn rung(&mut self, rings: &mut WorkerRings, cx: &mut LoopContext<'_>) {
        rings.stop_ringing(cx.registry.hot.look_at(self.instance));
        self.flow.rung(rings);
    }

    /// Asks the worker to ring from now on; returns how the loop may wait so that nothing is
    /// overlooked.
    ///
    /// # Errors
    ///
    /// The worker's cursor is where it cannot be.
    pub fn rest(&mut self, rings: &mut WorkerRings, now: Instant) -> Result<IdleMode, Violation> {
        self.flow.rest(rings, now)
    }

    /// How many published events the worker has not taken yet.
    ///
    /// # Errors
    ///
    /// The worker's cursor is where it cannot be.
    pub fn waiting(&mut self, rings: &mut WorkerRings) -> Result<usize, Violation> {
        self.flow.waiting(rings)
    }

    /// Whether the worker has events to handle. One that breaks a rule is found out elsewhere.
    pub fn is_working(&mut self, rings: &mut WorkerRings) -> bool {
        self.flow.waiting(rings).is_ok_and(|count| count > 0) || rings.down.in_hand().is_some()
    }

    /// Whether the worker was just handed so few events that its answer may be there in a moment.
    pub fn answers_soon(&mut self) -> bool {
        (1..=SPARSE_EVENTS_LIMIT).contains(&self.flow.take_fresh())
    }

    /// Polls for what the worker sends before the loop sleeps, if that is likely to pay. Returns
    /// whether the worker has sent something.
    pub fn spin(&mut self, rings: &mut WorkerRings, cx: &mut LoopContext<'_>) -> bool {
        let own = cpu::current();
        let peer = rings.exchange_cpu(own, cx.is_pinned);
        if !self.spinner.wants_to_spin(own, peer) {
            return false;
        }
        // As long as this side polls, the worker need not ring.
        rings.stop_ringing(cx.registry.hot.look_at(self.instance));
        self.spinner.spin(|| rings.has_work())
    }

    /// What the queue and the failsafe have to expect from now on.
    pub fn expect(&mut self, expectation: Expectation, now: Instant) {
        if expectation != Expectation::Attached {
            self.failsafe.ceased(now);
        }
        match expectation {
            Expectation::NoWorker => self.flow.keep_latest_only(),
            Expectation::Attached | Expectation::NextWorker => self.flow.keep_order(),
        }
    }

    /// The channels that failsafe has set: what to, and their last values of their own.
    pub fn failsafe_values(&self) -> impl Iterator<Item = (ChannelId, f64, f64)> {
        let flow = &self.flow;
        self.failsafe.set().filter_map(|(channel, value)| Some((channel, value, flow.output(channel)?)))
    }

    /// When [`DataPlane::apply_failsafe`] has something to do.
    #[must_use]
    pub fn failsafe_deadline(&self) -> Option<Instant> {
        self.failsafe.deadline()
    }

    /// Whether the last values are sent again now, so that what the script sends by itself has to
    /// be collected before.
    #[must_use]
    pub fn gives_back_now(&self, now: Instant) -> bool {
        self.failsafe.is_giving_back() && self.failsafe.deadline().is_some_and(|at| at <= now)
    }

    /// The script does not serve yet: the last values are sent again later.
    pub fn postpone_failsafe(&mut self, now: Instant) {
        self.failsafe.postpone(now);
    }

    /// Sets the output channels of an instance that does not run, or sends their last values again.
    pub fn apply_failsafe(&mut self, now: Instant, router: &mut Router) {
        let flow = &self.flow;
        for (channel, value) in self.failsafe.due(now, |channel| flow.output(channel)) {
            router.accept(Incoming { instance: self.instance, channel, value });
        }
    }
}
