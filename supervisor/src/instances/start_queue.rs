//! Whose turn it is to have a worker started: imports are work for the machine, and many at once
//! would hold up the instances that serve.
//!
//! There are two lanes, each of which starts so many at once, in the order of the requests: one for
//! instances that have no worker, at the first start of the show as after a crash, and one for
//! reloads, whose instances still serve. So neither waits for the other, and an instance that is
//! down never waits behind a file that thirty instances share.
//!
//! A worker gives its place back when it is ready or has ended. One that does neither for the
//! patience of its lane gives it back as well, though it imports on: a script that waits for a
//! network, or for ever, keeps no other instance from being started.

use crate::ids::{InstanceId, WorkerId};
use crate::instances::supervision::WantedWorker;
use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

/// How long a worker without which its instance is down keeps its place.
const START_PATIENCE: Duration = Duration::from_millis(250);

/// How long a replacement keeps its place.
const RELOAD_PATIENCE: Duration = Duration::from_secs(1);

/// The instances that wait for a worker, and the workers that import.
#[derive(Debug)]
pub struct StartQueue {
    starts: Lane,
    reloads: Lane,
}

#[derive(Debug)]
struct Lane {
    limit: usize,
    patience: Duration,
    /// Workers that import, and until when each keeps its place.
    importing: Vec<(WorkerId, Instant)>,
    waiting: VecDeque<InstanceId>,
    /// A time that has passed.
    made_at: Instant,
}

impl Default for StartQueue {
    /// As many starts at once as there are CPUs, and half as many reloads.
    fn default() -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        Self::new(cpus.max(2), (cpus / 2).max(1))
    }
}

impl StartQueue {
    /// So many starts and reloads at once.
    #[must_use]
    pub fn new(starts: usize, reloads: usize) -> Self {
        Self { starts: Lane::new(starts, START_PATIENCE), reloads: Lane::new(reloads, RELOAD_PATIENCE) }
    }

    /// Whether it is an instance's turn to have this worker started; otherwise it waits for it. A
    /// turn is to be used at once.
    pub fn is_turn(&mut self, id: InstanceId, wanted: WantedWorker, now: Instant) -> bool {
        let (lane, other) = self.lanes(wanted);
        other.withdraw(id);
        lane.is_turn(id, now)
    }

    /// An instance does not want a worker any more.
    pub fn withdraw(&mut self, id: InstanceId) {
        self.starts.withdraw(id);
        self.reloads.withdraw(id);
    }

    /// A worker was begun.
    pub fn begun(&mut self, worker_id: WorkerId, wanted: WantedWorker, now: Instant) {
        let (lane, _) = self.lanes(wanted);
        lane.importing.push((worker_id, now + lane.patience));
    }

    /// A worker has imported its modules, or has ended.
    pub fn finished(&mut self, worker_id: WorkerId) {
        for lane in [&mut self.starts, &mut self.reloads] {
            lane.importing.retain(|(importing, _)| *importing != worker_id);
        }
    }

    /// An instance that has waited, and whose turn it is now.
    pub fn next(&mut self, now: Instant) -> Option<InstanceId> {
        [&mut self.starts, &mut self.reloads].into_iter().find_map(|lane| lane.next(now))
    }

    /// When [`StartQueue::next`] finds one, if no worker is ready or ends before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [&self.starts, &self.reloads].into_iter().filter_map(Lane::deadline).min()
    }

    fn lanes(&mut self, wanted: WantedWorker) -> (&mut Lane, &mut Lane) {
        match wanted {
            WantedWorker::Main => (&mut self.starts, &mut self.reloads),
            WantedWorker::Replacement => (&mut self.reloads, &mut self.starts),
        }
    }
}

impl Lane {
    fn new(limit: usize, patience: Duration) -> Self {
        Self { limit, patience, importing: Vec::new(), waiting: VecDeque::new(), made_at: Instant::now() }
    }

    fn free(&mut self, now: Instant) -> usize {
        self.importing.retain(|(_, until)| now < *until);
        self.limit.saturating_sub(self.importing.len())
    }

    fn is_turn(&mut self, id: InstanceId, now: Instant) -> bool {
        let place = self.waiting.iter().position(|waiting| *waiting == id);
        let is_turn = place.unwrap_or(self.waiting.len()) < self.free(now);
        match place {
            Some(place) if is_turn => drop(self.waiting.remove(place)),
            None if !is_turn => self.waiting.push_back(id),
            _ => {}
        }
        is_turn
    }

    fn withdraw(&mut self, id: InstanceId) {
        self.waiting.retain(|waiting| *waiting != id);
    }

    fn next(&mut self, now: Instant) -> Option<InstanceId> {
        let first = *self.waiting.front()?;
        (self.free(now) > 0).then_some(first)
    }

    fn deadline(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        if self.importing.len() < self.limit {
            return Some(self.made_at);
        }
        self.importing.iter().map(|(_, until)| *until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: WantedWorker = WantedWorker::Main;
    const REPLACEMENT: WantedWorker = WantedWorker::Replacement;

    /// Which instances are started now; each worker has the number of its instance.
    fn start(queue: &mut StartQueue, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| {
            let id = queue.next(now)?;
            assert!(queue.is_turn(id, MAIN, now));
            queue.begun(WorkerId(id.0 as u64), MAIN, now);
            Some(id.0)
        })
        .collect()
    }

    #[test]
    fn instances_have_their_turn_in_the_order_of_their_requests() {
        let (mut queue, now) = (StartQueue::new(2, 1), Instant::now());
        for id in 1..=5 {
            let is_turn = queue.is_turn(InstanceId(id), MAIN, now);
            assert_eq!(is_turn, id <= 2);
            if is_turn {
                queue.begun(WorkerId(id as u64), MAIN, now);
            }
        }
        assert!(start(&mut queue, now).is_empty());
        queue.finished(WorkerId(2));
        assert!(!queue.is_turn(InstanceId(2), MAIN, now), "it overtakes");
        assert_eq!(start(&mut queue, now), [3]);
        queue.withdraw(InstanceId(4));
        queue.finished(WorkerId(1));
        queue.finished(WorkerId(3));
        assert_eq!(start(&mut queue, now), [5, 2]);
    }

    #[test]
    fn reloads_and_starts_do_not_wait_for_each_other() {
        let (mut queue, now) = (StartQueue::new(1, 1), Instant::now());
        for id in [1, 2] {
            if queue.is_turn(InstanceId(id), REPLACEMENT, now) {
                queue.begun(WorkerId(id as u64), REPLACEMENT, now);
            }
        }
        assert!(queue.is_turn(InstanceId(2), MAIN, now), "its worker has crashed in the meantime");
        queue.begun(WorkerId(3), MAIN, now);
        queue.finished(WorkerId(1));
        assert_eq!(queue.next(now), None, "it waits in one lane only");
    }

    #[test]
    fn an_import_that_does_not_end_gives_its_place_back() {
        let (mut queue, now) = (StartQueue::new(1, 1), Instant::now());
        assert!(queue.is_turn(InstanceId(1), MAIN, now));
        queue.begun(WorkerId(1), MAIN, now);
        assert_eq!(queue.deadline(), None, "no other instance waits");
        assert!(!queue.is_turn(InstanceId(2), MAIN, now));
        assert_eq!(queue.deadline(), Some(now + START_PATIENCE));
        assert_eq!(start(&mut queue, now + START_PATIENCE), [2]);
        assert!(!queue.is_turn(InstanceId(3), MAIN, now));
        queue.finished(WorkerId(2));
        assert!(queue.deadline().is_some_and(|at| at <= Instant::now()), "it can be started at once");
    }
}
