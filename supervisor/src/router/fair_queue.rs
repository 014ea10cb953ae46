//! The events that wait to be routed: one queue per source, and the sources take turns.
//!
//! A source is an instance: what its backend receives, or what its worker sends. A turn is counted
//! in *targets* (deficit round robin with the number of targets as the cost), so a source whose
//! events go to 500 channels each has no larger share of the loop than one whose events go to one.
//! An event with more targets than a turn has left is routed in parts, over several turns. Events
//! of one source stay in order, because the next event begins when the last part was routed.
//!
//! Only sources that have an event waiting are in the rotation, so the work for an event does not
//! grow with the number of instances.
//!
//! Each queue is conflated by itself when it is full ([`crate::conflating_queue`]). Most sources
//! never come to that: what there is no room for stays in the ring of the worker or in the kernel's
//! buffer ([`FairQueue::waiting`]). Conflated is what cannot wait where it came from: events of a
//! loop of mappings, and MIDI messages.

use super::table::SourceIndex;
use crate::conflating_queue::{ConflatingQueue, Keyed};
use crate::ids::InstanceId;
use std::collections::VecDeque;
use std::ops::Range;

/// Targets that one source is routed to before the next source has its turn. At 0.06 µs for an
/// event to a script, a turn takes 4 µs.
const TURN_LIMIT: usize = 64;

/// An event that waits to be routed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueuedEvent {
    /// The channel that it arrived on.
    pub source: SourceIndex,
    /// Its value.
    pub value: f64,
}

impl Keyed for QueuedEvent {
    type Key = SourceIndex;

    #[inline]
    fn key(&self) -> SourceIndex {
        self.source
    }
}

/// An event, or a part of it, whose turn it is.
#[derive(Debug, Clone, PartialEq)]
pub struct EventShare {
    /// The event.
    pub event: QueuedEvent,
    /// Which of its targets it goes to now.
    pub targets: Range<usize>,
    /// Whether no target is left after these.
    pub is_last: bool,
}

/// The events of one source.
#[derive(Debug)]
struct SourceQueue {
    events: ConflatingQueue<QueuedEvent>,
    /// An event that was routed in part, and its first target that has not had it.
    begun: Option<(QueuedEvent, usize)>,
    is_in_rotation: bool,
}

impl SourceQueue {
    fn waiting(&self) -> usize {
        self.events.len() + usize::from(self.begun.is_some())
    }
}

/// The queues of all sources.
#[derive(Debug)]
pub struct FairQueue {
    /// By instance.
    sources: Vec<SourceQueue>,
    /// The sources that have an event waiting, the one whose turn it is first.
    rotation: VecDeque<InstanceId>,
    /// How many more targets the first one may be routed to in its turn.
    left: usize,
    limit: usize,
    conflated: u64,
}

impl FairQueue {
    /// Empty queues of `sources` instances, each of which keeps `limit` events in order.
    #[must_use]
    pub fn new(sources: usize, limit: usize) -> Self {
        let mut this =
            Self { sources: Vec::new(), rotation: VecDeque::new(), left: TURN_LIMIT, limit, conflated: 0 };
        this.resize(sources);
        this
    }

    /// Makes room for so many instances; those that exist keep their queues.
    pub fn resize(&mut self, sources: usize) {
        let limit = self.limit;
        self.sources.resize_with(sources, || SourceQueue {
            events: ConflatingQueue::new(limit),
            begun: None,
            is_in_rotation: false,
        });
    }

    /// Adds an event of a source.
    #[inline]
    pub fn push(&mut self, source: InstanceId, event: QueuedEvent) {
        let Some(queue) = self.sources.get_mut(source.0) else { return };
        self.conflated += u64::from(queue.events.push(event));
        if !queue.is_in_rotation {
            queue.is_in_rotation = true;
            self.rotation.push_back(source);
        }
    }

    /// Takes out the next event, or the next part of one that was begun. `targets` is the number of
    /// targets of a channel.
    #[inline]
    pub fn next(&mut self, targets: impl FnOnce(SourceIndex) -> usize) -> Option<EventShare> {
        let source = *self.rotation.front()?;
        let queue = self.sources.get_mut(source.0)?;
        let (event, from) = match queue.begun.take() {
            Some(begun) => begun,
            None => (queue.events.pop()?, 0),
        };
        let count = targets(event.source);
        let to = count.min(from + self.left).max(from);
        let is_last = to >= count;
        if !is_last {
            queue.begun = Some((event, to));
        }
        // An event without targets costs a look-up too.
        self.left = self.left.saturating_sub((to - from).max(1));
        if is_last && queue.events.is_empty() {
            queue.is_in_rotation = false;
            queue.events.shrink();
            self.rotation.pop_front();
            self.left = TURN_LIMIT;
        } else if self.left == 0 {
            self.rotation.rotate_left(1);
            self.left = TURN_LIMIT;
        }
        Some(EventShare { event, targets: from..to, is_last })
    }

    /// Takes out the rest of an event that was begun, if there is one.
    pub fn next_begun(&mut self, targets: impl FnOnce(SourceIndex) -> usize) -> Option<EventShare> {
        let is_begun = |source: &InstanceId| self.sources[source.0].begun.is_some();
        let place = self.rotation.iter().position(is_begun)?;
        let source = *self.rotation.get(place)?;
        let queue = self.sources.get_mut(source.0)?;
        let (event, from) = queue.begun.take()?;
        if queue.events.is_empty() {
            queue.is_in_rotation = false;
            self.rotation.remove(place);
            self.left = TURN_LIMIT;
        }
        Some(EventShare { event, targets: from..targets(event.source).max(from), is_last: true })
    }

    /// Replaces each event that waits; one for which `change` returns `None` is dropped. The rest
    /// of events that were begun is dropped as well: take it out before ([`FairQueue::next_begun`]).
    pub fn change_all(&mut self, mut change: impl FnMut(QueuedEvent) -> Option<QueuedEvent>) {
        self.rotation.clear();
        self.left = TURN_LIMIT;
        for (queue, source) in self.sources.iter_mut().zip((0..).map(InstanceId)) {
            queue.begun = None;
            queue.events.change_all(&mut change);
            queue.is_in_rotation = queue.waiting() > 0;
            if queue.is_in_rotation {
                self.rotation.push_back(source);
            }
        }
    }

    /// How many events of a source wait.
    #[must_use]
    pub fn waiting(&self, source: InstanceId) -> usize {
        self.sources.get(source.0).map_or(0, SourceQueue::waiting)
    }

    /// How many events of a source were replaced by a later one of their channel.
    #[must_use]
    pub fn conflated(&self, source: InstanceId) -> u64 {
        self.sources.get(source.0).map_or(0, |queue| queue.events.conflated())
    }

    /// The same of all sources.
    #[must_use]
    pub fn all_conflated(&self) -> u64 {
        self.conflated
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rotation.is_empty()
    }
}

#[cfg(test)]
mod tests;
