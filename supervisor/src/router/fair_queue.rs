//! The events that wait to be routed: one queue per set of instances that can form a loop, and one
//! for all other instances.
//!
//! A loop that multiplies its events keeps its queue full for as long as the show runs, and that
//! queue is conflated. With a single queue, the events of all other instances would be conflated
//! too. The queues take turns, so no queue waits until another is empty. Events of one instance are
//! always in the same queue, in order.

use super::table::SourceIndex;
use crate::conflating_queue::{ConflatingQueue, Keyed};

/// Events that are taken from one queue before the next one has its turn.
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

/// Several queues that take turns.
#[derive(Debug)]
pub struct FairQueue {
    queues: Vec<ConflatingQueue<QueuedEvent>>,
    limit: usize,
    /// The queue whose turn it is.
    current: usize,
    /// How many more events it may give in this turn.
    left: usize,
}

impl FairQueue {
    /// `count` empty queues, at least one, each of which keeps `limit` events in order.
    #[must_use]
    pub fn new(count: usize, limit: usize) -> Self {
        let queues = (0..count.max(1)).map(|_| ConflatingQueue::new(limit)).collect();
        Self { queues, limit, current: 0, left: TURN_LIMIT }
    }

    /// Adds an event to queue number `index`.
    #[inline]
    pub fn push(&mut self, index: usize, event: QueuedEvent) {
        if let Some(queue) = self.queues.get_mut(index) {
            queue.push(event);
        }
    }

    /// Takes out the next event.
    #[inline]
    pub fn pop(&mut self) -> Option<QueuedEvent> {
        if self.left > 0
            && let Some(event) = self.queues[self.current].pop()
        {
            self.left -= 1;
            return Some(event);
        }
        self.next_turn()
    }

    fn next_turn(&mut self) -> Option<QueuedEvent> {
        for _ in 0..self.queues.len() {
            self.current = (self.current + 1) % self.queues.len();
            if let Some(event) = self.queues[self.current].pop() {
                self.left = TURN_LIMIT - 1;
                return Some(event);
            }
        }
        None
    }

    /// How many more events queue number `index` keeps in order.
    #[must_use]
    pub fn free(&self, index: usize) -> usize {
        self.queues.get(index).map_or(0, |queue| self.limit.saturating_sub(queue.len()))
    }

    /// Whether all queues are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(ConflatingQueue::is_empty)
    }

    /// Gives back the memory of a burst.
    pub fn shrink(&mut self) {
        self.queues.iter_mut().for_each(ConflatingQueue::shrink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u32) -> QueuedEvent {
        QueuedEvent { source: SourceIndex(number), value: 0.5 }
    }

    #[test]
    fn a_full_queue_neither_holds_up_nor_conflates_another() {
        let mut queue = FairQueue::new(2, 1000);
        for _ in 0..5000 {
            queue.push(1, event(1));
        }
        for _ in 0..100 {
            queue.push(0, event(0));
        }
        assert_eq!((queue.free(0), queue.free(1)), (900, 0));
        let taken: Vec<u32> = (0..400).filter_map(|_| queue.pop()).map(|event| event.source.0).collect();
        assert_eq!(taken.iter().filter(|channel| **channel == 0).count(), 100);
    }

    #[test]
    fn one_queue_is_emptied_in_order() {
        let mut queue = FairQueue::new(1, 1000);
        (0..200).for_each(|channel| queue.push(0, event(channel)));
        let taken: Vec<u32> = std::iter::from_fn(|| queue.pop()).map(|event| event.source.0).collect();
        assert_eq!(taken, (0..200).collect::<Vec<_>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn nothing_is_left_in_any_queue() {
        let mut queue = FairQueue::new(3, 10);
        for index in [2, 0, 2, 1] {
            queue.push(index, event(0));
        }
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), 4);
    }
}
