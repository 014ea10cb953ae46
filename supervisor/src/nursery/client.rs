//! The supervisor's side of the nursery: one thread that hands over orders, and one for each nursery that hears answers.
//! The loop does neither.
//!
//! There is no nursery before the first order, and a new one for the first order after one was lost. That is not
//! taken before the loss is settled: what was below the old nursery is killed, and all its workers are reported as ended.

use super::hearing::Hearing;
use super::protocol::{Start, Wire};
use super::wards::Wards;
use crate::notices::{News, Notice, Post};
use crate::systemd::ENVIRONMENT;
use mm_shared::sys::children::children;
use mm_shared::sys::{inherit, life};
use mm_shared::{Geometry, WorkerFds};
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

/// How long the end of the supervisor waits for that of the nursery, and of what that leaves if it has to be killed.
const END_WITHIN: Duration = Duration::from_secs(3);

/// What is to be started.
#[derive(Debug)]
pub struct Order {
    /// The incarnation that the process will be.
    pub incarnation: u64,
    /// The `mm-worker` to run.
    pub program: PathBuf,
    /// The working directory.
    pub directory: PathBuf,
    /// Where the worker connects for its control channel.
    pub server: String,
    /// The descriptors that it inherits besides its standard ones.
    pub descriptors: WorkerFds,
    /// Sizes of the rings behind them.
    pub geometry: Geometry,
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

/// The way to the nursery. Dropping it ends the nursery and all that is below it, and waits for that.
pub struct Spawner {
    orders: Option<Sender<Order>>,
    ended: Receiver<()>,
}

impl Spawner {
    /// Starts the thread for orders. Outcomes come as notices.
    ///
    /// # Errors
    ///
    /// The system refuses a thread.
    pub fn start(post: Post) -> io::Result<Self> {
        life::adopt_orphans()?;
        // those of whoever was replaced by this program are not ours to kill
        let keep = children().unwrap_or_default();
        let (orders, receiver) = channel();
        let (end, ended) = channel();
        let mut keeper = Keeper { post, keep, nursery: None };
        thread::Builder::new().name("nursery-orders".into()).spawn(move || {
            keeper.serve(&receiver);
            drop(end);
        })?;
        Ok(Self { orders: Some(orders), ended })
    }

    /// Orders a process. Says whether the thread is there to start it.
    pub fn order(&self, order: Order) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok())
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.orders = None;
        // without an answer the nursery still ends, with the socket
        let _ = self.ended.recv_timeout(END_WITHIN);
    }
}

/// Keeps a nursery as long as there are orders.
struct Keeper {
    post: Post,
    keep: Vec<i32>,
    nursery: Option<Nursery>,
}

/// A nursery, as the thread for orders has it.
struct Nursery {
    wire: Arc<Wire<OwnedFd>>,
    wards: Wards,
    listener: JoinHandle<()>,
}

impl Keeper {
    fn serve(&mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let incarnation = order.incarnation;
            if let Err(error) = self.hand_over(order) {
                let news = News::Spawned(Err(error));
                self.post.leave(Notice::Worker { incarnation, news });
            }
        }
        if let Some(nursery) = self.nursery.take() {
            // nobody asks for those any more that this ends
            nursery.wards.close();
            // the other direction stays open until the nursery has ended
            let _ = shutdown(nursery.wire.socket(), Shutdown::Write);
            let _ = nursery.listener.join();
        }
    }

    fn hand_over(&mut self, order: Order) -> io::Result<()> {
        let incarnation = order.incarnation;
        let nursery = self.nursery_with(incarnation)?;
        let (start, descriptors) = packed(order);
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        match nursery.wire.send(&start, &descriptors) {
            // otherwise whoever listens has told of the loss
            Err(error) if nursery.wards.dismiss(incarnation) => Err(error),
            _ => Ok(()),
        }
    }

    /// A nursery that answers for an incarnation.
    fn nursery_with(&mut self, incarnation: u64) -> io::Result<&Nursery> {
        let usable = self.nursery.take().and_then(|nursery| {
            if nursery.wards.admit(incarnation) {
                return Some(nursery);
            }
            let _ = nursery.listener.join();
            None
        });
        let nursery = match usable {
            Some(nursery) => nursery,
            None => {
                let nursery = self.found()?;
                nursery.wards.admit(incarnation);
                nursery
            }
        };
        Ok(self.nursery.insert(nursery))
    }

    fn found(&self) -> io::Result<Nursery> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let wards = Wards::new(&ours)?;
        let child = start_process(theirs)?;
        let wire = Arc::new(Wire::new(ours));
        let hearing = Hearing { wire: Arc::clone(&wire), wards: wards.clone(), post: self.post.clone() };
        let keep = self.keep.clone();
        let listener = thread::Builder::new().name("nursery-answers".into());
        let listener = listener.spawn(move || hearing.serve(child, &keep))?;
        Ok(Nursery { wire, wards, listener })
    }
}

fn start_process(socket: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0("mm-supervisor").arg("nursery").current_dir("/").stdin(socket).stdout(Stdio::null());
    inherit::pass_only(&mut command, Vec::new());
    // the service manager's word is for the supervisor, and neither the nursery nor its workers pass for it
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command.spawn()
}

fn packed(order: Order) -> (Start, [OwnedFd; 5]) {
    let Order { incarnation, program, directory, server, descriptors, geometry, venv } = order;
    let mut arguments: Vec<OsString> =
        vec!["--server".into(), server.into(), "--geometry".into(), geometry.to_string().into()];
    if let Some(venv) = venv {
        arguments.extend(["--venv".into(), venv.into()]);
    }
    let (program, directory) = (program.into(), directory.into());
    (Start { incarnation, program, directory, arguments }, descriptors.into_array())
}
