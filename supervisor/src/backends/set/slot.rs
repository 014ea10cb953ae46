//! A slot of the set: a backend with its plan, and whether it is open.

use crate::backends::{Backend, Plan};
use crate::ids::InstanceId;
use crate::show::LiveShow;
use crate::show::change::ShowChange;
use mm_shared::ChannelId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The time after its first failure at which a backend is opened again. Each further failure
/// doubles it.
const FIRST_RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The longest time between two attempts. A backend that was open for that long starts with the
/// shortest time again.
const LAST_RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How far the backend of a slot is open.
pub enum SlotState {
    /// Not open: a timer of the set opens it.
    Waiting,
    Open(Box<dyn Backend>),
    /// It was told to close, and is dropped at the deadline at the latest.
    Closing {
        backend: Box<dyn Backend>,
        deadline: Instant,
        /// Its events are dropped: it knows channels by the numbers of the last show.
        is_muted: bool,
    },
}

/// A backend, and the plan to open it by.
pub struct BackendSlot {
    /// `None`: the show no longer has the backend, and the slot ends when the backend is closed.
    pub plan: Option<Box<dyn Plan>>,
    pub state: SlotState,
    /// By local index.
    pub instances: Vec<InstanceId>,
    /// The names of the instances as the log shows them.
    pub names: String,
    /// Whether the backend took an event in this step, which is to be flushed.
    pub touched: bool,
    /// Whether a backend was open in it before.
    pub was_open: bool,
    /// The values from before the supervisor was started again, for a backend that was not open yet,
    /// and whether each was routed there or came in.
    pub restored: BTreeMap<(InstanceId, ChannelId), Vec<(f64, bool)>>,
    /// The last value of each channel that arrived while the backend was not open.
    pub missed: BTreeMap<(InstanceId, ChannelId), f64>,
    pub retry: RetryInterval,
    /// Why the backend is not open, for `status`.
    pub fault: Option<String>,
}

impl BackendSlot {
    /// A slot whose backend is not open yet.
    pub fn new(plan: Box<dyn Plan>, show: &LiveShow) -> Self {
        let mut this = Self {
            plan: None,
            state: SlotState::Waiting,
            instances: Vec::new(),
            names: String::new(),
            touched: false,
            was_open: false,
            restored: BTreeMap::new(),
            missed: BTreeMap::new(),
            retry: RetryInterval::default(),
            fault: None,
        };
        this.set_plan(plan, show);
        this
    }

    /// The values that are kept have the numbers of the new show from now on.
    pub fn renumber(&mut self, change: &ShowChange) {
        renumber(&mut self.restored, change);
        renumber(&mut self.missed, change);
    }

    /// Takes over a new plan and its instances.
    pub fn set_plan(&mut self, plan: Box<dyn Plan>, show: &LiveShow) {
        self.instances = plan.instances();
        let named = self.instances.iter().filter_map(|id| show.instance(*id));
        self.names = named.map(|instance| format!("`{}`", instance.name)).collect::<Vec<_>>().join(", ");
        self.plan = Some(plan);
    }
}

fn renumber<V>(kept: &mut BTreeMap<(InstanceId, ChannelId), V>, change: &ShowChange) {
    if kept.keys().any(|(instance, _)| change.is_renumbered(*instance)) {
        let all = std::mem::take(kept).into_iter();
        *kept = all
            .filter_map(|((id, channel), value)| Some(((id, change.channel(id, channel)?), value)))
            .collect();
    }
}

/// How long to wait before a backend is opened again.
#[derive(Debug)]
pub struct RetryInterval {
    next: Duration,
    opened: Option<Instant>,
}

impl Default for RetryInterval {
    fn default() -> Self {
        Self { next: FIRST_RETRY_INTERVAL, opened: None }
    }
}

impl RetryInterval {
    /// The backend was opened.
    pub fn note_open(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// The backend failed: the time until the next attempt.
    pub fn after_failure(&mut self, now: Instant) -> Duration {
        let opened = self.opened.take();
        if opened.is_some_and(|opened| now.saturating_duration_since(opened) >= LAST_RETRY_INTERVAL) {
            self.next = FIRST_RETRY_INTERVAL;
        }
        let pause = self.next;
        self.next = (self.next * 2).min(LAST_RETRY_INTERVAL);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_attempts_grows_to_ten_seconds_and_starts_again_after_a_good_time() {
        let (mut retry, now) = (RetryInterval::default(), Instant::now());
        let pauses: Vec<u128> = (0..7).map(|_| retry.after_failure(now).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
        retry.note_open(now);
        assert_eq!(retry.after_failure(now + Duration::from_secs(1)).as_secs(), 10, "it panicked at once");
        retry.note_open(now);
        assert_eq!(retry.after_failure(now + LAST_RETRY_INTERVAL), FIRST_RETRY_INTERVAL);
    }
}
