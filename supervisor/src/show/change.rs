//! What differs between the show that runs and the one that takes its place.

use crate::ids::InstanceId;
use mm_config::{Channel, Instance, Show};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter};

/// What a new show file means for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceChange {
    /// It is new.
    Added,
    /// Its options or channels are others.
    Changed,
    /// It is the same to the letter.
    Unchanged,
    /// It is no longer in the show.
    Removed,
}

/// What a new show file means for each instance of the old and of the new show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShowChange {
    instances: BTreeMap<InstanceId, InstanceChange>,
}

impl ShowChange {
    /// Adds what happens to an instance.
    pub fn insert(&mut self, id: InstanceId, change: InstanceChange) {
        self.instances.insert(id, change);
    }

    /// What happens to an instance; `None` for one that neither show has.
    #[must_use]
    pub fn of(&self, id: InstanceId) -> Option<InstanceChange> {
        self.instances.get(&id).copied()
    }

    /// Whether an instance is in both shows and the same to the letter.
    #[must_use]
    pub fn is_unchanged(&self, id: InstanceId) -> bool {
        self.of(id) == Some(InstanceChange::Unchanged)
    }

    /// The instances that the new show does not have.
    pub fn removed(&self) -> impl Iterator<Item = InstanceId> + '_ {
        let removed = self.instances.iter().filter(|(_, change)| **change == InstanceChange::Removed);
        removed.map(|(id, _)| *id)
    }
}

impl Display for ShowChange {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let count = |change| self.instances.values().filter(|each| **each == change).count();
        write!(
            formatter,
            "{} added, {} changed, {} removed, {} unchanged",
            count(InstanceChange::Added),
            count(InstanceChange::Changed),
            count(InstanceChange::Removed),
            count(InstanceChange::Unchanged)
        )
    }
}

/// Compares the instance at `place` of `new` with the same instance of `old`, and gives its
/// channels the numbers that they had there. So a mapping more or less elsewhere does not touch it,
/// and an event under way still finds its channel: channels that no mapping uses any more keep
/// their place, new ones follow.
pub fn align(old: &Show, before: &Instance, new: &mut Show, place: usize) -> InstanceChange {
    let same_options = same_options(old, before, new, &new.instances[place]);
    keep_channel_numbers(before, new, place);
    if same_options && names(&before.channels) == names(&new.instances[place].channels) {
        InstanceChange::Unchanged
    } else {
        InstanceChange::Changed
    }
}

fn same_options(old: &Show, old_instance: &Instance, new: &Show, new_instance: &Instance) -> bool {
    let backend = new_instance.backend;
    old_instance.settings == new_instance.settings
        && old.backend(backend) == new.backend(backend)
        && old.directory == new.directory
}

fn names(channels: &[Channel]) -> Vec<&str> {
    channels.iter().map(|channel| channel.name.as_str()).collect()
}

/// Numbers the channels of instance `no` of `new` so that those of `old` have their old numbers.
fn keep_channel_numbers(old: &Instance, new: &mut Show, no: usize) {
    let mut channels = old.channels.clone();
    let mut place: HashMap<String, usize> =
        channels.iter().enumerate().map(|(index, channel)| (channel.name.clone(), index)).collect();
    let mut moved = Vec::new();
    for channel in &new.instances[no].channels {
        let index = *place.entry(channel.name.clone()).or_insert_with(|| {
            channels.push(channel.clone());
            channels.len() - 1
        });
        channels[index].span = channel.span;
        moved.push(index);
    }
    new.instances[no].channels = channels;
    for mapping in &mut new.mappings {
        for end in [&mut mapping.from, &mut mapping.to] {
            if end.instance == no {
                end.channel = moved[end.channel];
            }
        }
    }
}
