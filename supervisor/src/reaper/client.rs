//! The supervisor's side of the reaper: one thread that hands over orders, and one for each reaper that hears answers.
//! The loop does neither.
//!
//! There is no reaper before the first order, and a new one for the first order after one was lost. That is not
//! taken before the loss is settled: what was below the old reaper is killed, and all its workers are reported as ended.

use super::pending::PendingSpawns;
use super::protocol::{FdSocket, SpawnCommand};
use super::replies::ReplyReader;
use crate::event_loop::message::{LoopMessage, WorkerEvent};
use crate::ids::WorkerId;
use crate::mailbox::MailboxSender;
use crate::systemd::ENVIRONMENT;
use mm_shared::sys::children::children;
use mm_shared::sys::{inherit, process};
use mm_shared::{RingSizes, WorkerFds};
use nix::unistd::Pid;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// This program, also when its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How long the end of the supervisor waits for that of the reaper, and of what that leaves if it has to be killed.
const END_WITHIN: Duration = Duration::from_secs(3);

/// What is to be started.
#[derive(Debug)]
pub struct SpawnRequest {
    /// The incarnation that the process will be.
    pub worker_id: WorkerId,
    /// The `mm-worker` to run.
    pub program: PathBuf,
    /// The working directory.
    pub directory: PathBuf,
    /// Where the worker connects for its control channel.
    pub server: String,
    /// The descriptors that it inherits besides its standard ones.
    pub descriptors: WorkerFds,
    /// Sizes of the rings behind them.
    pub ring_sizes: RingSizes,
    /// The virtual environment that its interpreter belongs to.
    pub venv: Option<PathBuf>,
}

/// A process that was started.
#[derive(Debug)]
pub struct Spawned {
    /// Its number, which may be somebody else's once its end was reported.
    pub pid: Pid,
    /// Takes signals.
    pub pidfd: Arc<OwnedFd>,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
}

/// The way to the reaper. Dropping it ends the reaper and all that is below it, and waits for that.
pub struct ReaperClient {
    orders: Option<Sender<SpawnRequest>>,
    ended: Receiver<()>,
}

impl ReaperClient {
    /// Starts the thread for orders. Outcomes come as messages.
    ///
    /// # Errors
    ///
    /// The system refuses a thread.
    pub fn start(post: MailboxSender<LoopMessage>) -> io::Result<Self> {
        process::adopt_orphans()?;
        // those of whoever was replaced by this program are not ours to kill
        let keep = children().unwrap_or_default();
        let (orders, receiver) = channel();
        let (end, ended) = channel();
        let mut keeper = Keeper { post, keep, reaper: None };
        thread::Builder::new().name("reaper-orders".into()).spawn(move || {
            keeper.serve(&receiver);
            drop(end);
        })?;
        Ok(Self { orders: Some(orders), ended })
    }

    /// Orders a process. Says whether the thread is there to start it.
    pub fn order(&self, order: SpawnRequest) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok())
    }
}

impl Drop for ReaperClient {
    fn drop(&mut self) {
        self.orders = None;
        // without an answer the reaper still ends, with the socket
        let _ = self.ended.recv_timeout(END_WITHIN);
    }
}

/// Keeps a reaper as long as there are orders.
struct Keeper {
    post: MailboxSender<LoopMessage>,
    keep: Vec<i32>,
    reaper: Option<Reaper>,
}

/// A reaper, as the thread for orders has it.
struct Reaper {
    socket: Arc<FdSocket<OwnedFd>>,
    pending: PendingSpawns,
    listener: JoinHandle<()>,
}

impl Keeper {
    fn serve(&mut self, orders: &Receiver<SpawnRequest>) {
        while let Ok(order) = orders.recv() {
            let worker_id = order.worker_id;
            if let Err(error) = self.hand_over(order) {
                let event = WorkerEvent::Spawned(Err(error));
                self.post.send(LoopMessage::Worker { worker_id, event });
            }
        }
        if let Some(reaper) = self.reaper.take() {
            // nobody asks for those any more that this ends
            reaper.pending.close();
            // the other direction stays open until the reaper has ended
            let _ = shutdown(reaper.socket.socket(), Shutdown::Write);
            let _ = reaper.listener.join();
        }
    }

    fn hand_over(&mut self, order: SpawnRequest) -> io::Result<()> {
        let worker_id = order.worker_id;
        let reaper = self.reaper_with(worker_id)?;
        let (start, descriptors) = packed(order);
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        match reaper.socket.send(&start, &descriptors) {
            // otherwise whoever listens has told of the loss
            Err(error) if reaper.pending.dismiss(worker_id) => Err(error),
            _ => Ok(()),
        }
    }

    /// A reaper that answers for an incarnation.
    fn reaper_with(&mut self, worker_id: WorkerId) -> io::Result<&Reaper> {
        let usable = self.reaper.take().and_then(|reaper| {
            if reaper.pending.admit(worker_id) {
                return Some(reaper);
            }
            let _ = reaper.listener.join();
            None
        });
        let reaper = match usable {
            Some(reaper) => reaper,
            None => {
                let reaper = self.found()?;
                reaper.pending.admit(worker_id);
                reaper
            }
        };
        Ok(self.reaper.insert(reaper))
    }

    fn found(&self) -> io::Result<Reaper> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let pending = PendingSpawns::new(&ours)?;
        let child = start_process(theirs)?;
        let socket = Arc::new(FdSocket::new(ours));
        let reader =
            ReplyReader { socket: Arc::clone(&socket), pending: pending.clone(), post: self.post.clone() };
        let keep = self.keep.clone();
        let listener = thread::Builder::new().name("reaper-answers".into());
        let listener = listener.spawn(move || reader.serve(child, &keep))?;
        Ok(Reaper { socket, pending, listener })
    }
}

fn start_process(socket: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0("mm-supervisor").arg("reaper").current_dir("/").stdin(socket).stdout(Stdio::null());
    inherit::pass_only(&mut command, Vec::new());
    // the service manager's word is for the supervisor, and neither the reaper nor its workers pass for it
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command.spawn()
}

fn packed(order: SpawnRequest) -> (SpawnCommand, [OwnedFd; 5]) {
    let SpawnRequest { worker_id, program, directory, server, descriptors, ring_sizes, venv } = order;
    let mut arguments: Vec<OsString> =
        vec!["--server".into(), server.into(), "--ring-sizes".into(), ring_sizes.to_string().into()];
    if let Some(venv) = venv {
        arguments.extend(["--venv".into(), venv.into()]);
    }
    let (program, directory) = (program.into(), directory.into());
    (SpawnCommand { worker_id, program, directory, arguments }, descriptors.into_array())
}
