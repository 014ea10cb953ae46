//! Supervision without processes: workers that do what a test says, a queue of numbered events, and
//! a clock of its own.

mod hand_over;
mod random_walk;

use super::lifecycle::{self, LifeEvent, LifeState, Policy};
use super::workers::{Role, WorkerHandle};
use super::{Limits, Moment, Supervision, Task};
use crate::ids::WorkerId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An event: its channel and its number, which grows with every event.
type Numbered = (u8, u64);

/// What a worker was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Stop,
    Stacks,
    Term,
    Kill,
}

/// A worker that does what the test says.
#[derive(Debug)]
struct FakeWorker {
    id: WorkerId,
    orders: Vec<Order>,
    ring: VecDeque<Numbered>,
    in_hand: Option<Numbered>,
    /// Events that were handled before it was told to serve: the values that it knows.
    knows: Option<usize>,
    is_ready: bool,
    has_yielded: bool,
}

impl WorkerHandle for FakeWorker {
    fn id(&self) -> WorkerId {
        self.id
    }

    fn request_stop(&mut self) {
        self.orders.push(Order::Stop);
    }

    fn dump_stacks(&mut self) {
        self.orders.push(Order::Stacks);
    }

    fn terminate(&mut self) {
        self.orders.push(Order::Term);
    }

    fn kill(&mut self) {
        self.orders.push(Order::Kill);
    }
}

impl FakeWorker {
    fn was_told(&self, order: Order) -> bool {
        self.orders.contains(&order)
    }

    /// Whether it takes events, or may still do so.
    fn serves(&self) -> bool {
        self.knows.is_some() && !self.has_yielded
    }
}

/// An instance around the supervision.
struct World {
    supervision: Supervision<FakeWorker>,
    queue: VecDeque<Numbered>,
    handled: Vec<Numbered>,
    lost: Vec<Numbered>,
    now: Instant,
    last_id: u64,
    last_event: u64,
    spawns_fail: bool,
    reports: Vec<Task>,
}

const STOP_TIMEOUT: Duration = Duration::from_secs(2);

impl World {
    fn new() -> Self {
        let policy = Policy { stop_timeout: STOP_TIMEOUT, ..lifecycle::tests::policy() };
        Self {
            supervision: Supervision::new(policy, Limits { watchdog: None, memory: None }),
            queue: VecDeque::new(),
            handled: Vec::new(),
            lost: Vec::new(),
            now: Instant::now(),
            last_id: 0,
            last_event: 0,
            spawns_fail: false,
            reports: Vec::new(),
        }
    }

    /// One whose first worker serves.
    fn running() -> Self {
        let mut world = Self::new();
        world.command(LifeEvent::Start);
        world.import(1);
        world
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, jitter: 0.0 }
    }

    fn command(&mut self, event: LifeEvent) {
        self.supervision.command(event, self.moment());
        self.follow_up();
    }

    /// What [`super::super::instance`] does after every event.
    fn follow_up(&mut self) {
        loop {
            while let Some(task) = self.supervision.next_task() {
                self.perform(task);
            }
            let serving = self.supervision.workers().iter().filter(|member| member.worker.serves()).count();
            let handled = self.handled.len();
            let Some(worker) = self.supervision.serve_next(self.now) else { break };
            assert_eq!(serving, 0, "two workers serve");
            assert_eq!(worker.knows, None, "a worker serves twice");
            worker.knows = Some(handled);
        }
        while let Some(worker) = self.supervision.workers_mut().receiver()
            && let Some(event) = self.queue.pop_front()
        {
            worker.ring.push_back(event);
        }
    }

    fn perform(&mut self, task: Task) {
        if !matches!(task, Task::Spawn | Task::SpawnReplacement) {
            self.reports.push(task);
        } else if self.spawns_fail {
            self.supervision.spawn_failed(task, self.moment());
        } else {
            self.last_id += 1;
            let worker = FakeWorker {
                id: WorkerId(self.last_id),
                orders: Vec::new(),
                ring: VecDeque::new(),
                in_hand: None,
                knows: None,
                is_ready: false,
                has_yielded: false,
            };
            self.supervision.spawned(worker, task);
        }
    }

    /// An event for the instance.
    fn send(&mut self, channel: u8) {
        self.last_event += 1;
        self.queue.push_back((channel, self.last_event));
        self.follow_up();
    }

    fn worker(&mut self, id: u64) -> &mut FakeWorker {
        &mut self.supervision.workers_mut().get_mut(WorkerId(id)).expect("a worker").worker
    }

    fn role(&self, id: u64) -> Option<Role> {
        Some(self.supervision.workers().get(WorkerId(id))?.role())
    }

    fn orders(&self, id: u64) -> Vec<Order> {
        self.supervision.workers().get(WorkerId(id)).expect("a worker").worker.orders.clone()
    }

    /// The worker has imported its modules.
    fn import(&mut self, id: u64) {
        self.worker(id).is_ready = true;
        self.supervision.ready(WorkerId(id), self.moment());
        self.follow_up();
    }

    /// The worker begins to handle its next event.
    fn take(&mut self, id: u64) {
        let worker = self.worker(id);
        worker.in_hand = worker.ring.pop_front();
    }

    /// The worker is done with the event in its hand.
    fn finish(&mut self, id: u64) {
        let event = self.worker(id).in_hand.take();
        self.handled.extend(event);
    }

    /// The worker takes no more events.
    fn yield_events(&mut self, id: u64) {
        self.worker(id).has_yielded = true;
        let (moment, queue) = (self.moment(), &mut self.queue);
        self.supervision.yielded(WorkerId(id), moment, |worker| put_back(worker, queue));
        self.follow_up();
    }

    /// The process of the worker has ended.
    fn exit(&mut self, id: u64, clean: bool) {
        let member = self.supervision.workers_mut().get_mut(WorkerId(id)).expect("a worker");
        if member.role().is_attached() {
            put_back(&mut member.worker, &mut self.queue);
        }
        self.lost.extend(member.worker.in_hand.take());
        self.supervision.exited(WorkerId(id), clean, self.moment());
        self.follow_up();
    }

    /// Waits for the next deadline.
    fn next_tick(&mut self) {
        self.now = self.supervision.deadline().expect("a deadline");
        self.tick();
    }

    fn tick(&mut self) {
        self.supervision.tick(self.moment());
        self.follow_up();
    }

    fn state(&self) -> LifeState {
        self.supervision.state()
    }
}

/// What a worker has not taken is queued in front.
fn put_back(worker: &mut FakeWorker, queue: &mut VecDeque<Numbered>) {
    while let Some(event) = worker.ring.pop_back() {
        queue.push_front(event);
    }
}
