//! One client, served by a thread of its own with blocking reads and writes.
//!
//! A client has one request with the loop at a time. What it sends beyond that stays unread, so a
//! client that asks faster than it is answered, or does not read its replies, waits itself.

use super::clients::ClientPlace;
use super::event_stream::{EventReceiver, StreamState};
use super::lines::{ClientLine, LineReader};
use super::protocol::{ControlReply, ErrorReply, REQUEST_LIMIT, parse, write_line};
use super::request::{LoopRequest, RequestBody, Response, ResponseReceiver, response_channel};
use crate::log::LogMemory;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often a thread that waits for the loop looks whether its client is still connected.
const HANGUP_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Text of events is written in pieces of about this many bytes.
const WRITE_SIZE: usize = 32 * 1024;

/// How much of what a client sent before it disconnected is still looked at, in bytes.
const REMAINDER_LIMIT: usize = 1024 * 1024;

/// How many commands of a client that has disconnected are still carried out. It does not wait for
/// their outcome, so nothing else would limit them.
const LAST_COMMANDS_LIMIT: usize = 16;

/// How long an event of a client that has disconnected may wait for the loop.
const LAST_SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Hands a request to the event loop. Returns whether the loop still takes requests.
pub(super) type Submit = dyn Fn(LoopRequest) -> bool + Send + Sync;

/// Serves a client until it disconnects, breaks a limit, or the show ends.
pub(super) fn serve(place: &ClientPlace, submit: &Submit, log: &LogMemory) {
    let lines = LineReader::new(&*place.stream, REQUEST_LIMIT);
    let mut connection = Connection { place, lines, submit, log, out: Vec::new() };
    match connection.run() {
        // it did not read for too long
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
        Err(_) => connection.finish_requests(),
        Ok(()) => {}
    }
}

struct Connection<'a> {
    place: &'a ClientPlace,
    lines: LineReader<&'a UnixStream>,
    submit: &'a Submit,
    log: &'a LogMemory,
    out: Vec<u8>,
}

impl Connection<'_> {
    fn run(&mut self) -> io::Result<()> {
        loop {
            let body = match self.lines.next_line()? {
                ClientLine::Text(line) => parse(line),
                ClientLine::TooLong => {
                    let message = format!("a request has at most {REQUEST_LIMIT} bytes in one line");
                    self.write(&ControlReply::Refused(ErrorReply::new(message)))?;
                    return self.discard();
                }
                ClientLine::Timeout => {
                    let seconds = self.place.limits().idle_timeout.as_secs();
                    let message = format!("the connection was closed after {seconds} s without a request");
                    return self.write(&ControlReply::Refused(ErrorReply::new(message)));
                }
                ClientLine::End => return Ok(()),
            };
            match body {
                Ok(body) => {
                    if !self.place.set_waiting(true) {
                        return Ok(());
                    }
                    self.answer(body)?;
                }
                Err(error) => self.write(&ControlReply::Refused(error))?,
            }
        }
    }

    fn answer(&mut self, body: RequestBody) -> io::Result<()> {
        let receiver = submit(self.submit, body);
        loop {
            match receiver.receive(HANGUP_CHECK_INTERVAL) {
                Some(Response::Reply(mut reply)) => {
                    if let ControlReply::Instance(detail) = &mut *reply {
                        detail.log = self.log.lines(&detail.instance.name);
                    }
                    // Before the client can know: its next request counts as one after this.
                    self.place.set_waiting(false);
                    return self.write(&reply);
                }
                Some(Response::Monitoring(events)) => return self.monitor(&events),
                None => self.check_connected()?,
            }
        }
    }

    fn monitor(&mut self, events: &EventReceiver) -> io::Result<()> {
        // it may make room for another client from here on
        self.place.set_waiting(false);
        self.write(&ControlReply::Monitoring {})?;
        loop {
            match events.receive(HANGUP_CHECK_INTERVAL) {
                StreamState::Batch(batch) => {
                    if batch.dropped > 0 {
                        write_line(&mut self.out, &ControlReply::Dropped(batch.dropped));
                    }
                    for event in batch.replies() {
                        write_line(&mut self.out, &ControlReply::Event(event));
                        if self.out.len() >= WRITE_SIZE {
                            self.flush()?;
                        }
                    }
                    self.flush()?;
                }
                StreamState::Dropped(count) => self.write(&ControlReply::Dropped(count))?,
                StreamState::Idle => self.check_connected()?,
                StreamState::Closed => {
                    return self.write(&ControlReply::Refused(ErrorReply::show_is_ending()));
                }
            }
        }
    }

    fn write(&mut self, reply: &ControlReply) -> io::Result<()> {
        write_line(&mut self.out, reply);
        self.flush()
    }

    /// Writes all there is. Each write waits for the client to read, within the socket's timeout.
    fn flush(&mut self) -> io::Result<()> {
        let outcome = (&*self.place.stream).write_all(&self.out);
        self.out.clear();
        self.out.shrink_to(2 * WRITE_SIZE);
        outcome
    }

    fn check_connected(&self) -> io::Result<()> {
        // a hang-up is reported without being asked for; one that only sends nothing more is
        // connected
        let mut descriptors = [PollFd::new(self.place.stream.as_fd(), PollFlags::empty())];
        match poll(&mut descriptors, PollTimeout::ZERO) {
            Ok(1..) => Err(ErrorKind::BrokenPipe.into()),
            _ => Ok(()),
        }
    }

    /// Reads on for a while after input that makes no sense: closed at once, the connection would
    /// be reset, and the client could not read why.
    fn discard(&self) -> io::Result<()> {
        let timeout = self.place.limits().unread_timeout;
        let deadline = Instant::now() + timeout;
        self.place.stream.set_read_timeout(Some(timeout))?;
        let mut buffer = [0; 16 * 1024];
        while Instant::now() < deadline && (&*self.place.stream).read(&mut buffer)? > 0 {}
        Ok(())
    }

    /// Carries out what the client asked for before it disconnected, as far as it has an effect.
    fn finish_requests(&mut self) {
        // one that was disconnected to make room for another client has got that as its last reply
        if !self.place.set_waiting(true) || self.place.stream.set_nonblocking(true).is_err() {
            return;
        }
        let (mut length, mut commands) = (0, 0);
        while length < REMAINDER_LIMIT
            && commands < LAST_COMMANDS_LIMIT
            && let Ok(ClientLine::Text(line)) = self.lines.next_line()
        {
            length += line.len();
            match parse(line) {
                Ok(body @ RequestBody::Send { .. }) => {
                    // One at a time, as if it were still connected.
                    drop(submit(self.submit, body).receive(LAST_SEND_TIMEOUT));
                }
                Ok(body @ (RequestBody::Command { .. } | RequestBody::Quit)) => {
                    commands += 1;
                    drop(submit(self.submit, body));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

fn submit(submit: &Submit, body: RequestBody) -> ResponseReceiver {
    let (responder, receiver) = response_channel();
    // a loop that has ended drops the request, and thereby the responder, which answers itself
    submit(LoopRequest { body, responder });
    receiver
}
