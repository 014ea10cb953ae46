//! The reaper: the process that is the parent of all workers, so that nothing which a script starts outlives its
//! worker, nor anything the supervisor.
//!
//! It is this program once more, with one thread and one descriptor: a socket to the supervisor, its standard input.
//! Over it come orders to start workers, and go their descriptors and the event of their ends ([`protocol`]).
//! What makes it necessary: when a process dies, its children go to its nearest ancestor that has asked to adopt
//! orphans. A supervisor that is killed can do nothing about those; the reaper can, because it outlives it by a moment.
//!
//! - A worker adopts the orphans below it (a child that left its group and session, a daemon that forked twice). When
//!   it dies they come here. So whoever is a child of the reaper and none of its living workers is to go: it is
//!   killed, and then those that it leaves ([`orphans`]).
//! - The socket's end means that the supervisor is gone, in whatever way: everything below the reaper is killed.
//! - If the reaper itself is killed, its workers die with it by `PDEATHSIG`, and their orphans come to the supervisor,
//!   which adopts as well ([`replies`]): it kills them, starts another reaper, and restarts what is to run. One that does
//!   not answer any more, because it was stopped for instance, the supervisor kills itself.
//!   Only who kills both at the same instant can leave a child behind that has made a session of its own.
//!
//! Of those that a worker adopts nobody but itself could take note when they end; it does so when there are many.

pub mod protocol;

pub mod children;
pub mod orphans;

pub mod client;
pub mod pending;
pub mod replies;

pub use client::{ReaperClient, SpawnRequest, Spawned};
pub use protocol::WaitStatus;

use crate::ids::WorkerId;
use crate::poller::milliseconds;
use crate::startup::say;
use children::{Children, Started};
use mm_shared::sys::process;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::prctl;
use orphans::OrphanKiller;
use protocol::{FdSocket, Received, Reply, SpawnCommand};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

/// What a look at the descriptors takes in at once.
const BATCH: usize = 32;

/// The key of the socket among the numbers of incarnations, which count from 1.
const ORDERS: u64 = 0;

/// The hidden verb `reaper`: lives until the supervisor is gone.
#[must_use]
pub fn run() -> ExitCode {
    let orders = io::stdin();
    let outcome = settle_in().and_then(|()| Reaper::new(orders.as_fd())?.live());
    orphans::clear(&[]);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("reaper: {error}\nhint: it is started by mm-supervisor, not by hand"));
            ExitCode::FAILURE
        }
    }
}

/// Makes this process what the reaper is, before it has a child.
fn settle_in() -> io::Result<()> {
    prctl::set_name(c"mm-reaper")?;
    process::lead_session();
    process::reset_signals()?;
    process::ignore_requests()?;
    process::adopt_orphans()?;
    if let Err(error) = mm_shared::sys::children::children() {
        say(&format!("reaper: programs that scripts leave in sessions of their own are not found: {error}"));
    }
    Ok(())
}

struct Reaper<'a> {
    socket: FdSocket<BorrowedFd<'a>>,
    epoll: Epoll,
    children: Children,
    orphans: OrphanKiller,
}

impl<'a> Reaper<'a> {
    fn new(socket: BorrowedFd<'a>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, ORDERS))?;
        Ok(Self {
            socket: FdSocket::new(socket),
            epoll,
            children: Children::default(),
            orphans: OrphanKiller::default(),
        })
    }

    /// Serves until the supervisor is gone.
    fn live(mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); BATCH];
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Err(Errno::EINTR) => 0,
                outcome => outcome?,
            };
            let keys = || events[..count].iter().map(EpollEvent::data);
            for worker_id in keys().filter(|key| *key != ORDERS) {
                self.ended(WorkerId(worker_id))?;
            }
            // one at a time, so that ends are told in between
            if keys().any(|key| key == ORDERS) && !self.take_order()? {
                return Ok(());
            }
            if self.orphans.is_due() {
                self.orphans.round(&self.children.pids());
            }
        }
    }

    fn timeout(&self) -> EpollTimeout {
        self.orphans.pause().map_or(EpollTimeout::NONE, milliseconds)
    }

    /// The process of a worker has ended. That is told first, and cleaned up after next.
    fn ended(&mut self, worker_id: WorkerId) -> io::Result<()> {
        let Some(how) = self.children.reap(worker_id, &self.epoll) else { return Ok(()) };
        self.orphans.wanted();
        self.socket.send(&Reply::Exited { worker_id, how }, &[])
    }

    /// Does what the supervisor wants; false: it is gone.
    fn take_order(&mut self) -> io::Result<bool> {
        let Some(Received { message: start, descriptors }) = self.socket.receive::<SpawnCommand>()? else {
            return Ok(false);
        };
        let worker_id = start.worker_id;
        let started = self.children.start(start, descriptors, &self.epoll);
        let told = started.and_then(|Started { pid, pidfd, stdout, stderr }| {
            let descriptors = [pidfd.as_fd(), stdout.as_fd(), stderr.as_fd()];
            self.socket.send(&Reply::Spawned { worker_id, pid }, &descriptors)
        });
        if let Err(error) = told {
            self.children.kill(worker_id);
            self.socket.send(&Reply::Failed { worker_id, error: error.to_string() }, &[])?;
        }
        Ok(true)
    }
}
