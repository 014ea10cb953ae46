//! From the loop to the thread that sends: a bounded lock-free queue, in order. Beyond it only the last value of each
//! channel is kept, on the loop's side, until there is space again.

use crossbeam_queue::ArrayQueue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Values that may wait in order.
pub const CAPACITY: usize = 8192;

/// How soon to look for space in a queue that was full.
const LOOK: Duration = Duration::from_millis(5);

/// A value to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxValue {
    pub slot: u32,
    pub raw: u16,
}

/// What the thread takes values out of.
pub type Queue = Arc<ArrayQueue<TxValue>>;

/// The loop's side.
#[derive(Debug)]
pub struct MidiTxQueue {
    queue: Queue,
    sender: Thread,
    /// By slot: the value that found no space.
    latest: Vec<Option<u16>>,
    /// ChannelMap with such a value, in the order in which they got one.
    order: VecDeque<u32>,
    conflated: u64,
    look: Option<Instant>,
}

impl MidiTxQueue {
    /// `sender` is woken when there is something to send.
    pub fn new(queue: Queue, slots: usize, sender: Thread) -> Self {
        Self { queue, sender, latest: vec![None; slots], order: VecDeque::new(), conflated: 0, look: None }
    }

    /// Takes a value; it is on its way after [`MidiTxQueue::flush`].
    pub fn set(&mut self, value: TxValue) {
        // a value that overtook those which wait here could be followed by an older one of its channel
        if self.order.is_empty() && self.queue.push(value).is_ok() {
            return;
        }
        let Some(latest) = self.latest.get_mut(value.slot as usize) else { return };
        match latest.replace(value.raw) {
            None => self.order.push_back(value.slot),
            Some(_) => self.conflated += 1,
        }
    }

    /// Hands over what there is space for.
    pub fn flush(&mut self) {
        while let Some(slot) = self.order.front().copied() {
            let Some(latest) = self.latest.get_mut(slot as usize) else { break };
            if let Some(raw) = *latest
                && self.queue.push(TxValue { slot, raw }).is_err()
            {
                break;
            }
            *latest = None;
            self.order.pop_front();
        }
        self.look = (!self.order.is_empty()).then(|| Instant::now() + LOOK);
        self.sender.unpark();
    }

    /// When to call [`MidiTxQueue::flush`] without a reason from outside.
    pub fn deadline(&self) -> Option<Instant> {
        self.look
    }

    /// The thread that sends.
    pub fn sender(&self) -> &Thread {
        &self.sender
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.order.is_empty()
    }

    /// Values that were replaced by a later one of their channel.
    pub fn conflated(&self) -> u64 {
        self.conflated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn outbox(slots: usize) -> (MidiTxQueue, Queue) {
        let queue: Queue = Arc::new(ArrayQueue::new(4));
        (MidiTxQueue::new(Arc::clone(&queue), slots, thread::current()), queue)
    }

    fn taken(queue: &Queue) -> Vec<(u32, u16)> {
        std::iter::from_fn(|| queue.pop()).map(|value| (value.slot, value.raw)).collect()
    }

    #[test]
    fn values_that_fit_are_all_kept_in_order() {
        let (mut outbox, queue) = outbox(2);
        for (slot, raw) in [(0, 1), (1, 2), (0, 3), (0, 3)] {
            outbox.set(TxValue { slot, raw });
        }
        outbox.flush();
        assert_eq!(taken(&queue), [(0, 1), (1, 2), (0, 3), (0, 3)]);
        assert_eq!((outbox.conflated(), outbox.deadline()), (0, None));
    }

    #[test]
    fn beyond_the_queue_the_last_value_of_each_channel_arrives() {
        let (mut outbox, queue) = outbox(3);
        (0..300).for_each(|raw| outbox.set(TxValue { slot: u32::from(raw % 3), raw }));
        outbox.flush();
        assert!(outbox.deadline().is_some());
        let mut all = taken(&queue);
        outbox.flush();
        all.extend(taken(&queue));
        assert_eq!(all, [(0, 0), (1, 1), (2, 2), (0, 3), (1, 298), (2, 299), (0, 297)]);
        assert_eq!(outbox.conflated(), 293);
        assert_eq!(outbox.deadline(), None);
    }

    #[test]
    fn a_value_never_overtakes_an_older_one_of_its_channel() {
        let (mut outbox, queue) = outbox(2);
        (0..5).for_each(|raw| outbox.set(TxValue { slot: 0, raw }));
        let _ = queue.pop();
        outbox.set(TxValue { slot: 0, raw: 9 });
        outbox.flush();
        assert_eq!(taken(&queue), [(0, 1), (0, 2), (0, 3), (0, 9)]);
    }
}
