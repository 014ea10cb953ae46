//! Applies a new show to the set of backends, and closes all of them at the end of the show.

use super::{BackendSet, BackendSlot, LoopAccess, SlotState};
use crate::backends::context::TimerPurpose;
use crate::backends::{Plan, PlanChange, Reconfigured};
use crate::poller::{Poller, Wake};
use crate::show::LiveShow;
use crate::show::change::ShowChange;
use std::time::{Duration, Instant};

/// The time that a backend has to close. Then it is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a closing backend is asked whether it is closed.
const CLOSE_POLL_INTERVAL: Duration = Duration::from_millis(5);

impl BackendSet {
    /// Applies a new show. A backend with the same plan goes on. A backend whose plan changed
    /// decides how much of it stays open. Backends close before others open, so that their ports
    /// are free.
    pub fn apply(
        &mut self,
        plans: Vec<Box<dyn Plan>>,
        show: &LiveShow,
        change: &ShowChange,
        access: &mut LoopAccess<'_>,
    ) {
        let now = Instant::now();
        let mut plans: Vec<_> = plans.into_iter().map(Some).collect();
        self.slots.iter_mut().flatten().for_each(|slot| slot.renumber(change));
        for slot in 0..self.slots.len() {
            let Some(key) =
                self.slots[slot].as_ref().and_then(|slot| slot.plan.as_ref()).map(|plan| plan.key())
            else {
                continue;
            };
            let same_key =
                |plan: &&mut Option<Box<dyn Plan>>| plan.as_ref().is_some_and(|plan| plan.key() == key);
            match plans.iter_mut().find(same_key).and_then(Option::take) {
                Some(plan) => self.change_plan(slot, plan, show, change, access),
                None => {
                    if let Some(served) = self.slot_mut(slot) {
                        served.plan = None;
                    }
                    self.begin_close(slot, false, now, access);
                }
            }
        }
        for plan in plans.into_iter().flatten() {
            let slot = self.insert(BackendSlot::new(plan, show));
            self.set_timer(slot, TimerPurpose::Open, now);
        }
        self.find_homes(show);
        self.tick(now, access);
    }

    /// Gives a slot another plan of the same key.
    fn change_plan(
        &mut self,
        slot: usize,
        plan: Box<dyn Plan>,
        show: &LiveShow,
        change: &ShowChange,
        access: &mut LoopAccess<'_>,
    ) {
        let Some(served) = self.slot_mut(slot) else { return };
        let instances = plan.instances();
        let differs = served.plan.as_ref().is_some_and(|old| plan.differs(&**old));
        let unchanged =
            !differs && instances == served.instances && instances.iter().all(|id| change.is_unchanged(*id));
        let plan_change = PlanChange::new(&served.instances, &instances, |id| change.is_unchanged(id));
        served.set_plan(plan, show);
        if unchanged {
            return;
        }
        let now = Instant::now();
        match &served.state {
            SlotState::Open(_) => {
                let outcome = self.with_plan(slot, access, |backend, plan, cx| match plan {
                    Some(plan) => backend.reconfigure(plan, &plan_change, cx),
                    None => Reconfigured::Kept,
                });
                if outcome == Some(Reconfigured::Reopen) {
                    let is_muted = instances.iter().any(|id| change.is_renumbered(*id));
                    self.begin_close(slot, is_muted, now, access);
                }
            }
            SlotState::Waiting => self.set_timer(slot, TimerPurpose::Open, now),
            SlotState::Closing { .. } => {
                if let Some(served) = self.slot_mut(slot)
                    && let SlotState::Closing { is_muted, .. } = &mut served.state
                {
                    *is_muted |= instances.iter().any(|id| change.is_renumbered(*id));
                }
            }
        }
    }

    /// Begins to close the backend of a slot. The plan of the slot, if it has one, is opened when
    /// the backend is closed. `is_muted`: what it still receives is dropped.
    fn begin_close(&mut self, slot: usize, is_muted: bool, now: Instant, access: &mut LoopAccess<'_>) {
        self.with(slot, access, |backend, cx| backend.close(cx));
        let Some(served) = self.slot_mut(slot) else { return };
        served.state = match std::mem::replace(&mut served.state, SlotState::Waiting) {
            SlotState::Open(backend) => {
                SlotState::Closing { backend, deadline: now + CLOSE_TIMEOUT, is_muted }
            }
            other => other,
        };
        self.poll_closing(slot, now, access);
    }

    /// Drops a closing backend if it is closed or its deadline has passed.
    pub(super) fn poll_closing(&mut self, slot: usize, now: Instant, access: &mut LoopAccess<'_>) {
        let is_closed = self.with(slot, access, |backend, _| backend.is_closed());
        let Some(served) = self.slot_mut(slot) else { return };
        match &served.state {
            SlotState::Closing { deadline, .. } if is_closed == Some(false) && now < *deadline => {
                return self.set_timer(slot, TimerPurpose::Close, now + CLOSE_POLL_INTERVAL);
            }
            SlotState::Closing { .. } if is_closed == Some(false) => {
                let timeout = CLOSE_TIMEOUT.as_millis();
                tracing::warn!(
                    event = "backend_close_timed_out",
                    "backend of {} did not close within {timeout} ms; dropping it",
                    served.names
                );
            }
            SlotState::Open(_) => return,
            SlotState::Closing { .. } | SlotState::Waiting => {}
        }
        served.state = SlotState::Waiting;
        let is_planned = served.plan.is_some();
        self.forget_timers(slot);
        match is_planned {
            true => self.set_timer(slot, TimerPurpose::Open, now),
            false => self.slots[slot] = None,
        }
    }

    /// Closes all backends at the end of the show, and waits until they are closed, but at most
    /// [`CLOSE_TIMEOUT`].
    pub fn close_all(&mut self, poller: &mut Poller) {
        let (mut events, mut wakes) = (Vec::new(), Vec::new());
        let now = Instant::now();
        for slot in 0..self.slots.len() {
            if let Some(served) = self.slot_mut(slot) {
                served.plan = None;
                self.begin_close(slot, false, now, &mut LoopAccess { poller, events: &mut events });
            }
        }
        while self.slots.iter().any(Option::is_some) {
            // If waiting fails, the deadline of the last backend still ends the loop.
            let _ = poller.wait(Some(CLOSE_POLL_INTERVAL), &mut wakes);
            let mut access = LoopAccess { poller, events: &mut events };
            for wake in wakes.drain(..) {
                if let Wake::Backend { index, token } = wake {
                    self.on_ready(index, token, usize::MAX, &mut access);
                }
            }
            self.tick(Instant::now(), &mut access);
            events.clear();
        }
    }
}
