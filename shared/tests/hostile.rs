//! A peer that keeps no promise: every word of its that is looked at may be anything, and something
//! else the next time. What must hold then: no panic, no access outside, no event that is not one,
//! and no event of ours lost or given back twice.

use mm_shared::ring::heap::{Heap, HeapWords, ring};
use mm_shared::ring::layout::{BLOCK_WORDS, slot_words};
use mm_shared::ring::mapping::{Mapping, ReadWrite, Region};
use mm_shared::ring::memory::{Load, Memory, Store};
use mm_shared::{ChannelId, Consumer, Event, Producer, RingSizes, SupervisorEnd};
use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

const SLOTS: u32 = 8;
const CHANNELS: u32 = 100;

/// Memory whose peer's words come from a list of whims, one for each look.
struct Whimsical;

impl Memory for Whimsical {
    type Own = HeapWords;
    type Peer = Whims;
}

#[derive(Clone)]
struct Whims {
    words: usize,
    rest: Rc<RefCell<VecDeque<u64>>>,
}

impl Whims {
    fn new(words: usize, whims: &[u64]) -> Whims {
        Whims { words, rest: Rc::new(RefCell::new(whims.iter().copied().collect())) }
    }
}

impl Load for Whims {
    fn words(&self) -> usize {
        self.words
    }

    fn load(&self, _index: usize) -> u64 {
        let mut rest = self.rest.borrow_mut();
        let word = rest.pop_front().unwrap_or(0);
        rest.push_back(word.rotate_left(1));
        word
    }
}

/// HeapWords that hit the interesting spots: small cursors, heads of records with channels around
/// the limit, anything.
fn whim() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..24u64,
        4 => (0..2 * u64::from(CHANNELS)).prop_map(|channel| 1 << 32 | channel),
        2 => any::<f64>().prop_map(f64::to_bits),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

fn is_event(event: Event) -> bool {
    event.channel.0 < CHANNELS && event.value.is_finite()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_consumer_gives_out_events_only(whims in vec(whim(), 1..200), steps in vec(0..7u8, 1..100)) {
        let peer = Whims::new(BLOCK_WORDS, &whims);
        let slots = Whims { words: slot_words(SLOTS), ..peer.clone() };
        let mut consumer: Consumer<Whimsical> = Consumer::new(HeapWords::new(BLOCK_WORDS), slots, peer);
        consumer.set_channel_limit(CHANNELS);
        for step in steps {
            match step {
                0 => prop_assert!(consumer.pop().ok().flatten().is_none_or(is_event)),
                1 => {
                    let mut events = Vec::new();
                    let outcome = consumer.drain(1000, |event| events.push(event));
                    prop_assert!(events.iter().copied().all(is_event));
                    prop_assert!(events.len() < SLOTS as usize);
                    prop_assert!(outcome.is_err() || outcome == Ok(events.len()));
                }
                2 => drop(consumer.prepare_sleep()),
                3 => consumer.wake(),
                4 => drop(consumer.wants_space()),
                5 => drop(consumer.prepare_nap()),
                _ => drop((consumer.peer_cpu(), consumer.has_work())),
            }
        }
    }

    #[test]
    fn a_producer_accounts_for_every_event(whims in vec(whim(), 1..200), steps in vec(0..7u8, 1..200)) {
        let slots = HeapWords::new(slot_words(SLOTS));
        let peer = Whims::new(BLOCK_WORDS, &whims);
        let mut producer: Producer<Whimsical> = Producer::new(HeapWords::new(BLOCK_WORDS), slots, peer);
        let (mut pushed, mut taken) = (0, Vec::new());
        for step in steps {
            match step {
                0 | 1 => {
                    let event = Event { channel: ChannelId(pushed), value: 0.0 };
                    pushed += u32::from(producer.push(event).is_ok());
                }
                2 => drop(producer.publish()),
                3 => drop(producer.reclaim_with(|event| taken.push(event.channel.0))),
                4 => drop(producer.prepare_wait()),
                5 => drop(producer.run_out()),
                _ => drop(producer.peer_cpu()),
            }
            let last = taken.last().copied();
            prop_assert!(producer.in_hand().is_none_or(|event| Some(event.channel.0) == last));
            let undelivered = producer.undelivered().into_iter().map(|event| event.channel.0);
            let all: Vec<u32> = taken.iter().copied().chain(undelivered).collect();
            prop_assert_eq!(all, (0..pushed).collect::<Vec<_>>());
            prop_assert_eq!(producer.free() + producer.in_flight(), producer.room());
        }
    }

    #[test]
    fn both_sides_agree_with_a_queue(steps in vec(0..8u8, 1..300)) {
        let (mut producer, mut consumer) = ring(SLOTS);
        let mut model = Model::default();
        for step in steps {
            model.step(step, &mut producer, &mut consumer);
        }
        let rest = producer.undelivered().into_iter().map(|event| event.channel.0);
        prop_assert!(rest.eq(model.untaken()));
    }

    #[test]
    fn bytes_written_over_the_workers_segment_are_at_worst_a_violation(
        scribbles in vec((0..1024usize, any::<bool>(), whim()), 1..60),
    ) {
        let ring_sizes = RingSizes { down_slots: 16, up_slots: 16 };
        let (mut end, _control, fds) = mm_shared::create(ring_sizes).expect("segments");
        let up = Mapping::<ReadWrite>::new(&fds.up, 8192).expect("the whole of the segment");
        let up: Region<ReadWrite> = up.region(0, 1024).expect("the whole of the segment");
        end.up.set_channel_limit(CHANNELS);
        for (place, low, word) in scribbles {
            // half of them where the cursors and flags are
            up.store(if low { place % 64 } else { place }, word);
            use_everything(&mut end);
        }
    }
}

/// What a correct pair does, as a plain queue.
#[derive(Default)]
struct Model {
    pushed: u32,
    published: u32,
    taken: u32,
    reclaimed: u32,
}

impl Model {
    fn step(&mut self, step: u8, producer: &mut Producer<Heap>, consumer: &mut Consumer<Heap>) {
        match step {
            0..=2 => {
                let fits = self.pushed - self.reclaimed < SLOTS - 1;
                let event = Event { channel: ChannelId(self.pushed), value: 1.0 };
                assert_eq!(producer.push(event).is_ok(), fits);
                self.pushed += u32::from(fits);
            }
            3 | 4 => {
                assert!(!producer.publish(), "nobody sleeps");
                self.published = self.pushed;
            }
            5 => {
                let next = (self.taken < self.published).then_some(self.taken);
                assert_eq!(consumer.pop().expect("no violation").map(|event| event.channel.0), next);
                self.taken += u32::from(next.is_some());
            }
            6 => {
                let count = consumer.drain(3, |_| {}).expect("no violation") as u32;
                assert_eq!(count, (self.published - self.taken).min(3));
                self.taken += count;
            }
            _ => {
                assert_eq!(producer.reclaim(), Ok((self.taken - self.reclaimed) as usize));
                self.reclaimed = self.taken;
            }
        }
    }

    /// What the producer does not know to be taken.
    fn untaken(&self) -> std::ops::Range<u32> {
        self.reclaimed..self.pushed
    }
}

/// All that a supervisor does with a worker's segments.
fn use_everything(end: &mut SupervisorEnd) {
    let _ = end.down.push(Event { channel: ChannelId(1), value: 0.5 });
    let _ = end.down.publish();
    let _ = end.down.reclaim_with(|event| assert_eq!(event.channel.0, 1));
    assert!(end.down.in_hand().is_none_or(|event| event.channel.0 == 1));
    assert!(end.down.undelivered().len() <= end.down.room());
    let _ = (end.down.prepare_wait(), end.down.peer_cpu());
    let _ = end.up.drain(1000, |event| assert!(is_event(event)));
    let _ = (end.up.prepare_sleep(), end.up.wants_space(), end.up.peer_cpu());
    end.up.wake();
    let _ = (end.progress.activity(), end.progress.handled(), end.progress.errors());
    let times = end.progress.handler_times();
    let _ = (times.count(), times.percentile(0.99), times.max());
}
