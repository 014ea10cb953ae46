//! The backends of a running show, and which of them serves which instance.
//!
//! A backend that panics, or that cannot be opened while the show runs, is opened again later. A
//! backend that the show no longer has is closed and polled until it is closed. The event loop does
//! not wait for either.

mod apply;
mod slot;

use super::backend::{Backend, BackendState, LocalInstance, OpenCause, OpenError, Plan};
use super::context::{BackendContext, BackendTimer, EventSink, Incoming, SourceId, TimerPurpose};
use crate::ids::InstanceId;
use crate::poller::{Poller, Wake};
use crate::resolver::{ResolvedHost, Resolver};
use crate::show::LiveShow;
use crate::status::{InstanceState, InstanceStatus};
use crate::timers::Timers;
use mm_shared::ChannelId;
use slot::{BackendSlot, SlotState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A host of which no answer came by then is asked for again.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(60);

/// The parts of the event loop that backends use.
#[derive(Debug)]
pub struct LoopAccess<'a> {
    /// Watches descriptors.
    pub poller: &'a Poller,
    /// Takes incoming events.
    pub events: &'a mut Vec<Incoming>,
}

/// The backend that serves an instance, and the index of the instance in it.
#[derive(Debug, Clone, Copy)]
struct InstanceHome {
    slot: usize,
    instance: LocalInstance,
}

/// All backends of a show.
pub struct BackendSet {
    /// A backend keeps its slot as long as it exists: wakes and timers contain the index of the
    /// slot.
    slots: Vec<Option<BackendSlot>>,
    /// By instance.
    homes: Vec<Option<InstanceHome>>,
    timers: Timers<BackendTimer>,
    resolver: Resolver,
    /// The timers that are due; empty between two calls of [`BackendSet::tick`].
    due: Vec<BackendTimer>,
    /// Sources that have input left which the kernel does not report.
    unfinished: Vec<Wake>,
    /// Instances whose backends were opened again, for [`BackendSet::take_reopened`].
    reopened: Vec<InstanceId>,
}

impl BackendSet {
    /// Opens the planned backends of a show. Those for which the network lacks something are opened
    /// later.
    ///
    /// # Errors
    ///
    /// A backend cannot be opened, and that will not come right by itself. Those opened before it
    /// are dropped.
    pub fn open(plans: Vec<Box<dyn Plan>>, show: &LiveShow, resolver: Resolver) -> Result<Self, OpenError> {
        let (slots, homes, timers) = (Vec::new(), Vec::new(), Timers::default());
        let (due, unfinished) = (Vec::new(), Vec::new());
        let mut set = Self { slots, homes, timers, resolver, due, unfinished, reopened: Vec::new() };
        let now = Instant::now();
        for plan in plans {
            let opened = plan.open();
            let slot = set.insert(BackendSlot::new(plan, show));
            match opened {
                Ok(backend) => {
                    let Some(served) = set.slot_mut(slot) else { continue };
                    (served.state, served.was_open) = (SlotState::Open(backend), true);
                    served.retry.note_open(now);
                }
                Err(error) if error.cause == OpenCause::Lasting => return Err(error),
                Err(error) => set.open_failed(slot, error, now),
            }
        }
        set.find_homes(show);
        Ok(set)
    }

    /// Lets all open backends register their sources.
    ///
    /// # Errors
    ///
    /// The system's limit on watched descriptors is reached.
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
                self.homes[id.0] = Some(InstanceHome { slot, instance: LocalInstance(local) });
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

    /// The instances of the backend in a slot.
    #[must_use]
    pub fn instances_of(&self, index: u32) -> &[InstanceId] {
        let slot = self.slots.get(index as usize).and_then(Option::as_ref);
        slot.map_or(&[], |slot| &slot.instances)
    }

    /// Whether a source has input left which the kernel does not report.
    #[must_use]
    pub fn has_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Adds a wake-up for each of these sources.
    pub fn wake_unfinished(&mut self, wakes: &mut Vec<Wake>) {
        wakes.append(&mut self.unfinished);
    }

    /// A source of a backend is ready. It adds about `budget` events at most.
    pub fn on_ready(&mut self, index: u32, token: u32, budget: usize, access: &mut LoopAccess<'_>) {
        let source = SourceId(token);
        self.with(index as usize, access, |backend, cx| backend.on_ready(source, budget, cx));
    }

    /// Hands an event to the backend that serves `instance`. Returns whether there is one. While
    /// the backend is not open, its slot keeps the last event of each channel for it.
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

    /// Ends a routing step: the backends that took events send them. `is_part`: more is likely to
    /// follow at once. Returns whether any did.
    pub fn flush(&mut self, is_part: bool, access: &mut LoopAccess<'_>) -> bool {
        let mut any = false;
        for slot in 0..self.slots.len() {
            let touched = self.slots[slot].as_mut().is_some_and(|slot| std::mem::take(&mut slot.touched));
            if touched {
                self.with(slot, access, |backend, cx| match is_part {
                    true => backend.flush_part(cx),
                    false => backend.flush(cx),
                });
                any = true;
            }
        }
        any
    }

    /// The instances whose backends were opened again since this was last asked.
    pub fn take_reopened(&mut self) -> Vec<InstanceId> {
        std::mem::take(&mut self.reopened)
    }

    /// The status of an instance without its name and its traffic, which the caller adds.
    #[must_use]
    pub fn status(&self, instance: InstanceId) -> InstanceStatus {
        let home = self.homes.get(instance.0).copied().flatten();
        let slot = home.and_then(|home| self.slots.get(home.slot)?.as_ref());
        let (Some(home), Some(SlotState::Open(backend))) = (home, slot.map(|slot| &slot.state)) else {
            let note = slot.and_then(|slot| slot.fault.clone());
            return InstanceStatus { state: InstanceState::Backoff, note, ..InstanceStatus::default() };
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
            universes: status.universes,
            ..InstanceStatus::default()
        }
    }

    /// A channel had this value before the supervisor was started again. `is_output`: it was routed
    /// there; otherwise it had come in.
    pub fn restore(
        &mut self,
        instance: InstanceId,
        channel: ChannelId,
        value: f64,
        is_output: bool,
        access: &mut LoopAccess<'_>,
    ) {
        let Some(home) = self.homes.get(instance.0).copied().flatten() else { return };
        let Some(slot) = self.slot_mut(home.slot) else { return };
        match slot.state {
            SlotState::Waiting => {
                slot.restored.entry((instance, channel)).or_default().push((value, is_output))
            }
            _ => drop(self.with(home.slot, access, |backend, _| {
                backend.restore(home.instance, channel, value, is_output);
            })),
        }
    }

    /// When [`BackendSet::tick`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Serves the timers that are due.
    pub fn tick(&mut self, now: Instant, access: &mut LoopAccess<'_>) {
        // Collected first: a backend that sets a timer to a time in the past must not block the
        // loop.
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

    /// A host was looked up: backends that are open take the answer, those that need it to open
    /// are opened.
    pub fn host_resolved(&mut self, answer: &ResolvedHost, now: Instant, access: &mut LoopAccess<'_>) {
        for slot in 0..self.slots.len() {
            self.with(slot, access, |backend, cx| backend.on_resolved(answer, cx));
            let Some(BackendSlot { plan: Some(plan), state, .. }) = self.slot_mut(slot) else { continue };
            let is_needed = plan.hosts().contains(&answer.host);
            plan.on_resolved(answer);
            if is_needed && matches!(state, SlotState::Waiting) {
                self.open_slot(slot, now, access);
            }
        }
    }

    fn open_slot(&mut self, slot: usize, now: Instant, access: &mut LoopAccess<'_>) {
        let Some(served) = self.slot_mut(slot) else { return };
        let (SlotState::Waiting, Some(plan)) = (&served.state, &served.plan) else { return };
        let opened = catch_unwind(AssertUnwindSafe(|| plan.open()));
        match opened {
            Ok(Ok(backend)) => {
                served.state = SlotState::Open(backend);
                served.retry.note_open(now);
                served.fault = None;
                let instances =
                    std::mem::replace(&mut served.was_open, true).then(|| served.instances.clone());
                tracing::info!(event = "backend_opened", "backend of {} opened", served.names);
                self.start_opened(slot, access);
                self.reopened.extend(instances.into_iter().flatten());
            }
            Ok(Err(error)) => self.open_failed(slot, error, now),
            Err(_) => self.fail(slot, "internal error"),
        }
    }

    /// Arranges the next attempt to open a backend, and logs why there has to be one, once.
    fn open_failed(&mut self, slot: usize, error: OpenError, now: Instant) {
        let Some(served) = self.slot_mut(slot) else { return };
        let is_news = served.fault.replace(error.to_string()).as_deref() != Some(&error.message);
        let hosts = served.plan.as_ref().map(|plan| plan.hosts()).unwrap_or_default();
        if error.cause == OpenCause::LookUp {
            // The answer opens it; without a thread for it there is none.
            self.set_timer(slot, TimerPurpose::Open, now + LOOK_UP_TIMEOUT);
        } else {
            let pause = self.retry_later(slot, now).as_millis();
            let level_is_error = error.cause == OpenCause::Lasting;
            let hint = error.hint.map(|hint| format!("; hint: {hint}")).unwrap_or_default();
            let message = error.message;
            match is_news {
                true if level_is_error => tracing::error!(
                    event = "backend_open_failed",
                    "{message}; retrying in {pause} ms, then less often{hint}"
                ),
                true => tracing::warn!(
                    event = "backend_open_failed",
                    "{message}; retrying in {pause} ms, then less often{hint}"
                ),
                false => {}
            }
        }
        hosts.iter().for_each(|host| self.resolver.look_up(host));
    }

    /// Starts a backend that was just opened, and hands it the events that it missed.
    fn start_opened(&mut self, slot: usize, access: &mut LoopAccess<'_>) {
        if let Some(Err(error)) = self.with(slot, access, |backend, cx| backend.start(cx)) {
            return self.fail(slot, &error.to_string());
        }
        let Some(served) = self.slot_mut(slot) else { return };
        let (restored, missed) = (std::mem::take(&mut served.restored), std::mem::take(&mut served.missed));
        for ((instance, channel), values) in restored {
            for (value, is_output) in values {
                self.restore(instance, channel, value, is_output, access);
            }
        }
        for ((instance, channel), value) in missed {
            self.handle(instance, channel, value, access);
        }
    }

    fn retry_later(&mut self, slot: usize, now: Instant) -> Duration {
        let Some(served) = self.slot_mut(slot) else { return Duration::ZERO };
        let pause = served.retry.after_failure(now);
        self.set_timer(slot, TimerPurpose::Open, now + pause);
        pause
    }

    /// Drops a backend that has failed. It is opened again later if the show still has it.
    fn fail(&mut self, slot: usize, why: &str) {
        self.forget_timers(slot);
        let Some(served) = self.slot_mut(slot) else { return };
        served.state = SlotState::Waiting;
        served.fault = Some(why.to_owned());
        let names = std::mem::take(&mut served.names);
        if served.plan.is_none() {
            self.slots[slot] = None;
            tracing::error!(event = "backend_failed", "backend of {names} failed while closing: {why}");
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

    /// Calls the backend in a slot, if it is open or closing. A panic makes the backend fail.
    #[inline]
    fn with<R>(
        &mut self,
        slot: usize,
        access: &mut LoopAccess<'_>,
        act: impl FnOnce(&mut dyn Backend, &mut BackendContext<'_>) -> R,
    ) -> Option<R> {
        self.with_plan(slot, access, |backend, _, cx| act(backend, cx))
    }

    /// The same with the plan, which is `None` for a backend that the show no longer has.
    #[inline]
    fn with_plan<R>(
        &mut self,
        slot: usize,
        access: &mut LoopAccess<'_>,
        act: impl FnOnce(&mut dyn Backend, Option<&dyn Plan>, &mut BackendContext<'_>) -> R,
    ) -> Option<R> {
        let Self { slots, timers, resolver, unfinished, .. } = self;
        let BackendSlot { state, instances, plan, .. } = slots.get_mut(slot)?.as_mut()?;
        let (is_muted, backend) = match state {
            SlotState::Open(backend) => (false, backend),
            SlotState::Closing { backend, is_muted, .. } => (*is_muted, backend),
            SlotState::Waiting => return None,
        };
        let mut unwanted = Vec::new();
        let events = if is_muted { &mut unwanted } else { &mut *access.events };
        let sink = EventSink::new(events, instances);
        let mut cx = BackendContext::new(sink, access.poller, timers, unfinished, resolver, slot as u32);
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
