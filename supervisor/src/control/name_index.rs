//! The names of a show as users write them, with a suggestion for those that are wrong.

use super::pattern::ChannelPattern;
use super::protocol::{ErrorReply, EventDirection, InstanceNames};
use crate::backends::PYTHON;
use crate::ids::InstanceId;
use crate::show::{LiveInstance, LiveShow};
use mm_config::did_you_mean;
use mm_shared::ChannelId;
use std::collections::HashSet;

/// How many instances are listed in a hint.
const LISTED_NAMES_LIMIT: usize = 12;

/// A channel's full name, in its two halves.
#[derive(Debug, PartialEq, Eq)]
pub struct ChannelName {
    /// The instance's.
    pub instance: String,
    /// The channel's.
    pub channel: String,
}

/// All instances and channels of a show by name.
#[derive(Debug, Default)]
pub struct NameIndex {
    /// In the order of the show file.
    instances: Vec<IndexedInstance>,
    /// By id: the place in `instances`.
    places: Vec<Option<usize>>,
}

#[derive(Debug)]
struct IndexedInstance {
    id: InstanceId,
    name: String,
    backend: &'static str,
    /// By number.
    channels: Vec<ChannelName>,
    /// The channels' numbers, in the order of their names.
    sorted: Vec<u32>,
}

impl NameIndex {
    /// The names of `show`.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        let mut places = vec![None; show.id_limit()];
        show.live_instances().for_each(|live| places[live.id.0] = Some(live.place));
        Self { instances: show.live_instances().map(IndexedInstance::new).collect(), places }
    }

    /// The name of a channel.
    #[must_use]
    pub fn channel(&self, instance: InstanceId, channel: ChannelId) -> Option<&ChannelName> {
        let place = self.places.get(instance.0).copied().flatten()?;
        self.instances.get(place)?.channels.get(channel.index())
    }

    /// The instance with that name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find_instance(&self, name: &str) -> Result<InstanceId, ErrorReply> {
        self.find(name, |_| true).map(|named| named.id)
    }

    /// The channel with that name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find_channel(&self, instance: &str, channel: &str) -> Result<(InstanceId, ChannelId), ErrorReply> {
        let named = self.find(instance, |_| true)?;
        let place = named.sorted.binary_search_by(|number| named.channel_name(*number).cmp(channel));
        match place {
            Ok(index) => Ok((named.id, ChannelId(named.sorted[index]))),
            Err(_) => Err(no_channel(named, channel)),
        }
    }

    /// The direction in which a person sees an event that the router hands to an instance. For a
    /// script that is in; from any other instance it goes out of the show.
    #[must_use]
    pub fn delivery(&self, instance: InstanceId) -> EventDirection {
        if self.is_script(instance) { EventDirection::In } else { EventDirection::Out }
    }

    /// The direction in which a person sees an event that an instance hands to the router.
    #[must_use]
    pub fn arrival(&self, instance: InstanceId) -> EventDirection {
        if self.is_script(instance) { EventDirection::Out } else { EventDirection::In }
    }

    /// Whether it is an instance of `python`.
    #[must_use]
    pub fn is_script(&self, instance: InstanceId) -> bool {
        let place = self.places.get(instance.0).copied().flatten();
        place.and_then(|place| self.instances.get(place)).is_some_and(|named| named.backend == PYTHON)
    }

    /// The Python instances with these names, each once.
    ///
    /// # Errors
    ///
    /// No instance has the name, or it is not an instance of `python`; all are asked for, and there
    /// is none.
    pub fn find_python(&self, names: &InstanceNames) -> Result<Vec<InstanceId>, ErrorReply> {
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        if names.all {
            found.extend(self.instances.iter().filter(|named| named.backend == PYTHON).map(|named| named.id));
            if found.is_empty() {
                return Err(ErrorReply::new("the show has no instance of `python`"));
            }
        }
        for name in &names.instances {
            let named = self.find(name, |named| named.backend == PYTHON)?;
            let backend = named.backend;
            if backend != PYTHON {
                let message = format!("`{name}` is an instance of `{backend}`, which runs with the show");
                let fitting: Vec<&str> = self
                    .instances
                    .iter()
                    .filter(|named| named.backend == PYTHON)
                    .map(|named| named.name.as_str())
                    .collect();
                let list = list(&fitting).map_or_else(String::new, |list| format!("; {list}"));
                let hint = format!(
                    "only instances of `python` can be started, stopped, restarted and reloaded{list}"
                );
                return Err(ErrorReply::new(message).hint(Some(hint)));
            }
            if known.insert(named.id) {
                found.push(named.id);
            }
        }
        Ok(found)
    }

    /// Reads a pattern for channels, and finds out what can never match.
    ///
    /// # Errors
    ///
    /// It names an instance or a channel that the show does not have, or is too long.
    pub fn pattern(&self, text: &str) -> Result<ChannelPattern, ErrorReply> {
        let pattern = ChannelPattern::new(text)?;
        if let Some(instance) = pattern.only_instance() {
            match pattern.only_channel() {
                Some(channel) => self.find_channel(instance, channel).map(drop)?,
                None => self.find(instance, |_| true).map(drop)?,
            }
        }
        Ok(pattern)
    }

    /// The instance with that name; those that `fit` are suggested otherwise.
    fn find(
        &self,
        name: &str,
        fit: impl Fn(&IndexedInstance) -> bool,
    ) -> Result<&IndexedInstance, ErrorReply> {
        if let Some(named) = self.instances.iter().find(|named| named.name == name) {
            return Ok(named);
        }
        let fitting: Vec<&str> =
            self.instances.iter().filter(|named| fit(named)).map(|named| named.name.as_str()).collect();
        let hint = did_you_mean(name, fitting.iter().copied()).or_else(|| list(&fitting));
        Err(ErrorReply::new(format!("the show has no instance `{name}`")).hint(hint))
    }
}

impl IndexedInstance {
    fn new(LiveInstance { id, instance, .. }: LiveInstance<'_>) -> Self {
        let name = instance.name.clone();
        let channels: Vec<_> = instance
            .channels
            .iter()
            .map(|channel| ChannelName { instance: name.clone(), channel: channel.name.clone() })
            .collect();
        let mut sorted: Vec<u32> = (0..u32::try_from(channels.len()).unwrap_or(u32::MAX)).collect();
        sorted.sort_by_key(|number| channels[*number as usize].channel.as_str());
        Self { id, name, backend: instance.backend, channels, sorted }
    }

    fn channel_name(&self, number: u32) -> &str {
        &self.channels[number as usize].channel
    }
}

fn no_channel(named: &IndexedInstance, channel: &str) -> ErrorReply {
    let hint = did_you_mean(channel, named.channels.iter().map(|name| name.channel.as_str()))
        .unwrap_or_else(|| "only channels that a mapping uses can be named".to_owned());
    ErrorReply::new(format!("no mapping uses a channel `{channel}` of instance `{}`", named.name))
        .hint(Some(hint))
}

fn list(names: &[&str]) -> Option<String> {
    let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match listed.len() {
        1 => Some(format!("there is only {}", listed[0])),
        2..=LISTED_NAMES_LIMIT => Some(format!("there are {}", listed.join(", "))),
        0 => None,
        count => {
            let shown = listed[..LISTED_NAMES_LIMIT].join(", ");
            Some(format!("there are {shown} and {} more", count - LISTED_NAMES_LIMIT))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn names(text: &str) -> NameIndex {
        NameIndex::new(&crate::test_shows::live_show(text))
    }

    fn named(instances: &[&str]) -> InstanceNames {
        InstanceNames { instances: instances.iter().map(|name| (*name).to_owned()).collect(), all: false }
    }

    fn show() -> NameIndex {
        names(
            "[osc desk]\n[python lights]\n[python sound]\n[map]\ndesk./b > lights.m.dim\ndesk./a > sound.m.level\n",
        )
    }

    #[test]
    fn a_channel_is_found_by_its_name() {
        let names = show();
        assert_eq!(names.find_channel("desk", "/a"), Ok((InstanceId(0), ChannelId(1))));
        assert_eq!(names.find_channel("lights", "m.dim"), Ok((InstanceId(1), ChannelId(0))));
        let name = names.channel(InstanceId(0), ChannelId(1)).unwrap();
        assert_eq!((name.instance.as_str(), name.channel.as_str()), ("desk", "/a"));
        assert!(names.channel(InstanceId(0), ChannelId(2)).is_none());
        assert!(names.channel(InstanceId(9), ChannelId(0)).is_none());
    }

    #[test]
    fn a_wrong_name_is_answered_with_one_that_is_close() {
        let names = show();
        let refusal = names.find_channel("deks", "/a").unwrap_err();
        assert_eq!(refusal.message, "the show has no instance `deks`");
        assert_eq!(refusal.hint.as_deref(), Some("did you mean `desk`?"));
        let refusal = names.find_channel("lights", "m.din").unwrap_err();
        assert_eq!(refusal.message, "no mapping uses a channel `m.din` of instance `lights`");
        assert_eq!(refusal.hint.as_deref(), Some("did you mean `m.dim`?"));
    }

    #[test]
    fn instances_to_act_on_are_listed_where_no_name_is_close() {
        let refusal = show().find_python(&named(&["xyzzy"])).unwrap_err();
        assert_eq!(refusal.hint.as_deref(), Some("there are `lights`, `sound`"));
        let refusal = names("[python py]\n").find_python(&named(&["xyzzy"])).unwrap_err();
        assert_eq!(refusal.hint.as_deref(), Some("there is only `py`"));
    }

    #[test]
    fn only_python_instances_can_be_acted_on_each_once() {
        let names = show();
        let found = names.find_python(&named(&["sound", "lights", "sound"]));
        assert_eq!(found, Ok(vec![InstanceId(2), InstanceId(1)]));
        let refusal = names.find_python(&named(&["desk"])).unwrap_err();
        assert_eq!(refusal.message, "`desk` is an instance of `osc`, which runs with the show");
    }

    #[test]
    fn all_python_instances_can_be_asked_for() {
        let all = InstanceNames { instances: Vec::new(), all: true };
        assert_eq!(show().find_python(&all), Ok(vec![InstanceId(1), InstanceId(2)]));
        let refusal = names("[loopback a]\n").find_python(&all).unwrap_err();
        assert_eq!(refusal.message, "the show has no instance of `python`");
    }

    #[test]
    fn directions_are_those_of_a_person_who_looks_at_the_show() {
        let names = show();
        assert_eq!(names.arrival(InstanceId(0)), EventDirection::In);
        assert_eq!(names.delivery(InstanceId(0)), EventDirection::Out);
        assert_eq!(names.delivery(InstanceId(1)), EventDirection::In);
        assert_eq!(names.arrival(InstanceId(1)), EventDirection::Out);
    }

    #[test]
    fn a_pattern_that_can_never_match_is_refused() {
        let names = show();
        for text in ["*", "desk", "desk.*", "desk./a", "l*.m.dim", "?esk"] {
            assert!(names.pattern(text).is_ok(), "{text}");
        }
        for text in ["dusk", "dusk.*", "desk./c"] {
            assert!(names.pattern(text).is_err(), "{text}");
        }
    }
}
