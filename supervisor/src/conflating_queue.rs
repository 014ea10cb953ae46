//! A bounded queue that keeps order up to a limit, and beyond it the latest value of each channel.
//!
//! Up to the limit, items wait in order. Beyond it they are *conflated*: only the latest item of
//! each key (a channel) is kept, in the order in which the keys came in. Memory is bounded by the
//! limit plus one item per key. Once conflation has begun, every item goes through it until the
//! queue is empty, so that an item never overtakes an earlier one of its key.
//!
//! Three places use it: events that wait to be routed, events that wait for a worker, and values
//! that wait for a MIDI port. A push or a pop takes constant time. It allocates only while the
//! queue grows beyond the largest size that it has had since memory was last given back.

use mm_shared::{ChannelId, Event};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Above this many items, memory is given back when the queue is empty again.
const KEPT_CAPACITY: usize = 65_536;

/// An item that a later one with the same key may replace.
pub trait Keyed {
    /// What the item belongs to, such as a channel number.
    type Key: Copy + Eq + Hash;

    /// The key of this item.
    fn key(&self) -> Self::Key;
}

impl Keyed for Event {
    type Key = ChannelId;

    #[inline]
    fn key(&self) -> ChannelId {
        self.channel
    }
}

/// Items that wait for a consumer that may be slower than their source.
#[derive(Debug)]
pub struct ConflatingQueue<T: Keyed> {
    ordered: VecDeque<T>,
    limit: usize,
    latest: HashMap<T::Key, T>,
    /// The keys in `latest`, in the order in which they came in.
    latest_order: VecDeque<T::Key>,
    conflated: u64,
}

impl<T: Keyed> ConflatingQueue<T> {
    /// A queue that keeps up to `limit` items in order; 0 keeps the latest item of each key only.
    /// It allocates as needed.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            ordered: VecDeque::new(),
            limit,
            latest: HashMap::new(),
            latest_order: VecDeque::new(),
            conflated: 0,
        }
    }

    /// Adds an item behind all others. Returns whether it has replaced one.
    #[inline]
    pub fn push(&mut self, item: T) -> bool {
        if self.latest_order.is_empty() && self.ordered.len() < self.limit {
            self.ordered.push_back(item);
            false
        } else {
            self.conflate(item)
        }
    }

    #[cold]
    fn conflate(&mut self, item: T) -> bool {
        let key = item.key();
        match self.latest.entry(key) {
            Entry::Occupied(mut entry) => {
                entry.insert(item);
                self.conflated += 1;
                true
            }
            Entry::Vacant(entry) => {
                entry.insert(item);
                self.latest_order.push_back(key);
                false
            }
        }
    }

    /// Changes the limit. Items that wait in order beyond it are conflated.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        if self.ordered.len() > limit {
            let waiting: Vec<T> = std::iter::from_fn(|| self.pop()).collect();
            waiting.into_iter().for_each(|item| _ = self.push(item));
        }
    }

    /// Raises the limit to `limit`, if it is lower.
    pub fn raise_limit(&mut self, limit: usize) {
        self.limit = self.limit.max(limit);
    }

    /// Replaces each item that waits, in its place; one for which `change` returns `None` is dropped.
    pub fn change_all(&mut self, mut change: impl FnMut(T) -> Option<T>) {
        let ordered = std::mem::take(&mut self.ordered);
        let (order, mut latest) = (std::mem::take(&mut self.latest_order), std::mem::take(&mut self.latest));
        self.ordered = ordered.into_iter().filter_map(&mut change).collect();
        for item in order.into_iter().filter_map(|key| latest.remove(&key)).filter_map(change) {
            self.conflate(item);
        }
    }

    /// Puts items in front of all others, the first one first. They do not count against the limit:
    /// the caller's source, such as the ring of a worker that has ended, bounds them.
    pub fn push_front(&mut self, items: Vec<T>) {
        for item in items.into_iter().rev() {
            self.ordered.push_front(item);
        }
    }

    /// The item that has waited longest.
    #[must_use]
    pub fn peek(&self) -> Option<&T> {
        self.ordered.front().or_else(|| self.latest.get(self.latest_order.front()?))
    }

    /// Takes out the item that has waited longest.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if let Some(item) = self.ordered.pop_front() {
            return Some(item);
        }
        let key = self.latest_order.pop_front()?;
        self.latest.remove(&key)
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ordered.len() + self.latest_order.len()
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty() && self.latest_order.is_empty()
    }

    /// How many items a later one of their key has replaced, since the queue was made.
    #[must_use]
    pub fn conflated(&self) -> u64 {
        self.conflated
    }

    /// Gives back the memory of a burst once the queue is empty; cheap to call often.
    pub fn shrink(&mut self) {
        if self.is_empty() && self.ordered.capacity().max(self.latest_order.capacity()) > KEPT_CAPACITY {
            self.ordered = VecDeque::new();
            self.latest = HashMap::new();
            self.latest_order = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(channel: u32, value: f64) -> Event {
        Event { channel: ChannelId(channel), value }
    }

    fn drained(queue: &mut ConflatingQueue<Event>) -> Vec<(u32, f64)> {
        std::iter::from_fn(|| queue.pop()).map(|event| (event.channel.0, event.value)).collect()
    }

    #[test]
    fn events_up_to_the_limit_keep_their_order() {
        let mut queue = ConflatingQueue::new(3);
        queue.push(event(1, 0.1));
        queue.push(event(2, 0.2));
        queue.push(event(1, 0.3));
        assert_eq!(drained(&mut queue), [(1, 0.1), (2, 0.2), (1, 0.3)]);
        assert_eq!(queue.conflated(), 0);
    }

    #[test]
    fn beyond_the_limit_the_last_value_of_every_channel_arrives() {
        let mut queue = ConflatingQueue::new(2);
        for (channel, value) in [(1, 0.1), (1, 0.2), (7, 0.3), (8, 0.4), (7, 0.5), (7, 0.6)] {
            queue.push(event(channel, value));
        }
        assert_eq!(queue.len(), 4);
        assert_eq!(queue.conflated(), 2);
        assert_eq!(drained(&mut queue), [(1, 0.1), (1, 0.2), (7, 0.6), (8, 0.4)]);
    }

    #[test]
    fn an_event_never_overtakes_a_conflated_one_of_its_channel() {
        let mut queue = ConflatingQueue::new(1);
        queue.push(event(1, 0.1));
        queue.push(event(2, 0.2));
        assert_eq!(queue.pop(), Some(event(1, 0.1)));
        queue.push(event(2, 0.3));
        assert_eq!(drained(&mut queue), [(2, 0.3)]);
        queue.push(event(2, 0.4));
        assert_eq!(drained(&mut queue), [(2, 0.4)]);
    }

    #[test]
    fn peek_shows_what_pop_takes_out_next() {
        let mut queue = ConflatingQueue::new(1);
        assert_eq!(queue.peek(), None);
        for (channel, value) in [(1, 0.1), (2, 0.2), (3, 0.3), (2, 0.4)] {
            queue.push(event(channel, value));
        }
        while let Some(next) = queue.peek().copied() {
            assert_eq!(queue.pop(), Some(next));
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn what_was_not_taken_goes_in_front() {
        let mut queue = ConflatingQueue::new(2);
        queue.push(event(3, 0.3));
        queue.push_front(vec![event(1, 0.1), event(2, 0.2)]);
        assert_eq!(drained(&mut queue), [(1, 0.1), (2, 0.2), (3, 0.3)]);
    }

    #[test]
    fn a_lower_limit_conflates_what_waits_already() {
        let mut queue = ConflatingQueue::new(9);
        for (channel, value) in [(1, 0.1), (2, 0.2), (1, 0.3)] {
            queue.push(event(channel, value));
        }
        queue.set_limit(0);
        assert_eq!(drained(&mut queue), [(1, 0.3), (2, 0.2)]);
    }

    #[test]
    fn memory_of_a_rush_is_given_back() {
        let mut queue = ConflatingQueue::new(1 << 20);
        for _ in 0..KEPT_CAPACITY * 2 {
            queue.push(event(0, 0.0));
        }
        while queue.pop().is_some() {}
        queue.shrink();
        assert_eq!(queue.ordered.capacity(), 0);
    }

    #[test]
    fn memory_of_conflated_items_is_given_back() {
        let mut queue = ConflatingQueue::new(0);
        (0..KEPT_CAPACITY as u32 * 2).for_each(|channel| _ = queue.push(event(channel, 0.0)));
        while queue.pop().is_some() {}
        queue.shrink();
        assert_eq!((queue.latest.capacity(), queue.latest_order.capacity()), (0, 0));
    }

    #[test]
    fn a_queue_that_has_grown_once_takes_the_same_load_without_growing() {
        let mut queue = ConflatingQueue::new(100);
        let mut turn = || {
            (0..1000).for_each(|n| _ = queue.push(event(n % 70, 0.5)));
            while queue.pop().is_some() {}
            (queue.ordered.capacity(), queue.latest.capacity(), queue.latest_order.capacity())
        };
        let grown = turn();
        assert!((0..100).all(|_| turn() == grown));
    }
}
