//! Supervision without processes: workers that do what a test says, a queue of numbered events, and
//! a clock of its own.

mod hand_over;
mod random_walk;

use super::lifecycle::{self, LifeEvent, LifeState, Policy};
use super::workers::{Role, WorkerHandle};
use super::{Limits, Moment, Supervision, Task, WantedWorker};
use crate::ids::{InstanceId, WorkerId};
use crate::instances::start_queue::StartQueue;
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
    /// Reloads that the user had asked for when it was begun.
    reloads: usize,
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
    /// One start and one reload at once, of this instance and of others.
    starts: StartQueue,
    /// Reloads that the user has asked for.
    reloads: usize,
    /// The last of them whose replacement has failed.
    failed_reloads: usize,
    /// Other instances that have asked for a start.
    last_other: usize,
}

/// The instance itself.
const OWN: InstanceId = InstanceId(0);

/// The number of the first worker of other instances.
const OTHERS: u64 = 1 << 32;

const STOP_TIMEOUT: Duration = Duration::from_secs(2);

impl World {
    fn new() -> Self {
        let policy = Policy { stop_timeout: STOP_TIMEOUT, ..lifecycle::tests::policy() };
        Self {
            supervision: Supervision::new(policy, Limits { watchdog: None }),
            queue: VecDeque::new(),
            handled: Vec::new(),
            lost: Vec::new(),
            now: Instant::now(),
            last_id: 0,
            last_event: 0,
            spawns_fail: false,
            reports: Vec::new(),
            starts: StartQueue::new(1, 1),
            reloads: 0,
            failed_reloads: 0,
            last_other: 0,
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
        self.reloads += usize::from(event == LifeEvent::Reload);
        self.supervision.command(event, self.moment());
        self.follow_up();
    }

    /// What [`super::super::instance`] does after every event.
    fn follow_up(&mut self) {
        loop {
            while let Some(task) = self.supervision.next_task() {
                if let Task::ReportReplacementTimeout(id) = task {
                    let failed = self.worker(id.0).reloads;
                    self.failed_reloads = self.failed_reloads.max(failed);
                }
                self.reports.push(task);
            }
            if self.begin_wanted() {
                continue;
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

    fn begin_wanted(&mut self) -> bool {
        let Some(wanted) = self.supervision.wanted_worker() else {
            self.starts.withdraw(OWN);
            return false;
        };
        let is_turn = self.starts.is_turn(OWN, wanted, self.now);
        if is_turn {
            self.begin(wanted);
        }
        is_turn
    }

    fn begin(&mut self, wanted: WantedWorker) {
        if self.spawns_fail {
            if wanted == WantedWorker::Replacement {
                self.failed_reloads = self.reloads;
            }
            self.supervision.spawn_failed(wanted, self.moment());
            return;
        }
        self.last_id += 1;
        let id = WorkerId(self.last_id);
        let worker = FakeWorker {
            id,
            orders: Vec::new(),
            ring: VecDeque::new(),
            in_hand: None,
            knows: None,
            is_ready: false,
            has_yielded: false,
            reloads: self.reloads,
        };
        self.starts.begun(id, wanted, self.now);
        self.supervision.spawned(worker, wanted, self.moment());
    }

    /// Other instances have workers started, as many as have their turn.
    fn start_another(&mut self, wanted: WantedWorker) {
        self.last_other += 1;
        let id = InstanceId(self.last_other);
        if self.starts.is_turn(id, wanted, self.now) {
            self.starts.begun(WorkerId(OTHERS + id.0 as u64), wanted, self.now);
        }
    }

    /// The workers of other instances are ready, and no further one is wanted.
    fn finish_others(&mut self) {
        for id in 1..=self.last_other {
            self.starts.withdraw(InstanceId(id));
            self.starts.finished(WorkerId(OTHERS + id as u64));
        }
        self.last_other = 0;
        self.start_waiting();
    }

    /// What [`crate::instances::InstanceSet`] does in every turn.
    fn start_waiting(&mut self) {
        while let Some(id) = self.starts.next(self.now) {
            if id == OWN {
                self.follow_up();
            } else if self.starts.is_turn(id, WantedWorker::Main, self.now) {
                self.starts.begun(WorkerId(OTHERS + id.0 as u64), WantedWorker::Main, self.now);
            }
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
        self.starts.finished(WorkerId(id));
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
        if member.role() == Role::Replacement {
            self.failed_reloads = self.failed_reloads.max(member.worker.reloads);
        }
        self.starts.finished(WorkerId(id));
        self.supervision.exited(WorkerId(id), clean, self.moment());
        self.follow_up();
    }

    /// Waits for the next deadline.
    fn next_tick(&mut self) {
        self.now = self.deadline().expect("a deadline");
        self.tick();
    }

    fn deadline(&self) -> Option<Instant> {
        [self.supervision.deadline(), self.starts.deadline()].into_iter().flatten().min()
    }

    fn tick(&mut self) {
        self.start_waiting();
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
