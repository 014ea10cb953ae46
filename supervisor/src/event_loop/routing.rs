//! Passing events on: from workers and backends through the router to backends and workers.
//!
//! Each step is bounded: see [`super::step`].

use super::EventLoop;
use super::step::Step;
use crate::backends::set::LoopAccess;
use crate::instances::InstanceSet;
use crate::router::{Routed, Router};
use mm_shared::Event;
use mm_shared::wakeup::constants::LOOP_SPINS_LIMIT;
use std::time::Instant;

/// Events of a backend that may wait in the router. More is not read before these are routed: it
/// waits in the kernel's buffer.
const READ_LIMIT: usize = 16_384;

impl EventLoop {
    /// Takes what workers have sent, routes what waits and hands it on. Returns whether there is
    /// more to do. Where a worker's answer is likely to come at once, it is waited for and passed
    /// on too.
    pub(super) fn pass_on(&mut self, now: Instant) -> bool {
        for _ in 0..LOOP_SPINS_LIMIT {
            let (more, step) = self.route(now);
            let handed = self.with_instances(now, InstanceSet::deliver);
            let is_part = step.has_backend_targets()
                && (more || self.with_instances(now, |instances, _| instances.is_working()));
            self.answered = self.flush_backends(&step, is_part) && !handed;
            if more || self.backends.has_unfinished() || !self.ready.is_empty() {
                return true;
            }
            if !self.with_instances(now, InstanceSet::spin) {
                return false;
            }
        }
        true
    }

    fn flush_backends(&mut self, step: &Step, is_part: bool) -> bool {
        let Self { backends, step_budget, poller, incoming, .. } = self;
        step_budget.flush(step, || backends.flush(is_part, &mut LoopAccess { poller, events: incoming }))
    }

    pub(super) fn route_incoming(&mut self) {
        for incoming in self.incoming.drain(..) {
            self.router.accept(incoming);
        }
    }

    /// How many more events of a backend can wait in the router: as many as of the instance of
    /// which most wait.
    pub(super) fn read_budget(&self, index: u32) -> usize {
        let waiting = self.backends.instances_of(index).iter().map(|id| self.router.waiting(*id)).max();
        READ_LIMIT.saturating_sub(waiting.unwrap_or(0))
    }

    /// A step: takes what workers have sent and routes what waits, a share of each source in turns,
    /// until nothing waits or the step is over. Returns whether there is more to do,
    /// and the step.
    pub(super) fn route(&mut self, now: Instant) -> (bool, Step) {
        let mut step = self.step_budget.begin();
        loop {
            let more = self.with_instances(now, InstanceSet::collect);
            let is_all = self.route_each(&mut step, Router::next_event);
            if !more || !is_all {
                return (more || !is_all, step);
            }
        }
    }

    /// Routes what is left of events that were routed in part: before the mappings change, they go
    /// where they were meant to go.
    pub(super) fn finish_begun(&mut self) {
        while !self.route_each(&mut self.step_budget.begin(), Router::next_begun) {}
    }

    /// Hands on what `next` takes out of the router. Returns whether that was all; if not, the step
    /// is over.
    fn route_each(
        &mut self,
        step: &mut Step,
        next: impl for<'a> Fn(&'a mut Router) -> Option<Routed<'a>>,
    ) -> bool {
        let Self { router, backends, instances, poller, incoming, control, state_file, .. } = self;
        if let Some(state_file) = state_file.as_mut().filter(|_| !router.is_idle()) {
            state_file.touch();
        }
        let watched = control.has_monitors();
        while !step.is_over() {
            let Some(Routed { source, value, targets, is_last }) = next(router) else { return true };
            let mut backend_targets = 0;
            for target in targets {
                if watched {
                    control.monitor_delivery(target.instance, target.channel, value);
                }
                let mut access = LoopAccess { poller, events: incoming };
                if backends.handle(target.instance, target.channel, value, &mut access) {
                    backend_targets += 1;
                } else {
                    instances.accept(target.instance, Event { channel: target.channel, value });
                }
            }
            step.count(targets.len().max(1), backend_targets);
            if watched
                && is_last
                && let Some(origin) = router.origin(source)
            {
                control.monitor_arrival(origin.instance, origin.channel, value);
            }
            for event in incoming.drain(..) {
                router.accept(event);
            }
        }
        false
    }
}
