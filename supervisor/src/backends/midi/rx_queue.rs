//! From the threads of the MIDI system to the loop: a bounded lock-free queue, and a doorbell that is rung once for
//! each time that the loop has to wake up.
//!
//! The side that receives may be a real-time thread: it takes no lock, allocates nothing and never waits. What does
//! not fit is counted and dropped; that takes a loop that stands still for thousands of messages.

use super::parser::{MidiMessage, MidiParser};
use crossbeam_queue::ArrayQueue;
use mm_shared::Doorbell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Messages that may wait: eight seconds of a MIDI cable.
const CAPACITY: usize = 8192;

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
    /// Whether the bell was rung and the loop has not looked since.
    rung: AtomicBool,
    lost: AtomicU64,
    exclusive: AtomicU64,
    stray: AtomicU64,
}

/// What could not be delivered, or has no meaning; all since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RxCounts {
    /// Messages that found no space, here or before.
    pub lost: u64,
    /// MidiSystem-exclusive messages.
    pub exclusive: u64,
    /// Data bytes that belong to no message.
    pub stray: u64,
}

/// The loop's side.
#[derive(Debug)]
pub struct MidiRxQueue {
    shared: Arc<RxShared>,
}

/// Makes a side for each connection, with a stream of its own.
#[derive(Debug)]
pub struct RxHandle(Arc<RxShared>);

impl RxHandle {
    pub fn stream(&self) -> RxStream {
        RxStream { shared: Arc::clone(&self.0), parser: MidiParser::default() }
    }
}

/// A receiving thread's side.
#[derive(Debug)]
pub struct RxStream {
    shared: Arc<RxShared>,
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
            queue: ArrayQueue::new(CAPACITY),
            bell: Doorbell::new()?,
            rung: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            exclusive: AtomicU64::new(0),
            stray: AtomicU64::new(0),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What makes sides for connections.
    pub fn handle(&self) -> RxHandle {
        RxHandle(Arc::clone(&self.shared))
    }

    /// The descriptor that tells of messages, watched level-triggered.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.shared.bell.as_fd()
    }

    /// Takes out up to `most` messages; what is left is told of again.
    pub fn take(&self, most: usize, mut each: impl FnMut(ReceivedMessage)) {
        // in this order, so that a message that comes while we look either is seen here or rings again
        self.shared.bell.clear();
        self.shared.rung.store(false, Ordering::SeqCst);
        for _ in 0..most {
            match self.shared.queue.pop() {
                Some(arrival) => each(arrival),
                None => return,
            }
        }
        self.shared.ring();
    }

    pub fn counts(&self) -> RxCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let RxShared { lost, exclusive, stray, .. } = &*self.shared;
        RxCounts { lost: read(lost), exclusive: read(exclusive), stray: read(stray) }
    }
}

impl RxShared {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.bell.ring();
        }
    }
}

impl RxStream {
    /// Takes in bytes as they arrive.
    pub fn receive(&mut self, bytes: &[u8]) {
        let at = Instant::now();
        let Self { shared, parser } = self;
        let mut any = false;
        parser.feed(bytes, |message| match shared.queue.push(ReceivedMessage { at, message }) {
            Ok(()) => any = true,
            Err(_) => {
                shared.lost.fetch_add(1, Ordering::Relaxed);
            }
        });
        let skipped = parser.take_skipped();
        if skipped.exclusive > 0 {
            shared.exclusive.fetch_add(skipped.exclusive, Ordering::Relaxed);
        }
        if skipped.stray > 0 {
            shared.stray.fetch_add(skipped.stray, Ordering::Relaxed);
        }
        if any {
            shared.ring();
        }
    }

    /// Messages were lost before they came here.
    #[cfg_attr(feature = "jack", allow(dead_code, reason = "JACK does not tell"))]
    pub fn lose(&mut self, count: u64) {
        self.shared.lost.fetch_add(count, Ordering::Relaxed);
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
        assert!(!is_rung(&queue), "nothing for the loop");
        stream.receive(&[0xf7, 9, 0x90, 60, 100]);
        stream.receive(&[61, 101]);
        assert!(is_rung(&queue));
        let mut keys = Vec::new();
        queue.take(10, |arrival| keys.push(arrival.message.data()[0]));
        assert_eq!(keys, [60, 61]);
        assert!(!is_rung(&queue));
        assert_eq!(queue.counts(), RxCounts { lost: 0, exclusive: 1, stray: 1 });
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
        (0..CAPACITY + 3).for_each(|_| stream.receive(&[0x90, 1, 1]));
        assert_eq!(queue.counts().lost, 3);
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
                "never told of the rest"
            );
            queue.take(64, |_| count += 1);
        }
        sender.join().unwrap();
    }
}
