//! The show that runs, with an id for each of its instances.
//!
//! `mm_config` knows an instance by its place in the show file, which changes when the file does.
//! An [`InstanceId`] does not: an instance that is still there after the file was read again, with
//! the same name and backend, keeps its id, and an id is never given to another instance. So
//! whatever refers to an instance stays valid when a new file is applied.

pub mod change;
mod channel_use;

use crate::ids::InstanceId;
use change::{InstanceChange, ShowChange};
pub use channel_use::ChannelUse;
use mm_config::{Instance, Show};
use std::collections::HashMap;
use std::ops::Deref;

/// A show with the ids of its instances.
#[derive(Debug, Clone)]
pub struct LiveShow {
    show: Show,
    /// By place in [`Show::instances`].
    ids: Vec<InstanceId>,
    /// By name: the place of the instance.
    by_name: HashMap<String, usize>,
    /// By id: the place of its instance; `None` for ids of instances that were removed.
    places: Vec<Option<usize>>,
    /// By place, then by channel: how mappings use it.
    uses: Vec<Box<[ChannelUse]>>,
}

/// An instance of the show, with its id.
#[derive(Debug, Clone, Copy)]
pub struct LiveInstance<'a> {
    /// Its id.
    pub id: InstanceId,
    /// Its place in [`Show::instances`], by which mappings refer to it.
    pub place: usize,
    /// What the show file says of it.
    pub instance: &'a Instance,
    /// How mappings use its channels.
    pub uses: &'a [ChannelUse],
}

impl LiveShow {
    /// The first show of this process.
    #[must_use]
    pub fn new(show: Show) -> Self {
        let count = show.instances.len();
        Self::with_ids(show, (0..count).map(InstanceId).collect(), (0..count).map(Some).collect())
    }

    /// The show that takes the place of this one, and what has changed. Channels keep their order;
    /// those that no mapping uses any more are left out, except where a backend has to be
    /// reopened for that and for nothing else: `reopens` tells for which backends that is so.
    #[must_use]
    pub fn successor(&self, mut show: Show, reopens: impl Fn(&str) -> bool) -> (Self, ShowChange) {
        let (mut ids, mut places) = (Vec::with_capacity(show.instances.len()), vec![None; self.places.len()]);
        let mut change = ShowChange::default();
        for place in 0..show.instances.len() {
            let before = self.named(&show.instances[place]);
            let (kind, numbers) = match before {
                Some(before) => {
                    let keeps_unused = reopens(before.instance.backend);
                    change::align(self, before.instance, &mut show, place, keeps_unused)
                }
                None => (InstanceChange::Added, None),
            };
            let id = before.map_or(InstanceId(places.len()), |before| before.id);
            places.resize(places.len().max(id.0 + 1), None);
            places[id.0] = Some(place);
            ids.push(id);
            change.insert(id, kind);
            if let Some(numbers) = numbers {
                change.renumber(id, numbers);
            }
        }
        for id in self.ids.iter().filter(|id| places[id.0].is_none()) {
            change.insert(*id, InstanceChange::Removed);
        }
        (Self::with_ids(show, ids, places), change)
    }

    fn with_ids(show: Show, ids: Vec<InstanceId>, places: Vec<Option<usize>>) -> Self {
        let names = show.instances.iter().map(|instance| instance.name.clone());
        let by_name = names.zip(0..).collect();
        let uses = channel_use::channel_uses(&show);
        Self { show, ids, by_name, places, uses }
    }

    /// The instance of this show with the name and the backend of `instance`.
    fn named(&self, instance: &Instance) -> Option<LiveInstance<'_>> {
        self.find(&instance.name).filter(|before| before.instance.backend == instance.backend)
    }

    /// The instance of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<LiveInstance<'_>> {
        self.by_name.get(name).map(|place| self.at(*place))
    }

    fn at(&self, place: usize) -> LiveInstance<'_> {
        let (instance, uses) = (&self.show.instances[place], &*self.uses[place]);
        LiveInstance { id: self.ids[place], place, instance, uses }
    }

    /// All instances, in the order of the show file.
    pub fn live_instances(&self) -> impl Iterator<Item = LiveInstance<'_>> {
        (0..self.ids.len()).map(|place| self.at(place))
    }

    /// The instances of one backend, in the order of the show file.
    #[must_use]
    pub fn instances_of(&self, backend: &str) -> Vec<LiveInstance<'_>> {
        self.live_instances().filter(|live| live.instance.backend == backend).collect()
    }

    /// The id of the instance at a place of the show file, as mappings have it.
    #[must_use]
    pub fn id(&self, place: usize) -> InstanceId {
        self.ids[place]
    }

    /// The instance with an id, if the show has it.
    #[must_use]
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        let place = self.places.get(id.0).copied().flatten()?;
        self.show.instances.get(place)
    }

    /// One more than the highest id: how long a vector is that holds something for each id.
    #[must_use]
    pub fn id_limit(&self) -> usize {
        self.places.len()
    }
}

impl Deref for LiveShow {
    type Target = Show;

    fn deref(&self) -> &Show {
        &self.show
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_shows::{live_show, show};
    use mm_config::Show;
    use mm_shared::ChannelId;

    const OLD: &str = "[loopback a]\n[loopback b]\n[python p]\nmodule = m\n[map]\na.x > b.y\na.z > p.q\n";

    fn no(_backend: &str) -> bool {
        false
    }

    fn names(show: &Show, place: usize) -> Vec<&str> {
        show.instances[place].channels.iter().map(|channel| channel.name.as_str()).collect()
    }

    fn ids(show: &LiveShow) -> Vec<usize> {
        show.live_instances().map(|live| live.id.0).collect()
    }

    fn kinds(change: &ShowChange, ids: [usize; 3]) -> [Option<InstanceChange>; 3] {
        ids.map(|id| change.of(InstanceId(id)))
    }

    const UNCHANGED: Option<InstanceChange> = Some(InstanceChange::Unchanged);
    const CHANGED: Option<InstanceChange> = Some(InstanceChange::Changed);

    #[test]
    fn the_same_show_differs_in_nothing() {
        let (new, change) = live_show(OLD).successor(show(OLD), no);
        assert_eq!(ids(&new), [0, 1, 2]);
        assert_eq!(kinds(&change, [0, 1, 2]), [UNCHANGED; 3]);
    }

    #[test]
    fn a_mapping_more_leaves_the_channel_numbers_of_the_others_alone() {
        let text =
            "[loopback a]\n[loopback b]\n[python p]\nmodule = m\n[map]\na.w > b.y\na.x > b.y\na.z > p.q\n";
        let (new, change) = live_show(OLD).successor(show(text), no);
        assert_eq!(names(&new, 0), ["x", "z", "w"]);
        assert_eq!(kinds(&change, [0, 1, 2]), [CHANGED, UNCHANGED, UNCHANGED]);
        assert_eq!(new.mappings.iter().map(|m| m.from.channel).collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn a_channel_that_no_mapping_uses_any_more_is_left_out_and_the_others_keep_their_order() {
        let text = "[loopback a]\n[loopback b]\n[python p]\nmodule = m\n[map]\na.w > b.y\na.z > p.q\n";
        let (new, change) = live_show(OLD).successor(show(text), no);
        assert_eq!(kinds(&change, [0, 1, 2]), [CHANGED, UNCHANGED, UNCHANGED]);
        assert_eq!(names(&new, 0), ["z", "w"]);
        assert_eq!(new.mappings.iter().map(|m| m.from.channel).collect::<Vec<_>>(), [1, 0]);
        let now = |channel| change.channel(InstanceId(0), ChannelId(channel));
        assert_eq!([now(0), now(1), now(2)], [None, Some(ChannelId(0)), None]);
        assert_eq!(change.channel(InstanceId(1), ChannelId(7)), Some(ChannelId(7)));
    }

    #[test]
    fn an_instance_that_would_be_reopened_keeps_channels_until_it_is_for_another_reason() {
        let less = "[loopback a]\n[loopback b]\n[python p]\nmodule = m\n[map]\na.z > p.q\n";
        let yes = |_: &str| true;
        let (new, change) = live_show(OLD).successor(show(less), yes);
        assert_eq!(kinds(&change, [0, 1, 2]), [UNCHANGED; 3]);
        assert_eq!(names(&new, 0), ["x", "z"]);
        assert_eq!(new.mappings[0].from.channel, 1);
        let (new, change) = new.successor(show(&format!("{less}a.w > p.q\n")), yes);
        assert_eq!(kinds(&change, [0, 1, 2]), [CHANGED, UNCHANGED, UNCHANGED]);
        assert_eq!(names(&new, 0), ["z", "w"]);
    }

    #[test]
    fn instances_keep_their_id_by_name_and_backend_and_no_id_is_given_twice() {
        let text = "[python q]\nmodule = m\n[loopback p]\n[loopback b]\n[loopback a]\n[map]\n\
            a.x > b.y\na.z > b.y\n";
        let (new, change) = live_show(OLD).successor(show(text), no);
        assert_eq!(ids(&new), [3, 4, 1, 0]);
        assert_eq!(change.of(InstanceId(2)), Some(InstanceChange::Removed));
        assert_eq!(change.to_string(), "2 added, 0 changed, 1 removed, 2 unchanged");
        assert!(new.instance(InstanceId(2)).is_none());
        let (again, change) = new.successor(show(OLD), no);
        assert_eq!(ids(&again), [0, 1, 5]);
        assert_eq!(change.of(InstanceId(4)), Some(InstanceChange::Removed));
    }

    #[test]
    fn defaults_of_the_backend_count_as_options_of_its_instances() {
        let text = format!("[backend python]\nwatchdog = 1s\n{OLD}");
        let (_, change) = live_show(OLD).successor(show(&text), no);
        assert_eq!(kinds(&change, [0, 1, 2]), [UNCHANGED, UNCHANGED, CHANGED]);
    }
}
