//! Events between the loop and the worker of an instance.

use super::ending::Ending;
use super::incarnation::Incarnation;
use super::instance::PythonInstance;
use super::leaving::Leaving;
use super::lifecycle;
use super::rest::Rest;
use super::surroundings::Surroundings;
use crate::backends::Incoming;
use mm_shared::Event;
use mm_shared::spin::FEW;
use mm_shared::sys::cpu;

/// The worker whose events are taken in: the one that serves or is ending, or its predecessor until that has handed over.
/// A worker that ends is heard to its last word, since one that waits for space in its ring would never get to it. Nothing is
/// read from one that cannot be believed.
fn source<'a>(
    current: &'a mut Option<Incarnation>,
    leaving: &'a mut [Leaving],
) -> Option<&'a mut Incarnation> {
    let workers = current.iter_mut().chain(leaving.iter_mut().map(|leaving| &mut leaving.worker));
    let mut heard =
        workers.filter(|worker| worker.attached && !matches!(worker.ending, Some(Ending::Violation(_))));
    heard.next()
}

impl PythonInstance {
    /// Takes an event that was routed here.
    #[inline]
    pub fn accept(&mut self, event: Event) {
        let end = self.current.as_mut().filter(|_| self.serving).map(|worker| &mut worker.end);
        self.flow.accept(event, end);
    }

    /// Whether [`PythonInstance::deliver`] has anything to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.serving && self.flow.has_work()
    }

    /// Hands over to the worker what waits for it.
    pub fn deliver(&mut self, surroundings: &mut Surroundings<'_>) {
        if let Some(worker) = self.current.as_mut().filter(|_| self.serving)
            && let Err(violation) = self.flow.deliver(&mut worker.end, surroundings.stays)
        {
            self.violated(&violation.to_string(), surroundings);
        }
    }

    /// Whether the worker was just handed so few events that its answer may be there in a moment.
    pub fn answers_soon(&mut self) -> bool {
        let fresh = self.flow.take_fresh();
        self.serving && (1..=FEW).contains(&fresh)
    }

    /// For how long to look for what the worker sends before this side sleeps.
    pub fn plan_spin(&mut self, surroundings: &Surroundings<'_>) -> Option<u64> {
        let worker = self.current.as_mut().filter(|_| self.serving)?;
        let own = cpu::current();
        if let Some(own) = own {
            worker.end.down.note_place(own, surroundings.stays);
            worker.end.up.note_cpu(own);
        }
        self.spinner.plan(own, worker.end.up.peer_cpu())
    }

    /// Looks for so long; says whether the worker has sent something.
    pub fn spin(&mut self, plan: u64) -> bool {
        let Some(worker) = self.current.as_mut().filter(|_| self.serving) else { return false };
        // as long as this side looks, the worker need not ring
        worker.end.up.wake();
        let up = &worker.end.up;
        self.spinner.look(plan, || up.has_work())
    }

    /// Takes in what the worker has sent; says whether there may be more.
    pub fn collect(&mut self, most: usize, surroundings: &mut Surroundings<'_>) -> bool {
        let Some(worker) = source(&mut self.current, &mut self.leaving) else { return false };
        worker.end.up.wake();
        let id = worker.id;
        let (instance, router) = (self.no, &mut *surroundings.router);
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
                self.broke_rule(id, &violation.to_string(), surroundings);
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
    pub fn rest(&mut self, surroundings: &mut Surroundings<'_>) -> Rest {
        if let Some(worker) = self.current.as_mut().filter(|_| self.serving) {
            return self.flow.rest(&mut worker.end, surroundings.now).unwrap_or_else(|violation| {
                self.violated(&violation.to_string(), surroundings);
                Rest::No
            });
        }
        let worker = source(&mut self.current, &mut self.leaving);
        if worker.is_none_or(|worker| worker.end.up.prepare_sleep()) { Rest::Sleep } else { Rest::No }
    }

    /// The worker broke a rule of the shared memory or of the control channel.
    pub(super) fn violated(&mut self, what: &str, surroundings: &mut Surroundings<'_>) {
        tracing::error!(instance = %self.name, "the worker broke a rule and is killed: {what}");
        if let Some(worker) = &mut self.current {
            worker.ending = Some(Ending::Violation(what.to_owned()));
        }
        // nothing more is read from a worker that cannot be believed
        self.serving = false;
        self.step(lifecycle::Event::Fault, surroundings);
    }

    /// Sets the channels of an instance that does not run, or gives them back.
    pub(super) fn apply_failsafe(&mut self, surroundings: &mut Surroundings<'_>) {
        if self.failsafe.is_giving_back() && self.failsafe.deadline().is_some_and(|at| at <= surroundings.now)
        {
            let doing = self.current.as_ref().map(|worker| worker.end.progress.doing().generation);
            if doing == self.told_to_serve_at {
                self.failsafe.postpone(surroundings.now);
            } else {
                // what the script sent at its import is in the ring by now
                self.collect(usize::MAX, surroundings);
            }
        }
        let values = &self.flow.values;
        for (channel, value) in self.failsafe.due(surroundings.now, |channel| values.output(channel)) {
            surroundings.router.accept(Incoming { instance: self.no, channel, value });
        }
    }
}
