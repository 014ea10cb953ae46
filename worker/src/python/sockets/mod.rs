//! `manage()`: callables that are called when a socket is readable.
//!
//! The sockets have an epoll set of their own, which the main loop's set contains. It is
//! level-triggered, as scripts expect that take one packet at a time. A callable that makes no
//! progress is called ever more rarely, see [`progress`].
//!
//! A script may close a socket without `manage(None, socket)`. The kernel then removes it in most
//! cases. If it does not (a child process has the file open too), the set reports a descriptor that
//! can never be removed. Such a report is recognised because its token is unknown, and the set is
//! made again.

mod progress;
mod table;

pub use table::ParkedSocket;

use mm_shared::sys::clock::monotonic_ns;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use table::{Found, ManagedSocket, ReadableSocket, SocketTable};

/// [`Sockets::next_due`] when no socket is parked.
const NEVER: u64 = u64::MAX;

/// All sockets that the script has handed over.
pub struct Sockets {
    /// Holds the set that the main loop watches, and in it the current sets of sockets.
    outer: Epoll,
    table: Mutex<SocketTable>,
    /// When a parked socket is to be called again; read by the main loop without the lock.
    next_due: AtomicU64,
}

impl Sockets {
    /// No sockets yet.
    pub fn new() -> nix::Result<Sockets> {
        let outer = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let table = Mutex::new(SocketTable::new(&outer)?);
        Ok(Sockets { outer, table, next_due: AtomicU64::new(NEVER) })
    }

    /// Has `callable(socket)` called when the socket is readable, or (with none) no longer.
    pub fn manage(&self, callable: &Bound<'_, PyAny>, socket: &Bound<'_, PyAny>) -> PyResult<()> {
        if !callable.is_none() && !callable.is_callable() {
            return Err(PyTypeError::new_err("manage() needs a callable or None, and a socket"));
        }
        let fd = descriptor(socket);
        if callable.is_none() && self.forget(|managed| managed.socket.is(socket)) {
            return Ok(());
        }
        let fd = fd?;
        let same = self.same_descriptor(socket, fd)?;
        if callable.is_none() {
            if same {
                self.forget(|managed| managed.fd == fd);
            }
            return Ok(());
        }
        // A socket object that was opened again has another descriptor.
        self.forget(|managed| managed.socket.is(socket) && managed.fd != fd);
        self.insert(fd, callable, socket)
    }

    /// What is to be done now.
    pub fn look(&self, py: Python<'_>) -> Found {
        let mut table = self.lock();
        let found = table.look(py, monotonic_ns(), &self.outer);
        self.next_due.store(table.next_due().unwrap_or(NEVER), Ordering::Relaxed);
        found
    }

    /// How long until [`Sockets::look`] is to be called although no socket is readable; `None` for
    /// never.
    pub fn time_left(&self) -> Option<Duration> {
        match self.next_due.load(Ordering::Relaxed) {
            NEVER => None,
            due => Some(Duration::from_nanos(due.saturating_sub(monotonic_ns()))),
        }
    }

    /// Whether a socket that was readable a moment ago is still to be served. `Err`: it was closed
    /// in the meantime, and is no longer managed.
    pub fn check(&self, py: Python<'_>, readable: &ReadableSocket) -> Result<bool, ClosedInBetween> {
        if !self.lock().managed.iter().any(|managed| managed.token == readable.token) {
            return Ok(false);
        }
        if descriptor(readable.socket.bind(py)).is_ok_and(|fd| fd == readable.fd) {
            return Ok(true);
        }
        self.forget(|managed| managed.token == readable.token);
        Err(ClosedInBetween)
    }

    /// Whether this very socket is managed. Another one with its descriptor is an error, unless
    /// that was closed.
    fn same_descriptor(&self, socket: &Bound<'_, PyAny>, fd: RawFd) -> PyResult<bool> {
        let py = socket.py();
        let other = {
            let table = self.lock();
            let other = table.managed.iter().find(|managed| managed.fd == fd);
            other.map(|managed| (managed.readable(py), table.is_same_file(managed)))
        };
        let Some((other, is_same_file)) = other else { return Ok(false) };
        if other.socket.is(socket) || other.socket.bind(py).eq(socket)? {
            return Ok(true);
        }
        if is_same_file && descriptor(other.socket.bind(py)).is_ok_and(|its| its == fd) {
            let problem = format!("descriptor {fd} is already managed with another socket");
            return Err(PyValueError::new_err(problem));
        }
        self.forget(|managed| managed.token == other.token);
        Ok(false)
    }

    fn insert(&self, fd: RawFd, callable: &Bound<'_, PyAny>, socket: &Bound<'_, PyAny>) -> PyResult<()> {
        let (callable, socket) = (callable.clone().unbind(), socket.clone().unbind());
        let mut table = self.lock();
        let known = table.managed.iter().position(|managed| managed.fd == fd);
        if let Some(index) = known
            && table.is_same_file(&table.managed[index])
            && table.managed[index].progress.due().is_none()
        {
            let managed = &mut table.managed[index];
            let previous = std::mem::replace(&mut managed.callable, callable);
            // Releasing a reference may run code that calls back here.
            drop(table);
            drop(previous);
            return Ok(());
        }
        // One that was parked begins again, and a number may belong to another file by now.
        let previous = known.map(|index| table.managed.swap_remove(index));
        if let Some(previous) = &previous {
            table.unwatch(previous);
        }
        let outcome = table.insert(fd, callable, socket);
        drop(table);
        drop(previous);
        outcome.map_err(|error| match error {
            Errno::EPERM => PyOSError::new_err((error as i32, "this kind of file cannot be waited for")),
            _ => PyOSError::new_err((error as i32, error.desc())),
        })
    }

    /// Removes all that match; returns whether there were any.
    fn forget(&self, matches: impl Fn(&ManagedSocket) -> bool) -> bool {
        let mut table = self.lock();
        let (gone, kept): (Vec<_>, Vec<_>) = table.managed.drain(..).partition(matches);
        table.managed = kept;
        for managed in &gone {
            table.unwatch(managed);
        }
        drop(table);
        !gone.is_empty()
    }

    /// Removes all.
    pub fn clear(&self) {
        self.forget(|_| true);
    }

    fn lock(&self) -> MutexGuard<'_, SocketTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Sockets {
    /// Readable (level-triggered) as long as a socket is.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outer.0.as_fd()
    }
}

/// The socket was closed after it was found readable.
pub struct ClosedInBetween;

/// The descriptor of anything that has a `fileno()`.
fn descriptor(socket: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    let wrong = |_| PyTypeError::new_err("manage() needs an open socket, or something else with fileno()");
    let number: RawFd = socket.call_method0("fileno").map_err(wrong)?.extract().map_err(wrong)?;
    if number < 0 {
        return Err(PyTypeError::new_err("manage() needs an open socket, this one is closed"));
    }
    Ok(number)
}
