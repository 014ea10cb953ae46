//! How many messages a worker may send: one that sends without pause would take a good part of the
//! loop's time, a few at a time. Beyond the bound its channel is not read for a moment; what it
//! sends waits in the pipe, and then in the worker.
//!
//! Names of channels are not counted: their number is bounded, and a script may add them all while
//! its modules are imported.

use mm_shared::control::FromWorker;
use std::time::{Duration, Instant};

/// Messages per interval.
const MESSAGES_LIMIT: u32 = 100;

/// The time for which they are counted.
const INTERVAL: Duration = Duration::from_millis(100);

/// Counts the messages of one worker.
#[derive(Debug, Default)]
pub struct MessagePace {
    begun: Option<Instant>,
    count: u32,
    paused_until: Option<Instant>,
}

impl MessagePace {
    /// Counts a message. Returns whether no more are to be read before [`MessagePace::deadline`].
    pub fn count(&mut self, message: &FromWorker, now: Instant) -> bool {
        if matches!(message, FromWorker::Channel { .. }) {
            return false;
        }
        let begun = match self.begun {
            Some(begun) if now < begun + INTERVAL => begun,
            _ => {
                self.count = 0;
                now
            }
        };
        self.begun = Some(begun);
        self.count += 1;
        if self.count < MESSAGES_LIMIT {
            return false;
        }
        self.paused_until = Some(begun + INTERVAL);
        true
    }

    /// Until when no messages are read.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Ends a pause. Returns whether there was one.
    pub fn resume(&mut self) -> bool {
        self.paused_until.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_paused_beyond_their_rate_and_names_are_not() {
        let (mut pace, start) = (MessagePace::default(), Instant::now());
        let name = FromWorker::Channel { number: 1, name: "n".into() };
        assert!((0..10_000).all(|_| !pace.count(&name, start)));
        assert!((1..MESSAGES_LIMIT).all(|_| !pace.count(&FromWorker::Yielded, start)));
        assert!(pace.count(&FromWorker::Yielded, start));
        assert_eq!(pace.deadline(), Some(start + INTERVAL));
        assert!(pace.resume());
        assert!(!pace.count(&FromWorker::Yielded, start + INTERVAL));
        assert!(!pace.resume());
    }
}
