//! Passing events on: from workers and backends through the router to backends and workers.

use super::EventLoop;
use crate::backends::set::{BackendSet, LoopAccess};
use crate::control::protocol::EventDirection;
use crate::instances::InstanceSet;
use crate::router::{Routed, STEP_BUDGET};
use mm_shared::Event;
use mm_shared::wakeup::constants::LOOP_SPINS_LIMIT;
use std::time::{Duration, Instant};

/// Routing takes no longer than this per step, because events of a loop may each have many targets.
/// What comes from outside waits for it up to three times on its way through a script, which is to
/// add up to less than 1 ms.
const STEP_TIMEOUT: Duration = Duration::from_micros(200);

/// So many events are routed between two looks at the clock.
const CLOCK_INTERVAL: usize = 64;

impl EventLoop {
    /// Takes what workers have sent, routes what waits and hands it on. Returns whether there is
    /// more to do. Where a worker's answer is likely to come at once, it is waited for and passed
    /// on too.
    pub(super) fn pass_on(&mut self, now: Instant) -> bool {
        for _ in 0..LOOP_SPINS_LIMIT {
            let more = self.with_instances(now, InstanceSet::collect);
            self.route();
            let handed = self.with_instances(now, InstanceSet::deliver);
            self.answered = self.with_backends(BackendSet::flush) && !handed;
            if more || !self.router.is_idle() {
                return true;
            }
            if !self.with_instances(now, InstanceSet::spin) {
                return false;
            }
        }
        true
    }

    pub(super) fn route_incoming(&mut self) {
        for incoming in self.incoming.drain(..) {
            self.router.accept(incoming);
        }
    }

    /// Routes what waits, a bounded amount of it.
    pub(super) fn route(&mut self) {
        let Self { router, backends, instances, poller, incoming, control, state_file, .. } = self;
        if let Some(state_file) = state_file.as_mut().filter(|_| !router.is_idle()) {
            state_file.touch();
        }
        let watched = control.has_monitors();
        let began = Instant::now();
        for step in 1..=STEP_BUDGET {
            if step.is_multiple_of(CLOCK_INTERVAL) && began.elapsed() > STEP_TIMEOUT {
                break;
            }
            let Some(Routed { source, value, targets }) = router.next_event() else { break };
            for target in targets {
                if watched {
                    control.monitor(target.instance, target.channel, EventDirection::In, value);
                }
                let mut access = LoopAccess { poller, events: incoming };
                if !backends.handle(target.instance, target.channel, value, &mut access) {
                    instances.accept(target.instance, Event { channel: target.channel, value });
                }
            }
            if watched && let Some(origin) = router.origin(source) {
                control.monitor(origin.instance, origin.channel, EventDirection::Out, value);
            }
            for event in incoming.drain(..) {
                router.accept(event);
            }
        }
        router.shrink();
    }
}
