//! The backends of a running show, and which of them serves which instance.
//!
//! A backend that panics, or that cannot be opened while the show runs, is opened again later; the rest of the show goes
//! on. One that the show no longer wants is told to close and polled until it is closed; the event loop waits for none.

mod apply;
mod slot;

use super::backend::{Backend, BackendState, LocalInstance, OpenError, Plan};
use super::context::{BackendContext, BackendTimer, EventSink, Incoming, SourceId, TimerPurpose};
use crate::ids::InstanceId;
use crate::poller::Poller;
use crate::show::LiveShow;
use crate::status::{InstanceState, InstanceStatus};
use crate::timers::Timers;
use mm_shared::ChannelId;
use slot::{BackendSlot, SlotState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What a backend needs of the event loop.
#[derive(Debug)]
pub struct LoopAccess<'a> {
    /// Where descriptors are watched.
    pub poller: &'a Poller,
    /// Where events go that came in.
    pub events: &'a mut Vec<Incoming>,
}

/// Where an instance is served.
#[derive(Debug, Clone, Copy)]
struct Home {
    slot: usize,
    instance: LocalInstance,
}

/// All backends of a show.
#[derive(Default)]
pub struct BackendSet {
    /// A slot is kept as long as its backend exists: wake-ups and timers are known by it.
    slots: Vec<Option<BackendSlot>>,
    /// By instance.
    homes: Vec<Option<Home>>,
    timers: Timers<BackendTimer>,
    /// The timers that are due, between two calls of [`BackendSet::tick`] empty.
    due: Vec<BackendTimer>,
}

impl BackendSet {
    /// Opens what was planned for a show.
    ///
    /// # Errors
    ///
    /// The first backend that cannot be opened. Those before it are dropped.
    pub fn open(plans: Vec<Box<dyn Plan>>, show: &LiveShow) -> Result<Self, OpenError> {
        let mut set = Self::default();
        for plan in plans {
            let backend = plan.open()?;
            let mut slot = BackendSlot::new(plan, show);
            slot.state = SlotState::Open(backend);
            slot.retry.note_open(Instant::now());
            set.slots.push(Some(slot));
        }
        set.find_homes(show);
        Ok(set)
    }

    /// Lets all open backends register their sources.
    ///
    /// # Errors
    ///
    /// The system's limit on watches is reached.
    pub fn start(&mut self, access: &mut LoopAccess<'_>) -> io::Result<()> {
        for slot in 0..self.slots.len() {
            self.with(slot, access, |backend, cx| backend.start(cx)).unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    fn find_homes(&mut self, show: &LiveShow) {
        self.homes = vec![None; show.id_limit()];
        for (slot, served) in self.slots.iter().enumerate() {
            let Some(served) = served.as_ref().filter(|served| served.plan.is_some()) else { continue };
            for (local, id) in served.instances.iter().enumerate() {
                self.homes[id.0] = Some(Home { slot, instance: LocalInstance(local) });
            }
        }
    }

    /// Puts a backend that is not open yet into a free slot.
    fn insert(&mut self, new: BackendSlot) -> usize {
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(new);
        slot
    }

    fn slot_mut(&mut self, slot: usize) -> Option<&mut BackendSlot> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// A source of a backend is ready. It adds about `budget` events at most.
    pub fn on_ready(&mut self, index: u32, token: u32, budget: usize, access: &mut LoopAccess<'_>) {
        let source = SourceId(token);
        self.with(index as usize, access, |backend, cx| backend.on_ready(source, budget, cx));
    }

    /// Hands an event to the backend that serves `instance`. False: none does. While the backend is not open, the last
    /// event of each channel is kept for it.
    #[inline]
    pub fn handle(
        &mut self,
        instance: InstanceId,
        channel: ChannelId,
        value: f64,
        access: &mut LoopAccess<'_>,
    ) -> bool {
        let Some(home) = self.homes.get(instance.0).copied().flatten() else { return false };
        let Some(slot) = self.slot_mut(home.slot) else { return false };
        if !matches!(slot.state, SlotState::Open(_)) {
            slot.missed.insert((instance, channel), value);
            return true;
        }
        slot.touched = true;
        self.with(home.slot, access, |backend, cx| backend.handle(home.instance, channel, value, cx));
        true
    }

    /// The step is over: lets the backends that took events send them. True: there was one.
    pub fn flush(&mut self, access: &mut LoopAccess<'_>) -> bool {
        let mut any = false;
        for slot in 0..self.slots.len() {
            let touched = self.slots[slot].as_mut().is_some_and(|slot| std::mem::take(&mut slot.touched));
            if touched {
                self.with(slot, access, |backend, cx| backend.flush(cx));
                any = true;
            }
        }
        any
    }

    /// The status of an instance; its name and its traffic are filled in by the caller.
    #[must_use]
    pub fn status(&self, instance: InstanceId) -> InstanceStatus {
        let home = self.homes.get(instance.0).copied().flatten();
        let slot = home.and_then(|home| self.slots.get(home.slot)?.as_ref());
        let (Some(home), Some(SlotState::Open(backend))) = (home, slot.map(|slot| &slot.state)) else {
            return InstanceStatus { state: InstanceState::Backoff, ..InstanceStatus::default() };
        };
        let status = backend.status(home.instance);
        InstanceStatus {
            state: match status.state {
                BackendState::Running => InstanceState::Running,
                BackendState::Connecting => InstanceState::Starting,
            },
            errors: status.errors,
            conflated: Some(status.conflated).filter(|count| *count > 0),
            peers: status.peers,
            note: status.note,
            ..InstanceStatus::default()
        }
    }

    /// A channel had this value before the supervisor was started again.
    pub fn restore(
        &mut self,
        instance: InstanceId,
        channel: ChannelId,
        value: f64,
        access: &mut LoopAccess<'_>,
    ) {
        if let Some(home) = self.homes.get(instance.0).copied().flatten() {
            self.with(home.slot, access, |backend, _| backend.restore(home.instance, channel, value));
        }
    }

    /// When [`BackendSet::tick`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Serves the timers that are due.
    pub fn tick(&mut self, now: Instant, access: &mut LoopAccess<'_>) {
        // Collected first, so that a backend which sets a timer to a time in the past cannot keep the loop here.
        let mut due = std::mem::take(&mut self.due);
        due.extend(std::iter::from_fn(|| self.timers.pop_due(now)));
        for timer in due.drain(..) {
            let slot = timer.slot as usize;
            match timer.purpose {
                TimerPurpose::Own(id) => {
                    self.with(slot, access, |backend, cx| backend.on_timer(id, now, cx));
                }
                TimerPurpose::Open => self.open_slot(slot, now, access),
                TimerPurpose::Close => self.poll_closing(slot, now, access),
            }
        }
        self.due = due;
    }

    fn set_timer(&mut self, slot: usize, purpose: TimerPurpose, deadline: Instant) {
        self.timers.set(BackendTimer { slot: slot as u32, purpose }, Some(deadline));
    }

    fn open_slot(&mut self, slot: usize, now: Instant, access: &mut LoopAccess<'_>) {
        let Some(served) = self.slot_mut(slot) else { return };
        let (SlotState::Waiting, Some(plan)) = (&served.state, &served.plan) else { return };
        let first = served.retry.is_first();
        let opened = catch_unwind(AssertUnwindSafe(|| plan.open()));
        match opened {
            Ok(Ok(backend)) => {
                served.state = SlotState::Open(backend);
                served.retry.note_open(now);
                tracing::info!(event = "backend_opened", "backend of {} is open", served.names);
                self.start_opened(slot, access);
            }
            Ok(Err(error)) => {
                let pause = self.retry_later(slot, now);
                if first {
                    tracing::error!(
                        event = "backend_open_failed",
                        "{error}; retrying in {} ms, then less often",
                        pause.as_millis()
                    );
                }
            }
            Err(_) => self.fail(slot, "internal error"),
        }
    }

    /// Lets a backend that was just opened register its sources, and hands it what it missed.
    fn start_opened(&mut self, slot: usize, access: &mut LoopAccess<'_>) {
        if let Some(Err(error)) = self.with(slot, access, |backend, cx| backend.start(cx)) {
            return self.fail(slot, &error.to_string());
        }
        let missed = self.slot_mut(slot).map(|served| std::mem::take(&mut served.missed));
        for ((instance, channel), value) in missed.into_iter().flatten() {
            self.handle(instance, channel, value, access);
        }
    }

    fn retry_later(&mut self, slot: usize, now: Instant) -> Duration {
        let Some(served) = self.slot_mut(slot) else { return Duration::ZERO };
        let pause = served.retry.after_failure(now);
        self.set_timer(slot, TimerPurpose::Open, now + pause);
        pause
    }

    /// Drops a backend that no longer works; it is opened again later, unless the show no longer has it.
    fn fail(&mut self, slot: usize, why: &str) {
        self.forget_timers(slot);
        let Some(served) = self.slot_mut(slot) else { return };
        served.state = SlotState::Waiting;
        let names = std::mem::take(&mut served.names);
        if served.plan.is_none() {
            self.slots[slot] = None;
            tracing::error!(event = "backend_failed", "backend of {names} failed while it closed: {why}");
            return;
        }
        let pause = self.retry_later(slot, Instant::now()).as_millis();
        tracing::error!(
            event = "backend_failed",
            "backend of {names} failed: {why}; reopening in {pause} ms"
        );
        if let Some(served) = self.slot_mut(slot) {
            served.names = names;
        }
    }

    fn forget_timers(&mut self, slot: usize) {
        self.timers.retain(|timer| timer.slot as usize != slot);
    }

    /// Runs code of the backend in a slot, if it is open or closing. If it panics, the backend fails.
    #[inline]
    fn with<R>(
        &mut self,
        slot: usize,
        access: &mut LoopAccess<'_>,
        act: impl FnOnce(&mut dyn Backend, &mut BackendContext<'_>) -> R,
    ) -> Option<R> {
        self.with_plan(slot, access, |backend, _, cx| act(backend, cx))
    }

    /// The same for code that needs to know the plan, which is `None` for a backend that the show no longer has.
    #[inline]
    fn with_plan<R>(
        &mut self,
        slot: usize,
        access: &mut LoopAccess<'_>,
        act: impl FnOnce(&mut dyn Backend, Option<&dyn Plan>, &mut BackendContext<'_>) -> R,
    ) -> Option<R> {
        let Self { slots, timers, .. } = self;
        let BackendSlot { state, instances, plan, .. } = slots.get_mut(slot)?.as_mut()?;
        let (SlotState::Open(backend) | SlotState::Closing { backend, .. }) = state else { return None };
        let sink = EventSink::new(access.events, instances);
        let mut cx = BackendContext::new(sink, access.poller, timers, slot as u32);
        match catch_unwind(AssertUnwindSafe(|| act(backend.as_mut(), plan.as_deref(), &mut cx))) {
            Ok(result) => Some(result),
            Err(_) => {
                self.fail(slot, "internal error");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
