//! Events between the loop and the worker of an instance.

use super::context::LoopContext;
use super::exit::ExitReason;
use super::instance::ScriptInstance;
use super::lifecycle;
use super::retiring::RetiringWorker;
use super::worker::Worker;
use crate::backends::Incoming;
use mm_shared::Event;
use mm_shared::wakeup::constants::SPARSE_EVENTS_LIMIT;
use mm_shared::wakeup::{IdleMode, cpu};

/// The worker whose events are taken in: the one that serves or is ending, or its predecessor until that has handed over.
/// A worker that ends is heard to its last word, since one that waits for space in its ring would never get to it. Nothing is
/// read from one that cannot be believed.
fn source<'a>(current: &'a mut Option<Worker>, leaving: &'a mut [RetiringWorker]) -> Option<&'a mut Worker> {
    let workers = current.iter_mut().chain(leaving.iter_mut().map(|leaving| &mut leaving.worker));
    let mut heard =
        workers.filter(|worker| worker.attached && !matches!(worker.ending, Some(ExitReason::Violation(_))));
    heard.next()
}

impl ScriptInstance {
    /// Takes an event that was routed here.
    #[inline]
    pub fn accept(&mut self, event: Event) {
        let end = self.current.as_mut().filter(|_| self.serving).map(|worker| &mut worker.end);
        self.flow.accept(event, end);
    }

    /// Whether [`ScriptInstance::deliver`] has anything to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.serving && self.flow.has_work()
    }

    /// Hands over to the worker what waits for it.
    pub fn deliver(&mut self, cx: &mut LoopContext<'_>) {
        if let Some(worker) = self.current.as_mut().filter(|_| self.serving)
            && let Err(violation) = self.flow.deliver(&mut worker.end, cx.is_pinned)
        {
            self.violated(&violation.to_string(), cx);
        }
    }

    /// Whether the worker was just handed so few events that its answer may be there in a moment.
    pub fn answers_soon(&mut self) -> bool {
        let fresh = self.flow.take_fresh();
        self.serving && (1..=SPARSE_EVENTS_LIMIT).contains(&fresh)
    }

    /// Whether to poll for what the worker sends before this side sleeps.
    pub fn wants_to_spin(&mut self, cx: &LoopContext<'_>) -> bool {
        let Some(worker) = self.current.as_mut().filter(|_| self.serving) else { return false };
        let own = cpu::current();
        if let Some(own) = own {
            worker.end.down.publish_cpu(own, cx.is_pinned);
            worker.end.up.publish_cpu(own);
        }
        self.spinner.wants_to_spin(own, worker.end.up.peer_cpu())
    }

    /// Polls for a moment; returns whether the worker has sent something.
    pub fn spin(&mut self) -> bool {
        let Some(worker) = self.current.as_mut().filter(|_| self.serving) else { return false };
        // As long as this side polls, the worker need not ring.
        worker.end.up.wake();
        let up = &worker.end.up;
        self.spinner.spin(|| up.has_work())
    }

    /// Takes in what the worker has sent; says whether there may be more.
    pub fn collect(&mut self, most: usize, cx: &mut LoopContext<'_>) -> bool {
        let Some(worker) = source(&mut self.current, &mut self.leaving) else { return false };
        worker.end.up.wake();
        let id = worker.id;
        let (instance, router) = (self.no, &mut *cx.router);
        // what there is no room for stays with the worker, whose next output waits if need be
        let most = most.min(router.room(instance));
        let failsafe = &mut self.failsafe;
        let route = |event: Event| {
            if failsafe.is_giving_back() {
                failsafe.sent(event.channel);
            }
            // a worker keeps to the range; one that does not harms nobody beyond its own channels
            let value = event.value.clamp(0.0, 1.0);
            router.accept(Incoming { instance, channel: event.channel, value });
        };
        match self.flow.collect(&mut worker.end, most, route) {
            Ok(count) => count == most,
            Err(violation) => {
                self.broke_rule(id, &violation.to_string(), cx);
                false
            }
        }
    }

    /// The worker has rung.
    pub fn rung(&mut self) {
        if let Some(worker) = source(&mut self.current, &mut self.leaving) {
            worker.end.up.wake();
            self.flow.rung(&mut worker.end);
        }
    }

    /// Asks the worker to ring from now on; says how this side may rest so that nothing is overlooked.
    pub fn rest(&mut self, cx: &mut LoopContext<'_>) -> IdleMode {
        if let Some(worker) = self.current.as_mut().filter(|_| self.serving) {
            return self.flow.rest(&mut worker.end, cx.now).unwrap_or_else(|violation| {
                self.violated(&violation.to_string(), cx);
                IdleMode::Busy
            });
        }
        let worker = source(&mut self.current, &mut self.leaving);
        if worker.is_none_or(|worker| worker.end.up.prepare_sleep()) {
            IdleMode::Block
        } else {
            IdleMode::Busy
        }
    }

    /// The worker broke a rule of the shared memory or of the control channel.
    pub(super) fn violated(&mut self, what: &str, cx: &mut LoopContext<'_>) {
        tracing::error!(instance = %self.name, "the worker broke a rule and is killed: {what}");
        if let Some(worker) = &mut self.current {
            worker.ending = Some(ExitReason::Violation(what.to_owned()));
        }
        // nothing more is read from a worker that cannot be believed
        self.serving = false;
        self.step(lifecycle::Event::Fault, cx);
    }

    /// Sets the channels of an instance that does not run, or gives them back.
    pub(super) fn apply_failsafe(&mut self, cx: &mut LoopContext<'_>) {
        if self.failsafe.is_giving_back() && self.failsafe.deadline().is_some_and(|at| at <= cx.now) {
            let doing = self.current.as_ref().map(|worker| worker.end.progress.activity().generation);
            if doing == self.told_to_serve_at {
                self.failsafe.postpone(cx.now);
            } else {
                // what the script sent at its import is in the ring by now
                self.collect(usize::MAX, cx);
                cx.registry.mark_hot(self.no);
            }
        }
        let values = &self.flow.values;
        for (channel, value) in self.failsafe.due(cx.now, |channel| values.output(channel)) {
            cx.router.accept(Incoming { instance: self.no, channel, value });
        }
    }
}
