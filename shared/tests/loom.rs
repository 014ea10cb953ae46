//! The ring under every order of operations, and every outcome of relaxed ones, that the memory
//! model allows.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p mm-shared --release --test loom`. A wake-up that
//! is lost shows as a deadlock, a record that is read too early or overwritten too early as a wrong
//! value.

#![cfg(loom)]

use loom::sync::Notify;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::thread;
use mm_shared::ring::layout::{BLOCK_WORDS, slot_words};
use mm_shared::ring::memory::{Load, Memory, Store};
use mm_shared::{ChannelId, Consumer, Event, Producer};
use std::sync::Arc;

struct Loom;

impl Memory for Loom {
    type Own = Words;
    type Peer = Words;

    fn fence(order: Ordering) {
        fence(order);
    }
}

#[derive(Clone)]
struct Words(Arc<Vec<AtomicU64>>);

impl Words {
    fn new(count: usize) -> Words {
        Words(Arc::new((0..count).map(|_| AtomicU64::new(0)).collect()))
    }
}

impl Load for Words {
    fn words(&self) -> usize {
        self.0.len()
    }

    fn load(&self, index: usize) -> u64 {
        self.0[index & (self.0.len() - 1)].load(Ordering::Relaxed)
    }
}

impl Store for Words {
    fn store(&self, index: usize, value: u64) {
        self.0[index & (self.0.len() - 1)].store(value, Ordering::Relaxed);
    }

    fn store_release(&self, index: usize, value: u64) {
        self.0[index & (self.0.len() - 1)].store(value, Ordering::Release);
    }
}

fn ring(slots: u32) -> (Producer<Loom>, Consumer<Loom>) {
    let (own, peer, slots) =
        (Words::new(BLOCK_WORDS), Words::new(BLOCK_WORDS), Words::new(slot_words(slots)));
    let producer = Producer::new(own.clone(), slots.clone(), peer.clone());
    (producer, Consumer::new(peer, slots, own))
}

fn event(n: u32) -> Event {
    Event { channel: ChannelId(n), value: f64::from(n) }
}

/// Tries every schedule; with a bound, every one with at most so many switches from a thread that
/// could have gone on.
fn check(bound: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.check(model);
}

#[test]
fn a_published_event_is_whole() {
    check(None, || {
        let (mut producer, mut consumer) = ring(4);
        let sender = thread::spawn(move || {
            producer.push(event(1)).expect("space");
            let _ = producer.publish();
            producer.push(event(2)).expect("space");
            let _ = producer.publish();
        });
        for n in 1..3 {
            if let Some(seen) = consumer.pop().expect("no violation") {
                assert_eq!(seen, event(n));
            } else {
                break;
            }
        }
        sender.join().expect("the sender ends");
    });
}

#[test]
fn a_batch_becomes_visible_as_a_whole() {
    check(None, || {
        let (mut producer, mut consumer) = ring(4);
        let sender = thread::spawn(move || {
            producer.push(event(1)).expect("space");
            producer.push(event(2)).expect("space");
            let _ = producer.publish();
        });
        let mut seen = Vec::new();
        let count = consumer.drain(4, |event| seen.push(event)).expect("no violation");
        assert!(seen == [event(1), event(2)] || count == 0);
        sender.join().expect("the sender ends");
    });
}

#[test]
fn a_slot_is_reused_only_after_it_was_copied() {
    check(None, || {
        let (mut producer, mut consumer) = ring(2);
        producer.push(event(1)).expect("space");
        let _ = producer.publish();
        let receiver = thread::spawn(move || {
            assert_eq!(consumer.pop(), Ok(Some(event(1))));
            if let Some(next) = consumer.pop().expect("no violation") {
                assert_eq!(next, event(2));
                assert!(consumer.pop().expect("no violation").is_none_or(|next| next == event(3)));
            }
        });
        let mut next = 2;
        for _ in 0..2 {
            if producer.reclaim() == Ok(1) {
                producer.push(event(next)).expect("a slot was freed");
                let _ = producer.publish();
                next += 1;
            }
        }
        receiver.join().expect("the receiver ends");
    });
}

#[test]
fn what_the_producer_sees_as_taken_is_what_was_taken() {
    check(None, || {
        let (mut producer, mut consumer) = ring(4);
        producer.push(event(1)).expect("space");
        producer.push(event(2)).expect("space");
        let _ = producer.publish();
        let receiver = thread::spawn(move || {
            let first = consumer.pop();
            consumer.finish();
            (first, consumer.pop())
        });
        let mut taken = Vec::new();
        producer.reclaim_with(|event| taken.push(event)).expect("no violation");
        assert_eq!([taken.clone(), producer.undelivered()].concat(), [event(1), event(2)]);
        assert!(producer.in_hand().is_none_or(|last| taken.last() == Some(&last)));
        let popped = receiver.join().expect("the receiver ends");
        assert_eq!(popped, (Ok(Some(event(1))), Ok(Some(event(2)))));
    });
}

/// Takes two events, and rests in this way whenever there is none.
fn take_two(consumer: &mut Consumer<Loom>, door: &Notify, prepare: impl Fn(&mut Consumer<Loom>) -> bool) {
    let mut next = 0;
    while next < 2 {
        if let Some(seen) = consumer.pop().expect("no violation") {
            assert_eq!(seen, event(next));
            next += 1;
        } else if prepare(consumer) {
            door.wait();
            consumer.wake();
        }
    }
}

#[test]
fn a_consumer_that_sleeps_is_woken_for_every_event() {
    check(None, || {
        let (mut producer, mut consumer) = ring(4);
        let bell = Arc::new(Notify::new());
        let door = Arc::clone(&bell);
        let sender = thread::spawn(move || {
            for n in 0..2 {
                producer.push(event(n)).expect("space");
                if producer.publish() {
                    bell.notify();
                }
            }
        });
        take_two(&mut consumer, &door, Consumer::prepare_sleep);
        sender.join().expect("the sender ends");
    });
}

#[test]
fn a_consumer_that_naps_is_woken_when_the_producer_pauses() {
    check(None, || {
        let (mut producer, mut consumer) = ring(4);
        let bell = Arc::new(Notify::new());
        let door = Arc::clone(&bell);
        let sender = thread::spawn(move || {
            for n in 0..2 {
                producer.push(event(n)).expect("space");
                assert!(!producer.publish(), "nobody sleeps");
            }
            if producer.run_out() {
                bell.notify();
            }
        });
        take_two(&mut consumer, &door, Consumer::prepare_nap);
        sender.join().expect("the sender ends");
    });
}

#[test]
fn a_producer_that_waits_for_space_is_woken_when_there_is_some() {
    check(None, || {
        let (mut producer, mut consumer) = ring(2);
        let bell = Arc::new(Notify::new());
        let door = Arc::clone(&bell);
        // published before the other thread starts, so that it has something to take at once
        producer.push(event(0)).expect("space");
        let _ = producer.publish();
        let receiver = thread::spawn(move || {
            assert_eq!(consumer.pop(), Ok(Some(event(0))));
            if consumer.wants_space() {
                bell.notify();
            }
        });
        while producer.push(event(1)).is_err() {
            if producer.reclaim().expect("no violation") == 0 && producer.prepare_wait() {
                door.wait();
                producer.end_wait();
            }
        }
        receiver.join().expect("the receiver ends");
    });
}

#[test]
fn both_can_wait_for_each_other_and_all_goes_through() {
    check(Some(5), || {
        let (mut producer, mut consumer) = ring(2);
        let (event_bell, space_bell) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (events, space) = (Arc::clone(&event_bell), Arc::clone(&space_bell));
        let sender = thread::spawn(move || {
            for n in 0..2 {
                while producer.push(event(n)).is_err() {
                    if producer.reclaim().expect("no violation") == 0 && producer.prepare_wait() {
                        space.wait();
                        producer.end_wait();
                    }
                }
                if producer.publish() {
                    event_bell.notify();
                }
            }
        });
        let mut next = 0;
        while next < 2 {
            let taken = consumer.drain(2, |seen| assert_eq!(seen, event(next))).expect("no violation");
            next += taken as u32;
            if consumer.wants_space() {
                space_bell.notify();
            }
            if taken == 0 && consumer.prepare_sleep() {
                events.wait();
                consumer.wake();
            }
        }
        sender.join().expect("the sender ends");
    });
}
