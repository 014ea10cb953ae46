//! `manage()`: callables that are called when a socket is readable.
//!
//! The sockets have an epoll set of their own, which the main loop's set contains. It is
//! level-triggered, as scripts expect that take one packet at a time.
//!
//! A script may close a socket without `manage(None, socket)`. The kernel then removes it in most
//! cases. If it does not (a child process has the file open too), the set reports a descriptor that
//! can never be removed. Such a report is recognised because its token is unknown, and the set is
//! made again.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollOp, EpollTimeout};
use pyo3::exceptions::{PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many sockets are served in one turn; the others are served in the next.
const SOCKETS_PER_TURN_LIMIT: usize = 64;

/// All sockets that the script has handed over.
pub struct Sockets {
    /// Holds the set that the main loop watches, and in it the current set of sockets.
    outer: Epoll,
    table: Mutex<SocketTable>,
}

struct SocketTable {
    set: Epoll,
    managed: Vec<ManagedSocket>,
    next_token: u64,
}

struct ManagedSocket {
    token: u64,
    fd: RawFd,
    socket: Py<PyAny>,
    callable: Py<PyAny>,
}

/// A socket that is readable.
pub struct ReadableSocket {
    token: u64,
    /// Its descriptor when it was handed over.
    pub fd: RawFd,
    /// What to call.
    pub callable: Py<PyAny>,
    /// Its argument.
    pub socket: Py<PyAny>,
}

impl Sockets {
    /// No sockets yet.
    pub fn new() -> nix::Result<Sockets> {
        let outer = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let set = new_set(&outer)?;
        Ok(Sockets { outer, table: Mutex::new(SocketTable { set, managed: Vec::new(), next_token: 0 }) })
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

    /// The sockets that are readable now.
    pub fn readable(&self, py: Python<'_>) -> Vec<ReadableSocket> {
        let mut events = [EpollEvent::empty(); SOCKETS_PER_TURN_LIMIT];
        let mut table = self.lock();
        let count = table.set.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let mut readable = Vec::with_capacity(count);
        let mut strangers = false;
        for event in events.iter().take(count) {
            match table.managed.iter().find(|managed| managed.token == event.data()) {
                Some(managed) => readable.push(managed.readable(py)),
                None => strangers = true,
            }
        }
        if strangers {
            table.renew(&self.outer);
        }
        readable
    }

    /// Whether a socket that was readable a moment ago is still to be served. `Err`: it was closed
    /// in the meantime, and is no longer managed.
    pub fn check(&self, py: Python<'_>, readable: &ReadableSocket) -> Result<bool, ClosedSocket> {
        if !self.lock().managed.iter().any(|managed| managed.token == readable.token) {
            return Ok(false);
        }
        if descriptor(readable.socket.bind(py)).is_ok_and(|fd| fd == readable.fd) {
            return Ok(true);
        }
        self.forget(|managed| managed.token == readable.token);
        Err(ClosedSocket(readable.fd))
    }

    /// Whether this very socket is managed. Another one with its descriptor is an error, unless
    /// that was closed.
    fn same_descriptor(&self, socket: &Bound<'_, PyAny>, fd: RawFd) -> PyResult<bool> {
        let py = socket.py();
        let other = {
            let table = self.lock();
            table.managed.iter().find(|managed| managed.fd == fd).map(|managed| managed.readable(py))
        };
        let Some(other) = other else { return Ok(false) };
        if other.socket.is(socket) || other.socket.bind(py).eq(socket)? {
            return Ok(true);
        }
        if descriptor(other.socket.bind(py)).is_ok_and(|its| its == fd) {
            let problem = format!("descriptor {fd} is already managed with another socket");
            return Err(PyValueError::new_err(problem));
        }
        self.forget(|managed| managed.token == other.token);
        Ok(false)
    }

    fn insert(&self, fd: RawFd, callable: &Bound<'_, PyAny>, socket: &Bound<'_, PyAny>) -> PyResult<()> {
        let (callable, socket) = (callable.clone().unbind(), socket.clone().unbind());
        let mut table = self.lock();
        if let Some(managed) = table.managed.iter_mut().find(|managed| managed.fd == fd) {
            let previous = std::mem::replace(&mut managed.callable, callable);
            // Releasing a reference may run code that calls back here.
            drop(table);
            drop(previous);
            return Ok(());
        }
        let token = table.next_token;
        table.watch(fd, token).map_err(|error| match error {
            Errno::EPERM => PyOSError::new_err((error as i32, "this kind of file cannot be waited for")),
            _ => PyOSError::new_err((error as i32, error.desc())),
        })?;
        table.next_token += 1;
        table.managed.push(ManagedSocket { token, fd, socket, callable });
        Ok(())
    }

    /// Removes all that match; returns whether there were any.
    fn forget(&self, matches: impl Fn(&ManagedSocket) -> bool) -> bool {
        let mut table = self.lock();
        let (gone, kept): (Vec<_>, Vec<_>) = table.managed.drain(..).partition(matches);
        table.managed = kept;
        for managed in &gone {
            table.unwatch(managed.fd);
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

/// The socket was closed while it was managed.
pub struct ClosedSocket(pub RawFd);

impl SocketTable {
    fn watch(&self, fd: RawFd, token: u64) -> nix::Result<()> {
        control(&self.set, EpollOp::EpollCtlAdd, fd, EpollEvent::new(EpollFlags::EPOLLIN, token))
    }

    fn unwatch(&self, fd: RawFd) {
        // A closed one is no longer in the set, or unknown there, which is handled when it is
        // reported.
        let _ = control(&self.set, EpollOp::EpollCtlDel, fd, EpollEvent::empty());
    }

    /// Makes the set again, with those that are known.
    fn renew(&mut self, outer: &Epoll) {
        let Ok(set) = new_set(outer) else { return };
        self.set = set;
        for managed in &self.managed {
            // A closed one stays in the table until `manage` meets its descriptor again.
            let _ = self.watch(managed.fd, managed.token);
        }
    }
}

impl ManagedSocket {
    fn readable(&self, py: Python<'_>) -> ReadableSocket {
        let (callable, socket) = (self.callable.clone_ref(py), self.socket.clone_ref(py));
        ReadableSocket { token: self.token, fd: self.fd, callable, socket }
    }
}

/// A set of sockets within the set that the main loop watches. It is removed from there when it is
/// dropped.
fn new_set(outer: &Epoll) -> nix::Result<Epoll> {
    let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    outer.add(&set.0, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    Ok(set)
}

#[expect(deprecated, reason = "the descriptor is the script's: nothing here owns it, and it may be closed")]
fn control(set: &Epoll, operation: EpollOp, fd: RawFd, mut event: EpollEvent) -> nix::Result<()> {
    nix::sys::epoll::epoll_ctl(set.0.as_raw_fd(), operation, fd, &mut event)
}

/// The descriptor of anything that has a `fileno()`.
fn descriptor(socket: &Bound<'_, PyAny>) -> PyResult<RawFd> {
    let wrong = |_| PyTypeError::new_err("manage() needs an open socket, or something else with fileno()");
    let number: RawFd = socket.call_method0("fileno").map_err(wrong)?.extract().map_err(wrong)?;
    if number < 0 {
        return Err(PyTypeError::new_err("manage() needs an open socket, this one is closed"));
    }
    Ok(number)
}
