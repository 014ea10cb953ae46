//! The thread that sends: at a limited rate, in order, and the last values again when a device is
//! back. When the backend is closed, it sends what is left for a short time and ends by itself.

use super::channel::ChannelAddress;
use super::codec::{AddressedValue, MessageSequence, encode};
use super::port::{SendOutcome, TxPort};
use super::rate_limiter::RateLimiter;
use super::tx_queue::{SharedTxQueue, TxOverflow, TxValue};
use mm_shared::LogThrottle;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a message that was not accepted is sent again. The pauses double from one millisecond.
const RETRY_LIMIT: u32 = 5;

/// How soon a port without space is tried again.
const BUSY_INTERVAL: Duration = Duration::from_millis(1);

/// How long values are still sent after the backend was closed.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(150);

/// Commands to the thread.
pub enum TxCommand {
    /// Send through this port; the devices that are present are connected.
    UsePort(Box<dyn TxPort>),
    /// The port is gone.
    ClosePort,
    /// A device was connected: send the last value of every channel again.
    ResendValues,
    /// The backend is closed: send what is left, these values last, and end.
    Finish(TxOverflow),
}

/// Counters that the loop reads.
#[derive(Debug, Default)]
pub struct TxCounters {
    /// Messages that a connected client has not accepted.
    pub dropped: AtomicU64,
}

/// What the thread needs.
pub struct TxThread {
    /// The name of the instance.
    pub name: String,
    /// By slot.
    pub addresses: Vec<ChannelAddress>,
    /// Whether a parameter is deselected after it was set.
    pub deselect: bool,
    /// Messages per second.
    pub rate: u32,
    pub queue: SharedTxQueue,
    pub commands: Receiver<TxCommand>,
    pub counters: Arc<TxCounters>,
}

impl TxThread {
    /// Sends until the backend is closed.
    pub fn run(self) {
        let mut tx = TxLoop {
            port: PortState::Pending,
            limiter: RateLimiter::new(self.rate, Instant::now()),
            last: vec![None; self.addresses.len()],
            resend: VecDeque::new(),
            current: None,
            failures: LogThrottle::new(1, Duration::from_secs(10)),
            is_failing: false,
            thread: self,
        };
        loop {
            if let Flow::Finish(overflow) = tx.take_commands() {
                return tx.finish(overflow);
            }
            match tx.step(Instant::now()) {
                Step::Sent => {}
                Step::WaitUntil(time) => thread::park_timeout(time.saturating_duration_since(Instant::now())),
                Step::Idle => thread::park(),
            }
        }
    }
}

/// The port, as far as there is one.
enum PortState {
    /// The ports were not opened yet: values wait, so that the first ones are not lost.
    Pending,
    Open(Box<dyn TxPort>),
    /// There is no port: only the last values are kept.
    Closed,
}

enum Flow {
    Continue,
    /// The backend is closed; these values found no space in the queue.
    Finish(Option<TxOverflow>),
}

enum Step {
    Sent,
    WaitUntil(Instant),
    Idle,
}

/// A value whose messages are being sent.
struct CurrentValue {
    messages: MessageSequence,
    /// Messages of it that were sent.
    sent: usize,
    /// Retries of the next message.
    retries: u32,
}

/// The state of the thread.
struct TxLoop {
    thread: TxThread,
    port: PortState,
    limiter: RateLimiter,
    /// The last value of each slot.
    last: Vec<Option<u16>>,
    /// Slots whose last values are to be sent again.
    resend: VecDeque<u32>,
    current: Option<CurrentValue>,
    failures: LogThrottle,
    /// A connected client accepts no messages in spite of all retries: there are no retries for it.
    is_failing: bool,
}

impl TxLoop {
    fn take_commands(&mut self) -> Flow {
        loop {
            match self.thread.commands.try_recv() {
                Ok(TxCommand::UsePort(port)) => {
                    self.port = PortState::Open(port);
                    self.resend_values();
                }
                Ok(TxCommand::ClosePort) => {
                    self.port = PortState::Closed;
                    self.current = None;
                }
                Ok(TxCommand::ResendValues) => self.resend_values(),
                Ok(TxCommand::Finish(overflow)) => return Flow::Finish(Some(overflow)),
                Err(TryRecvError::Empty) => return Flow::Continue,
                Err(TryRecvError::Disconnected) => return Flow::Finish(None),
            }
        }
    }

    fn resend_values(&mut self) {
        let known = (0..).zip(&self.last).filter(|(_, last)| last.is_some());
        self.resend = known.map(|(slot, _)| slot).collect();
    }

    /// Sends one message, if there is one and its time has come.
    fn step(&mut self, now: Instant) -> Step {
        match self.port {
            PortState::Pending => return Step::Idle,
            PortState::Closed => {
                while self.take_value().is_some() {}
                return Step::Idle;
            }
            PortState::Open(_) => {}
        }
        let next = self.limiter.next_allowed(now);
        let has_work = self.current.is_some() || !self.resend.is_empty() || !self.thread.queue.is_empty();
        if next > now && has_work {
            return Step::WaitUntil(next);
        }
        if self.current.is_none() {
            let next_value = self.next_value();
            self.current = next_value.map(|messages| CurrentValue { messages, sent: 0, retries: 0 });
        }
        self.send_current(now)
    }

    fn next_value(&mut self) -> Option<MessageSequence> {
        let value = match self.resend.pop_front() {
            Some(slot) => TxValue { slot, raw: (*self.last.get(slot as usize)?)? },
            None => self.take_value()?,
        };
        let address = *self.thread.addresses.get(value.slot as usize)?;
        Some(encode(AddressedValue { address, raw: value.raw }, self.thread.deselect))
    }

    /// Takes a value out of the queue and remembers it.
    fn take_value(&mut self) -> Option<TxValue> {
        let value = self.thread.queue.pop()?;
        self.remember(value);
        Some(value)
    }

    fn remember(&mut self, value: TxValue) {
        if let Some(last) = self.last.get_mut(value.slot as usize) {
            *last = Some(value.raw);
        }
    }

    fn send_current(&mut self, now: Instant) -> Step {
        let (Some(current), PortState::Open(port)) = (&mut self.current, &mut self.port) else {
            return Step::Idle;
        };
        let Some(message) = current.messages.messages().nth(current.sent) else {
            self.current = None;
            return Step::Sent;
        };
        let (bytes, length) = message.bytes();
        match port.send(&bytes[..length]) {
            SendOutcome::Sent => {
                self.is_failing = false;
                self.next_message(now);
                Step::Sent
            }
            SendOutcome::Busy => Step::WaitUntil(now + BUSY_INTERVAL),
            SendOutcome::Failed(_) if !self.is_failing && current.retries < RETRY_LIMIT => {
                current.retries += 1;
                Step::WaitUntil(now + Duration::from_millis(1 << current.retries))
            }
            SendOutcome::Failed(reason) => {
                self.is_failing = true;
                self.count_dropped(&reason, now);
                self.next_message(now);
                Step::Sent
            }
        }
    }

    /// Goes on to the next message of the current value.
    fn next_message(&mut self, now: Instant) {
        self.limiter.record_sent(1, now);
        if let Some(current) = &mut self.current {
            current.sent += 1;
            current.retries = 0;
            if current.messages.messages().nth(current.sent).is_none() {
                self.current = None;
            }
        }
    }

    fn count_dropped(&mut self, reason: &str, now: Instant) {
        self.thread.counters.dropped.fetch_add(1, Ordering::Relaxed);
        if self.failures.hit(now).is_some() {
            let total = self.failures.total();
            tracing::warn!(
                event = "midi_output_dropped",
                instance = %self.thread.name,
                "a connected MIDI client is not accepting messages; {total} dropped so far: {reason}"
            );
        }
    }

    /// Sends the last value of each channel that still waits, until [`SHUTDOWN_TIMEOUT`] is over.
    fn finish(mut self, overflow: Option<TxOverflow>) {
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        if !matches!(self.port, PortState::Open(_)) {
            return;
        }
        self.collect_waiting(overflow);
        // Faster than `rate`: devices have space for a burst, and nothing follows.
        self.limiter = RateLimiter::new(u32::MAX, Instant::now());
        loop {
            let now = Instant::now();
            let is_drained = match &mut self.port {
                PortState::Open(port) => port.is_drained(),
                _ => true,
            };
            let is_done = self.current.is_none() && self.resend.is_empty() && is_drained;
            if is_done || now >= deadline {
                return;
            }
            let until = match self.step(now) {
                Step::Sent => continue,
                Step::WaitUntil(time) => time,
                Step::Idle => now + BUSY_INTERVAL,
            };
            thread::sleep(until.min(deadline).saturating_duration_since(now));
        }
    }

    /// Conflates the values that wait, in the queue and in `overflow`, into `resend`.
    fn collect_waiting(&mut self, overflow: Option<TxOverflow>) {
        let mut is_waiting = vec![false; self.last.len()];
        let mut mark =
            |slot: u32| is_waiting.get_mut(slot as usize).into_iter().for_each(|slot| *slot = true);
        while let Some(value) = self.take_value() {
            mark(value.slot);
        }
        let mut overflow = overflow;
        while let Some(value) = overflow.as_mut().and_then(TxOverflow::pop) {
            self.remember(value);
            mark(value.slot);
        }
        self.resend.extend((0..).zip(is_waiting).filter_map(|(slot, is_waiting)| is_waiting.then_some(slot)));
    }
}

#[cfg(test)]
mod tests;
