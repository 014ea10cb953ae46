//! The thread that sends: paced, in order, and with the last values once more when a device has come back.

use super::channel::ChannelAddress;
use super::codec::{AddressedValue, MessageSequence, encode};
use super::port::{SendOutcome, TxPort};
use super::rate_limiter::RateLimiter;
use super::tx_queue::{Queue, TxValue};
use crate::backends::log_throttle::LogThrottle;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How often a message is tried again that somebody has not got. The pauses double from one millisecond.
const TRIES: u32 = 5;

/// How long the end of the show waits for what is still to be sent.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(150);

/// What the keeper of the ports tells.
pub enum TxCommand {
    /// Here is a port, with everything connected that is there.
    UsePort(Box<dyn TxPort>),
    /// There is none at the moment.
    ClosePort,
    /// A device was connected: it gets the last values.
    ResendValues,
}

/// What the loop and the thread both know.
#[derive(Debug, Default)]
pub struct TxShared {
    /// Set when the backend is closed.
    pub ending: AtomicBool,
    /// Messages that somebody has not got.
    pub lost: AtomicU64,
}

/// What a thread needs that sends for an instance.
pub struct TxThread {
    pub name: String,
    pub addresses: Vec<ChannelAddress>,
    pub deselect: bool,
    pub rate: u32,
    pub queue: Queue,
    pub commands: Receiver<TxCommand>,
    pub shared: Arc<TxShared>,
    /// Told when all is sent at the end.
    pub done: Sender<()>,
}

impl TxThread {
    /// Sends until the backend is closed.
    pub fn run(self) {
        let now = Instant::now();
        let pace = RateLimiter::new(self.rate, now);
        let last = vec![None; self.addresses.len()];
        let failures = LogThrottle::new(1, Duration::from_secs(10));
        let (port, resend, current) = (PortState::Pending, VecDeque::new(), None);
        let mut work =
            TxLoop { thread: self, port, pace, last, resend, current, failures, is_failing: false };
        while !work.thread.shared.ending.load(Ordering::SeqCst) {
            work.take_commands();
            match work.step(Instant::now()) {
                Step::Sent => {}
                Step::Until(time) => thread::park_timeout(time.saturating_duration_since(Instant::now())),
                Step::Nothing => thread::park(),
            }
        }
        work.finish();
        // the backend may have stopped waiting
        let _ = work.thread.done.send(());
    }
}

/// Whether there is a port to send through.
enum PortState {
    /// The keeper has not looked yet: values wait, so that the first ones are not lost.
    Pending,
    Open(Box<dyn TxPort>),
    /// Only the last values are kept.
    Closed,
}

enum Step {
    Sent,
    Until(Instant),
    Nothing,
}

/// A value whose messages are being sent.
struct Current {
    outgoing: MessageSequence,
    /// Messages of it that have left.
    left: usize,
    tries: u32,
}

struct TxLoop {
    thread: TxThread,
    port: PortState,
    pace: RateLimiter,
    /// By slot.
    last: Vec<Option<u16>>,
    /// ChannelMap whose last values are to be sent once more.
    resend: VecDeque<u32>,
    current: Option<Current>,
    failures: LogThrottle,
    /// Somebody does not get what is sent, in spite of all tries: nobody waits for that one.
    is_failing: bool,
}

impl TxLoop {
    /// Takes in what the keeper tells.
    fn take_commands(&mut self) {
        while let Ok(command) = self.thread.commands.try_recv() {
            match command {
                TxCommand::UsePort(port) => {
                    self.port = PortState::Open(port);
                    self.refresh();
                }
                TxCommand::ClosePort => {
                    self.port = PortState::Closed;
                    self.current = None;
                }
                TxCommand::ResendValues => self.refresh(),
            }
        }
    }

    fn refresh(&mut self) {
        let known = (0..).zip(&self.last).filter(|(_, last)| last.is_some());
        self.resend = known.map(|(slot, _)| slot).collect();
    }

    /// Sends one message, if there is one and its time has come.
    fn step(&mut self, now: Instant) -> Step {
        match self.port {
            PortState::Pending => return Step::Nothing,
            PortState::Closed => {
                while self.take().is_some() {}
                return Step::Nothing;
            }
            PortState::Open(_) => {}
        }
        let next = self.pace.next(now);
        if next > now && (self.current.is_some() || !self.resend.is_empty() || !self.thread.queue.is_empty())
        {
            return Step::Until(next);
        }
        if self.current.is_none() {
            self.current = self.next_value().map(|outgoing| Current { outgoing, left: 0, tries: 0 });
        }
        self.send_current(now)
    }

    fn next_value(&mut self) -> Option<MessageSequence> {
        let resend = self.resend.pop_front();
        let value = match resend {
            Some(slot) => TxValue { slot, raw: (*self.last.get(slot as usize)?)? },
            None => self.take()?,
        };
        let address = *self.thread.addresses.get(value.slot as usize)?;
        Some(encode(AddressedValue { address, raw: value.raw }, self.thread.deselect))
    }

    /// Takes a value out of the queue and remembers it.
    fn take(&mut self) -> Option<TxValue> {
        let value = self.thread.queue.pop()?;
        if let Some(last) = self.last.get_mut(value.slot as usize) {
            *last = Some(value.raw);
        }
        Some(value)
    }

    fn send_current(&mut self, now: Instant) -> Step {
        let (Some(current), PortState::Open(port)) = (&mut self.current, &mut self.port) else {
            return Step::Nothing;
        };
        let Some(message) = current.outgoing.messages().nth(current.left) else {
            self.current = None;
            return Step::Sent;
        };
        let (bytes, length) = message.bytes();
        match port.send(&bytes[..length]) {
            SendOutcome::Sent => {
                self.is_failing = false;
                self.message_left(now);
                Step::Sent
            }
            SendOutcome::Busy => Step::Until(now + Duration::from_millis(1)),
            SendOutcome::Failed(_) if !self.is_failing && current.tries < TRIES => {
                current.tries += 1;
                Step::Until(now + Duration::from_millis(1 << current.tries))
            }
            SendOutcome::Failed(reason) => {
                self.is_failing = true;
                self.lost_one(&reason, now);
                self.message_left(now);
                Step::Sent
            }
        }
    }

    /// Goes on to the next message.
    fn message_left(&mut self, now: Instant) {
        self.pace.left(1, now);
        if let Some(current) = &mut self.current {
            current.left += 1;
            current.tries = 0;
            if current.outgoing.messages().nth(current.left).is_none() {
                self.current = None;
            }
        }
    }

    fn lost_one(&mut self, reason: &str, now: Instant) {
        self.thread.shared.lost.fetch_add(1, Ordering::Relaxed);
        let unsaid = self.failures.settle(now).unwrap_or(0);
        if self.failures.add(now) || unsaid > 0 {
            let total = self.failures.total();
            tracing::warn!(
                instance = %self.thread.name,
                "somebody who is connected takes no more messages, {total} are lost so far: {reason}"
            );
        }
    }

    /// The backend is closed: of what waits, the last values still go out, for a short time.
    fn finish(&mut self) {
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        self.take_commands();
        if !matches!(self.port, PortState::Open(_)) {
            return;
        }
        let mut waiting = vec![false; self.last.len()];
        while let Some(value) = self.take() {
            waiting.get_mut(value.slot as usize).into_iter().for_each(|waits| *waits = true);
        }
        self.resend.extend((0..).zip(waiting).filter_map(|(slot, waits)| waits.then_some(slot)));
        // faster than `rate`: the devices have space for a burst, and nothing follows
        self.pace = RateLimiter::new(u32::MAX, Instant::now());
        loop {
            let now = Instant::now();
            let drained = match &mut self.port {
                PortState::Open(port) => port.is_drained(),
                _ => true,
            };
            let nothing_left = self.current.is_none() && self.resend.is_empty();
            if now >= deadline || nothing_left && drained {
                return;
            }
            let until = match self.step(now) {
                Step::Sent => continue,
                Step::Until(time) => time,
                Step::Nothing => now + Duration::from_millis(1),
            };
            thread::sleep(until.min(deadline).saturating_duration_since(now));
        }
    }
}

#[cfg(test)]
mod tests;
