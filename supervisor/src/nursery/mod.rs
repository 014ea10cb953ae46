//! The nursery: the process that is the parent of all workers, so that nothing which a script starts outlives its
//! worker, nor anything the supervisor.
//!
//! It is this program once more, with one thread and one descriptor: a socket to the supervisor, its standard input.
//! Over it come orders to start workers, and go their descriptors and the news of their ends ([`protocol`]).
//! What makes it necessary: when a process dies, its children go to its nearest ancestor that has asked to adopt
//! orphans. A supervisor that is killed can do nothing about those; the nursery can, because it outlives it by a moment.
//!
//! - A worker adopts the orphans below it (a child that left its group and session, a daemon that forked twice). When
//!   it dies they come here. So whoever is a child of the nursery and none of its living workers is to go: it is
//!   killed, and then those that it leaves ([`sweep`]).
//! - The socket's end means that the supervisor is gone, in whatever way: everything below the nursery is killed.
//! - If the nursery itself is killed, its workers die with it by `PDEATHSIG`, and their orphans come to the supervisor,
//!   which adopts as well ([`hearing`]): it kills them, starts another nursery, and restarts what is to run. One that does
//!   not answer any more, because it was stopped for instance, the supervisor kills itself.
//!   Only who kills both at the same instant can leave a child behind that has made a session of its own.
//!
//! Of those that a worker adopts nobody but itself could take note when they end; it does so when there are many.

pub mod protocol;

pub mod children;
pub mod sweep;

pub mod client;
pub mod hearing;
pub mod wards;

pub use client::{Order, Spawned, Spawner};
pub use protocol::How;

use crate::poller::milliseconds;
use crate::startup::say;
use children::{Children, Started};
use mm_shared::sys::life;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::prctl;
use protocol::{Answer, Received, Start, Wire};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use sweep::Sweep;

/// What a look at the descriptors takes in at once.
const BATCH: usize = 32;

/// The key of the socket among the numbers of incarnations, which count from 1.
const ORDERS: u64 = 0;

/// The hidden verb `nursery`: lives until the supervisor is gone.
#[must_use]
pub fn run() -> ExitCode {
    let orders = io::stdin();
    let outcome = settle_in().and_then(|()| Nursery::new(orders.as_fd())?.live());
    sweep::clear(&[]);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("nursery: {error}\nhint: it is started by mm-supervisor, not by hand"));
            ExitCode::FAILURE
        }
    }
}

/// Makes this process what the nursery is, before it has a child.
fn settle_in() -> io::Result<()> {
    prctl::set_name(c"mm-nursery")?;
    life::lead_session();
    life::reset_signals()?;
    life::ignore_requests()?;
    life::adopt_orphans()?;
    if let Err(error) = mm_shared::sys::children::children() {
        say(&format!("nursery: programs that scripts leave in sessions of their own are not found: {error}"));
    }
    Ok(())
}

struct Nursery<'a> {
    wire: Wire<BorrowedFd<'a>>,
    epoll: Epoll,
    children: Children,
    sweep: Sweep,
}

impl<'a> Nursery<'a> {
    fn new(socket: BorrowedFd<'a>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, ORDERS))?;
        Ok(Self { wire: Wire::new(socket), epoll, children: Children::default(), sweep: Sweep::default() })
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
            for incarnation in keys().filter(|key| *key != ORDERS) {
                self.ended(incarnation)?;
            }
            // one at a time, so that ends are told in between
            if keys().any(|key| key == ORDERS) && !self.take_order()? {
                return Ok(());
            }
            if self.sweep.is_due() {
                self.sweep.round(&self.children.pids());
            }
        }
    }

    fn timeout(&self) -> EpollTimeout {
        self.sweep.pause().map_or(EpollTimeout::NONE, milliseconds)
    }

    /// The process of a worker has ended. That is told first, and cleaned up after next.
    fn ended(&mut self, incarnation: u64) -> io::Result<()> {
        let Some(how) = self.children.reap(incarnation, &self.epoll) else { return Ok(()) };
        self.sweep.wanted();
        self.wire.send(&Answer::Exited { incarnation, how }, &[])
    }

    /// Does what the supervisor wants; false: it is gone.
    fn take_order(&mut self) -> io::Result<bool> {
        let Some(Received { message: start, descriptors }) = self.wire.receive::<Start>()? else {
            return Ok(false);
        };
        let incarnation = start.incarnation;
        let started = self.children.start(start, descriptors, &self.epoll);
        let told = started.and_then(|Started { pid, pidfd, stdout, stderr }| {
            let descriptors = [pidfd.as_fd(), stdout.as_fd(), stderr.as_fd()];
            self.wire.send(&Answer::Spawned { incarnation, pid }, &descriptors)
        });
        if let Err(error) = told {
            self.children.kill(incarnation);
            self.wire.send(&Answer::Failed { incarnation, error: error.to_string() }, &[])?;
        }
        Ok(true)
    }
}
