//! Notices that this process stood still, so that packets which wait in the sockets are read before
//! their senders are taken for lost.

use std::time::{Duration, Instant};

/// By how much the timer may be late. After a longer pause of this process, packets of sources that
/// seem to be lost may wait in the sockets.
const PAUSE_LIMIT: Duration = Duration::from_millis(100);
/// How long packets are read after such a pause until sources are lost.
const CATCH_UP_TIME: Duration = Duration::from_millis(200);

/// What the timer of a backend is set to, and whether it came too late.
#[derive(Debug, Default)]
pub struct PauseWatch {
    timer: Option<Instant>,
    /// No source is lost before.
    reads_until: Option<Instant>,
}

impl PauseWatch {
    /// Notes what the timer is set to now. Returns whether that is another time than before.
    pub fn set_timer(&mut self, deadline: Option<Instant>) -> bool {
        std::mem::replace(&mut self.timer, deadline) != deadline
    }

    /// The timer has come. Returns whether sources may be lost now; else packets are read first.
    pub fn timer_came(&mut self, now: Instant) -> bool {
        if self.timer.take().is_some_and(|set_to| set_to + PAUSE_LIMIT < now) {
            self.reads_until = Some(now + CATCH_UP_TIME);
        }
        self.reads_until = self.reads_until.filter(|until| *until > now);
        self.reads_until.is_none()
    }

    /// When a source that is due at `deadline` may be lost.
    #[must_use]
    pub fn not_before(&self, deadline: Instant) -> Instant {
        self.reads_until.map_or(deadline, |until| deadline.max(until))
    }
}
