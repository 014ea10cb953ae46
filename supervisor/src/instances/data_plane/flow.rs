//! The events of one instance on their way to its worker and back.
//!
//! Towards the worker an event goes straight into the ring, unless earlier ones still wait or no
//! worker serves: then it is queued. Each turn ends with one `deliver`, which publishes all events
//! at once and rings at most once.

use super::hot::Looking;
use super::rings::WorkerRings;
use super::values::Values;
use crate::conflating_queue::ConflatingQueue;
use mm_shared::wakeup::{IdleMode, PollWindow, WakeupMode, cpu};
use mm_shared::{Event, Violation};
use std::cmp::Reverse;
use std::time::Instant;

/// The most events of one worker that wait in the router. The rest waits in its ring, where it is
/// not lost, and holds up no other source. In a burst from one instance to another, the loop takes
/// the same CPU time per event with any limit from 128 to 4,096 (36 to 41 ns at best), and a tenth
/// more with 64.
pub const ROUTER_LIMIT: usize = 512;

/// The events of one instance.
#[derive(Debug)]
pub struct EventFlow {
    /// Last values and names of the channels.
    pub values: Values,
    queue: ConflatingQueue<Event>,
    /// Events of channels that the show has and the present worker does not know.
    unknown: ConflatingQueue<Event>,
    limit: usize,
    /// Events in the ring that are not published yet.
    staged: bool,
    /// Events staged since they were published last.
    fresh: usize,
    /// The ring was full, and the worker rings when it no longer is.
    waits_for_space: bool,
    poll_window: PollWindow,
}

impl EventFlow {
    /// Nothing under way; the queue keeps `limit` events in order.
    #[must_use]
    pub fn new(values: Values, limit: usize) -> Self {
        let (staged, waits_for_space) = (false, false);
        let poll_window = PollWindow::new(WakeupMode::of_process());
        Self {
            values,
            queue: ConflatingQueue::new(limit),
            unknown: ConflatingQueue::new(limit),
            limit,
            staged,
            fresh: 0,
            waits_for_space,
            poll_window,
        }
    }

    /// Events that wait outside the ring.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len() + self.unknown.len()
    }

    /// Events that were replaced by a later one of their channel.
    #[must_use]
    pub fn conflated(&self) -> u64 {
        self.queue.conflated() + self.unknown.conflated()
    }

    /// The show has other channels, which the next worker knows; no worker is attached. Events that
    /// came in for those that are new follow what waits.
    pub fn rename(&mut self, names: Vec<String>) {
        self.values.rename(names);
        let unknown: Vec<Event> = std::iter::from_fn(|| self.unknown.pop()).collect();
        unknown.into_iter().for_each(|event| self.accept(event, None));
        self.unknown.shrink();
    }

    /// Takes an event for the instance; `end` is that of the worker that serves, if one does.
    #[inline]
    pub fn accept(&mut self, event: Event, end: Option<&mut WorkerRings>) {
        if event.channel.0 >= self.values.mapped() {
            self.unknown.push(event);
            return;
        }
        if let Some(end) = end
            && self.queue.is_empty()
            && end.down.push(event).is_ok()
        {
            self.staged = true;
            self.fresh += 1;
            return;
        }
        self.queue.push(event);
    }

    /// Moves what waits into the ring, as much as there is room for, and wakes the worker if it
    /// sleeps. `is_pinned`: the loop is pinned to its CPU.
    ///
    /// # Errors
    ///
    /// The worker's cursor is where it cannot be.
    pub fn deliver(&mut self, end: &mut WorkerRings, is_pinned: bool) -> Result<(), Violation> {
        loop {
            self.fill(end)?;
            if end.down.publish() {
                // The worker may sleep on the same CPU.
                if let Some(cpu) = cpu::current() {
                    end.down.publish_cpu(cpu, is_pinned);
                }
                end.bell_to_worker.ring();
            }
            self.staged = false;
            // What the worker has taken by now is known, whatever it does to its cursor later.
            let values = &mut self.values;
            end.down.reclaim_with(|event| values.taken(event))?;
            if self.queue.is_empty() {
                self.queue.shrink();
                self.stop_waiting(end);
                return Ok(());
            }
            if self.waits_for_space || end.down.prepare_wait() {
                self.waits_for_space = true;
                return Ok(());
            }
        }
    }

    fn fill(&mut self, end: &mut WorkerRings) -> Result<(), Violation> {
        while !self.queue.is_empty() {
            if end.down.free() == 0 {
                let values = &mut self.values;
                if end.down.reclaim_with(|event| values.taken(event))? == 0 {
                    return Ok(());
                }
            }
            if let Some(event) = self.queue.pop() {
                // There is room: checked above.
                let _ = end.down.push(event);
            }
        }
        Ok(())
    }

    fn stop_waiting(&mut self, end: &mut WorkerRings) {
        if std::mem::take(&mut self.waits_for_space) {
            end.down.end_wait();
        }
    }

    /// The worker has rung: perhaps because there is space again.
    pub fn rung(&mut self, end: &mut WorkerRings) {
        end.bell_from_worker.clear();
        self.stop_waiting(end);
    }

    /// How many events went straight into the ring since this was last asked.
    pub fn take_fresh(&mut self) -> usize {
        std::mem::take(&mut self.fresh)
    }

    /// How many published events the worker has not taken yet.
    ///
    /// # Errors
    ///
    /// The worker's cursor is where it cannot be.
    pub fn waiting(&mut self, end: &mut WorkerRings) -> Result<usize, Violation> {
        let values = &mut self.values;
        end.down.reclaim_with(|event| values.taken(event))?;
        if end.down.in_hand().is_none() {
            values.ended(true);
        }
        Ok(end.down.in_flight())
    }

    /// Whether [`EventFlow::deliver`] has anything to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.staged || (!self.queue.is_empty() && !self.waits_for_space)
    }

    /// Takes what the worker has sent, up to `most` events, and passes on what mappings may use.
    /// Returns how many events it took.
    ///
    /// # Errors
    ///
    /// A record or a cursor breaks a rule.
    #[inline]
    pub fn collect(
        &mut self,
        end: &mut WorkerRings,
        looking: Looking,
        most: usize,
        mut route: impl FnMut(Event),
    ) -> Result<usize, Violation> {
        let mapped = self.values.mapped();
        let values = &mut self.values;
        let taken = end.take(looking, most, |event| {
            values.sent(event);
            if event.channel.0 < mapped {
                route(event);
            }
        });
        self.poll_window.note_received(*taken.as_ref().unwrap_or(&0));
        taken
    }

    /// Asks the worker to ring from now on: when it sends something, or, if it is busy, when it no
    /// longer is.
    ///
    /// # Errors
    ///
    /// The worker's cursor is where it cannot be.
    pub fn rest(&mut self, end: &mut WorkerRings, now: Instant) -> Result<IdleMode, Violation> {
        if let Some(window) = self.poll_window.window(now)
            && window.is_busy(self.waiting(end)?, end.down.in_hand().is_some())
        {
            return Ok(if end.prepare_nap() {
                IdleMode::PollUntil(Reverse(window.until))
            } else {
                IdleMode::Busy
            });
        }
        Ok(if end.prepare_sleep() { IdleMode::Block } else { IdleMode::Busy })
    }

    /// The worker takes no more events: what it has not taken goes back in front of the queue.
    /// Returns the event that it was still working on.
    pub fn take_back(&mut self, end: &mut WorkerRings) -> Option<Event> {
        let values = &mut self.values;
        let believed = end.down.reclaim_with(|event| values.taken(event)).is_ok();
        let mut undelivered = end.down.undelivered();
        let in_hand = match end.down.first_untaken() {
            // The cursor is impossible. The first event that is not known to be taken may be what
            // made it so, and handed out again it would do the same to every worker.
            Some(suspect) if !believed => {
                undelivered.remove(0);
                self.values.ended(true);
                Some(suspect)
            }
            _ => {
                let in_hand = end.down.in_hand();
                self.values.ended(in_hand.is_none());
                in_hand
            }
        };
        self.queue.push_front(undelivered);
        self.staged = false;
        self.waits_for_space = false;
        in_hand
    }

    /// The queue keeps so many events in order from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.queue.set_limit(limit);
        self.unknown.set_limit(limit);
    }

    /// No worker takes events for an unknown time: only the last value of each channel is kept.
    pub fn keep_latest_only(&mut self) {
        self.queue.set_limit(0);
        self.unknown.set_limit(0);
    }

    /// A worker takes events, or will soon: they are kept in order.
    pub fn keep_order(&mut self) {
        self.queue.raise_limit(self.limit);
        self.unknown.raise_limit(self.limit);
    }
}
