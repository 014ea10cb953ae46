//! The thread that reads all pipes.

use super::OutputStream;
use super::budget::OutputBudget;
use super::level;
use super::limiter::{LogItem, OutputLimiter};
use super::line_splitter::{Flow, LeftOut, LineSplitter, OutputLine};
use super::repeats::Held;
use super::tails::Tails;
use crate::ids::WorkerId;
use crate::log::SCRIPT;
use mm_shared::Doorbell;
use mm_shared::sys::poller::{Interest, PollKey, Poller};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{Level, debug, error, info, warn};

/// Bytes in one read; as much as a pipe holds by default.
const CHUNK: usize = 64 * 1024;

/// A read of at least so many bytes is not searched for repetitions any more once there is no budget
/// left for it.
const FLOOD: usize = 16 * 1024;

/// The size assumed of a pipe that does not report its own.
const PIPE_SIZE: usize = 1024 * 1024;

/// A command for the thread.
pub(super) enum Command {
    /// Read this pipe from now on.
    Add { instance: String, worker_id: WorkerId, pipe: OwnedFd, stream: OutputStream },
    /// Read what is in the pipes of this worker, and close them.
    Remove(WorkerId),
    /// The same with all pipes, and end.
    Close,
}

/// What the thread waits for.
#[derive(Debug, Clone, Copy)]
enum ReaderKey {
    Doorbell,
    /// The pipe of this number, from 1.
    Pipe(u64),
}

impl PollKey for ReaderKey {
    fn to_u64(self) -> u64 {
        match self {
            Self::Doorbell => 0,
            Self::Pipe(number) => number,
        }
    }

    fn from_u64(number: u64) -> Option<Self> {
        Some(if number == 0 { Self::Doorbell } else { Self::Pipe(number) })
    }
}

/// The pipes, and what belongs to reading them.
pub(super) struct OutputReader {
    poller: Poller<ReaderKey>,
    commands: Receiver<Command>,
    tails: Arc<Tails>,
    pipes: BTreeMap<u64, Pipe>,
    /// Those of all instances that have a pipe, or had one a short while ago.
    budgets: HashMap<(String, OutputStream), SharedBudget>,
    last_number: u64,
    chunk: Vec<u8>,
}

/// The budget of a stream, shared by the workers that an instance has at the same time. Only the
/// reader's thread uses it, so its lock is always free.
type SharedBudget = Arc<Mutex<OutputBudget>>;

/// The result of reading a pipe.
#[derive(PartialEq)]
enum ReadOutcome {
    /// So many bytes were read.
    Read(usize),
    /// Nothing is there now.
    Empty,
    /// No process has the pipe open for writing.
    Ended,
}

impl OutputReader {
    /// A reader without pipes. `doorbell` is rung after each command.
    pub(super) fn new(
        doorbell: &Doorbell,
        commands: Receiver<Command>,
        tails: Arc<Tails>,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.watch(doorbell, Interest::ReadEdge, ReaderKey::Doorbell)?;
        let chunk = vec![0; CHUNK];
        Ok(Self {
            poller,
            commands,
            tails,
            pipes: BTreeMap::new(),
            budgets: HashMap::new(),
            last_number: 0,
            chunk,
        })
    }

    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        loop {
            if let Err(error) = self.poller.wait(self.timeout(), &mut ready) {
                warn!(event = "output_lost", "output of the scripts is lost from here on: {error}");
                return;
            }
            for key in ready.drain(..) {
                if let ReaderKey::Pipe(number) = key {
                    self.read(number);
                }
            }
            if !self.take_commands() {
                return;
            }
            let now = Instant::now();
            self.pipes.values_mut().for_each(|pipe| pipe.tick(now));
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let deadline = self.pipes.values().filter_map(Pipe::deadline).min()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Reads once, so that each pipe has its turn.
    fn read(&mut self, number: u64) {
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        if pipe.read(&mut self.chunk, &self.tails) == ReadOutcome::Ended {
            self.close(number);
        }
    }

    /// Carries out the commands that wait; false after the last one.
    fn take_commands(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Add { instance, worker_id, pipe, stream }) => {
                    if let Err(error) = self.add(&instance, worker_id, pipe, stream) {
                        let stream = stream.name();
                        warn!(
                            event = "output_lost",
                            instance, stream, "{stream} of the worker is lost: {error}"
                        );
                    }
                }
                Ok(Command::Remove(worker_id)) => {
                    self.finish(|pipe| pipe.worker_id == worker_id);
                    self.tails.retire(worker_id);
                }
                Ok(Command::Close) | Err(TryRecvError::Disconnected) => {
                    self.finish(|_| true);
                    return false;
                }
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    fn add(
        &mut self,
        instance: &str,
        worker_id: WorkerId,
        descriptor: OwnedFd,
        stream: OutputStream,
    ) -> io::Result<()> {
        fcntl(&descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        self.last_number += 1;
        self.poller.watch(&descriptor, Interest::Read, ReaderKey::Pipe(self.last_number))?;
        let pipe = Pipe {
            descriptor,
            worker_id,
            target: LogTarget { instance: instance.to_owned(), stream },
            splitter: LineSplitter::default(),
            limiter: OutputLimiter::new(),
            budget: self.budget(instance, stream, Instant::now()),
        };
        self.pipes.insert(self.last_number, pipe);
        Ok(())
    }

    /// The budget of an instance's stream. Those that are as good as new are forgotten.
    fn budget(&mut self, instance: &str, stream: OutputStream, now: Instant) -> SharedBudget {
        self.budgets.retain(|_, budget| {
            Arc::strong_count(budget) > 1
                || !budget.lock().unwrap_or_else(PoisonError::into_inner).is_full(now)
        });
        let fresh = || Arc::new(Mutex::new(OutputBudget::new(now)));
        Arc::clone(self.budgets.entry((instance.to_owned(), stream)).or_insert_with(fresh))
    }

    /// Reads what is in the pipes now, and closes them. What the worker itself wrote is not more
    /// than fits into a pipe, and a child of it that goes on writing is not waited for.
    fn finish(&mut self, which: impl Fn(&Pipe) -> bool) {
        let chosen = self.pipes.iter().filter(|(_, pipe)| which(pipe));
        let numbers: Vec<u64> = chosen.map(|(number, _)| *number).collect();
        for number in numbers {
            if let Some(pipe) = self.pipes.get_mut(&number) {
                let mut left = pipe.size();
                while left > 0
                    && let ReadOutcome::Read(count) = pipe.read(&mut self.chunk, &self.tails)
                {
                    left = left.saturating_sub(count);
                }
            }
            self.close(number);
        }
    }

    fn close(&mut self, number: u64) {
        if let Some(mut pipe) = self.pipes.remove(&number) {
            pipe.end(Instant::now());
            // Another process may hold a copy of the descriptor.
            self.poller.forget(&pipe.descriptor);
        }
    }
}

/// One stream of one worker.
struct Pipe {
    descriptor: OwnedFd,
    worker_id: WorkerId,
    target: LogTarget,
    splitter: LineSplitter,
    limiter: OutputLimiter,
    budget: SharedBudget,
}

impl Pipe {
    fn read(&mut self, chunk: &mut [u8], tails: &Tails) -> ReadOutcome {
        let bytes = match nix::unistd::read(&self.descriptor, chunk) {
            Ok(0) => return ReadOutcome::Ended,
            Ok(count) => &chunk[..count],
            Err(Errno::EAGAIN | Errno::EINTR) => return ReadOutcome::Empty,
            Err(_) => return ReadOutcome::Ended,
        };
        if self.target.stream == OutputStream::Stderr {
            tails.append(self.worker_id, bytes);
        }
        let now = Instant::now();
        let (target, limiter) = (&self.target, &mut self.limiter);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let take = |line: OutputLine<'_>| {
            let flow = limiter.take(line, &mut budget, now, |item| target.log(item));
            if bytes.len() < FLOOD { Flow::More } else { flow }
        };
        let left_out = self.splitter.feed(bytes, now, take);
        self.limiter.leave_out(left_out, now);
        ReadOutcome::Read(bytes.len())
    }

    fn deadline(&self) -> Option<Instant> {
        [self.splitter.deadline(), self.limiter.deadline()].into_iter().flatten().min()
    }

    /// Logs what has waited long enough.
    fn tick(&mut self, now: Instant) {
        if self.splitter.deadline().is_some_and(|deadline| deadline <= now) {
            self.show(now);
        }
        self.limiter.tick(now, |item| self.target.log(item));
    }

    fn end(&mut self, now: Instant) {
        self.show(now);
        self.limiter.end(|item| self.target.log(item));
    }

    fn show(&mut self, now: Instant) {
        let (target, limiter) = (&self.target, &mut self.limiter);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        self.splitter.show(|line| limiter.take(line, &mut budget, now, |item| target.log(item)));
    }

    fn size(&self) -> usize {
        let size = fcntl(&self.descriptor, FcntlArg::F_GETPIPE_SZ).ok();
        size.and_then(|size| usize::try_from(size).ok()).unwrap_or(PIPE_SIZE)
    }
}

/// The instance and the level under which a stream is logged.
struct LogTarget {
    instance: String,
    stream: OutputStream,
}

impl LogTarget {
    fn log(&self, item: LogItem<'_>) {
        let (instance, stream) = (self.instance.as_str(), self.stream.name());
        match item {
            // Python separates the parts of a crash report with empty lines.
            LogItem::Line(OutputLine { bytes, .. })
                if self.stream == OutputStream::Stderr && bytes.trim_ascii().is_empty() => {}
            LogItem::Line(OutputLine { bytes, cut }) => {
                self.log_line(bytes, if cut { " … (line cut)" } else { "" });
            }
            LogItem::Repeated(bytes, Held { block: 1, lines }) => {
                self.log_line(bytes, format_args!(" … (repeated {lines} times)"));
            }
            LogItem::Repeated(_, Held { block, lines }) => warn!(
                event = "output_repeated",
                instance,
                stream,
                block,
                lines,
                "the last {block} lines were repeated: {lines} lines are not shown"
            ),
            LogItem::LeftOut(LeftOut { lines, bytes }) => warn!(
                event = "output_left_out",
                instance, stream, lines, bytes, "output left out: too much of it, or lines over 8 KiB"
            ),
        }
    }

    fn log_line(&self, bytes: &[u8], end: impl Display) {
        let instance = self.instance.as_str();
        let (level, text) = level::split(bytes.strip_suffix(b"\r").unwrap_or(bytes));
        let text = String::from_utf8_lossy(text);
        let default = match self.stream {
            OutputStream::Stdout => Level::INFO,
            OutputStream::Stderr => Level::WARN,
        };
        match level.unwrap_or(default) {
            Level::ERROR => error!(target: SCRIPT, event = "script_printed", instance, "{text}{end}"),
            Level::WARN => warn!(target: SCRIPT, event = "script_printed", instance, "{text}{end}"),
            Level::INFO => info!(target: SCRIPT, event = "script_printed", instance, "{text}{end}"),
            _ => debug!(target: SCRIPT, event = "script_printed", instance, "{text}{end}"),
        }
    }
}
