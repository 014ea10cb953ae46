//! The one place where the main thread waits.
//!
//! All but the sockets are watched by edge: whatever woke the loop is found by looking at its state, so nothing has to
//! be read to make a descriptor quiet again.

use crate::python::sockets::Sockets;
use crate::startup::Term;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use pyo3::prelude::*;
use std::os::fd::AsFd;

const OTHERS: u64 = 0;
const SOCKETS: u64 = 1;
const SIGNALS: u64 = 2;

/// What the loop sleeps on.
pub struct Waiting(Epoll);

/// What cannot be seen from the state of a source.
#[derive(Default)]
pub struct Woken {
    /// A managed socket is readable.
    pub sockets: bool,
    /// A signal has come.
    pub signals: bool,
}

impl Waiting {
    pub fn new() -> nix::Result<Waiting> {
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map(Waiting)
    }

    /// Wakes the loop each time that something becomes readable.
    pub fn watch(&self, source: impl AsFd) -> nix::Result<()> {
        self.0.add(source, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, OTHERS))
    }

    /// Wakes the loop as long as a managed socket is readable.
    pub fn watch_sockets(&self, sockets: &Sockets) -> nix::Result<()> {
        self.0.add(sockets, EpollEvent::new(EpollFlags::EPOLLIN, SOCKETS))
    }

    /// Wakes the loop when a signal has come.
    pub fn watch_signals(&self, term: &Term) -> nix::Result<()> {
        self.0.add(term, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, SIGNALS))
    }

    /// Waits without the interpreter lock; with `sleep` false it only gives other threads their chance and looks.
    ///
    /// # Errors
    ///
    /// Those of the system, when the script has closed descriptors that are not its own.
    pub fn wait(&self, py: Python<'_>, sleep: bool) -> nix::Result<Woken> {
        let timeout = if sleep { EpollTimeout::NONE } else { EpollTimeout::ZERO };
        let mut events = [EpollEvent::empty(); 8];
        let outcome = py.detach(|| self.0.wait(&mut events, timeout));
        let (count, interrupted) = match outcome {
            Ok(count) => (count, false),
            Err(Errno::EINTR) => (0, true),
            Err(error) => return Err(error),
        };
        let came = |token| events.iter().take(count).any(|event| event.data() == token);
        Ok(Woken { sockets: came(SOCKETS), signals: interrupted || came(SIGNALS) })
    }
}
