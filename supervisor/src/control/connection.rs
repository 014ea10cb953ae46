//! One client: what it has sent, what it is to be sent, and what it waits for.
//!
//! A client has one ask with the loop at a time. What it sends beyond that stays unread, so that a client that asks
//! faster than it is answered, or does not read what it is answered, waits itself and costs nobody anything.

use super::lines::{Cut, Lines};
use super::outbox::Outbox;
use super::protocol::{ErrorReply, LONGEST_REQUEST, Reply, parse};
use super::request::{Ask, Heard, Lane};
use nix::sys::epoll::EpollFlags;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How much is read at once; what more there is waits for the other clients to have their turn.
const READ_AT_ONCE: usize = 16 * 1024;

/// How many events a client that monitors is given in one step.
const EVENTS_AT_ONCE: usize = 64;

/// How much of what a client sent before it went away is still looked at.
const LAST_WORDS: usize = 1024 * 1024;

/// Hands an ask to the loop; what comes back is where its answer will be heard.
pub(super) type Submit<'a> = &'a mut dyn FnMut(Ask) -> Lane;

/// A client.
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    /// What the poller is asked to watch.
    pub(super) watched: EpollFlags,
    lines: Lines,
    outbox: Outbox,
    asking: Option<Lane>,
    input: Input,
    /// Since when nothing of the outbox could be written.
    stuck: Option<Instant>,
}

/// What becomes of what the client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// It is read as requests.
    Open,
    /// There is no more of it.
    Ended,
    /// It makes no sense any more, and is thrown away until this time, so that the client gets to read why.
    Ignored(Instant),
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There may be more to do at once.
    Again,
    /// The rest needs something to happen first.
    Wait,
    /// It is over.
    Over,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, watched: EpollFlags) -> Self {
        Self {
            stream,
            watched,
            lines: Lines::new(LONGEST_REQUEST),
            outbox: Outbox::default(),
            asking: None,
            input: Input::Open,
            stuck: None,
        }
    }

    /// Takes in answers, writes, reads and asks, as far as it goes without waiting.
    pub(super) fn turn(&mut self, now: Instant, patience: Duration, submit: Submit<'_>) -> Turn {
        let more_answers = self.hear();
        if !self.write(now, patience) {
            return Turn::Over;
        }
        if more_answers && !self.outbox.is_full() {
            return Turn::Again;
        }
        if !self.may_ask() {
            return self.rest();
        }
        match self.input {
            Input::Open => self.take_line(now, patience, submit),
            Input::Ended => self.rest(),
            Input::Ignored(_) => self.ignore(),
        }
    }

    /// Whether it waits for an answer.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// What the poller is to watch for.
    pub(super) fn interest(&self) -> EpollFlags {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, self.may_ask() && self.input != Input::Ended);
        flags.set(EpollFlags::EPOLLOUT, !self.outbox.is_empty());
        flags
    }

    /// When patience with it ends.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Instant> {
        let ignored = if let Input::Ignored(until) = self.input { Some(until) } else { None };
        let stuck = self.stuck.filter(|_| !self.monitors()).map(|since| since + patience);
        ignored.into_iter().chain(stuck).min()
    }

    /// The client has closed its end. What it sent before that is done all the same, as far as it does something.
    pub(super) fn last_words(mut self, submit: Submit<'_>) {
        let mut buffer = [0; 4096];
        let mut left = LAST_WORDS;
        while self.input == Input::Open && left > 0 {
            while let Cut::Line(line) = self.lines.cut() {
                if let Ok(ask @ (Ask::Act { .. } | Ask::Send { .. })) = parse(line) {
                    drop(submit(ask));
                }
            }
            match self.stream.read(&mut buffer) {
                Ok(count) if count > 0 && self.lines.cut() == Cut::Half => {
                    left = left.saturating_sub(count);
                    self.lines.push(&buffer[..count]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }

    fn monitors(&self) -> bool {
        self.asking.as_ref().is_some_and(|lane| lane.monitors)
    }

    fn may_ask(&self) -> bool {
        self.asking.is_none() && !self.outbox.is_full()
    }

    /// Takes in what the loop has answered; says whether there may be more.
    fn hear(&mut self) -> bool {
        for _ in 0..EVENTS_AT_ONCE {
            let Some(lane) = &self.asking else { return false };
            if self.outbox.is_full() {
                return true;
            }
            match lane.hear() {
                Heard::Nothing => return false,
                Heard::Ended => self.asking = None,
                Heard::Reply(reply) => {
                    let goes_on = lane.monitors && !matches!(reply, Reply::Refused(_));
                    self.outbox.push(&reply);
                    if !goes_on {
                        self.asking = None;
                    }
                }
            }
        }
        true
    }

    /// Writes what the client takes. False: it is gone, or has not read for too long.
    fn write(&mut self, now: Instant, patience: Duration) -> bool {
        match self.outbox.write_to(&mut self.stream) {
            Err(_) => return false,
            Ok(_) if self.outbox.is_empty() => self.stuck = None,
            Ok(true) => self.stuck = Some(now),
            Ok(false) => self.stuck = self.stuck.or(Some(now)),
        }
        self.deadline(patience).is_none_or(|deadline| now < deadline)
    }

    fn take_line(&mut self, now: Instant, patience: Duration, submit: Submit<'_>) -> Turn {
        match self.lines.cut() {
            Cut::Line(line) => match parse(line) {
                Ok(ask) => self.asking = Some(submit(ask)),
                Err(refusal) => self.outbox.push(&Reply::Refused(refusal)),
            },
            Cut::Half => return self.read(),
            Cut::TooLong => {
                let message = format!("a request has at most {LONGEST_REQUEST} bytes in one line");
                self.outbox.push(&Reply::Refused(ErrorReply::new(message)));
                self.input = Input::Ignored(now + patience);
            }
        }
        Turn::Again
    }

    fn read(&mut self) -> Turn {
        let mut buffer = [0; READ_AT_ONCE];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.lines.end();
                if self.lines.is_empty() {
                    self.input = Input::Ended;
                }
                Turn::Again
            }
            Ok(count) => {
                self.lines.push(&buffer[..count]);
                Turn::Again
            }
            Err(error) => after(&error),
        }
    }

    fn ignore(&mut self) -> Turn {
        let mut buffer = [0; READ_AT_ONCE];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.input = Input::Ended;
                Turn::Again
            }
            Ok(_) => Turn::Again,
            Err(error) => after(&error),
        }
    }

    /// Nothing can be read or asked now: waits, unless there is nothing left to wait for.
    fn rest(&self) -> Turn {
        let over = self.input == Input::Ended && self.asking.is_none() && self.outbox.is_empty();
        if over { Turn::Over } else { Turn::Wait }
    }
}

fn after(error: &std::io::Error) -> Turn {
    match error.kind() {
        ErrorKind::WouldBlock => Turn::Wait,
        ErrorKind::Interrupted => Turn::Again,
        _ => Turn::Over,
    }
}
