//! What producer and consumer promise to each other, on plain memory. Runs under Miri as well.
//!
//! The memory's orderings are the subject of `tests/loom.rs`, a peer that keeps no promise that of
//! `tests/hostile.rs`.

use mm_shared::ring::heap::{Heap, ring};
use mm_shared::{ChannelId, Consumer, Event, Full, Producer, Violation};

/// The event that carries the number `n`.
fn event(n: u32) -> Event {
    Event { channel: ChannelId(n), value: f64::from(n) }
}

fn send(producer: &mut Producer<Heap>, numbers: impl IntoIterator<Item = u32>) {
    for n in numbers {
        producer.push(event(n)).expect("space");
    }
    let _ = producer.publish();
}

fn take(consumer: &mut Consumer<Heap>) -> Option<u32> {
    consumer.pop().expect("no violation").map(|event| event.channel.0)
}

#[test]
fn events_arrive_as_they_were_sent_and_in_order() {
    let (mut producer, mut consumer) = ring(8);
    send(&mut producer, 0..5);
    for n in 0..5 {
        assert_eq!(consumer.pop(), Ok(Some(event(n))));
    }
    assert_eq!(consumer.pop(), Ok(None));
}

#[test]
fn what_is_staged_is_not_visible() {
    let (mut producer, mut consumer) = ring(8);
    producer.push(event(1)).expect("space");
    assert_eq!(take(&mut consumer), None);
    assert!(!consumer.has_work());
    let _ = producer.publish();
    assert!(consumer.has_work());
    assert_eq!(take(&mut consumer), Some(1));
}

#[test]
fn a_ring_holds_one_event_less_than_it_has_slots() {
    let (mut producer, _consumer) = ring(8);
    for n in 0..7 {
        assert_eq!(producer.push(event(n)), Ok(()));
    }
    assert_eq!(producer.push(event(7)), Err(Full));
    assert_eq!((producer.room(), producer.free(), producer.in_flight()), (7, 0, 7));
}

#[test]
fn taken_slots_are_free_after_reclaiming_and_not_before() {
    let (mut producer, mut consumer) = ring(4);
    send(&mut producer, 0..3);
    assert_eq!((take(&mut consumer), take(&mut consumer)), (Some(0), Some(1)));
    assert_eq!(producer.push(event(3)), Err(Full));
    assert_eq!(producer.reclaim(), Ok(2));
    send(&mut producer, 3..5);
    assert_eq!(producer.push(event(5)), Err(Full));
    for n in 2..5 {
        assert_eq!(take(&mut consumer), Some(n));
    }
}

#[test]
fn the_ring_goes_round_many_times() {
    let (mut producer, mut consumer) = ring(2);
    for n in 0..1000 {
        send(&mut producer, [n]);
        assert_eq!(take(&mut consumer), Some(n));
        assert_eq!(producer.reclaim(), Ok(1));
    }
}

#[test]
fn the_event_in_hand_is_the_last_one_taken() {
    let (mut producer, mut consumer) = ring(4);
    send(&mut producer, 0..3);
    producer.reclaim().expect("no violation");
    assert_eq!(producer.in_hand(), None);
    take(&mut consumer);
    take(&mut consumer);
    producer.reclaim().expect("no violation");
    assert_eq!(producer.in_hand(), Some(event(1)));
    assert_eq!(producer.undelivered(), [event(2)]);
}

#[test]
fn the_event_in_hand_is_never_overwritten() {
    let (mut producer, mut consumer) = ring(4);
    send(&mut producer, 0..3);
    take(&mut consumer);
    producer.reclaim().expect("no violation");
    send(&mut producer, [3]);
    assert_eq!(producer.push(event(4)), Err(Full));
    assert_eq!(producer.in_hand(), Some(event(0)));
    assert_eq!(producer.undelivered(), [event(1), event(2), event(3)]);
}

#[test]
fn an_event_that_is_finished_with_is_not_in_hand() {
    let (mut producer, mut consumer) = ring(4);
    send(&mut producer, 0..2);
    take(&mut consumer);
    consumer.finish();
    producer.reclaim().expect("no violation");
    assert_eq!(producer.in_hand(), None);
    take(&mut consumer);
    producer.reclaim().expect("no violation");
    assert_eq!(producer.in_hand(), Some(event(1)));
}

#[test]
fn staged_events_count_as_undelivered() {
    let (mut producer, _consumer) = ring(8);
    send(&mut producer, 0..2);
    producer.push(event(2)).expect("space");
    assert_eq!(producer.undelivered(), [event(0), event(1), event(2)]);
}

#[test]
fn reclaiming_shows_each_taken_event_once() {
    let (mut producer, mut consumer) = ring(16);
    let mut seen = Vec::new();
    for round in 0..3 {
        send(&mut producer, round * 5..round * 5 + 5);
        consumer.drain(3 + round as usize, |_| {}).expect("no violation");
        producer.reclaim_with(|event| seen.push(event.channel.0)).expect("no violation");
    }
    assert_eq!(seen, (0..12).collect::<Vec<_>>());
}

#[test]
fn draining_takes_at_most_what_it_was_asked_for() {
    let (mut producer, mut consumer) = ring(8);
    send(&mut producer, 0..6);
    let mut seen = Vec::new();
    assert_eq!(consumer.drain(4, |event| seen.push(event.channel.0)), Ok(4));
    assert_eq!(consumer.drain(4, |event| seen.push(event.channel.0)), Ok(2));
    assert_eq!(consumer.drain(4, |event| seen.push(event.channel.0)), Ok(0));
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_channel_beyond_the_limit_is_a_violation_and_is_not_taken() {
    let (mut producer, mut consumer) = ring(8);
    consumer.set_channel_limit(2);
    send(&mut producer, [0, 2, 1]);
    let violation = Violation::UnknownChannel { channel: 2, limit: 2 };
    let mut seen = Vec::new();
    assert_eq!(consumer.drain(8, |event| seen.push(event.channel.0)), Err(violation));
    assert_eq!(consumer.pop(), Err(violation));
    assert_eq!(seen, [0]);
    assert_eq!(producer.reclaim(), Ok(1));
}

/// Publishes an event; says whether the consumer's doorbell has to be rung.
fn publish(producer: &mut Producer<Heap>) -> bool {
    producer.push(event(0)).expect("space");
    producer.publish()
}

#[test]
fn the_doorbell_is_rung_once_for_each_sleep() {
    let (mut producer, mut consumer) = ring(16);
    assert!(!publish(&mut producer), "the consumer is awake");
    consumer.drain(16, |_| {}).expect("no violation");
    for _ in 0..3 {
        assert!(consumer.prepare_sleep());
        assert!(publish(&mut producer), "the consumer sleeps");
        assert!(!publish(&mut producer), "it was rung already");
        consumer.wake();
        assert!(!publish(&mut producer), "the consumer is awake");
        consumer.drain(16, |_| {}).expect("no violation");
        producer.reclaim().expect("no violation");
    }
}

#[test]
fn the_doorbell_of_a_consumer_that_naps_is_rung_once_when_the_producer_pauses() {
    let (mut producer, mut consumer) = ring(16);
    assert!(!producer.run_out(), "the consumer is awake");
    for _ in 0..3 {
        assert!(consumer.prepare_nap());
        assert!(!producer.run_out(), "nothing was published meanwhile");
        assert!(!publish(&mut producer) && !publish(&mut producer), "the consumer naps");
        assert!(producer.run_out());
        assert!(!producer.run_out(), "it was rung already");
        consumer.wake();
        assert!(!producer.run_out(), "the consumer is awake");
        consumer.drain(16, |_| {}).expect("no violation");
        producer.reclaim().expect("no violation");
    }
}

#[test]
fn a_nap_can_become_a_sleep_and_a_sleep_a_nap() {
    let (mut producer, mut consumer) = ring(16);
    assert!(consumer.prepare_nap() && consumer.prepare_sleep());
    send(&mut producer, [0]);
    assert!(!producer.run_out(), "it was rung for the sleep");
    assert!(!consumer.prepare_nap(), "there is work");
    take(&mut consumer);
    assert!(consumer.prepare_sleep() && consumer.prepare_nap());
    producer.push(event(1)).expect("space");
    assert!(!producer.publish() && producer.run_out());
}

#[test]
fn publishing_nothing_wakes_nobody() {
    let (mut producer, mut consumer) = ring(4);
    assert!(consumer.prepare_sleep());
    assert!(!producer.publish());
}

#[test]
fn a_consumer_with_work_does_not_fall_asleep() {
    let (mut producer, mut consumer) = ring(4);
    send(&mut producer, [0]);
    assert!(!consumer.prepare_sleep());
    take(&mut consumer);
    assert!(consumer.prepare_sleep());
}

#[test]
fn a_producer_that_waits_for_space_is_woken_once() {
    let (mut producer, mut consumer) = ring(2);
    send(&mut producer, [0]);
    assert!(!consumer.wants_space());
    assert!(producer.prepare_wait());
    assert!(consumer.wants_space());
    assert!(!consumer.wants_space(), "it was rung already");
    take(&mut consumer);
    assert!(!producer.prepare_wait(), "there is space now");
    assert_eq!(producer.reclaim(), Ok(1));
    send(&mut producer, [1]);
    assert!(producer.prepare_wait());
    assert!(consumer.wants_space(), "a wait of its own");
    producer.end_wait();
    assert!(!consumer.wants_space());
}

#[test]
fn each_side_learns_the_others_cpu() {
    let (mut producer, mut consumer) = ring(2);
    assert_eq!((producer.peer_cpu(), consumer.peer_cpu()), (None, None));
    producer.publish_cpu(0, false);
    consumer.publish_cpu(63);
    assert_eq!((producer.peer_cpu(), consumer.peer_cpu()), (Some(63), Some(0)));
}

#[test]
fn a_consumer_learns_whether_its_producer_stays_where_it_is() {
    let (mut producer, consumer) = ring(2);
    for (cpu, is_pinned) in [(1, true), (1, false), (u32::MAX - 1, true), (0, false)] {
        producer.publish_cpu(cpu, is_pinned);
        assert_eq!((consumer.peer_cpu(), consumer.peer_is_pinned()), (Some(cpu), is_pinned));
    }
}

#[test]
fn two_threads_pass_everything_through_a_small_ring_in_order() {
    let count = if cfg!(miri) { 200 } else { 200_000 };
    let (mut producer, mut consumer) = ring(8);
    let sender = std::thread::spawn(move || {
        for n in 0..count {
            while producer.push(event(n)).is_err() {
                let _ = producer.publish();
                if producer.reclaim().expect("no violation") == 0 {
                    std::thread::yield_now();
                }
            }
        }
        let _ = producer.publish();
    });
    for n in 0..count {
        let next = loop {
            match take(&mut consumer) {
                Some(next) => break next,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(next, n);
    }
    sender.join().expect("the sender ends");
}
