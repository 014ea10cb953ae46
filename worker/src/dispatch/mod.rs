//! The main loop: events, ticks, sockets and the supervisor's word, each in its turn.
//!
//! No source can starve another: events are taken for about a millisecond at most before the others are looked at, and
//! each tick and each socket runs once in a turn. The interpreter lock is given up only while the loop waits, and once
//! in every turn.

mod affinity;
mod pace;
mod waiting;

use crate::link::Inbox;
use crate::python::handlers::Handlers;
use crate::python::{Instance, activity, leave_if_forked};
use crate::startup::{Term, WorkerError, fail};
use affinity::Affinity;
use mm_shared::control::{FromWorker, ToWorker};
use mm_shared::spin::{FEW, Spinner};
use mm_shared::sys::clock::monotonic_ns;
use mm_shared::sys::cpu;
use mm_shared::{Activity, Consumer, Doorbell, Event, Mapped, Violation};
use pace::Pace;
use pyo3::prelude::*;
use waiting::{Waiting, Woken};

/// The most spins in a row, before sockets and signals are looked at again.
const SPINS: u32 = 64;

/// Where events come from.
pub struct Source {
    pub down: Consumer<Mapped>,
    /// Rung by the supervisor when there are events and we sleep.
    pub bell: Doorbell,
    /// Rung here when the supervisor waits for space in `down`.
    pub bell_from_worker: Doorbell,
}

/// The main loop and what it looks at.
pub struct Dispatch<'a> {
    instance: &'static Instance,
    handlers: Handlers,
    source: Source,
    inbox: &'a Inbox,
    term: &'a Term,
    waiting: Waiting,
    pace: Pace,
    spinner: Spinner,
    nearness: Affinity,
    /// Spins in a row that were worth it: nothing else was looked at meanwhile.
    spun: u32,
}

impl<'a> Dispatch<'a> {
    /// Watches everything that can wake the loop.
    pub fn new(
        instance: &'static Instance,
        handlers: Handlers,
        source: Source,
        inbox: &'a Inbox,
        term: &'a Term,
    ) -> std::io::Result<Dispatch<'a>> {
        let waiting = Waiting::new()?;
        waiting.watch(&source.bell)?;
        waiting.watch(inbox)?;
        waiting.watch_signals(term)?;
        waiting.watch(&instance.timers)?;
        waiting.watch_sockets(&instance.sockets)?;
        let (pace, spinner, nearness) = (Pace::default(), Spinner::default(), Affinity::default());
        Ok(Dispatch { instance, handlers, source, inbox, term, waiting, pace, spinner, nearness, spun: 0 })
    }

    /// Serves until the supervisor, or a TERM, says stop. An error here means that the script has damaged what is
    /// not its own, so it ends the process.
    pub fn run(mut self, py: Python<'_>) {
        if let Err(error) = self.serve(py) {
            fail(&error);
        }
    }

    fn serve(&mut self, py: Python<'_>) -> Result<(), WorkerError> {
        loop {
            match self.inbox.take() {
                Some(ToWorker::Stop) => return Ok(()),
                Some(ToWorker::Boot(_) | ToWorker::Serve(_)) => return Err(WorkerError::OutOfTurn("Serve")),
                None if self.term.is_requested() => return Ok(()),
                None => {}
            }
            self.run_ticks(py);
            let more = self.take_events(py)?;
            let woken = self.wait(py, more)?;
            if woken.signals {
                self.run_signal_handlers(py);
            }
            if woken.sockets {
                self.serve_sockets(py);
            }
        }
    }

    /// Calls what is due. Each tick is planned anew from the same moment, so none runs twice here.
    fn run_ticks(&mut self, py: Python<'_>) {
        let timers = &self.instance.timers;
        let now = monotonic_ns();
        while timers.next_due() <= now {
            let Some(callable) = timers.take_due(py, now) else { return };
            activity::enter(Activity::Interval, 0);
            let outcome = callable.call0(py);
            leave_if_forked();
            if let Err(error) = outcome {
                self.report(py, &format!("interval {}", display(py, &callable)), &error);
            }
        }
    }

    /// Takes events for one turn; true when there may be more.
    fn take_events(&mut self, py: Python<'_>) -> Result<bool, Violation> {
        self.pace.begin();
        let more = loop {
            let Some(event) = self.source.down.pop()? else { break false };
            self.handle(py, event);
            self.source.down.finish();
            if self.pace.is_over() {
                break true;
            }
        };
        if self.source.down.wants_space() {
            self.source.bell_from_worker.ring();
        }
        Ok(more)
    }

    /// Hands one event to its handler. The value is stored when that is done with it, whatever came of it.
    #[inline]
    fn handle(&mut self, py: Python<'_>, event: Event) {
        let Event { channel, value } = event;
        if self.handlers.lacks(channel) {
            self.handlers.extend(py, self.instance);
        }
        if let Some(handler) = self.handlers.get(channel) {
            activity::enter_handler(channel);
            let begun = self.pace.before_handler();
            let outcome = handler.bind(py).call1((value,));
            leave_if_forked();
            activity::handled(self.pace.after_handler(begun));
            activity::leave_handler();
            if let Err(error) = outcome {
                self.report_handler(py, channel, &error);
            }
        } else {
            self.pace.without_handler();
        }
        self.instance.channels.values().set_input(channel, value);
    }

    /// Waits for anything, or, when there is more to do, only looks.
    fn wait(&mut self, py: Python<'_>, more: bool) -> std::io::Result<Woken> {
        // also when it does not sleep: each turn shows that the loop goes on
        activity::enter(Activity::Idle, 0);
        if !more {
            self.instance.output.pauses(py);
            if self.spin(py) {
                return Ok(Woken::default());
            }
        }
        self.spun = 0;
        let down = &mut self.source.down;
        let sleep = !more && down.prepare_sleep();
        let stay = if sleep { self.nearness.sleeps(down.peer_cpu(), down.peer_stays()) } else { None };
        let woken = self.waiting.wait(py, sleep);
        drop(stay);
        self.source.down.wake();
        if sleep {
            self.nearness.wakes();
            self.source.bell.clear();
        }
        woken
    }

    /// Looks for events a little longer, where they are likely to come soon; true when one has. Now and then it gives
    /// way to what only a wait finds out.
    fn spin(&mut self, py: Python<'_>) -> bool {
        if self.spun >= SPINS || self.pace.events() > FEW {
            return false;
        }
        let own = cpu::current();
        if let Some(own) = own {
            self.source.down.note_cpu(own);
            self.instance.output.note_cpu(py, own);
        }
        let (down, spinner) = (&mut self.source.down, &mut self.spinner);
        let Some(plan) = spinner.plan(own, down.peer_cpu()) else { return false };
        let hit = py.detach(move || spinner.look(plan, || down.has_work()));
        self.spun += u32::from(hit);
        hit
    }

    fn serve_sockets(&mut self, py: Python<'_>) {
        let sockets = &self.instance.sockets;
        for readable in sockets.readable(py) {
            match sockets.check(py, &readable) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(closed) => {
                    let text = format!(
                        "a managed socket (descriptor {}) was closed and is no longer managed",
                        closed.0
                    );
                    self.instance.outgoing.offer(FromWorker::Warning(text));
                    continue;
                }
            }
            activity::enter(Activity::Socket, u32::try_from(readable.fd).unwrap_or_default());
            let outcome = readable.callable.call1(py, (&readable.socket,));
            leave_if_forked();
            if let Err(error) = outcome {
                self.report(py, &format!("socket callback {}", display(py, &readable.callable)), &error);
            }
        }
    }

    /// A signal has come, which the script may handle.
    fn run_signal_handlers(&self, py: Python<'_>) {
        self.term.drain();
        if let Err(error) = py.check_signals() {
            self.report(py, "signal handler", &error);
        }
    }

    #[cold]
    fn report_handler(&self, py: Python<'_>, channel: u32, error: &PyErr) {
        let place = format!("handler of `{}`", self.instance.channels.display(py, channel));
        self.report(py, &place, error);
    }

    #[cold]
    fn report(&self, py: Python<'_>, place: &str, error: &PyErr) {
        self.instance.errors.report(py, place.to_owned(), error);
    }
}

/// A callable's name, for messages.
fn display(py: Python<'_>, callable: &Py<PyAny>) -> String {
    let name = callable.bind(py).getattr("__qualname__").and_then(|name| name.extract::<String>());
    name.map_or_else(|_| "of an object without a name".into(), |name| format!("`{name}`"))
}
