//! The queue of events between the event loop and one client that monitors.
//!
//! The loop collects the events of a turn and hands them over at its end: one allocation and one
//! wake-up per turn, not per event. It never waits. Events that find no room are counted, and the
//! count is shown where they are missing. Names and text are the work of the client's thread.

use super::name_index::NameIndex;
use super::protocol::{EventDirection, EventReply};
use crate::ids::InstanceId;
use mm_shared::ChannelId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

/// Events that may wait for a client.
pub const EVENT_QUEUE_CAPACITY: usize = 4096;

/// An event as the loop sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonitorEvent {
    /// The instance.
    pub instance: InstanceId,
    /// The number of the channel in the instance.
    pub channel: ChannelId,
    /// Which way it went.
    pub direction: EventDirection,
    /// From 0.0 to 1.0.
    pub value: f64,
    /// Milliseconds since the beginning of 1970 (UTC).
    pub time_ms: u64,
}

/// The events of one turn of the loop.
#[derive(Debug)]
pub struct EventBatch {
    /// How many events are missing before these.
    pub dropped: u64,
    /// The events, in their order; may be empty if some are missing.
    pub events: Vec<MonitorEvent>,
    /// The names at the time of the events.
    names: Arc<NameIndex>,
}

/// What a receiver finds.
#[derive(Debug)]
pub enum StreamState {
    /// Events.
    Batch(EventBatch),
    /// Events are missing, and none has followed so far.
    Dropped(u64),
    /// Nothing within the timeout.
    Idle,
    /// The loop has ended.
    Closed,
}

/// Shared by both ends. The counters order no other memory, so relaxed access is enough.
#[derive(Debug, Default)]
struct StreamCounters {
    /// Events in the queue.
    queued: AtomicUsize,
    /// Events that are missing after the last batch.
    dropped: AtomicU64,
}

/// The loop's end.
#[derive(Debug)]
pub struct EventSender {
    /// Bounded by `StreamCounters::queued`: a batch has at least one event.
    batches: Sender<EventBatch>,
    counters: Arc<StreamCounters>,
    /// The events of this turn.
    staged: Vec<MonitorEvent>,
    /// How many events this turn has room for, as found with its first event.
    room: usize,
    /// Events of this turn that found no room, all of them after the staged ones.
    missed: u64,
}

/// The client's end.
#[derive(Debug)]
pub struct EventReceiver {
    batches: Receiver<EventBatch>,
    counters: Arc<StreamCounters>,
}

/// A new queue.
#[must_use]
pub fn event_stream() -> (EventSender, EventReceiver) {
    let (sender, receiver) = channel();
    let counters = Arc::new(StreamCounters::default());
    let sender = EventSender {
        batches: sender,
        counters: Arc::clone(&counters),
        staged: Vec::new(),
        room: 0,
        missed: 0,
    };
    (sender, EventReceiver { batches: receiver, counters })
}

impl EventSender {
    /// Adds an event to this turn.
    #[inline]
    pub fn push(&mut self, event: MonitorEvent) {
        if self.staged.is_empty() && self.missed == 0 {
            self.room = EVENT_QUEUE_CAPACITY.saturating_sub(self.counters.queued.load(Ordering::Relaxed));
        }
        if self.staged.len() < self.room {
            self.staged.push(event);
        } else {
            self.missed += 1;
        }
    }

    /// Hands over the events of this turn. Returns whether the client is still connected.
    pub fn flush(&mut self, names: &Arc<NameIndex>) -> bool {
        if !self.staged.is_empty() {
            let dropped = self.counters.dropped.swap(0, Ordering::Relaxed);
            self.counters.queued.fetch_add(self.staged.len(), Ordering::Relaxed);
            let events = std::mem::take(&mut self.staged);
            if self.batches.send(EventBatch { dropped, events, names: Arc::clone(names) }).is_err() {
                return false;
            }
        }
        if self.missed > 0 {
            self.counters.dropped.fetch_add(std::mem::take(&mut self.missed), Ordering::Relaxed);
        }
        !self.is_disconnected()
    }

    /// Whether the client is gone.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        // the receiver holds the only other handle
        Arc::strong_count(&self.counters) == 1
    }
}

impl EventReceiver {
    /// The next events; waits for them for at most `timeout`.
    #[must_use]
    pub fn receive(&self, timeout: Duration) -> StreamState {
        let batch = match self.batches.try_recv() {
            Ok(batch) => batch,
            Err(TryRecvError::Disconnected) => return StreamState::Closed,
            Err(TryRecvError::Empty) => match self.counters.dropped.swap(0, Ordering::Relaxed) {
                0 => match self.batches.recv_timeout(timeout) {
                    Ok(batch) => batch,
                    Err(RecvTimeoutError::Timeout) => return StreamState::Idle,
                    Err(RecvTimeoutError::Disconnected) => return StreamState::Closed,
                },
                dropped => return StreamState::Dropped(dropped),
            },
        };
        self.counters.queued.fetch_sub(batch.events.len(), Ordering::Relaxed);
        StreamState::Batch(batch)
    }
}

impl EventBatch {
    /// The events with their names.
    pub fn replies(&self) -> impl Iterator<Item = EventReply> + '_ {
        self.events.iter().filter_map(|event| {
            let MonitorEvent { instance, channel, direction, value, time_ms } = *event;
            let name = self.names.channel(instance, channel)?;
            let (instance, channel) = (name.instance.clone(), name.channel.clone());
            Some(EventReply { instance, channel, direction, value, time_ms })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: f64) -> MonitorEvent {
        let (instance, direction) = (InstanceId(0), EventDirection::Out);
        MonitorEvent { instance, channel: ChannelId(0), direction, value, time_ms: 1 }
    }

    /// Lets events of one value pass in one turn.
    fn pass(sender: &mut EventSender, count: usize, value: f64) -> bool {
        (0..count).for_each(|_| sender.push(event(value)));
        sender.flush(&Arc::default())
    }

    /// How many events came, and how many are missing before and after them.
    fn received(receiver: &EventReceiver) -> Option<(u64, usize)> {
        match receiver.receive(Duration::ZERO) {
            StreamState::Batch(batch) => Some((batch.dropped, batch.events.len())),
            StreamState::Dropped(count) => Some((count, 0)),
            StreamState::Idle | StreamState::Closed => None,
        }
    }

    #[test]
    fn events_without_room_are_counted_and_told_of_when_nothing_else_comes() {
        let (mut sender, receiver) = event_stream();
        assert!(pass(&mut sender, EVENT_QUEUE_CAPACITY, 0.5));
        assert!(pass(&mut sender, 7, 0.5));
        assert_eq!(received(&receiver), Some((0, EVENT_QUEUE_CAPACITY)));
        assert_eq!(received(&receiver), Some((7, 0)));
        assert_eq!(received(&receiver), None);
    }

    #[test]
    fn the_count_stands_between_the_events_before_and_after_the_gap() {
        let (mut sender, receiver) = event_stream();
        pass(&mut sender, EVENT_QUEUE_CAPACITY + 3, 0.5);
        assert_eq!(received(&receiver), Some((0, EVENT_QUEUE_CAPACITY)));
        pass(&mut sender, 1, 1.0);
        assert_eq!(received(&receiver), Some((3, 1)));
    }

    #[test]
    fn no_event_is_lost_without_being_counted() {
        let (mut sender, receiver) = event_stream();
        let (mut passed, mut seen) = (0, 0);
        for turn in 0..500 {
            pass(&mut sender, turn % 97, 0.5);
            passed += (turn % 97) as u64;
            if turn % 13 == 0
                && let Some((dropped, count)) = received(&receiver)
            {
                seen += dropped + count as u64;
            }
        }
        while let Some((dropped, count)) = received(&receiver) {
            seen += dropped + count as u64;
        }
        assert_eq!(seen, passed);
    }

    #[test]
    fn a_lane_that_nobody_reads_any_more_says_so() {
        let (mut sender, receiver) = event_stream();
        assert!(!sender.is_disconnected());
        drop(receiver);
        assert!(sender.is_disconnected());
        assert!(!pass(&mut sender, 1, 0.5));
        assert!(!pass(&mut sender, 0, 0.5));
    }

    #[test]
    fn a_loop_that_has_ended_closes_the_stream_after_its_last_events() {
        let (mut sender, receiver) = event_stream();
        pass(&mut sender, 2, 0.5);
        drop(sender);
        assert_eq!(received(&receiver), Some((0, 2)));
        assert!(matches!(receiver.receive(Duration::ZERO), StreamState::Closed));
    }
}
