//! The supervisor's side of the reaper, which the event loop drives: it sends requests and reads
//! replies, and never waits for either.
//!
//! There is no reaper before the first request. When one is lost, a helper thread kills what was
//! below it; then all its workers are reported as ended, and the next request starts another
//! reaper, by the helper thread as well. Requests wait in a queue for that, and while the reaper
//! has as many as it gets at once.
//!
//! A reaper that was stopped, or is stuck in the kernel, does not answer, and no other process
//! would report it: workers that end stay as they are, new ones do not come. So one that owes an
//! answer is looked at. One that was stopped is continued at once. One that owes an answer for
//! [`ANSWER_TIMEOUT`] is killed, which is a loss like any other. The time is counted in short steps,
//! so that it does not run while this process, or the whole machine, stands still, nor while a
//! debugger holds the reaper.

use super::child::ReaperChild;
use super::pending::PendingWorkers;
use super::protocol::{Packet, ReceivedPacket, Reply, Request, WaitStatus};
use super::spawn::{ReaperEvent, SpawnRequest, Spawned};
use crate::ids::WorkerId;
use crate::poller::{Interest, Poller, Wake};
use mm_shared::Doorbell;
use mm_shared::sys::children::children;
use mm_shared::sys::process::{self, is_traced};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a reaper may owe an answer. Long: all workers go with it, and a machine can be very
/// busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a reaper that owes an answer is looked at, and the most that one look adds to its
/// time.
const LOOK: Duration = Duration::from_millis(250);

/// The most requests that may wait.
const QUEUE_CAPACITY: usize = 1024;

/// The most workers that the reaper is asked for at once.
const STARTING_LIMIT: usize = 8;

/// How long after the socket had no room for a request it is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// How long the first request of the queue may find no room.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);

/// Replies that are read in one turn of the loop.
const REPLIES_PER_TURN: usize = 32;

/// How long the end of the program waits for the helper thread.
const HELPER_TIMEOUT: Duration = Duration::from_secs(3);

/// The way to the reaper. Dropping it ends the reaper and all that is below it, and waits for that.
pub struct ReaperClient {
    state: State,
    queue: VecDeque<Queued>,
    /// When the first of the queue is tried again, and since when it finds no room.
    retry: Option<(Instant, Instant)>,
    events: VecDeque<(WorkerId, ReaperEvent)>,
    /// Children of this process that it did not start itself.
    keep: Vec<i32>,
    helper: Box<dyn Fn(Job)>,
    /// Rung by the helper thread.
    bell: Arc<Doorbell>,
}

/// Work for the helper thread.
pub type Job = Box<dyn FnOnce() + Send>;

enum State {
    Absent,
    /// The helper thread starts a reaper.
    Starting(Receiver<io::Result<ReaperChild>>),
    Running(Running),
    /// The helper thread clears away what a lost reaper left. Its workers are reported as ended
    /// after that.
    Clearing(Receiver<String>, PendingWorkers),
}

struct Running {
    child: ReaperChild,
    pending: PendingWorkers,
    /// While it owes an answer: when it was last looked at, and how long it has owed it.
    owing: Option<(Instant, Duration)>,
}

struct Queued {
    /// `None`: not a request to start a worker.
    worker_id: Option<WorkerId>,
    packet: Packet,
    descriptors: Vec<OwnedFd>,
}

impl ReaperClient {
    /// A client without a reaper. `helper` lets a thread do what may take long, one job after the
    /// other; the reaper inherits priority and affinity of that thread.
    ///
    /// # Errors
    ///
    /// The process has no descriptor left, or may not adopt orphans.
    pub fn new(helper: impl Fn(Job) + 'static) -> io::Result<Self> {
        process::adopt_orphans()?;
        if let Err(error) = children() {
            tracing::warn!(
                event = "orphans_not_listed",
                "programs that scripts leave in sessions of their own are not found: {error}"
            );
        }
        Ok(Self {
            helper: Box::new(helper),
            state: State::Absent,
            queue: VecDeque::new(),
            retry: None,
            events: VecDeque::new(),
            // Children from before an `exec` of this program are not its to kill.
            keep: children().unwrap_or_default(),
            bell: Arc::new(Doorbell::new()?),
        })
    }

    /// Lets `poller` report [`Wake::Reaper`]. To be called once, before anything else.
    ///
    /// # Errors
    ///
    /// The system's limit is reached.
    pub fn watch(&self, poller: &Poller) -> io::Result<()> {
        poller.watch(&*self.bell, Interest::ReadEdge, Wake::Reaper)
    }

    /// Requests a worker, which runs `program`. What becomes of it is reported as events.
    ///
    /// # Errors
    ///
    /// Its paths are too long, or too many requests wait.
    pub fn spawn(&mut self, program: &Path, request: SpawnRequest) -> io::Result<()> {
        if self.queue.len() >= QUEUE_CAPACITY {
            return Err(io::Error::other("too many workers are to be started at once"));
        }
        let queued = Queued::spawn(program, request)?;
        if matches!(self.state, State::Absent) {
            self.state = State::Starting(self.run(ReaperChild::start));
        }
        self.queue.push_back(queued);
        self.send_queued(Instant::now());
        Ok(())
    }

    /// The poller reported [`Wake::Reaper`].
    pub fn receive(&mut self, poller: &Poller, now: Instant) {
        match &mut self.state {
            State::Absent => {}
            State::Starting(outcome) => {
                if let Ok(outcome) = outcome.try_recv() {
                    self.started(outcome, poller, now);
                }
            }
            State::Running(_) => self.read_replies(poller),
            State::Clearing(outcome, pending) => {
                if let Ok(how) = outcome.try_recv() {
                    let pending = std::mem::take(pending);
                    self.cleared(&how, pending);
                }
            }
        }
        self.send_queued(now);
    }

    /// The poller reported [`Wake::WorkerExit`]: the process of a worker has ended, and the reaper
    /// owes its status.
    pub fn worker_exited(&mut self, worker_id: WorkerId, poller: &Poller, now: Instant) {
        let State::Running(running) = &mut self.state else { return };
        if let Some(pidfd) = running.pending.ended(worker_id) {
            // The reaper has the same descriptor, so closing this one does not end the watch.
            poller.forget(&*pidfd);
        }
        running.note_owing(now);
    }

    /// The next event.
    pub fn next_event(&mut self) -> Option<(WorkerId, ReaperEvent)> {
        self.events.pop_front()
    }

    /// When [`ReaperClient::tick`] has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let look = match &self.state {
            State::Running(running) => running.owing.map(|(at, _)| at + LOOK),
            _ => None,
        };
        look.into_iter().chain(self.retry.map(|(at, _)| at)).min()
    }

    /// Some time has passed.
    pub fn tick(&mut self, poller: &Poller, now: Instant) {
        if let State::Running(running) = &mut self.state
            && running.is_overdue(now)
        {
            self.lose(poller, Some(format!("it has not answered for {ANSWER_TIMEOUT:?}")));
        }
        if self.retry.is_some_and(|(at, _)| at <= now) {
            self.send_queued(now);
        }
    }

    /// Runs something in the helper thread, which rings when it is over.
    fn run<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (sender, outcome) = channel();
        let bell = Arc::clone(&self.bell);
        (self.helper)(Box::new(move || {
            // At the end of the program the outcome may not be waited for.
            let _ = sender.send(act());
            bell.ring();
        }));
        outcome
    }

    fn started(&mut self, outcome: io::Result<ReaperChild>, poller: &Poller, now: Instant) {
        let watched = outcome.and_then(|child| {
            poller.watch(child.socket.socket(), Interest::Read, Wake::Reaper)?;
            Ok(child)
        });
        match watched {
            Ok(child) => {
                self.state =
                    State::Running(Running { child, pending: PendingWorkers::default(), owing: None });
                self.send_queued(now);
            }
            Err(error) => {
                self.state = State::Absent;
                let reason = format!("the reaper cannot be started: {error}");
                while !self.queue.is_empty() {
                    self.fail_first(io::Error::other(reason.clone()));
                }
            }
        }
    }

    /// Sends as many requests as the reaper is to have.
    fn send_queued(&mut self, now: Instant) {
        let since = self.retry.take().map_or(now, |(_, since)| since);
        let State::Running(running) = &mut self.state else { return };
        let mut failed = None;
        while let Some(first) = self.queue.front() {
            if running.pending.starting() >= STARTING_LIMIT {
                break;
            }
            let descriptors: Vec<_> = first.descriptors.iter().map(AsFd::as_fd).collect();
            match running.child.socket.try_send(&first.packet, &descriptors) {
                Ok(true) => {
                    if let Some(worker_id) = first.worker_id {
                        running.pending.requested(worker_id);
                    }
                    self.queue.pop_front();
                }
                Ok(false) if now.duration_since(since) < ROOM_TIMEOUT => {
                    self.retry = Some((now + RETRY, since));
                    break;
                }
                Ok(false) => failed = Some(io::Error::from(nix::errno::Errno::ETOOMANYREFS)),
                // Its end is read from the socket.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => failed = Some(error),
            }
            if failed.is_some() {
                break;
            }
        }
        running.note_owing(now);
        if let Some(error) = failed {
            self.fail_first(error);
            self.retry = (!self.queue.is_empty()).then_some((now + RETRY, now));
        }
    }

    fn fail_first(&mut self, error: io::Error) {
        if let Some(Queued { worker_id: Some(worker_id), .. }) = self.queue.pop_front() {
            self.events.push_back((worker_id, ReaperEvent::Spawned(Err(error))));
        }
    }

    fn read_replies(&mut self, poller: &Poller) {
        for _ in 0..REPLIES_PER_TURN {
            let State::Running(running) = &mut self.state else { return };
            match running.child.socket.try_receive() {
                Ok(Some(ReceivedPacket { message: Reply::Fault { error }, .. })) => {
                    return self.lose(poller, Some(error));
                }
                Ok(Some(reply)) => {
                    running.owing = running.owing.map(|(at, _)| (at, Duration::ZERO));
                    self.take_reply(reply, poller);
                }
                Ok(None) => return self.lose(poller, None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.lose(poller, Some(error.to_string())),
            }
        }
    }

    fn take_reply(
        &mut self,
        ReceivedPacket { message, descriptors }: ReceivedPacket<Reply>,
        poller: &Poller,
    ) {
        let State::Running(running) = &mut self.state else { return };
        let (worker_id, event) = match message {
            Reply::Spawned { worker_id, pid } => {
                let Ok([pidfd, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
                    running.pending.remove(worker_id);
                    self.queue.extend(Queued::kill(worker_id));
                    let error = io::Error::from(nix::errno::Errno::EMFILE);
                    self.events.push_back((worker_id, ReaperEvent::Spawned(Err(error))));
                    return;
                };
                let (pid, pidfd) = (Pid::from_raw(pid), Arc::new(pidfd));
                // Without it, the exit is still reported by a reaper that answers.
                let _ = poller.watch(&*pidfd, Interest::ReadEdge, Wake::WorkerExit(worker_id));
                running.pending.spawned(worker_id, Arc::clone(&pidfd));
                (worker_id, ReaperEvent::Spawned(Ok(Spawned { pid, pidfd, stdout, stderr })))
            }
            Reply::Failed { worker_id, error } => {
                running.pending.remove(worker_id);
                (worker_id, ReaperEvent::Spawned(Err(io::Error::other(error))))
            }
            Reply::Exited { worker_id, status } => {
                if let Some(pidfd) = running.pending.ended(worker_id) {
                    poller.forget(&*pidfd);
                }
                if !running.pending.remove(worker_id) {
                    return;
                }
                (worker_id, ReaperEvent::Exited(status))
            }
            // It was handled before: nothing follows it.
            Reply::Fault { .. } => return,
        };
        self.events.push_back((worker_id, event));
    }

    /// The reaper has ended, or is to because of a fault.
    fn lose(&mut self, poller: &Poller, fault: Option<String>) {
        let State::Running(Running { child, pending, .. }) =
            std::mem::replace(&mut self.state, State::Absent)
        else {
            return;
        };
        poller.forget(child.socket.socket());
        let keep = self.keep.clone();
        let clear = move || {
            let status = child.clear(&keep);
            fault
                .unwrap_or_else(|| status.map_or_else(|error| error.to_string(), |status| status.to_string()))
        };
        self.state = State::Clearing(self.run(clear), pending);
    }

    fn cleared(&mut self, how: &str, pending: PendingWorkers) {
        tracing::error!(
            event = "reaper_lost",
            reason = %how,
            "reaper process was lost, all workers were killed with it"
        );
        for (worker_id, had_process) in pending.lost() {
            let event = if had_process {
                ReaperEvent::Exited(WaitStatus::Lost)
            } else {
                ReaperEvent::Spawned(Err(io::Error::other("the reaper was lost")))
            };
            self.events.push_back((worker_id, event));
        }
        self.state = match self.queue.is_empty() {
            true => State::Absent,
            false => State::Starting(self.run(ReaperChild::start)),
        };
    }
}

impl Drop for ReaperClient {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::Absent) {
            State::Absent => {}
            State::Running(running) => running.child.end(&self.keep),
            State::Starting(outcome) => {
                if let Ok(Ok(child)) = outcome.recv_timeout(HELPER_TIMEOUT) {
                    child.end(&self.keep);
                }
            }
            // Without its outcome what is left ends with the reaper.
            State::Clearing(outcome, _) => drop(outcome.recv_timeout(HELPER_TIMEOUT)),
        }
    }
}

impl Running {
    /// Begins or ends the time in which an answer is owed.
    fn note_owing(&mut self, now: Instant) {
        let owed = self.pending.is_owed();
        if owed && self.owing.is_none() {
            self.child.resume();
        }
        self.owing = owed.then(|| self.owing.unwrap_or((now, Duration::ZERO)));
    }

    /// Whether it has owed an answer for too long.
    fn is_overdue(&mut self, now: Instant) -> bool {
        self.note_owing(now);
        let Some((looked_at, owed)) = &mut self.owing else { return false };
        let elapsed = now.duration_since(*looked_at);
        if elapsed < LOOK {
            return false;
        }
        *looked_at = now;
        self.child.resume();
        let traced = is_traced(self.child.process.id().cast_signed());
        *owed = if traced { Duration::ZERO } else { *owed + LOOK };
        *owed >= ANSWER_TIMEOUT
    }
}

impl Queued {
    fn spawn(program: &Path, request: SpawnRequest) -> io::Result<Self> {
        let worker_id = Some(request.worker_id);
        let (packet, descriptors) = request.into_packet(program)?;
        Ok(Self { worker_id, packet, descriptors: descriptors.into_array().into() })
    }

    fn kill(worker_id: WorkerId) -> io::Result<Self> {
        let packet = Packet::new(&Request::Kill { worker_id })?;
        Ok(Self { worker_id: None, packet, descriptors: Vec::new() })
    }
}
