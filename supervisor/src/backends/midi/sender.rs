//! The thread that sends: paced, in order, and with the last values once more when a device has come back.

use super::channel::Address;
use super::codec::{Outgoing, Reading, write};
use super::outbox::{Queue, Value};
use super::pace::Pace;
use super::port::{Outlet, Sending};
use crate::backends::log_throttle::LogThrottle;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender as Mailbox};
use std::thread;
use std::time::{Duration, Instant};

/// How often a message is tried again that somebody has not got. The pauses double from one millisecond.
const TRIES: u32 = 5;

/// How long the end of the show waits for what is still to be sent.
pub const FAREWELL: Duration = Duration::from_millis(150);

/// What the keeper of the ports tells.
pub enum Word {
    /// Here is a port, with everything connected that is there.
    Outlet(Box<dyn Outlet>),
    /// There is none at the moment.
    NoOutlet,
    /// A device was connected: it gets the last values.
    Refresh,
}

/// What the loop and the thread both know.
#[derive(Debug, Default)]
pub struct Shared {
    /// Set when the backend is closed.
    pub ending: AtomicBool,
    /// Messages that somebody has not got.
    pub lost: AtomicU64,
}

/// What a thread needs that sends for an instance.
pub struct Sender {
    pub name: String,
    pub addresses: Vec<Address>,
    pub deselect: bool,
    pub rate: u32,
    pub queue: Queue,
    pub words: Receiver<Word>,
    pub shared: Arc<Shared>,
    /// Told when all is sent at the end.
    pub done: Mailbox<()>,
}

impl Sender {
    /// Sends until the backend is closed.
    pub fn run(self) {
        let now = Instant::now();
        let pace = Pace::new(self.rate, now);
        let last = vec![None; self.addresses.len()];
        let failures = LogThrottle::new(1, Duration::from_secs(10));
        let (outlet, again, current) = (Outletting::NotYet, VecDeque::new(), None);
        let mut work = Work { sender: self, outlet, pace, last, again, current, failures, choked: false };
        while !work.sender.shared.ending.load(Ordering::SeqCst) {
            work.hear();
            match work.step(Instant::now()) {
                Step::Sent => {}
                Step::Until(time) => thread::park_timeout(time.saturating_duration_since(Instant::now())),
                Step::Nothing => thread::park(),
            }
        }
        work.finish();
        // the backend may have stopped waiting
        let _ = work.sender.done.send(());
    }
}

/// Whether there is a port to send through.
enum Outletting {
    /// The keeper has not looked yet: values wait, so that the first ones are not lost.
    NotYet,
    Open(Box<dyn Outlet>),
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
    outgoing: Outgoing,
    /// Messages of it that have left.
    left: usize,
    tries: u32,
}

struct Work {
    sender: Sender,
    outlet: Outletting,
    pace: Pace,
    /// By slot.
    last: Vec<Option<u16>>,
    /// Slots whose last values are to be sent once more.
    again: VecDeque<u32>,
    current: Option<Current>,
    failures: LogThrottle,
    /// Somebody does not get what is sent, in spite of all tries: nobody waits for that one.
    choked: bool,
}

impl Work {
    /// Takes in what the keeper tells.
    fn hear(&mut self) {
        while let Ok(word) = self.sender.words.try_recv() {
            match word {
                Word::Outlet(outlet) => {
                    self.outlet = Outletting::Open(outlet);
                    self.refresh();
                }
                Word::NoOutlet => {
                    self.outlet = Outletting::Closed;
                    self.current = None;
                }
                Word::Refresh => self.refresh(),
            }
        }
    }

    fn refresh(&mut self) {
        let known = (0..).zip(&self.last).filter(|(_, last)| last.is_some());
        self.again = known.map(|(slot, _)| slot).collect();
    }

    /// Sends one message, if there is one and its time has come.
    fn step(&mut self, now: Instant) -> Step {
        match self.outlet {
            Outletting::NotYet => return Step::Nothing,
            Outletting::Closed => {
                while self.take().is_some() {}
                return Step::Nothing;
            }
            Outletting::Open(_) => {}
        }
        let next = self.pace.next(now);
        if next > now && (self.current.is_some() || !self.again.is_empty() || !self.sender.queue.is_empty()) {
            return Step::Until(next);
        }
        if self.current.is_none() {
            self.current = self.next_value().map(|outgoing| Current { outgoing, left: 0, tries: 0 });
        }
        self.send_current(now)
    }

    fn next_value(&mut self) -> Option<Outgoing> {
        let again = self.again.pop_front();
        let value = match again {
            Some(slot) => Value { slot, raw: (*self.last.get(slot as usize)?)? },
            None => self.take()?,
        };
        let address = *self.sender.addresses.get(value.slot as usize)?;
        Some(write(Reading { address, raw: value.raw }, self.sender.deselect))
    }

    /// Takes a value out of the queue and remembers it.
    fn take(&mut self) -> Option<Value> {
        let value = self.sender.queue.pop()?;
        if let Some(last) = self.last.get_mut(value.slot as usize) {
            *last = Some(value.raw);
        }
        Some(value)
    }

    fn send_current(&mut self, now: Instant) -> Step {
        let (Some(current), Outletting::Open(outlet)) = (&mut self.current, &mut self.outlet) else {
            return Step::Nothing;
        };
        let Some(message) = current.outgoing.messages().nth(current.left) else {
            self.current = None;
            return Step::Sent;
        };
        let (bytes, length) = message.bytes();
        match outlet.send(&bytes[..length]) {
            Sending::Done => {
                self.choked = false;
                self.message_left(now);
                Step::Sent
            }
            Sending::Busy => Step::Until(now + Duration::from_millis(1)),
            Sending::Failed(_) if !self.choked && current.tries < TRIES => {
                current.tries += 1;
                Step::Until(now + Duration::from_millis(1 << current.tries))
            }
            Sending::Failed(reason) => {
                self.choked = true;
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
        self.sender.shared.lost.fetch_add(1, Ordering::Relaxed);
        let unsaid = self.failures.settle(now).unwrap_or(0);
        if self.failures.add(now) || unsaid > 0 {
            let total = self.failures.total();
            tracing::warn!(
                instance = %self.sender.name,
                "somebody who is connected takes no more messages, {total} are lost so far: {reason}"
            );
        }
    }

    /// The backend is closed: of what waits, the last values still go out, for a short time.
    fn finish(&mut self) {
        let deadline = Instant::now() + FAREWELL;
        self.hear();
        if !matches!(self.outlet, Outletting::Open(_)) {
            return;
        }
        let mut waiting = vec![false; self.last.len()];
        while let Some(value) = self.take() {
            waiting.get_mut(value.slot as usize).into_iter().for_each(|waits| *waits = true);
        }
        self.again.extend((0..).zip(waiting).filter_map(|(slot, waits)| waits.then_some(slot)));
        // faster than `rate`: the devices have space for a burst, and nothing follows
        self.pace = Pace::new(u32::MAX, Instant::now());
        loop {
            let now = Instant::now();
            let drained = match &mut self.outlet {
                Outletting::Open(outlet) => outlet.is_drained(),
                _ => true,
            };
            let nothing_left = self.current.is_none() && self.again.is_empty();
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
#[path = "sender_tests.rs"]
mod tests;
