//! The queue from the threads of the MIDI system to the loop: bounded, lock-free, with a doorbell
//! that is rung once per wake-up of the loop.
//!
//! The receiving thread may be a real-time thread: it takes no lock, allocates nothing and never
//! waits. Messages that do not fit are counted and dropped; that takes a loop that stands still for
//! thousands of messages. When the loop drops the queue, its descriptor closes at once, even if a
//! receiving thread is still there: the thread holds a weak reference. (It may then free the queue,
//! once.)

use super::parser::{MidiMessage, MidiParser};
use crossbeam_queue::ArrayQueue;
use mm_shared::Doorbell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Messages that may wait: eight seconds of a MIDI cable.
const RX_QUEUE_CAPACITY: usize = 8192;

/// A message with the time at which it arrived.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedMessage {
    pub at: Instant,
    pub message: MidiMessage,
}

#[derive(Debug)]
struct RxShared {
    queue: ArrayQueue<ReceivedMessage>,
    bell: Doorbell,
    /// Whether the bell was rung since the loop last took messages.
    is_rung: AtomicBool,
    dropped: AtomicU64,
    exclusive: AtomicU64,
    stray: AtomicU64,
}

/// Input that became no message, counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RxCounts {
    /// Messages that found no space, here or in the MIDI system.
    pub dropped: u64,
    /// System-exclusive messages.
    pub exclusive: u64,
    /// Data bytes outside any message.
    pub stray: u64,
}

/// The loop's end.
#[derive(Debug)]
pub struct MidiRxQueue {
    shared: Arc<RxShared>,
}

/// Makes one [`RxStream`] per connection.
#[derive(Debug)]
pub struct RxHandle(Weak<RxShared>);

impl RxHandle {
    pub fn stream(&self) -> RxStream {
        RxStream { shared: Weak::clone(&self.0), parser: MidiParser::default() }
    }
}

/// The receiving thread's end, with the parser of its connection.
#[derive(Debug)]
pub struct RxStream {
    shared: Weak<RxShared>,
    parser: MidiParser,
}

impl MidiRxQueue {
    /// An empty queue.
    ///
    /// # Errors
    ///
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let shared = RxShared {
            queue: ArrayQueue::new(RX_QUEUE_CAPACITY),
            bell: Doorbell::new()?,
            is_rung: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            exclusive: AtomicU64::new(0),
            stray: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A handle for the receiving side.
    pub fn handle(&self) -> RxHandle {
        RxHandle(Arc::downgrade(&self.shared))
    }

    /// The descriptor that is readable while messages wait; to be watched level-triggered.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.shared.bell.as_fd()
    }

    /// Takes out up to `limit` messages. If more wait, the descriptor stays readable.
    pub fn take(&self, limit: usize, mut each: impl FnMut(ReceivedMessage)) {
        // In this order: a message that arrives in the meantime is either seen here or rings again.
        self.shared.bell.clear();
        self.shared.is_rung.store(false, Ordering::SeqCst);
        for _ in 0..limit {
            match self.shared.queue.pop() {
                Some(received) => each(received),
                None => return,
            }
        }
        self.shared.ring();
    }

    pub fn counts(&self) -> RxCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let RxShared { dropped, exclusive, stray, .. } = &*self.shared;
        RxCounts { dropped: read(dropped), exclusive: read(exclusive), stray: read(stray) }
    }
}

impl RxShared {
    fn ring(&self) {
        if !self.is_rung.swap(true, Ordering::SeqCst) {
            self.bell.ring();
        }
    }
}

impl RxStream {
    /// Takes bytes as they arrive. Without effect once the queue is gone.
    pub fn receive(&mut self, bytes: &[u8]) {
        let at = Instant::now();
        let Some(shared) = self.shared.upgrade() else { return };
        let mut has_message = false;
        self.parser.feed(bytes, |message| match shared.queue.push(ReceivedMessage { at, message }) {
            Ok(()) => has_message = true,
            Err(_) => {
                shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        });
        let skipped = self.parser.take_skipped();
        if skipped.exclusive > 0 {
            shared.exclusive.fetch_add(skipped.exclusive, Ordering::Relaxed);
        }
        if skipped.stray > 0 {
            shared.stray.fetch_add(skipped.stray, Ordering::Relaxed);
        }
        if has_message {
            shared.ring();
        }
    }

    /// Counts messages that the MIDI system has dropped before they came here.
    #[cfg_attr(feature = "jack", allow(dead_code, reason = "JACK does not report it"))]
    pub fn count_dropped(&mut self, count: u64) {
        if let Some(shared) = self.shared.upgrade() {
            shared.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::thread;

    fn is_rung(queue: &MidiRxQueue) -> bool {
        let mut descriptors = [PollFd::new(queue.descriptor(), PollFlags::POLLIN)];
        poll(&mut descriptors, PollTimeout::ZERO).unwrap() > 0
    }

    #[test]
    fn a_message_rings_and_is_taken_out_in_order() {
        let queue = MidiRxQueue::new().unwrap();
        let mut stream = queue.handle().stream();
        stream.receive(&[0xf8, 0xf0, 1]);
        assert!(!is_rung(&queue), "no message for the loop");
        stream.receive(&[0xf7, 9, 0x90, 60, 100]);
        stream.receive(&[61, 101]);
        assert!(is_rung(&queue));
        let mut keys = Vec::new();
        queue.take(10, |received| keys.push(received.message.data()[0]));
        assert_eq!(keys, [60, 61]);
        assert!(!is_rung(&queue));
        assert_eq!(queue.counts(), RxCounts { dropped: 0, exclusive: 1, stray: 1 });
    }

    #[test]
    fn what_is_left_is_told_of_again() {
        let queue = MidiRxQueue::new().unwrap();
        queue.handle().stream().receive(&[0x90, 1, 1, 2, 1, 3, 1]);
        let mut count = 0;
        queue.take(2, |_| count += 1);
        assert!(is_rung(&queue));
        queue.take(2, |_| count += 1);
        assert_eq!(count, 3);
        assert!(!is_rung(&queue));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let queue = MidiRxQueue::new().unwrap();
        let mut stream = queue.handle().stream();
        (0..RX_QUEUE_CAPACITY + 3).for_each(|_| stream.receive(&[0x90, 1, 1]));
        assert_eq!(queue.counts().dropped, 3);
    }

    #[test]
    fn a_stream_that_outlives_the_queue_keeps_no_descriptor_open() {
        let queue = MidiRxQueue::new().unwrap();
        let mut stream = queue.handle().stream();
        stream.receive(&[0x90, 1, 1]);
        drop(queue);
        assert_eq!(stream.shared.strong_count(), 0);
        stream.receive(&[0x90, 1, 1]);
    }

    #[test]
    fn nothing_is_left_behind_however_the_two_sides_meet() {
        let queue = MidiRxQueue::new().unwrap();
        let mut stream = queue.handle().stream();
        let sender = thread::spawn(move || (0..5000).for_each(|_| stream.receive(&[0x90, 1, 1])));
        let mut count = 0;
        while count < 5000 {
            let mut descriptors = [PollFd::new(queue.descriptor(), PollFlags::POLLIN)];
            assert!(
                poll(&mut descriptors, PollTimeout::from(10_000_u16)).unwrap() > 0,
                "the rest was never announced"
            );
            queue.take(64, |_| count += 1);
        }
        sender.join().unwrap();
    }
}
