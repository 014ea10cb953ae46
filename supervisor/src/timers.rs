//! The one timer queue of the event loop: what is due next, and for whom.
//!
//! Each part of the loop that waits for a time has a key and at most one deadline, the earliest of
//! its own. It sets the deadline again whenever that changes, and is called when it has come.
//! Setting costs the logarithm of the number of keys only if the deadline has changed; asking for
//! the earliest costs nothing.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// Deadlines by key.
#[derive(Debug)]
pub struct Timers<K> {
    by_key: HashMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

// derived, it would ask for `K: Default`
impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Copy + Eq + Hash + Ord> Timers<K> {
    /// Sets the deadline of `key`, in place of the one it had; `None` ends it.
    pub fn set(&mut self, key: K, deadline: Option<Instant>) {
        let old = match deadline {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if old == deadline {
            return;
        }
        if let Some(old) = old {
            self.by_time.remove(&(old, key));
        }
        if let Some(at) = deadline {
            self.by_time.insert((at, key));
        }
    }

    /// Ends all timers but those whose key is to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        self.by_key.retain(|key, _| keep(key));
        let by_key = &self.by_key;
        self.by_time.retain(|(_, key)| by_key.contains_key(key));
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out a key whose deadline has come, the earliest first.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (_, key) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.set(key, None);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn deadlines_come_in_order_and_once() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        timers.set('b', Some(at(2)));
        timers.set('a', Some(at(1)));
        timers.set('c', Some(at(3)));
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop_due(now), None);
        assert_eq!(
            [timers.pop_due(at(2)), timers.pop_due(at(2)), timers.pop_due(at(2))],
            [Some('a'), Some('b'), None]
        );
        assert_eq!(timers.next(), Some(at(3)));
    }

    #[test]
    fn the_last_deadline_of_a_key_counts() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.set(1, Some(now));
        timers.set(1, Some(now + Duration::from_secs(1)));
        assert_eq!(timers.pop_due(now), None);
        timers.set(1, None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn timers_that_are_not_kept_never_come() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        (0..4).for_each(|key| timers.set(key, Some(now)));
        timers.retain(|key| key % 2 == 1);
        assert_eq!([timers.pop_due(now), timers.pop_due(now), timers.pop_due(now)], [Some(1), Some(3), None]);
    }
}
