//! How the event loop may idle, as far as workers are concerned: until one rings, or for a nap.
//!
//! A worker rings for the first event that it sends while the loop sleeps. A busy worker may do so
//! for every event: the loop takes it, sends it on, sleeps again, and has interrupted another
//! thread for it. So a worker that has just sent something and has more to do does not ring before
//! it runs out of work. The loop naps in the meantime: it looks again by itself within a
//! millisecond, and every other source wakes it as usual.

use super::WakeupMode;
use super::constants::{BACKLOG_LIMIT, NAP_TIMEOUT, STREAM_LIMIT, STREAM_NAP_TIMEOUT};
use std::cmp::Reverse;
use std::time::Instant;

/// How the loop may idle; the greatest of several is the one that satisfies all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdleMode {
    /// Until a worker rings.
    Block,
    /// Until a worker rings, but not beyond this moment.
    PollUntil(Reverse<Instant>),
    /// Not at all: a worker has sent something.
    Busy,
}

/// A nap that a busy worker allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it ends.
    pub until: Instant,
    /// Whether the worker has sent so much that a single event in hand makes it busy.
    is_streaming: bool,
}

impl Window {
    /// Whether the worker is busy, with `waiting` events in its ring; `has_event_in_hand`: one of
    /// its handlers runs.
    #[must_use]
    pub fn is_busy(&self, waiting: usize, has_event_in_hand: bool) -> bool {
        waiting >= BACKLOG_LIMIT || self.is_streaming && has_event_in_hand
    }
}

/// What one worker has sent lately, and the nap that this allows.
#[derive(Debug, Default)]
pub struct PollWindow {
    mode: WakeupMode,
    /// Events since the loop was idle last.
    received: usize,
    window: Option<Window>,
}

impl PollWindow {
    /// Nothing received yet.
    #[must_use]
    pub fn new(mode: WakeupMode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Counts events from the worker.
    #[inline]
    pub fn note_received(&mut self, count: usize) {
        self.received += count;
    }

    /// The nap that is allowed when the loop is about to idle. An interrupted nap goes on; after
    /// one without events there is none.
    #[inline]
    pub fn window(&mut self, now: Instant) -> Option<Window> {
        let is_streaming = self.received >= STREAM_LIMIT;
        if std::mem::take(&mut self.received) > 0 && self.mode.is_adaptive() {
            let timeout = if is_streaming { STREAM_NAP_TIMEOUT } else { NAP_TIMEOUT };
            self.window = Some(Window { until: now + timeout, is_streaming });
        }
        self.window = self.window.filter(|window| window.until > now);
        self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_naps_before_the_worker_was_heard_or_after_a_nap_in_vain() {
        let (mut poll, now) = (PollWindow::default(), Instant::now());
        assert_eq!(poll.window(now), None);
        poll.note_received(1);
        assert_eq!(poll.window(now), Some(Window { until: now + NAP_TIMEOUT, is_streaming: false }));
        assert_eq!(poll.window(now + NAP_TIMEOUT), None);
        assert_eq!(poll.window(now), None);
    }

    #[test]
    fn a_nap_that_was_interrupted_ends_when_it_would_have() {
        let (mut poll, now) = (PollWindow::default(), Instant::now());
        poll.note_received(1);
        let window = poll.window(now);
        assert_eq!(poll.window(now + NAP_TIMEOUT / 2), window);
        poll.note_received(1);
        let later = now + NAP_TIMEOUT / 2;
        assert_eq!(poll.window(later), Some(Window { until: later + NAP_TIMEOUT, is_streaming: false }));
    }

    #[test]
    fn a_worker_that_streams_is_looked_at_sooner() {
        let (mut poll, now) = (PollWindow::default(), Instant::now());
        poll.note_received(STREAM_LIMIT / 2);
        poll.note_received(STREAM_LIMIT / 2);
        let window = poll.window(now).expect("a window");
        assert_eq!(window, Window { until: now + STREAM_NAP_TIMEOUT, is_streaming: true });
        assert!(window.is_busy(0, true) && !window.is_busy(1, false));
    }

    #[test]
    fn of_several_rests_the_shortest_counts() {
        let now = Instant::now();
        let (soon, later) =
            (IdleMode::PollUntil(Reverse(now)), IdleMode::PollUntil(Reverse(now + NAP_TIMEOUT)));
        assert_eq!([IdleMode::Block, soon, later].into_iter().max(), Some(soon));
        assert_eq!([IdleMode::Busy, soon].into_iter().max(), Some(IdleMode::Busy));
    }

    #[test]
    fn in_plain_mode_nobody_naps() {
        let (mut poll, now) = (PollWindow::new(WakeupMode::Plain), Instant::now());
        poll.note_received(STREAM_LIMIT);
        assert_eq!(poll.window(now), None);
    }
}
