//! The events of one instance on their way to its worker and back.
//!
//! Towards the worker an event goes straight into the ring, unless earlier ones still wait or no
//! worker serves: then it is queued. Each turn ends with one `deliver`, which publishes all events
//! at once and rings at most once.

use super::hot::Looking;
use super::rings::WorkerRings;
use super::translation::Translation;
use super::values::Values;
use crate::conflating_queue::ConflatingQueue;
use crate::show::change::Renumbering;
use mm_shared::wakeup::{IdleMode, PollWindow, WakeupMode, cpu};
use mm_shared::{ChannelId, Event, Violation};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Instant;

/// The most events of one worker that wait in the router. The rest waits in its ring, where it is
/// not lost, and holds up no other source. In a burst from one instance to another, the loop takes
/// the same CPU time per event with any limit from 128 to 4,096 (36 to 41 ns at best), and a tenth
/// more with 64.
pub const ROUTER_LIMIT: usize = 512;

/// The events of one instance.
#[derive(Debug)]
pub struct EventFlow {
    /// Last values and names of the channels, as the present worker numbers them.
    pub values: Values,
    /// Events with the numbers of the present worker.
    queue: ConflatingQueue<Event>,
    /// Events of channels that the show has and the present worker does not know, with the numbers
    /// of the show.
    unknown: ConflatingQueue<Event>,
    /// `None`: show and worker have the same channels.
    translation: Option<Translation>,
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
            translation: None,
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

    /// How many events the queue keeps in order.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Events that were replaced by a later one of their channel.
    #[must_use]
    pub fn conflated(&self) -> u64 {
        self.queue.conflated() + self.unknown.conflated()
    }

    /// The show has other channels, by these names. The present worker goes on with those that it
    /// knows.
    pub fn apply<'a>(&mut self, show: impl Iterator<Item = &'a str> + Clone, renumbering: Renumbering<'_>) {
        self.translation = Translation::new(self.values.mapped_names(), show);
        self.unknown.change_all(|Event { channel, value }| {
            Some(Event { channel: renumbering.channel(channel)?, value })
        });
        self.accept_unknown();
    }

    /// A worker that was started with these channels is about to serve; no worker is attached.
    /// `show` are those of the show. Events that came in for channels that the last worker did not
    /// know follow what waits.
    pub fn rename<'a>(&mut self, names: Vec<String>, show: impl Iterator<Item = &'a str> + Clone) {
        let old: Vec<String> = self.values.mapped_names().map(str::to_owned).collect();
        let numbers: HashMap<&str, ChannelId> =
            names.iter().map(String::as_str).zip((0..).map(ChannelId)).collect();
        let before = self.translation.take();
        let unknown = &mut self.unknown;
        self.queue.change_all(|Event { channel, value }| {
            let number = old.get(channel.index()).and_then(|name| numbers.get(name.as_str()));
            if number.is_none()
                && let Some(channel) = to_show(before.as_ref(), channel)
            {
                unknown.push(Event { channel, value });
            }
            Some(Event { channel: *number?, value })
        });
        drop(numbers);
        self.values.rename(names);
        self.translation = Translation::new(self.values.mapped_names(), show);
        self.accept_unknown();
    }

    /// Events of channels that the worker knows by now follow what waits.
    fn accept_unknown(&mut self) {
        let unknown: Vec<Event> = std::iter::from_fn(|| self.unknown.pop()).collect();
        unknown.into_iter().for_each(|event| self.accept(event, None));
        self.unknown.shrink();
    }

    /// The worker's number of a channel of the show, if the worker knows it.
    #[inline]
    fn to_worker(&self, channel: ChannelId) -> Option<ChannelId> {
        match &self.translation {
            None => (channel.0 < self.values.mapped()).then_some(channel),
            Some(translation) => translation.to_worker(channel),
        }
    }

    /// The last value that the script sent on a channel of the show, if it has sent one.
    #[must_use]
    pub fn output(&self, channel: ChannelId) -> Option<f64> {
        self.values.output(self.to_worker(channel)?)
    }

    /// Takes an event for the instance; `end` is that of the worker that serves, if one does.
    #[inline]
    pub fn accept(&mut self, event: Event, end: Option<&mut WorkerRings>) {
        let Some(channel) = self.to_worker(event.channel) else {
            self.unknown.push(event);
            return;
        };
        let event = Event { channel, ..event };
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
            // What the worker has taken by now is known before it gets more, whatever the handler
            // of that does to the cursor.
            let values = &mut self.values;
            end.down.reclaim_with(|event| values.taken(event))?;
            self.fill(end)?;
            if end.down.publish() {
                // The worker may sleep on the same CPU.
                if let Some(cpu) = cpu::current() {
                    end.down.publish_cpu(cpu, is_pinned);
                }
                end.bell_to_worker.ring();
            }
            self.staged = false;
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
        let Self { values, translation, .. } = self;
        let taken = end.take(looking, most, |event| {
            values.sent(event);
            if event.channel.0 < mapped
                && let Some(channel) = to_show(translation.as_ref(), event.channel)
            {
                route(Event { channel, ..event });
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

/// The show's number of a mapped channel of the worker, if mappings still use it.
#[inline]
fn to_show(translation: Option<&Translation>, channel: ChannelId) -> Option<ChannelId> {
    match translation {
        None => Some(channel),
        Some(translation) => translation.to_show(channel),
    }
}
