//! Channel numbers, where the show and the worker that serves count channels in different ways.
//!
//! A worker knows the channels of the show that it was started with. After a HUP the show may have
//! others, and the worker goes on until one that knows them takes over. Until then every event is
//! translated, in both directions, by the names of the channels: a number of the one side never
//! stands for a channel of the other.

use mm_shared::ChannelId;
use std::collections::HashMap;

/// The numbers that the same channels have on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// By the show's number.
    to_worker: Vec<Option<ChannelId>>,
    /// By the worker's number.
    to_show: Vec<Option<ChannelId>>,
}

impl Translation {
    /// Compares the names of the mapped channels, in the order of their numbers. `None`: both sides
    /// have the same.
    #[must_use]
    pub fn new<'w, 's>(
        worker: impl Iterator<Item = &'w str> + Clone,
        show: impl Iterator<Item = &'s str> + Clone,
    ) -> Option<Self> {
        if worker.clone().eq(show.clone()) {
            return None;
        }
        let numbers: HashMap<&str, ChannelId> = worker.clone().zip((0..).map(ChannelId)).collect();
        let to_worker: Vec<_> = show.map(|name| numbers.get(name).copied()).collect();
        let mut to_show = vec![None; worker.count()];
        for (known, number) in to_worker.iter().zip((0..).map(ChannelId)) {
            if let Some(known) = known {
                to_show[known.index()] = Some(number);
            }
        }
        Some(Self { to_worker, to_show })
    }

    /// The worker's number of a channel of the show, if the worker knows it.
    #[inline]
    #[must_use]
    pub fn to_worker(&self, channel: ChannelId) -> Option<ChannelId> {
        self.to_worker.get(channel.index()).copied().flatten()
    }

    /// The show's number of a channel that the worker knows, if mappings use it.
    #[inline]
    #[must_use]
    pub fn to_show(&self, channel: ChannelId) -> Option<ChannelId> {
        self.to_show.get(channel.index()).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translation(worker: &str, show: &str) -> Option<Translation> {
        Translation::new(worker.split(' '), show.split(' '))
    }

    #[test]
    fn equal_channels_need_no_translation() {
        assert_eq!(translation("a b", "a b"), None);
    }

    #[test]
    fn each_channel_is_found_by_its_name_in_both_directions() {
        let translation = translation("a b c", "c new a").expect("they differ");
        let to_worker = |channel| translation.to_worker(ChannelId(channel)).map(|number| number.0);
        let to_show = |channel| translation.to_show(ChannelId(channel)).map(|number| number.0);
        assert_eq!([0, 1, 2, 3].map(to_worker), [Some(2), None, Some(0), None]);
        assert_eq!([0, 1, 2, 3].map(to_show), [Some(2), None, Some(0), None]);
    }
}
