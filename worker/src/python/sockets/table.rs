//! The managed sockets and the two epoll sets that they are in: one that reports as long as there
//! is something to read, and one that reports what arrives at those that make no progress.

use super::progress::{Look, Progress, Readiness, Step};
use mm_shared::sys::unread::unread_bytes;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollOp, EpollTimeout};
use pyo3::prelude::*;
use std::os::fd::{AsRawFd, RawFd};

/// How many sockets are served in one turn; the others are served in the next.
const SOCKETS_PER_TURN_LIMIT: usize = 64;

/// A warning about one socket is sent once in this time, in nanoseconds.
const WARNING_INTERVAL: u64 = 3_600_000_000_000;

const LEVEL: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP);
const EDGE: EpollFlags = LEVEL.union(EpollFlags::EPOLLET);
const GONE: EpollFlags = EpollFlags::EPOLLHUP.union(EpollFlags::EPOLLERR);

pub(super) struct SocketTable {
    /// Reports level-triggered.
    set: Epoll,
    /// Reports edge-triggered.
    arrivals: Epoll,
    pub(super) managed: Vec<ManagedSocket>,
    pub(super) next_token: u64,
    look: u64,
    complete: u64,
}

pub(super) struct ManagedSocket {
    pub(super) token: u64,
    pub(super) fd: RawFd,
    pub(super) socket: Py<PyAny>,
    pub(super) callable: Py<PyAny>,
    pub(super) progress: Progress,
    /// When a warning about it was sent last.
    warned: Option<u64>,
}

/// A socket that is readable.
pub struct ReadableSocket {
    pub(super) token: u64,
    /// Its descriptor when it was handed over.
    pub fd: RawFd,
    /// What to call.
    pub callable: Py<PyAny>,
    /// Its argument.
    pub socket: Py<PyAny>,
}

/// What one look at the sockets has found.
#[derive(Default)]
pub struct Found {
    /// To be called.
    pub readable: Vec<ReadableSocket>,
    /// Called rarely from now on, and not yet reported.
    pub parked: Vec<ParkedSocket>,
    /// Closed by the script, and no longer managed.
    pub closed: Vec<ClosedSocket>,
}

/// A socket whose callable makes no progress.
pub struct ParkedSocket {
    /// Its descriptor.
    pub fd: RawFd,
    /// What was called.
    pub callable: Py<PyAny>,
    /// The other end is gone, or there is an error.
    pub hung_up: bool,
}

/// A socket that is no longer managed. It is released without the table's lock, since that may run
/// code.
pub struct ClosedSocket(ManagedSocket);

impl ClosedSocket {
    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.0.fd
    }
}

impl SocketTable {
    /// No sockets. Whatever wakes `outer` is in its sets.
    pub(super) fn new(outer: &Epoll) -> nix::Result<SocketTable> {
        Ok(SocketTable {
            set: new_set(outer)?,
            arrivals: new_set(outer)?,
            managed: Vec::new(),
            next_token: 0,
            look: 0,
            complete: 0,
        })
    }

    /// Adds a socket.
    pub(super) fn insert(&mut self, fd: RawFd, callable: Py<PyAny>, socket: Py<PyAny>) -> nix::Result<()> {
        let token = self.next_token;
        add(&self.set, fd, LEVEL, token)?;
        self.next_token += 1;
        let progress = Progress::default();
        self.managed.push(ManagedSocket { token, fd, socket, callable, progress, warned: None });
        Ok(())
    }

    /// Whether the descriptor of a managed socket still is the open file that was added. The number
    /// may have been given to another one since.
    pub(super) fn is_same_file(&self, managed: &ManagedSocket) -> bool {
        let set = if managed.progress.due().is_some() { &self.arrivals } else { &self.set };
        match add(set, managed.fd, EDGE, managed.token) {
            Err(Errno::EEXIST) => true,
            Err(_) => false,
            Ok(()) => {
                remove(set, managed.fd);
                false
            }
        }
    }

    /// Takes a socket out of the sets.
    pub(super) fn unwatch(&self, managed: &ManagedSocket) {
        remove(&self.set, managed.fd);
        remove(&self.arrivals, managed.fd);
    }

    /// When a parked socket is to be looked at again.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.managed.iter().filter_map(|managed| managed.progress.due()).min()
    }

    /// Looks at all sockets.
    pub(super) fn look(&mut self, py: Python<'_>, now: u64, outer: &Epoll) -> Found {
        self.look += 1;
        let look = Look { number: self.look, complete: self.complete, now };
        let mut found = Found::default();
        self.take_arrivals(now, &mut found);
        self.begin_trials(look, &mut found);
        let mut events = [EpollEvent::empty(); SOCKETS_PER_TURN_LIMIT];
        let count = self.set.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let mut has_strangers = false;
        for event in events.iter().take(count) {
            match self.index(event.data()) {
                Some(index) => self.report(py, index, event.events(), look, &mut found),
                None => has_strangers = true,
            }
        }
        if count < SOCKETS_PER_TURN_LIMIT {
            self.complete = look.number;
        }
        if has_strangers || !found.closed.is_empty() {
            self.renew(outer);
        }
        found
    }

    /// Watches those again to which something has come.
    fn take_arrivals(&mut self, now: u64, found: &mut Found) {
        if !self.managed.iter().any(|managed| managed.progress.is_watched()) {
            return;
        }
        let mut events = [EpollEvent::empty(); SOCKETS_PER_TURN_LIMIT];
        let count = self.arrivals.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        for event in events.iter().take(count) {
            if let Some(index) = self.index(event.data())
                && self.managed[index].progress.arrived(now)
            {
                self.resume(index, found);
            }
        }
    }

    /// Watches those again that are due.
    fn begin_trials(&mut self, look: Look, found: &mut Found) {
        if self.next_due().is_none_or(|due| due > look.now) {
            return;
        }
        for index in (0..self.managed.len()).rev() {
            let managed = &self.managed[index];
            if managed.progress.due().is_none_or(|due| due > look.now) {
                continue;
            }
            if self.is_same_file(managed) {
                self.managed[index].progress.begin_trial(look);
                self.resume(index, found);
            } else {
                self.close(index, found);
            }
        }
    }

    /// A socket is readable.
    fn report(&mut self, py: Python<'_>, index: usize, flags: EpollFlags, look: Look, found: &mut Found) {
        let managed = &mut self.managed[index];
        let (fd, token) = (managed.fd, managed.token);
        let unread = match unread_bytes(fd) {
            Ok(count) => Some(count),
            Err(Errno::EBADF) => return self.close(index, found),
            Err(_) => None,
        };
        let at_end = flags.contains(EpollFlags::EPOLLRDHUP) && unread == Some(0);
        let hung_up = at_end || flags.intersects(GONE);
        match managed.progress.report(Readiness { unread, hung_up }, look) {
            Step::Call => {}
            Step::WatchAndCall => {
                if !self.is_same_file(&self.managed[index]) {
                    return self.close(index, found);
                }
                // Without it arrivals go unnoticed until the socket is due.
                let _ = add(&self.arrivals, fd, EDGE, token);
            }
            Step::UnwatchAndCall => remove(&self.arrivals, fd),
            Step::Park => {
                remove(&self.set, fd);
                let managed = &mut self.managed[index];
                if managed.warned.is_none_or(|then| look.now - then >= WARNING_INTERVAL) {
                    managed.warned = Some(look.now);
                    found.parked.push(ParkedSocket { fd, callable: managed.callable.clone_ref(py), hung_up });
                }
                return;
            }
        }
        found.readable.push(self.managed[index].readable(py));
    }

    fn resume(&mut self, index: usize, found: &mut Found) {
        let managed = &self.managed[index];
        match add(&self.set, managed.fd, LEVEL, managed.token) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(_) => self.close(index, found),
        }
    }

    fn close(&mut self, index: usize, found: &mut Found) {
        let managed = self.managed.swap_remove(index);
        self.unwatch(&managed);
        found.closed.push(ClosedSocket(managed));
    }

    fn index(&self, token: u64) -> Option<usize> {
        self.managed.iter().position(|managed| managed.token == token)
    }

    /// Makes the sets again, with those that are known.
    fn renew(&mut self, outer: &Epoll) {
        let (Ok(set), Ok(arrivals)) = (new_set(outer), new_set(outer)) else { return };
        (self.set, self.arrivals) = (set, arrivals);
        for managed in &self.managed {
            // A closed one stays in the table until `manage` meets its descriptor again.
            if managed.progress.due().is_none() {
                let _ = add(&self.set, managed.fd, LEVEL, managed.token);
            }
            if managed.progress.is_watched() {
                let _ = add(&self.arrivals, managed.fd, EDGE, managed.token);
            }
        }
    }
}

impl ManagedSocket {
    pub(super) fn readable(&self, py: Python<'_>) -> ReadableSocket {
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

fn add(set: &Epoll, fd: RawFd, flags: EpollFlags, token: u64) -> nix::Result<()> {
    control(set, EpollOp::EpollCtlAdd, fd, EpollEvent::new(flags, token))
}

fn remove(set: &Epoll, fd: RawFd) {
    // A closed one is no longer in the set, or unknown there, which is handled when it is reported.
    let _ = control(set, EpollOp::EpollCtlDel, fd, EpollEvent::empty());
}

#[expect(deprecated, reason = "the descriptor is the script's: nothing here owns it, and it may be closed")]
fn control(set: &Epoll, operation: EpollOp, fd: RawFd, mut event: EpollEvent) -> nix::Result<()> {
    nix::sys::epoll::epoll_ctl(set.0.as_raw_fd(), operation, fd, &mut event)
}
