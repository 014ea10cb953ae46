//! Where events wait to be routed: a queue for each set of instances that can form a loop, and one for all others.
//!
//! A loop that multiplies its events fills its queue for as long as the show runs, and then that is conflated. With one
//! queue for all, the events of everybody else would be conflated too. The queues take turns, so none of them
//! waits for another to be empty. Events of one instance are always in the same queue, in order.

use super::queue::EventQueue;
use mm_shared::Event;

/// Events that are taken from one queue before the next one has its turn.
const TURN: usize = 64;

/// All queues.
#[derive(Debug)]
pub struct Lanes {
    queues: Vec<EventQueue>,
    limit: usize,
    /// Which queue has its turn, and how many more events it may give in it.
    current: usize,
    left: usize,
}

impl Lanes {
    /// So many empty queues, at least one, that keep `limit` events in order each.
    #[must_use]
    pub fn new(count: usize, limit: usize) -> Self {
        let queues = (0..count.max(1)).map(|_| EventQueue::new(limit)).collect();
        Self { queues, limit, current: 0, left: TURN }
    }

    /// Adds an event to queue number `lane`.
    #[inline]
    pub fn push(&mut self, lane: usize, event: Event) {
        if let Some(queue) = self.queues.get_mut(lane) {
            queue.push(event);
        }
    }

    /// Takes out the next event.
    #[inline]
    pub fn pop(&mut self) -> Option<Event> {
        if self.left > 0
            && let Some(event) = self.queues[self.current].pop()
        {
            self.left -= 1;
            return Some(event);
        }
        self.next_turn()
    }

    fn next_turn(&mut self) -> Option<Event> {
        for _ in 0..self.queues.len() {
            self.current = (self.current + 1) % self.queues.len();
            if let Some(event) = self.queues[self.current].pop() {
                self.left = TURN - 1;
                return Some(event);
            }
        }
        None
    }

    /// How many more events a queue keeps in order.
    #[must_use]
    pub fn room(&self, lane: usize) -> usize {
        self.queues.get(lane).map_or(0, |queue| self.limit.saturating_sub(queue.len()))
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(EventQueue::is_empty)
    }

    /// Gives back the memory of a rush that is over.
    pub fn settle(&mut self) {
        self.queues.iter_mut().for_each(EventQueue::settle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(channel: u32) -> Event {
        Event { channel, value: 0.5 }
    }

    #[test]
    fn a_full_queue_neither_holds_up_nor_conflates_another() {
        let mut lanes = Lanes::new(2, 1000);
        for _ in 0..5000 {
            lanes.push(1, event(1));
        }
        for _ in 0..100 {
            lanes.push(0, event(0));
        }
        assert_eq!((lanes.room(0), lanes.room(1)), (900, 0));
        let taken: Vec<u32> = (0..400).filter_map(|_| lanes.pop()).map(|event| event.channel).collect();
        assert_eq!(taken.iter().filter(|channel| **channel == 0).count(), 100);
    }

    #[test]
    fn one_queue_is_emptied_in_order() {
        let mut lanes = Lanes::new(1, 1000);
        (0..200).for_each(|channel| lanes.push(0, event(channel)));
        let taken: Vec<u32> = std::iter::from_fn(|| lanes.pop()).map(|event| event.channel).collect();
        assert_eq!(taken, (0..200).collect::<Vec<_>>());
        assert!(lanes.is_empty());
    }

    #[test]
    fn nothing_is_left_in_any_queue() {
        let mut lanes = Lanes::new(3, 10);
        for lane in [2, 0, 2, 1] {
            lanes.push(lane, event(0));
        }
        assert_eq!(std::iter::from_fn(|| lanes.pop()).count(), 4);
    }
}
