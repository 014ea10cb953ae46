//! Random sequences of commands, faults and slow handlers. Whatever coincides: at most one worker
//! serves, each channel's events are handled in order and at most once, nothing is lost but the event
//! in the hand of a worker that died, and a worker that was begun after the last reload serves in the
//! end. There are never more workers than there may be, and an instance waits for its turn.

use super::super::WORKERS_LIMIT;
use super::super::lifecycle::{LifeEvent, LifeState};
use super::super::stop::StopStage;
use super::super::workers::{Member, Role};
use super::{FakeWorker, Order, WantedWorker, World};
use crate::ids::WorkerId;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;
use std::{panic, thread};

/// Many short sequences, which meet most coincidences, and some long ones.
const SEQUENCES: [(u64, u64); 2] = [(200_000, 20), (3_000, 100)];
const CHANNELS: u8 = 3;

/// Does one random thing.
fn step(world: &mut World, random: &mut fastrand::Rng) {
    let workers: Vec<u64> = world.supervision.workers().iter().map(|member| member.worker.id.0).collect();
    let worker = random.choice(&workers).copied();
    match (random.u8(0..22), worker) {
        (0..5, _) => world.send(random.u8(0..CHANNELS)),
        (5, _) => world.command(LifeEvent::Reload),
        (6, _) => {
            let commands = [LifeEvent::Stop, LifeEvent::Start, LifeEvent::Restart, LifeEvent::Start];
            world.command(commands[random.usize(0..commands.len())]);
        }
        (7, _) => {
            world.now += Duration::from_millis(random.u64(0..5_000));
            world.tick();
        }
        (8, _) => {
            world.spawns_fail = random.u8(0..8) == 0;
        }
        (20, _) => {
            let wanted = [WantedWorker::Main, WantedWorker::Replacement];
            world.start_another(wanted[random.usize(0..2)]);
        }
        (21, _) => world.finish_others(),
        (9, Some(id)) => world.exit(id, random.bool()),
        (10, Some(id)) => hang_or_fault(world, id, random),
        (11, Some(id)) if world.worker(id).in_hand.is_none() && !world.worker(id).has_yielded => {
            world.yield_events(id);
        }
        (_, Some(id)) => progress(world, id),
        _ => {}
    }
}

fn hang_or_fault(world: &mut World, id: u64, random: &mut fastrand::Rng) {
    let moment = world.moment();
    match random.u8(0..3) {
        0 => world.supervision.hangs(WorkerId(id), moment),
        1 => world.supervision.fault(WorkerId(id), false, moment),
        _ => world.supervision.fault(WorkerId(id), true, moment),
    }
    world.follow_up();
}

/// The worker does the next thing that a healthy one does.
fn progress(world: &mut World, id: u64) {
    let worker = world.worker(id);
    if worker.was_told(Order::Kill) || worker.was_told(Order::Term) {
        world.exit(id, false);
    } else if worker.in_hand.is_some() {
        world.finish(id);
    } else if worker.has_yielded {
        world.exit(id, true);
    } else if worker.was_told(Order::Stop) {
        world.yield_events(id);
    } else if !worker.is_ready {
        world.import(id);
    } else if worker.serves() {
        world.take(id);
    }
}

fn check(world: &World) {
    let serving = world.supervision.workers().iter().filter(|member| member.worker.serves()).count();
    assert!(serving <= 1, "{serving} workers serve");
    let attached: Vec<_> =
        world.supervision.workers().iter().filter(|member| member.role().is_attached()).collect();
    assert_eq!(attached.len(), serving, "a worker serves, or is said to");
    let mains = world.supervision.workers().iter().filter(|member| member.role().is_main()).count();
    let workers = world.supervision.workers().iter().count();
    assert!(workers <= WORKERS_LIMIT, "{workers} workers");
    let imports = |member: &&Member<FakeWorker>| matches!(member.role(), Role::Starting | Role::Replacement);
    let importing = world.supervision.workers().iter().filter(imports).count();
    assert!(importing <= 1, "{importing} workers import");
    assert!(mains <= 1, "{mains} main workers");
    match world.state() {
        LifeState::Stopped => assert!(attached.is_empty(), "stopped, but a worker handles events"),
        LifeState::Running { .. } => assert_eq!(mains, 1, "running without a worker"),
        // Something moves it on: a deadline, or a worker that was killed.
        LifeState::Stopping { .. } => assert!(
            world.supervision.deadline().is_some()
                || world.supervision.workers().iter().any(|m| m.stage() == Some(StopStage::Killed)),
            "stops for ever"
        ),
        _ => {}
    }
}

/// Lets the instance come to rest with a healthy worker that handles everything.
fn come_to_rest(world: &mut World) {
    world.spawns_fail = false;
    world.command(LifeEvent::Start);
    for _ in 0..10_000 {
        let workers: Vec<u64> = world.supervision.workers().iter().map(|member| member.worker.id.0).collect();
        for id in workers {
            if world.supervision.workers().get(WorkerId(id)).is_some() {
                progress(world, id);
            }
        }
        if let Some(deadline) = world.deadline() {
            world.now = world.now.max(deadline);
            world.tick();
        }
        world.start_waiting();
        let is_running = matches!(world.state(), LifeState::Running { .. });
        let serving = world.supervision.is_serving() && world.supervision.workers().iter().count() == 1;
        if is_running && serving && world.handled.len() + world.lost.len() == world.last_event as usize {
            return;
        }
    }
    panic!("does not come to rest: {:?}, {} of {}", world.state(), world.handled.len(), world.last_event);
}

fn run(seed: u64, steps: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new();
    world.command(LifeEvent::Start);
    for _ in 0..steps {
        step(&mut world, &mut random);
        check(&world);
    }
    come_to_rest(&mut world);
    let mut last: HashMap<u8, u64> = HashMap::new();
    for (channel, number) in &world.handled {
        let before = last.insert(*channel, *number);
        assert!(before.is_none_or(|before| before < *number), "{before:?} before {number} of {channel}");
    }
    assert!(world.handled.iter().all(|event| !world.lost.contains(event)), "handled and lost");
    // Each reload was followed by the begin of a worker that serves now, or has failed.
    let serving = world.supervision.workers().main().map_or(0, |member| member.worker.reloads);
    assert_eq!(serving.max(world.failed_reloads), world.reloads, "a reload is forgotten");
}

/// Runs sequences with the seeds of a range, each of which leads to the same one every time.
fn run_all(seeds: Range<u64>, steps: u64) {
    for seed in seeds {
        let outcome = panic::catch_unwind(|| run(seed, steps));
        assert!(outcome.is_ok(), "seed {seed}, {steps} steps");
    }
}

#[test]
fn whatever_coincides_one_worker_serves_and_events_are_handled_in_order_and_once() {
    let threads = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    for (sequences, steps) in SEQUENCES {
        let share = sequences.div_ceil(threads);
        thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || run_all(thread * share..(thread + 1) * share, steps));
            }
        });
    }
}
