//! How long things took, in buckets that grow with the time: four for each doubling of nanoseconds,
//! so that a percentile is right to within a quarter.

use std::time::Duration;

/// Number of buckets. The last one also holds all that took longer than about 36 minutes.
pub const BUCKETS: usize = 160;

/// Counts of times by length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: Box::new([0; BUCKETS]), max: 0 }
    }
}

impl Histogram {
    /// From counts by bucket, and the longest time in nanoseconds. `None` if so many and so long
    /// times, one after the other, cannot have passed within `age`.
    pub(crate) fn from_counts(
        counts: impl Iterator<Item = u64>,
        max: u64,
        age: Duration,
    ) -> Option<Histogram> {
        let mut histogram = Histogram { max, ..Histogram::default() };
        histogram.counts.iter_mut().zip(counts).for_each(|(to, from)| *to = from);
        let shortest = |index: usize| if index == 0 { 0 } else { last(index - 1).saturating_add(1) };
        let times = histogram.counts.iter().enumerate();
        let sum = times.fold(0, |sum: u128, (index, count)| {
            sum.saturating_add(u128::from(*count) * u128::from(shortest(index)))
        });
        let is_possible = sum <= age.as_nanos() && u128::from(max) <= age.as_nanos();
        is_possible.then_some(histogram)
    }

    /// Counts one time, in nanoseconds. Returns how many its bucket holds now.
    #[inline]
    pub fn record(&mut self, nanos: u64) -> u64 {
        self.max = self.max.max(nanos);
        let Some(count) = self.counts.get_mut(bucket(nanos)) else { return 0 };
        *count = count.saturating_add(1);
        *count
    }

    /// The longest time in nanoseconds, 0 when nothing was counted.
    #[inline]
    pub(crate) fn longest(&self) -> u64 {
        self.max
    }

    /// Adds the counts of `other`, such as those of an earlier worker.
    pub fn merge(&mut self, other: &Histogram) {
        let pairs = self.counts.iter_mut().zip(other.counts.iter());
        pairs.for_each(|(to, from)| *to = to.saturating_add(*from));
        self.max = self.max.max(other.max);
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The longest time.
    pub fn max(&self) -> Option<Duration> {
        (self.count() > 0).then(|| Duration::from_nanos(self.max))
    }

    /// The time that a share of `part` (0.0 to 1.0) did not exceed, rounded up to the end of its
    /// bucket; nothing when nothing was counted.
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = (count as f64 * part.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut sum = 0u64;
        for (index, here) in self.counts.iter().enumerate() {
            sum = sum.saturating_add(*here);
            if count > 0 && sum as f64 >= wanted {
                return Some(Duration::from_nanos(last(index).min(self.max)));
            }
        }
        None
    }
}

/// The bucket for a time in nanoseconds.
#[inline]
pub(crate) fn bucket(nanos: u64) -> usize {
    if nanos < 4 {
        return nanos as usize;
    }
    let top = nanos.ilog2();
    let quarter = (nanos >> (top - 2)) & 3;
    ((top as usize - 1) * 4 + quarter as usize).min(BUCKETS - 1)
}

/// The longest time that goes into a bucket.
fn last(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    if bucket >= BUCKETS - 1 {
        return u64::MAX;
    }
    let (top, quarter) = (bucket / 4 + 1, bucket as u64 % 4);
    ((5 + quarter) << (top - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, bucket, last};
    use std::time::Duration;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(last(index)), index);
            assert_eq!(bucket(last(index) + 1), index + 1);
        }
    }

    #[test]
    fn the_longest_time_goes_into_the_last_bucket() {
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_counted_gives_no_percentile() {
        assert_eq!(Histogram::default().percentile(0.5), None);
        assert_eq!(Histogram::default().max(), None);
    }

    #[test]
    fn a_percentile_is_right_to_within_a_quarter() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|micros| {
            histogram.record(micros * 1000);
        });
        let p50 = histogram.percentile(0.5).expect("counted");
        let p100 = histogram.percentile(1.0).expect("counted");
        assert!((Duration::from_micros(500)..Duration::from_micros(625)).contains(&p50), "{p50:?}");
        assert_eq!(p100, Duration::from_millis(1));
    }

    #[test]
    fn counts_of_any_size_are_added_up_without_overflow() {
        let mut histogram = Histogram { counts: Box::new([u64::MAX; BUCKETS]), max: u64::MAX };
        histogram.merge(&histogram.clone());
        assert_eq!(histogram.count(), u64::MAX);
        assert!(histogram.percentile(0.99).is_some());
    }
}
