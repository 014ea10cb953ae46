//! The thread that reads all pipes.

use super::Stream;
use super::limiter::{Limiter, Said};
use super::line_splitter::{Cutter, LeftOut, Line};
use super::tails::Tails;
use crate::ids::WorkerId;
use crate::log::SCRIPT;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Bytes in one read; as much as a pipe holds by default.
const CHUNK: usize = 64 * 1024;

/// What is taken for the size of a pipe that does not tell.
const PIPE_SIZE: usize = 1024 * 1024;

/// The bell's number in epoll; pipes count from 1.
const BELL: u64 = 0;

/// What the pump is told to do.
pub(super) enum Command {
    /// Read this pipe from now on.
    Adopt { instance: String, worker_id: WorkerId, pipe: OwnedFd, stream: Stream },
    /// Read what is there and close.
    Retire(WorkerId),
    /// The same with all pipes, and end.
    Close,
}

/// The pipes and what belongs to reading them.
pub(super) struct Pump {
    epoll: Epoll,
    bell: Arc<EventFd>,
    orders: Receiver<Command>,
    tails: Arc<Tails>,
    pipes: BTreeMap<u64, Pipe>,
    last_number: u64,
    chunk: Vec<u8>,
}

/// Whether a pipe may have more.
#[derive(PartialEq)]
enum State {
    /// So many bytes were read.
    Open(usize),
    /// Nothing is there now.
    Empty,
    /// Nobody writes any more.
    Ended,
}

impl Pump {
    pub(super) fn new(bell: Arc<EventFd>, orders: Receiver<Command>, tails: Arc<Tails>) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*bell, EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
        let chunk = vec![0; CHUNK];
        Ok(Self { epoll, bell, orders, tails, pipes: BTreeMap::new(), last_number: BELL, chunk })
    }

    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); 32];
        loop {
            let count = match self.epoll.wait(&mut events, self.timeout()) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => {
                    return warn!(
                        event = "output_lost",
                        "output of the scripts is lost from here on: epoll: {error}"
                    );
                }
            };
            for event in &events[..count] {
                match event.data() {
                    BELL => {
                        // It was rung, so there is something to read; and if not, the queue of orders tells.
                        let _ = self.bell.read();
                    }
                    number => self.serve(number),
                }
            }
            if !self.obey() {
                return;
            }
            let now = Instant::now();
            self.pipes.values_mut().for_each(|pipe| pipe.tick(now));
        }
    }

    fn timeout(&self) -> EpollTimeout {
        let Some(deadline) = self.pipes.values().filter_map(Pipe::deadline).min() else {
            return EpollTimeout::NONE;
        };
        // Rounded up, or the last fraction of a millisecond would be spent turning around.
        let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        EpollTimeout::try_from(left).unwrap_or(EpollTimeout::MAX)
    }

    /// Reads once, so that each pipe has its turn.
    fn serve(&mut self, number: u64) {
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        if pipe.read(&mut self.chunk, &self.tails) == State::Ended {
            self.close(number);
        }
    }

    /// Carries out what was ordered; false when that was to end.
    fn obey(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Command::Adopt { instance, worker_id, pipe, stream }) => {
                    if let Err(error) = self.adopt(&instance, worker_id, pipe, stream) {
                        let stream = stream.name();
                        warn!(event = "stream_lost", instance, "{stream} of the worker is lost: {error}");
                    }
                }
                Ok(Command::Retire(worker_id)) => {
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

    fn adopt(
        &mut self,
        instance: &str,
        worker_id: WorkerId,
        descriptor: OwnedFd,
        stream: Stream,
    ) -> nix::Result<()> {
        fcntl(&descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        self.last_number += 1;
        self.epoll.add(&descriptor, EpollEvent::new(EpollFlags::EPOLLIN, self.last_number))?;
        let voice = Voice { instance: instance.to_owned(), stream };
        let pipe = Pipe {
            descriptor,
            worker_id,
            voice,
            cutter: Cutter::default(),
            limiter: Limiter::new(Instant::now()),
        };
        self.pipes.insert(self.last_number, pipe);
        Ok(())
    }

    /// Reads what is in the pipes now, and closes them: what the worker itself wrote is no more than fits into a pipe,
    /// and a child of it that goes on writing is not waited for.
    fn finish(&mut self, which: impl Fn(&Pipe) -> bool) {
        let chosen = self.pipes.iter().filter(|(_, pipe)| which(pipe));
        let numbers: Vec<u64> = chosen.map(|(number, _)| *number).collect();
        for number in numbers {
            if let Some(pipe) = self.pipes.get_mut(&number) {
                let mut left = pipe.size();
                while left > 0
                    && let State::Open(count) = pipe.read(&mut self.chunk, &self.tails)
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
            // Closing the descriptor would do, were no copy of it left anywhere.
            let _ = self.epoll.delete(&pipe.descriptor);
        }
    }
}

/// One stream of one worker.
struct Pipe {
    descriptor: OwnedFd,
    worker_id: WorkerId,
    voice: Voice,
    cutter: Cutter,
    limiter: Limiter,
}

impl Pipe {
    fn read(&mut self, chunk: &mut [u8], tails: &Tails) -> State {
        let bytes = match nix::unistd::read(&self.descriptor, chunk) {
            Ok(0) => return State::Ended,
            Ok(count) => &chunk[..count],
            Err(Errno::EAGAIN | Errno::EINTR) => return State::Empty,
            Err(_) => return State::Ended,
        };
        if self.voice.stream == Stream::Stderr {
            tails.append(self.worker_id, bytes);
        }
        let now = Instant::now();
        let (voice, limiter) = (&self.voice, &mut self.limiter);
        let left_out = self.cutter.feed(bytes, now, |line| limiter.take(line, now, |said| voice.say(said)));
        self.limiter.leave_out(left_out, now);
        State::Open(bytes.len())
    }

    fn deadline(&self) -> Option<Instant> {
        [self.cutter.deadline(), self.limiter.deadline()].into_iter().flatten().min()
    }

    /// Says what has waited long enough.
    fn tick(&mut self, now: Instant) {
        if self.cutter.deadline().is_some_and(|deadline| deadline <= now) {
            self.show(now);
        }
        if self.limiter.deadline().is_some_and(|deadline| deadline <= now) {
            self.limiter.settle(|said| self.voice.say(said));
        }
    }

    fn end(&mut self, now: Instant) {
        self.show(now);
        self.limiter.settle(|said| self.voice.say(said));
    }

    fn show(&mut self, now: Instant) {
        let (voice, limiter) = (&self.voice, &mut self.limiter);
        self.cutter.show(|line| limiter.take(line, now, |said| voice.say(said)));
    }

    fn size(&self) -> usize {
        let size = fcntl(&self.descriptor, FcntlArg::F_GETPIPE_SZ).ok();
        size.and_then(|size| usize::try_from(size).ok()).unwrap_or(PIPE_SIZE)
    }
}

/// Under which name and how important a stream is logged.
struct Voice {
    instance: String,
    stream: Stream,
}

impl Voice {
    fn say(&self, said: Said<'_>) {
        match said {
            Said::Line(Line { bytes, cut }) => {
                let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes));
                self.line(format_args!("{text}{}", if cut { " … (line cut)" } else { "" }));
            }
            Said::Repeated(bytes, count) => {
                let text = String::from_utf8_lossy(bytes);
                self.line(format_args!("{text} … (repeated {count} times)"));
            }
            Said::LeftOut(LeftOut { lines, bytes }) => {
                let (instance, stream) = (self.instance.as_str(), self.stream.name());
                warn!(
                    event = "output_left_out",
                    instance, stream, lines, bytes, "output left out: too much at once, or lines over 8 KiB"
                );
            }
        }
    }

    fn line(&self, text: impl Display) {
        let instance = self.instance.as_str();
        match self.stream {
            Stream::Stdout => info!(target: SCRIPT, event = "script_printed", instance, "{text}"),
            Stream::Stderr => warn!(target: SCRIPT, event = "script_printed", instance, "{text}"),
        }
    }
}
