//! A queue of events that loses nothing up to its limit, and beyond it never loses the last value of a channel.
//!
//! Up to the limit, events wait in order. Beyond it they are *conflated*: only the latest value of each channel is
//! kept, in the order in which the channels came in. Memory is bounded by the limit plus one entry a channel.
//! Once conflation has begun, every event goes through it until the queue is empty, so that the values of one
//! channel never overtake each other.

use mm_shared::Event;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// Above this many entries, memory is given back when the queue is empty again.
const KEEP_CAPACITY: usize = 65_536;

/// Events that wait for somebody who is slower than their source.
#[derive(Debug)]
pub struct EventQueue {
    ordered: VecDeque<Event>,
    limit: usize,
    latest: HashMap<u32, f64>,
    latest_order: VecDeque<u32>,
    conflated: u64,
}

impl EventQueue {
    /// A queue that keeps up to `limit` events in order. Memory is taken as needed.
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

    /// Adds an event behind all others.
    pub fn push(&mut self, event: Event) {
        if self.latest_order.is_empty() && self.ordered.len() < self.limit {
            self.ordered.push_back(event);
            return;
        }
        match self.latest.entry(event.channel) {
            Entry::Occupied(mut entry) => {
                entry.insert(event.value);
                self.conflated += 1;
            }
            Entry::Vacant(entry) => {
                entry.insert(event.value);
                self.latest_order.push_back(event.channel);
            }
        }
    }

    /// Changes the limit. What waits in order beyond it is conflated.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        if self.ordered.len() > limit {
            let waiting: Vec<Event> = std::iter::from_fn(|| self.pop()).collect();
            waiting.into_iter().for_each(|event| self.push(event));
        }
    }

    /// Raises the limit to `limit`, if it is lower.
    pub fn raise_limit(&mut self, limit: usize) {
        self.limit = self.limit.max(limit);
    }

    /// Puts events in front of all others, the first one first: what a worker had not taken when it ended.
    ///
    /// These do not count against the limit, since they waited in a ring of bounded size.
    pub fn push_front(&mut self, events: Vec<Event>) {
        for event in events.into_iter().rev() {
            self.ordered.push_front(event);
        }
    }

    /// Takes out the event that has waited longest.
    pub fn pop(&mut self) -> Option<Event> {
        if let Some(event) = self.ordered.pop_front() {
            return Some(event);
        }
        let channel = self.latest_order.pop_front()?;
        self.latest.remove(&channel).map(|value| Event { channel, value })
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ordered.len() + self.latest_order.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty() && self.latest_order.is_empty()
    }

    /// How many events were replaced by a later one of their channel, ever.
    #[must_use]
    pub fn conflated(&self) -> u64 {
        self.conflated
    }

    /// Gives back the memory of a rush that is over; cheap to call after every step.
    pub fn settle(&mut self) {
        if self.is_empty() && self.ordered.capacity() > KEEP_CAPACITY {
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
        Event { channel, value }
    }

    fn drained(queue: &mut EventQueue) -> Vec<(u32, f64)> {
        std::iter::from_fn(|| queue.pop()).map(|event| (event.channel, event.value)).collect()
    }

    #[test]
    fn events_up_to_the_limit_keep_their_order() {
        let mut queue = EventQueue::new(3);
        queue.push(event(1, 0.1));
        queue.push(event(2, 0.2));
        queue.push(event(1, 0.3));
        assert_eq!(drained(&mut queue), [(1, 0.1), (2, 0.2), (1, 0.3)]);
        assert_eq!(queue.conflated(), 0);
    }

    #[test]
    fn beyond_the_limit_the_last_value_of_every_channel_arrives() {
        let mut queue = EventQueue::new(2);
        for (channel, value) in [(1, 0.1), (1, 0.2), (7, 0.3), (8, 0.4), (7, 0.5), (7, 0.6)] {
            queue.push(event(channel, value));
        }
        assert_eq!(queue.len(), 4);
        assert_eq!(queue.conflated(), 2);
        assert_eq!(drained(&mut queue), [(1, 0.1), (1, 0.2), (7, 0.6), (8, 0.4)]);
    }

    #[test]
    fn an_event_never_overtakes_a_conflated_one_of_its_channel() {
        let mut queue = EventQueue::new(1);
        queue.push(event(1, 0.1));
        queue.push(event(2, 0.2));
        assert_eq!(queue.pop(), Some(event(1, 0.1)));
        queue.push(event(2, 0.3));
        assert_eq!(drained(&mut queue), [(2, 0.3)]);
        queue.push(event(2, 0.4));
        assert_eq!(drained(&mut queue), [(2, 0.4)]);
    }

    #[test]
    fn what_was_not_taken_goes_in_front() {
        let mut queue = EventQueue::new(2);
        queue.push(event(3, 0.3));
        queue.push_front(vec![event(1, 0.1), event(2, 0.2)]);
        assert_eq!(drained(&mut queue), [(1, 0.1), (2, 0.2), (3, 0.3)]);
    }

    #[test]
    fn a_lower_limit_conflates_what_waits_already() {
        let mut queue = EventQueue::new(9);
        for (channel, value) in [(1, 0.1), (2, 0.2), (1, 0.3)] {
            queue.push(event(channel, value));
        }
        queue.set_limit(0);
        assert_eq!(drained(&mut queue), [(1, 0.3), (2, 0.2)]);
    }

    #[test]
    fn memory_of_a_rush_is_given_back() {
        let mut queue = EventQueue::new(1 << 20);
        for _ in 0..KEEP_CAPACITY * 2 {
            queue.push(event(0, 0.0));
        }
        while queue.pop().is_some() {}
        queue.settle();
        assert_eq!(queue.ordered.capacity(), 0);
    }
}
