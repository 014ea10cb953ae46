//! What differs between the show that runs and the one that takes its place.

use crate::ids::InstanceId;
use mm_config::{Channel, Instance, Show};
use mm_shared::ChannelId;
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
    /// Of instances whose channels have other numbers now.
    numbers: BTreeMap<InstanceId, ChannelNumbers>,
}

/// By a channel's old number: its new one; `None` if no mapping uses it any more.
type ChannelNumbers = Vec<Option<ChannelId>>;

impl ShowChange {
    /// Adds what happens to an instance.
    pub fn insert(&mut self, id: InstanceId, change: InstanceChange) {
        self.instances.insert(id, change);
    }

    /// Adds the new numbers of an instance's channels.
    pub fn renumber(&mut self, id: InstanceId, numbers: Vec<Option<ChannelId>>) {
        self.numbers.insert(id, numbers);
    }

    /// Whether channels of an instance have other numbers now.
    #[must_use]
    pub fn is_renumbered(&self, id: InstanceId) -> bool {
        self.numbers.contains_key(&id)
    }

    /// The new number of an instance's channel; `None` if no mapping uses it any more.
    #[must_use]
    pub fn channel(&self, id: InstanceId, channel: ChannelId) -> Option<ChannelId> {
        match self.numbers.get(&id) {
            Some(numbers) => numbers.get(channel.index()).copied().flatten(),
            None => Some(channel),
        }
    }

    /// The new numbers of an instance's channels.
    #[must_use]
    pub fn renumbering(&self, id: InstanceId) -> Renumbering<'_> {
        Renumbering { change: self, id }
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

/// The new numbers of one instance's channels.
#[derive(Debug, Clone, Copy)]
pub struct Renumbering<'a> {
    change: &'a ShowChange,
    id: InstanceId,
}

impl Renumbering<'_> {
    /// The new number of a channel; `None` if no mapping uses it any more.
    #[must_use]
    pub fn channel(&self, channel: ChannelId) -> Option<ChannelId> {
        self.change.channel(self.id, channel)
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

/// Compares the instance at `place` of `new` with the same instance of `old`, and numbers its
/// channels: those that it had before keep their order, new ones follow, those that no mapping uses
/// any more are left out. So a mapping more or less elsewhere does not touch it. Returns the new
/// numbers by the old ones as well, if they differ.
///
/// With `keeps_unused`, an instance that would change only in that it lacks channels keeps them.
pub fn align(
    old: &Show,
    before: &Instance,
    new: &mut Show,
    place: usize,
    keeps_unused: bool,
) -> (InstanceChange, Option<Vec<Option<ChannelId>>>) {
    let same_options = same_options(old, before, new, &new.instances[place]);
    let numbers = align_channels(before, new, place, keeps_unused && same_options);
    let same_names = names(&before.channels).eq(names(&new.instances[place].channels));
    let change = if same_options && same_names { InstanceChange::Unchanged } else { InstanceChange::Changed };
    (change, numbers)
}

fn same_options(old: &Show, old_instance: &Instance, new: &Show, new_instance: &Instance) -> bool {
    let backend = new_instance.backend;
    old_instance.settings == new_instance.settings
        && old.backend(backend) == new.backend(backend)
        && old.directory == new.directory
}

fn names(channels: &[Channel]) -> impl Iterator<Item = &str> {
    channels.iter().map(|channel| channel.name.as_str())
}

/// Numbers the channels of the instance at `place` of `new` in the order of those of `old`.
fn align_channels(
    old: &Instance,
    new: &mut Show,
    place: usize,
    keeps_unused: bool,
) -> Option<Vec<Option<ChannelId>>> {
    let listed = std::mem::take(&mut new.instances[place].channels);
    let index_of: HashMap<&str, usize> = names(&listed).zip(0..).collect();
    let lost = names(&old.channels).filter(|name| !index_of.contains_key(name)).count();
    let has_new = listed.len() + lost > old.channels.len();
    let keeps_unused = keeps_unused && !has_new;
    let mut channels = Vec::with_capacity(listed.len());
    let mut numbers = Vec::with_capacity(old.channels.len());
    let mut moved = vec![None; listed.len()];
    for channel in &old.channels {
        let now = match index_of.get(channel.name.as_str()) {
            Some(index) => {
                moved[*index] = Some(channels.len());
                Some(&listed[*index])
            }
            None => keeps_unused.then_some(channel),
        };
        numbers.push(now.and_then(|_| Some(ChannelId(u32::try_from(channels.len()).ok()?))));
        channels.extend(now.cloned());
    }
    for (channel, number) in listed.iter().zip(&mut moved).filter(|(_, number)| number.is_none()) {
        *number = Some(channels.len());
        channels.push(channel.clone());
    }
    for mapping in &mut new.mappings {
        for end in [&mut mapping.from, &mut mapping.to] {
            if end.instance == place
                && let Some(number) = moved[end.channel]
            {
                end.channel = number;
            }
        }
    }
    new.instances[place].channels = channels;
    (lost > 0 && !keeps_unused).then_some(numbers)
}
