//! What belongs together in two versions of a show.

use crate::ids::InstanceId;
use mm_config::{Channel, Instance, Show};
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

/// Which instances of the new show are in the old one too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShowChange {
    /// For each instance of the new show: its number in the old one, if it was there with the same backend.
    pub before: Vec<Option<usize>>,
    /// For each instance of the new show: whether it is the same to the letter.
    pub same: Vec<bool>,
    /// Instances of the old show that the new one does not have.
    pub removed: Vec<usize>,
}

impl ShowChange {
    /// The number that an instance of the old show has in the new one.
    #[must_use]
    pub fn now(&self, old: InstanceId) -> Option<InstanceId> {
        self.before.iter().position(|before| *before == Some(old.0)).map(InstanceId)
    }
}

impl Display for ShowChange {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let count = |is_one: fn((&Option<usize>, &bool)) -> bool| {
            self.before.iter().zip(&self.same).filter(|instance| is_one(*instance)).count()
        };
        let added = count(|(before, _)| before.is_none());
        let changed = count(|(before, same)| before.is_some() && !same);
        let (same, removed) = (count(|(_, same)| *same), self.removed.len());
        let all = if same == 1 { "1 instance is".into() } else { format!("{same} instances are") };
        write!(formatter, "{added} added, {changed} changed, {removed} removed; {all} as before")
    }
}

/// Compares `new` with `old`. The channels of an instance that stays get the numbers that they had before, so that
/// a mapping more or less elsewhere does not touch it, and an event under way still finds its channel: channels that no
/// mapping uses any more keep their place, new ones follow.
pub fn align(old: &Show, new: &mut Show) -> ShowChange {
    let by_name: HashMap<&str, usize> =
        old.instances.iter().enumerate().map(|(no, instance)| (instance.name.as_str(), no)).collect();
    let mut diff = ShowChange::default();
    for no in 0..new.instances.len() {
        let instance = &new.instances[no];
        let before = by_name.get(instance.name.as_str()).copied();
        let before = before.filter(|before| old.instances[*before].kind == instance.kind);
        let same_options =
            before.is_some_and(|before| same_options(old, &old.instances[before], new, instance));
        if let Some(before) = before {
            keep_numbers(&old.instances[before], new, no);
        }
        diff.before.push(before);
        diff.same.push(
            same_options
                && before.is_some_and(|before| {
                    names(&old.instances[before].channels) == names(&new.instances[no].channels)
                }),
        );
    }
    let kept = |no: &usize| diff.before.contains(&Some(*no));
    diff.removed = (0..old.instances.len()).filter(|no| !kept(no)).collect();
    diff
}

fn same_options(old: &Show, old_instance: &Instance, new: &Show, new_instance: &Instance) -> bool {
    let kind = new_instance.kind;
    old_instance.settings == new_instance.settings
        && old.backend(kind) == new.backend(kind)
        && old.directory == new.directory
}

fn names(channels: &[Channel]) -> Vec<&str> {
    channels.iter().map(|channel| channel.name.as_str()).collect()
}

/// Renumbers the channels of instance `no` of `new` so that those of `old` have their old numbers.
fn keep_numbers(old: &Instance, new: &mut Show, no: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_shows::show;

    const OLD: &str = "[loopback a]\n[loopback b]\n[python p]\nmodule = m\n[map]\na.x > b.y\na.z > p.q\n";

    #[test]
    fn the_same_show_differs_in_nothing() {
        let diff = align(&show(OLD), &mut show(OLD));
        assert_eq!(diff.before, [Some(0), Some(1), Some(2)]);
        assert_eq!((diff.same, diff.removed), (vec![true; 3], vec![]));
    }

    #[test]
    fn a_mapping_more_leaves_the_numbers_of_the_others_alone() {
        let mut new = show(
            "[loopback a]\n[loopback b]\n[python p]\nmodule = m\n[map]\na.w > b.y\na.x > b.y\na.z > p.q\n",
        );
        let diff = align(&show(OLD), &mut new);
        assert_eq!(names(&new.instances[0].channels), ["x", "z", "w"]);
        assert_eq!(diff.same, [false, true, true]);
        assert_eq!(new.mappings.iter().map(|m| m.from.channel).collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn a_mapping_less_touches_nobody() {
        let mut new = show("[loopback a]\n[loopback b]\n[python p]\nmodule = m\n[map]\na.z > p.q\n");
        let diff = align(&show(OLD), &mut new);
        assert_eq!(diff.same, [true, true, true]);
        assert_eq!(names(&new.instances[0].channels), ["x", "z"]);
        assert_eq!(new.mappings[0].from.channel, 1);
    }

    #[test]
    fn instances_are_known_by_name_and_backend() {
        let mut new = show("[python q]\nmodule = m\n[loopback p]\n[loopback b]\n[loopback a]\n");
        let diff = align(&show(OLD), &mut new);
        assert_eq!(diff.before, [None, None, Some(1), Some(0)]);
        assert_eq!(diff.removed, [2]);
        assert_eq!(diff.to_string(), "2 added, 0 changed, 1 removed; 2 instances are as before");
    }

    #[test]
    fn defaults_of_the_backend_count_as_options_of_its_instances() {
        let mut new = show(&format!("[backend python]\nwatchdog = 1s\n{OLD}"));
        let diff = align(&show(OLD), &mut new);
        assert_eq!(diff.same, [true, true, false]);
    }
}
