//! The reaper's own process: starts workers, reports their ends, and clears away what they leave.

use super::children::{Children, Started};
use super::orphans::{self, OrphanKiller};
use super::protocol::{FdSocket, ReceivedPacket, Reply, Request, SpawnCommand};
use crate::ids::WorkerId;
use crate::stderr::print_line;
use mm_shared::sys::poller::{Interest, PollKey, Poller};
use mm_shared::sys::{limits, process};
use nix::sys::prctl;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

/// What the reaper waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A request from the supervisor.
    Requests,
    /// The end of a worker.
    Worker(WorkerId),
}

impl PollKey for Source {
    /// Ids of workers count from 1.
    fn to_u64(self) -> u64 {
        match self {
            Source::Requests => 0,
            Source::Worker(worker_id) => worker_id.0,
        }
    }

    fn from_u64(number: u64) -> Option<Self> {
        Some(if number == 0 { Source::Requests } else { Source::Worker(WorkerId(number)) })
    }
}

/// The hidden verb `reaper`: lives until the supervisor is gone.
#[must_use]
pub fn run() -> ExitCode {
    let requests = io::stdin();
    let outcome = settle_in().and_then(|()| Reaper::new(requests.as_fd())?.serve());
    orphans::clear(&[]);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(requests.as_fd(), &error);
            ExitCode::FAILURE
        }
    }
}

/// Whether the supervisor has ended while this process wrote to it.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

/// The supervisor logs why its reaper fails, in the format that the user has chosen. Where there is
/// none, a person has started this program.
fn report(requests: BorrowedFd<'_>, error: &io::Error) {
    let told = FdSocket::new(requests).send(&Reply::Fault { error: error.to_string() }, &[]);
    if told.is_err_and(|error| !is_gone(&error)) {
        print_line(&format!("reaper: {error}\nhint: it is started by mm-supervisor, not by hand"));
    }
}

/// Makes this process what the reaper is, before it has a child.
fn settle_in() -> io::Result<()> {
    prctl::set_name(c"mm-reaper")?;
    process::lead_session();
    process::reset_signals()?;
    process::ignore_requests()?;
    process::ignore_stray_signals()?;
    limits::raise_descriptor_limit();
    process::adopt_orphans()
}

struct Reaper<'a> {
    socket: FdSocket<BorrowedFd<'a>>,
    poller: Poller<Source>,
    children: Children,
    orphans: OrphanKiller,
}

impl<'a> Reaper<'a> {
    fn new(socket: BorrowedFd<'a>) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.watch(socket, Interest::Read, Source::Requests)?;
        Ok(Self {
            socket: FdSocket::new(socket),
            poller,
            children: Children::default(),
            orphans: OrphanKiller::default(),
        })
    }

    /// Serves until the supervisor is gone; no worker outlives that.
    fn serve(mut self) -> io::Result<()> {
        let outcome = self.serve_requests();
        self.children.kill_all();
        outcome
    }

    fn serve_requests(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.poller.wait(self.orphans.pause(), &mut ready)?;
            for source in &ready {
                if let Source::Worker(worker_id) = source {
                    self.report_exit(*worker_id)?;
                }
            }
            // One request per turn, so that exits are reported between two of them.
            if ready.contains(&Source::Requests) && !self.take_request()? {
                return Ok(());
            }
            ready.clear();
            if self.orphans.is_due() {
                self.orphans.round(&self.children.pids());
            }
        }
    }

    /// The process of a worker has ended. Its exit is reported first, and what it left is cleared
    /// away next.
    fn report_exit(&mut self, worker_id: WorkerId) -> io::Result<()> {
        let Some(status) = self.children.reap(worker_id, &self.poller) else { return Ok(()) };
        self.orphans.worker_ended();
        self.socket.send(&Reply::Exited { worker_id, status }, &[])
    }

    /// Does what the supervisor asks for; false: the supervisor is gone.
    fn take_request(&mut self) -> io::Result<bool> {
        match self.socket.receive()? {
            None => return Ok(false),
            Some(ReceivedPacket { message: Request::Kill { worker_id }, .. }) => {
                self.children.kill(worker_id)
            }
            Some(ReceivedPacket { message: Request::Spawn(command), descriptors }) => {
                self.start(command, descriptors)?;
            }
        }
        Ok(true)
    }

    fn start(&mut self, command: SpawnCommand, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let worker_id = command.worker_id;
        let started = self.children.start(command, descriptors, &self.poller);
        let reported = started.and_then(|Started { pid, pidfd, stdout, stderr }| {
            let descriptors = [pidfd.as_fd(), stdout.as_fd(), stderr.as_fd()];
            self.socket.send(&Reply::Spawned { worker_id, pid }, &descriptors)
        });
        if let Err(error) = reported {
            self.children.kill(worker_id);
            self.socket.send(&Reply::Failed { worker_id, error: error.to_string() }, &[])?;
        }
        Ok(())
    }
}
