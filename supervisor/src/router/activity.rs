//! What has passed each channel of the show: the last value in both directions, when, and how often.

use super::table::SourceIndex;
use std::time::{Duration, Instant};

/// What has passed a channel in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passage {
    /// The last value; NaN before the first.
    value: f64,
    /// How many values have passed since the show started.
    count: u64,
    /// When the last one did, in milliseconds since the show started.
    at_ms: u64,
}

/// The last value that passed a channel in one direction, for a person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastPassage {
    /// The value.
    pub value: f64,
    /// How many values have passed since the show started; 0 for one from before.
    pub count: u64,
    /// How long ago the last one passed; `None` for one from before the show was started.
    pub age: Option<Duration>,
}

const NEVER: Passage = Passage { value: f64::NAN, count: 0, at_ms: 0 };

/// What has passed the channels of a show, by [`SourceIndex`].
#[derive(Debug)]
pub struct ChannelActivity {
    /// From the instance to the router.
    arrived: Vec<Passage>,
    /// From the router to the instance.
    delivered: Vec<Passage>,
    started: Instant,
    now_ms: u64,
}

impl ChannelActivity {
    /// Nothing has passed these `channels` yet.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        let passages = vec![NEVER; channels];
        Self { arrived: passages.clone(), delivered: passages, started: Instant::now(), now_ms: 0 }
    }

    /// The time of what is noted from here on.
    pub fn set_time(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.started);
        self.now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    }

    /// A value came from an instance.
    #[inline]
    pub fn note_arrival(&mut self, source: SourceIndex, value: f64) {
        note(&mut self.arrived, source, value, self.now_ms);
    }

    /// A value was handed to an instance.
    #[inline]
    pub fn note_delivery(&mut self, source: SourceIndex, value: f64) {
        note(&mut self.delivered, source, value, self.now_ms);
    }

    /// A channel had been handed this value before the supervisor was started again.
    pub fn restore_delivery(&mut self, source: SourceIndex, value: f64) {
        if let Some(passage) = self.delivered.get_mut(source.index()) {
            passage.value = value;
        }
    }

    /// The same for a value that had come from an instance.
    pub fn restore_arrival(&mut self, source: SourceIndex, value: f64) {
        if let Some(passage) = self.arrived.get_mut(source.index()) {
            passage.value = value;
        }
    }

    /// What came last from an instance.
    #[must_use]
    pub fn arrival(&self, source: SourceIndex) -> Option<LastPassage> {
        self.last(self.arrived.get(source.index())?)
    }

    /// What an instance was handed last.
    #[must_use]
    pub fn delivery(&self, source: SourceIndex) -> Option<LastPassage> {
        self.last(self.delivered.get(source.index())?)
    }

    /// The same for a new table of `channels`. `place` gives the new number of a channel that is
    /// still there.
    #[must_use]
    pub fn renumbered(&self, channels: usize, place: impl Fn(SourceIndex) -> Option<SourceIndex>) -> Self {
        let mut new = Self { started: self.started, now_ms: self.now_ms, ..Self::new(channels) };
        for (number, (arrived, delivered)) in (0..).zip(self.arrived.iter().zip(&self.delivered)) {
            if let Some(index) = place(SourceIndex(number)).map(SourceIndex::index) {
                new.arrived[index] = *arrived;
                new.delivered[index] = *delivered;
            }
        }
        new
    }

    fn last(&self, passage: &Passage) -> Option<LastPassage> {
        let Passage { value, count, at_ms } = *passage;
        let age = (count > 0).then(|| Duration::from_millis(self.now_ms.saturating_sub(at_ms)));
        (!value.is_nan()).then_some(LastPassage { value, count, age })
    }
}

#[inline]
fn note(passages: &mut [Passage], source: SourceIndex, value: f64, at_ms: u64) {
    if let Some(passage) = passages.get_mut(source.index()) {
        *passage = Passage { value, count: passage.count + 1, at_ms };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_is_counted_for_itself() {
        let mut activity = ChannelActivity::new(2);
        let start = activity.started;
        activity.set_time(start + Duration::from_secs(1));
        activity.note_arrival(SourceIndex(0), 0.25);
        activity.note_arrival(SourceIndex(0), 0.5);
        activity.restore_delivery(SourceIndex(1), 0.75);
        activity.set_time(start + Duration::from_secs(3));
        let arrival = activity.arrival(SourceIndex(0));
        assert_eq!(arrival, Some(LastPassage { value: 0.5, count: 2, age: Some(Duration::from_secs(2)) }));
        assert_eq!(activity.delivery(SourceIndex(0)), None);
        let restored = activity.delivery(SourceIndex(1));
        assert_eq!(restored, Some(LastPassage { value: 0.75, count: 0, age: None }));
        assert_eq!(activity.arrival(SourceIndex(9)), None);
    }

    #[test]
    fn what_has_passed_stays_with_its_channel() {
        let mut activity = ChannelActivity::new(2);
        activity.note_delivery(SourceIndex(1), 0.5);
        let new = activity.renumbered(3, |old| (old == SourceIndex(1)).then_some(SourceIndex(2)));
        assert_eq!(new.delivery(SourceIndex(2)).map(|last| last.value), Some(0.5));
        assert_eq!(new.delivery(SourceIndex(1)), None);
    }
}
