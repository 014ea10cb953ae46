//! How fast the ring is: alone, between two threads on mapped segments, and the doorbell beside it.
//!
//! `cargo bench -p mm-shared`. Throughput is in events.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use mm_shared::record::Record;
use mm_shared::segments::adopt;
use mm_shared::sys::clock;
use mm_shared::wakeup::cpu;
use mm_shared::{Activity, ChannelId, Doorbell, Event, RingSizes, SupervisorEnd, WorkerEnd, create};
use std::thread;

fn main() {
    divan::main();
}

const EVENT: Event = Event { channel: ChannelId(7), value: 0.5 };

fn pair() -> (SupervisorEnd, WorkerEnd) {
    let (supervisor, _control, fds) = create(RingSizes::default()).expect("segments");
    (supervisor, adopt(fds, RingSizes::default()).expect("segments").0)
}

#[divan::bench]
fn record_encode_and_decode(bencher: Bencher) {
    bencher.bench(|| Record::encode(black_box(EVENT)).decode(black_box(512)));
}

/// One event at a time, as the handler of a sparse show sends it: each is published, each taken and
/// finished with.
#[divan::bench(sample_size = 10_000)]
fn push_publish_pop_one(bencher: Bencher) {
    let (mut supervisor, mut worker) = pair();
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        let _ = supervisor.down.push(black_box(EVENT));
        let _ = supervisor.down.publish();
        let event = worker.down.pop();
        worker.down.finish();
        let _ = supervisor.down.reclaim();
        event
    });
}

/// In batches, as under load.
#[divan::bench(args = [16, 256, 4096], sample_size = 100)]
fn push_publish_pop_batch(bencher: Bencher, batch: u32) {
    let (mut supervisor, mut worker) = pair();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        for _ in 0..batch {
            let _ = supervisor.down.push(black_box(EVENT));
        }
        let _ = supervisor.down.publish();
        while let Ok(Some(event)) = worker.down.pop() {
            black_box(event);
        }
        supervisor.down.reclaim()
    });
}

/// The other direction: the supervisor takes a batch at once.
#[divan::bench(args = [16, 256, 4096], sample_size = 100)]
fn push_publish_drain_batch(bencher: Bencher, batch: u32) {
    let (mut supervisor, mut worker) = pair();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        for _ in 0..batch {
            let _ = worker.up.push(black_box(EVENT));
        }
        let _ = worker.up.publish();
        let taken = supervisor.up.drain(usize::MAX, |event| {
            black_box(event);
        });
        let _ = worker.up.reclaim();
        taken
    });
}

/// A million events from one thread to another, published in batches of 64, both spinning.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn a_million_events_between_two_threads(bencher: Bencher) {
    const COUNT: u32 = 1_000_000;
    bencher.counter(ItemsCount::new(COUNT)).with_inputs(pair).bench_local_values(
        |(supervisor, mut worker)| {
            let sender = thread::spawn(move || send_all(supervisor, COUNT));
            let mut taken = 0;
            while taken < COUNT {
                match worker.down.pop() {
                    Ok(Some(_)) => taken += 1,
                    _ => std::hint::spin_loop(),
                }
            }
            sender.join()
        },
    );
}

fn send_all(mut end: SupervisorEnd, count: u32) {
    for n in 0..count {
        while end.down.push(Event { channel: ChannelId(n), value: 0.5 }).is_err() {
            let _ = end.down.publish();
            let _ = end.down.reclaim();
        }
        if n % 64 == 63 {
            let _ = end.down.publish();
        }
    }
    let _ = end.down.publish();
}

/// What the worker tells about each event, without looking at the clock.
#[divan::bench(sample_size = 10_000)]
fn progress_of_one_event(bencher: Bencher) {
    let (_supervisor, mut worker) = pair();
    bencher.bench_local(|| {
        worker.progress.enter(Activity::Handler, black_box(7));
        worker.progress.handled(black_box(800));
        worker.progress.enter(Activity::Idle, 0)
    });
}

#[divan::bench(sample_size = 10_000)]
fn going_to_sleep_and_waking(bencher: Bencher) {
    let (_supervisor, mut worker) = pair();
    bencher.bench_local(|| {
        let asleep = worker.down.prepare_sleep();
        worker.down.wake();
        asleep
    });
}

#[divan::bench]
fn ringing_a_doorbell(bencher: Bencher) {
    let bell = Doorbell::new().expect("a descriptor");
    bencher.bench_local(|| bell.ring());
}

#[divan::bench]
fn reading_the_clock() -> u64 {
    clock::monotonic_ns()
}

#[divan::bench]
fn asking_for_the_cpu() -> Option<u32> {
    cpu::current()
}
