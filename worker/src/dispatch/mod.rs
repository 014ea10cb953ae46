//! The main loop: events, ticks, sockets and the supervisor's messages, each in its turn.
//!
//! No source can starve another: events are taken for about a millisecond at most before the others
//! are looked at, and each tick and each socket runs once per turn. The loop releases the
//! interpreter lock only while it waits, and once in every turn.

mod wait_set;

use crate::error::WorkerError;
use crate::exit::fail;
use crate::link::Inbox;
use crate::python::coroutines::never_runs;
use crate::python::handlers::Handlers;
use crate::python::sockets::{ClosedInBetween, ParkedSocket};
use crate::python::{Instance, activity, leave_if_forked};
use crate::term::Term;
use mm_shared::control::{FromWorker, ToWorker};
use mm_shared::sys::clock::monotonic_ns;
use mm_shared::wakeup::constants::{SPARSE_EVENTS_LIMIT, WORKER_SPINS_LIMIT};
use mm_shared::wakeup::{Affinity, Spinner, TurnBudget, WakeupMode, cpu};
use mm_shared::{Activity, ChannelId, Consumer, Doorbell, Event, Mapped, Violation};
use pyo3::prelude::*;
use std::os::fd::RawFd;
use std::time::Duration;
use wait_set::{WaitSet, WakeCause};

/// Where events come from.
pub struct EventSource {
    pub down: Consumer<Mapped>,
    /// The supervisor rings it when there are events and this process sleeps.
    pub bell: Doorbell,
    /// This process rings it when the supervisor waits for space in `down`.
    pub bell_from_worker: Doorbell,
}

/// The main loop and what it looks at.
pub struct Dispatch<'a> {
    instance: &'static Instance,
    handlers: Handlers,
    source: EventSource,
    inbox: &'a Inbox,
    term: &'a Term,
    wait_set: WaitSet,
    budget: TurnBudget,
    spinner: Spinner,
    affinity: Affinity,
    /// Spins in a row that found work: nothing but events was looked at since.
    spins: u32,
}

impl<'a> Dispatch<'a> {
    /// Watches everything that can wake the loop.
    pub fn new(
        instance: &'static Instance,
        handlers: Handlers,
        source: EventSource,
        inbox: &'a Inbox,
        term: &'a Term,
    ) -> std::io::Result<Dispatch<'a>> {
        let wait_set = WaitSet::new()?;
        wait_set.watch(&source.bell)?;
        wait_set.watch(inbox)?;
        wait_set.watch_signals(term)?;
        wait_set.watch(&instance.timers)?;
        wait_set.watch_sockets(&instance.sockets)?;
        let mode = WakeupMode::of_process();
        let (budget, spinner, affinity) = (TurnBudget::default(), Spinner::new(mode), Affinity::new(mode));
        Ok(Dispatch {
            instance,
            handlers,
            source,
            inbox,
            term,
            wait_set,
            budget,
            spinner,
            affinity,
            spins: 0,
        })
    }

    /// Serves until the supervisor or SIGTERM asks it to stop. An error here means that the script
    /// has damaged something outside itself, so it ends the process.
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
            if woken.sockets || self.instance.sockets.time_left() == Some(Duration::ZERO) {
                self.serve_sockets(py);
            }
        }
    }

    /// Calls what is due. All ticks are planned from one moment, so none runs twice here.
    fn run_ticks(&mut self, py: Python<'_>) {
        let timers = &self.instance.timers;
        let now = monotonic_ns();
        while timers.next_due() <= now {
            let Some(callable) = timers.take_due(py, now) else { return };
            activity::enter_callable(Activity::Interval, 0, &qualified_name(py, &callable));
            let outcome = callable.call0(py);
            leave_if_forked(py, outcome.as_ref().err());
            if let Err(error) = outcome.and_then(|returned| never_runs(returned.bind(py))) {
                self.report(py, &format!("interval {}", display(py, &callable)), &error, Some(&callable));
            }
        }
    }

    /// Takes events for one turn; true when there may be more.
    fn take_events(&mut self, py: Python<'_>) -> Result<bool, Violation> {
        self.budget.begin();
        let more = loop {
            let Some(event) = self.source.down.pop()? else { break false };
            self.handle(py, event);
            self.source.down.finish();
            if self.budget.is_over() {
                break true;
            }
        };
        if self.source.down.wants_space() {
            self.source.bell_from_worker.ring();
        }
        Ok(more)
    }

    /// Hands one event to its handler. The value is stored when the handler has returned or raised.
    #[inline]
    fn handle(&mut self, py: Python<'_>, event: Event) {
        let Event { channel, value } = event;
        if self.handlers.lacks(channel) {
            self.handlers.extend(py, self.instance);
        }
        if let Some(handler) = self.handlers.get(channel) {
            activity::enter_handler(channel);
            let begun = self.budget.before_handler();
            let outcome = handler.bind(py).call1((value,));
            leave_if_forked(py, outcome.as_ref().err());
            activity::handled(self.budget.after_handler(begun));
            activity::leave_handler();
            if let Err(error) = outcome.and_then(|returned| never_runs(&returned)) {
                self.report_handler(py, channel, &error);
            }
        } else {
            self.budget.without_handler();
        }
        self.instance.channels.values().set_input(channel, value);
    }

    /// Waits for any source; when there is `more` to do it only looks.
    fn wait(&mut self, py: Python<'_>, more: bool) -> std::io::Result<WakeCause> {
        // Also in a turn without sleep: the watchdog sees that the loop goes on.
        activity::enter(Activity::Idle, 0);
        if !more {
            self.instance.output.run_out(py);
            if self.spin(py) {
                return Ok(WakeCause::default());
            }
        }
        self.spins = 0;
        let down = &mut self.source.down;
        let sleep = !more && down.prepare_sleep();
        let pin =
            if sleep { self.affinity.before_sleep(down.peer_cpu(), down.peer_is_pinned()) } else { None };
        let limit = if sleep { self.instance.sockets.time_left() } else { Some(Duration::ZERO) };
        let woken = self.wait_set.wait(py, limit);
        drop(pin);
        self.source.down.wake();
        if sleep {
            self.affinity.after_sleep();
            self.source.bell.clear();
        }
        woken
    }

    /// Polls for events where they are likely to come soon; true when one has. After some spins in
    /// a row it returns false, so that sockets and signals get their turn.
    fn spin(&mut self, py: Python<'_>) -> bool {
        if self.spins >= WORKER_SPINS_LIMIT || self.budget.events() > SPARSE_EVENTS_LIMIT {
            return false;
        }
        let own = cpu::current();
        if let Some(own) = own {
            self.source.down.publish_cpu(own);
            self.instance.output.publish_cpu(py, own);
        }
        let (down, spinner) = (&mut self.source.down, &mut self.spinner);
        if !spinner.wants_to_spin(own, down.peer_cpu()) {
            return false;
        }
        let hit = py.detach(move || spinner.spin(|| down.has_work()));
        self.spins += u32::from(hit);
        hit
    }

    fn serve_sockets(&mut self, py: Python<'_>) {
        let sockets = &self.instance.sockets;
        let found = sockets.look(py);
        for closed in &found.closed {
            self.warn(closed_socket(closed.fd()));
        }
        for parked in &found.parked {
            self.warn(parked_socket(py, parked));
        }
        for readable in found.readable {
            match sockets.check(py, &readable) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(ClosedInBetween) => {
                    self.warn(closed_socket(readable.fd));
                    continue;
                }
            }
            let descriptor = u32::try_from(readable.fd).unwrap_or_default();
            let name = qualified_name(py, &readable.callable);
            activity::enter_callable(Activity::Socket, descriptor, &name);
            let outcome = readable.callable.call1(py, (&readable.socket,));
            leave_if_forked(py, outcome.as_ref().err());
            if let Err(error) = outcome.and_then(|returned| never_runs(returned.bind(py))) {
                let place = format!("socket callback {}", display(py, &readable.callable));
                self.report(py, &place, &error, Some(&readable.callable));
            }
        }
    }

    fn warn(&self, text: String) {
        self.instance.outgoing.offer(FromWorker::Warning(text));
    }

    /// Runs the script's handlers of a signal that has come.
    fn run_signal_handlers(&self, py: Python<'_>) {
        self.term.drain();
        let outcome = py.check_signals();
        leave_if_forked(py, outcome.as_ref().err());
        if let Err(error) = outcome {
            self.report(py, "signal handler", &error, None);
        }
    }

    #[cold]
    fn report_handler(&self, py: Python<'_>, channel: ChannelId, error: &PyErr) {
        let place = format!("handler of `{}`", self.instance.channels.display(py, channel));
        self.report(py, &place, error, self.handlers.get(channel));
    }

    #[cold]
    fn report(&self, py: Python<'_>, place: &str, error: &PyErr, callable: Option<&Py<PyAny>>) {
        let callable = callable.map(|callable| callable.bind(py));
        self.instance.errors.report(py, place.to_owned(), error, callable);
    }
}

fn closed_socket(fd: RawFd) -> String {
    format!("a managed socket (descriptor {fd}) was closed and is no longer managed")
}

fn parked_socket(py: Python<'_>, parked: &ParkedSocket) -> String {
    let (fd, callable) = (parked.fd, display(py, &parked.callable));
    let problem = if parked.hung_up { "has hung up" } else { "stays readable whatever is done with it" };
    let remedy = if parked.hung_up {
        "end it with `manage(None, socket)` when nothing more can be read"
    } else {
        "read from the socket in each call, or end it with `manage(None, socket)`"
    };
    format!(
        "a managed socket (descriptor {fd}) {problem}; socket callback {callable} is called ever more \
         rarely, every 10 s in the end, and at once when something arrives\nhint: {remedy}"
    )
}

/// A callable's name, for messages.
fn display(py: Python<'_>, callable: &Py<PyAny>) -> String {
    match qualified_name(py, callable) {
        name if name.is_empty() => "of an object without a name".into(),
        name => format!("`{name}`"),
    }
}

/// A callable's name, as Python has it; empty if it has none.
fn qualified_name(py: Python<'_>, callable: &Py<PyAny>) -> String {
    let name = callable.bind(py).getattr("__qualname__").and_then(|name| name.extract::<String>());
    name.unwrap_or_default()
}
