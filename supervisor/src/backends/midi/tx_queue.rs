//! The queue from the loop to the sending thread: bounded, lock-free, in order. Beyond its capacity
//! the loop keeps the latest value of each channel until there is space again.

use crate::conflating_queue::{ConflatingQueue, Keyed};
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Values that may wait in order.
pub const TX_QUEUE_CAPACITY: usize = 8192;

/// How soon a full queue is looked at again.
const FLUSH_INTERVAL: Duration = Duration::from_millis(5);

/// A value to be sent: a slot of the [`ChannelMap`](super::channel_map::ChannelMap) and a raw
/// value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxValue {
    pub slot: u32,
    pub raw: u16,
}

impl Keyed for TxValue {
    type Key = u32;

    fn key(&self) -> u32 {
        self.slot
    }
}

/// The lock-free part, which the sending thread takes values from.
pub type SharedTxQueue = Arc<ArrayQueue<TxValue>>;

/// Values that found no space in the lock-free part.
pub type TxOverflow = ConflatingQueue<TxValue>;

/// The loop's end.
#[derive(Debug)]
pub struct MidiTxQueue {
    queue: SharedTxQueue,
    overflow: TxOverflow,
    /// Unparked when there is something to send.
    thread: Thread,
    next_flush: Option<Instant>,
}

impl MidiTxQueue {
    /// A queue in front of `queue`, which `thread` empties.
    pub fn new(queue: SharedTxQueue, thread: Thread) -> Self {
        Self { queue, overflow: empty_overflow(), thread, next_flush: None }
    }

    /// Adds a value. It is handed to the thread by the next [`MidiTxQueue::flush`] at the latest.
    pub fn push(&mut self, value: TxValue) {
        // While values wait in the overflow, a new one must not overtake an older one of its
        // channel.
        if !self.overflow.is_empty() || self.queue.push(value).is_err() {
            self.overflow.push(value);
        }
    }

    /// Hands values to the thread as far as there is space, and wakes it.
    pub fn flush(&mut self) {
        while let Some(value) = self.overflow.peek()
            && self.queue.push(*value).is_ok()
        {
            self.overflow.pop();
        }
        self.next_flush = (!self.overflow.is_empty()).then(|| Instant::now() + FLUSH_INTERVAL);
        self.thread.unpark();
    }

    /// When [`MidiTxQueue::flush`] has to be called if nothing else causes it.
    pub fn deadline(&self) -> Option<Instant> {
        self.next_flush
    }

    /// Values that were replaced by a later one of their channel.
    pub fn conflated(&self) -> u64 {
        self.overflow.conflated()
    }

    /// Takes out the values that found no space, for the last command to the thread.
    pub fn take_overflow(&mut self) -> TxOverflow {
        std::mem::replace(&mut self.overflow, empty_overflow())
    }

    /// The sending thread.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.overflow.is_empty()
    }
}

/// Without a place in order: values are conflated at once.
fn empty_overflow() -> TxOverflow {
    ConflatingQueue::new(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn small_queue() -> (MidiTxQueue, SharedTxQueue) {
        let queue: SharedTxQueue = Arc::new(ArrayQueue::new(4));
        (MidiTxQueue::new(Arc::clone(&queue), thread::current()), queue)
    }

    fn taken(queue: &SharedTxQueue) -> Vec<(u32, u16)> {
        std::iter::from_fn(|| queue.pop()).map(|value| (value.slot, value.raw)).collect()
    }

    #[test]
    fn values_that_fit_are_all_kept_in_order() {
        let (mut tx_queue, queue) = small_queue();
        for (slot, raw) in [(0, 1), (1, 2), (0, 3), (0, 3)] {
            tx_queue.push(TxValue { slot, raw });
        }
        tx_queue.flush();
        assert_eq!(taken(&queue), [(0, 1), (1, 2), (0, 3), (0, 3)]);
        assert_eq!((tx_queue.conflated(), tx_queue.deadline()), (0, None));
    }

    #[test]
    fn beyond_the_queue_the_last_value_of_each_channel_arrives() {
        let (mut tx_queue, queue) = small_queue();
        (0..300).for_each(|raw| tx_queue.push(TxValue { slot: u32::from(raw % 3), raw }));
        tx_queue.flush();
        assert!(tx_queue.deadline().is_some());
        let mut all = taken(&queue);
        tx_queue.flush();
        all.extend(taken(&queue));
        assert_eq!(all, [(0, 0), (1, 1), (2, 2), (0, 3), (1, 298), (2, 299), (0, 297)]);
        assert_eq!(tx_queue.conflated(), 293);
        assert_eq!(tx_queue.deadline(), None);
    }

    #[test]
    fn a_value_never_overtakes_an_older_one_of_its_channel() {
        let (mut tx_queue, queue) = small_queue();
        (0..5).for_each(|raw| tx_queue.push(TxValue { slot: 0, raw }));
        let _ = queue.pop();
        tx_queue.push(TxValue { slot: 0, raw: 9 });
        tx_queue.flush();
        assert_eq!(taken(&queue), [(0, 1), (0, 2), (0, 3), (0, 9)]);
    }
}
