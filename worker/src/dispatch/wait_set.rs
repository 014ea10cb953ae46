//! The one place where the main thread waits.
//!
//! All descriptors but the sockets are watched edge-triggered: the state of a source shows what
//! woke the loop, so nothing has to be read to make a descriptor quiet again.

use crate::python::sockets::Sockets;
use crate::term::Term;
use mm_shared::sys::poller::{Interest, PollKey, Poller, Waited};
use pyo3::prelude::*;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// What can wake the main loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WakeSource {
    /// Events, messages, ticks: found by looking at each.
    Others,
    Sockets,
    Signals,
}

impl PollKey for WakeSource {
    fn to_u64(self) -> u64 {
        self as u64
    }

    fn from_u64(number: u64) -> Option<WakeSource> {
        [WakeSource::Others, WakeSource::Sockets, WakeSource::Signals]
            .into_iter()
            .find(|source| *source as u64 == number)
    }
}

/// What the loop sleeps on.
pub struct WaitSet {
    poller: Poller<WakeSource>,
    ready: Vec<WakeSource>,
}

/// What cannot be seen from the state of a source.
#[derive(Default)]
pub struct WakeCause {
    /// A managed socket is readable.
    pub sockets: bool,
    /// A signal has come.
    pub signals: bool,
}

impl WaitSet {
    pub fn new() -> io::Result<WaitSet> {
        Ok(WaitSet { poller: Poller::new()?, ready: Vec::new() })
    }

    /// Wakes the loop each time that something becomes readable.
    pub fn watch(&self, source: impl AsFd) -> io::Result<()> {
        self.poller.watch(source, Interest::ReadEdge, WakeSource::Others)
    }

    /// Wakes the loop as long as a managed socket is readable.
    pub fn watch_sockets(&self, sockets: &Sockets) -> io::Result<()> {
        self.poller.watch(sockets, Interest::Read, WakeSource::Sockets)
    }

    /// Wakes the loop when a signal has come.
    pub fn watch_signals(&self, term: &Term) -> io::Result<()> {
        self.poller.watch(term, Interest::ReadEdge, WakeSource::Signals)
    }

    /// Waits without the interpreter lock, at most for `limit`. With a limit of zero it returns at
    /// once, but other threads get the lock.
    ///
    /// # Errors
    ///
    /// Those of the system, when the script has closed descriptors that are not its own.
    pub fn wait(&mut self, py: Python<'_>, limit: Option<Duration>) -> io::Result<WakeCause> {
        self.ready.clear();
        let (poller, ready) = (&mut self.poller, &mut self.ready);
        let interrupted = py.detach(|| poller.wait(limit, ready))? == Waited::Interrupted;
        let came = |source| self.ready.contains(&source);
        Ok(WakeCause {
            sockets: came(WakeSource::Sockets),
            signals: interrupted || came(WakeSource::Signals),
        })
    }
}
