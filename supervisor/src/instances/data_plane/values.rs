//! The last values of an instance's channels, which outlive its workers.
//!
//! Input values follow from the events that the worker takes out of its ring, output values from
//! those that it sends. An event becomes the input value when its handler has returned, so the
//! event taken last is held back until the next one is taken, or until the worker is known to have
//! finished it.

use mm_shared::control::{ChannelBoot, EXTRA_CHANNELS};
use mm_shared::{ChannelId, Event};
use std::collections::HashMap;

/// The channels of an instance, by number: those of the show first, then those that the script
/// added by sending on them.
#[derive(Debug)]
pub struct Values {
    channels: Vec<Channel>,
    mapped: u32,
    held: Option<Event>,
    /// Values of names that the present worker knows, but has not numbered yet.
    unnumbered: HashMap<String, Channel>,
    /// Counts changes, so that a worker gets all values again after its boot only if one has
    /// changed.
    version: u64,
}

/// What a worker that does not serve yet knows: the version of the values at its boot, and the
/// names that it has added since.
#[derive(Debug)]
pub struct BootedNames {
    version: u64,
    first: u32,
    /// All names that the script added, in the order in which this worker numbers them.
    names: Vec<String>,
}

impl BootedNames {
    /// Adds a name. Returns whether its number can be right: numbers have no gaps, and there is a
    /// bound.
    pub fn add(&mut self, number: u32, name: String) -> bool {
        let next = number.checked_sub(self.first).map(|index| index as usize);
        if next != Some(self.names.len()) || self.names.len() >= EXTRA_CHANNELS as usize {
            return false;
        }
        self.names.push(name);
        true
    }
}

#[derive(Debug, Clone)]
struct Channel {
    /// `None` between a record and the message that names its channel.
    name: Option<String>,
    input: f64,
    output: f64,
}

impl Values {
    /// All channels of the show at 0.0.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let channels: Vec<Channel> =
            names.into_iter().map(|name| Channel { name: Some(name), input: 0.0, output: 0.0 }).collect();
        let mapped = u32::try_from(channels.len()).unwrap_or(u32::MAX);
        Self { channels, mapped, held: None, unnumbered: HashMap::new(), version: 0 }
    }

    /// The show has other channels now; values stay with their names. Names that the script added
    /// go on behind.
    pub fn rename(&mut self, names: Vec<String>) {
        let mut old: HashMap<String, Channel> = HashMap::new();
        let mut added = Vec::new();
        for (index, channel) in self.channels.drain(..).enumerate() {
            let Some(name) = channel.name.clone() else { continue };
            if index >= self.mapped as usize {
                added.push(name.clone());
            }
            old.insert(name, channel);
        }
        *self = Self { version: self.version + 1, ..Self::new(names) };
        for channel in &mut self.channels {
            if let Some(before) = channel.name.as_ref().and_then(|name| old.remove(name)) {
                *channel = before;
            }
        }
        self.channels.extend(added.iter().filter_map(|name| old.remove(name)));
    }

    /// The names of the channels that the show's mappings use.
    pub fn mapped_names(&self) -> impl Iterator<Item = &str> {
        let mapped = self.channels.iter().take(self.mapped as usize);
        mapped.map(|channel| channel.name.as_deref().unwrap_or_default())
    }

    /// How many channels the show's mappings use; they have the lowest numbers.
    #[must_use]
    pub fn mapped(&self) -> u32 {
        self.mapped
    }

    /// Channel numbers in records must be below this.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.mapped.saturating_add(EXTRA_CHANNELS)
    }

    /// The name of a channel, for messages.
    #[must_use]
    pub fn name(&self, channel: ChannelId) -> &str {
        self.channels.get(channel.index()).and_then(|channel| channel.name.as_deref()).unwrap_or("?")
    }

    /// The last value that the script sent on a channel, 0.0 before the first.
    #[must_use]
    pub fn output(&self, channel: ChannelId) -> f64 {
        self.channels.get(channel.index()).map_or(0.0, |channel| channel.output)
    }

    /// All channels that have a name: name, input value, output value.
    pub fn all(&self) -> impl Iterator<Item = (&str, f64, f64)> {
        self.channels
            .iter()
            .filter_map(|channel| Some((channel.name.as_deref()?, channel.input, channel.output)))
    }

    /// Puts back the values of the last run: name, input, output. Names that the show does not have
    /// are added.
    pub fn restore<'a>(&mut self, saved: impl IntoIterator<Item = (&'a str, f64, f64)>) {
        self.version += 1;
        let names = self.channels.iter().map(|channel| channel.name.clone());
        let mut numbers: HashMap<String, usize> =
            names.zip(0..).filter_map(|(name, number)| Some((name?, number))).collect();
        for (name, input, output) in saved {
            let channel = Channel { name: Some(name.to_owned()), input, output };
            if let Some(number) = numbers.get(name) {
                self.channels[*number] = channel;
            } else if self.channels.len() < self.limit() as usize {
                numbers.insert(name.to_owned(), self.channels.len());
                self.channels.push(channel);
            }
        }
    }

    /// The worker has taken an event to handle.
    pub fn taken(&mut self, event: Event) {
        if let Some(before) = self.held.replace(event) {
            self.set_input(before);
        }
    }

    /// The worker has ended, or is known to be between two events. What it had taken last counts,
    /// unless its handler was still at it.
    pub fn ended(&mut self, finished: bool) {
        if let Some(event) = self.held.take()
            && finished
        {
            self.set_input(event);
        }
    }

    fn set_input(&mut self, event: Event) {
        if let Some(channel) = self.channels.get_mut(event.channel.index()) {
            channel.input = event.value;
            self.version += 1;
        }
    }

    /// The worker has sent an event. Numbers beyond [`Values::limit`] are ignored.
    pub fn sent(&mut self, event: Event) {
        if event.channel.0 >= self.limit() {
            return;
        }
        let index = event.channel.index();
        if index >= self.channels.len() {
            self.channels.resize(index + 1, Channel { name: None, input: 0.0, output: 0.0 });
        }
        self.channels[index].output = event.value;
        self.version += 1;
    }

    /// The script sends on a name that the show does not have. Returns whether its number can be
    /// right.
    pub fn named(&mut self, number: u32, name: String) -> bool {
        if number < self.mapped || number >= self.limit() {
            return false;
        }
        let index = number as usize;
        if index >= self.channels.len() {
            self.channels.resize(index + 1, Channel { name: None, input: 0.0, output: 0.0 });
        }
        if let Some(before) = self.unnumbered.remove(&name) {
            self.channels[index] = before;
        }
        self.channels[index].name = Some(name);
        self.version += 1;
        true
    }

    /// What the next worker gets at its boot. Channels whose names never arrived are forgotten, and
    /// those behind them: that worker numbers them in its own way.
    #[must_use]
    pub fn boot(&mut self) -> (Vec<ChannelBoot>, BootedNames) {
        let channels = self.all_for_worker();
        let extra = self.channels.get(self.mapped as usize..).unwrap_or_default();
        let names = extra.iter().filter_map(|channel| channel.name.clone()).collect();
        (channels, BootedNames { version: self.version, first: self.mapped, names })
    }

    /// A worker serves from now on: added names have its numbers, values stay with their names.
    /// Returns what it has to get: nothing, or all values if one has changed since its boot.
    #[must_use]
    pub fn serve(&mut self, booted: BootedNames) -> Vec<ChannelBoot> {
        let changed = if self.version == booted.version { Vec::new() } else { self.all_for_worker() };
        self.take_added_names(booted.names);
        changed
    }

    fn take_added_names(&mut self, names: Vec<String>) {
        let extra = self.channels.split_off((self.mapped as usize).min(self.channels.len()));
        self.unnumbered =
            extra.into_iter().filter_map(|channel| Some((channel.name.clone()?, channel))).collect();
        for (number, name) in (self.mapped..).zip(names) {
            self.named(number, name);
        }
    }

    fn all_for_worker(&mut self) -> Vec<ChannelBoot> {
        let unnamed = self.channels.iter().position(|channel| channel.name.is_none());
        self.channels.truncate(unnamed.unwrap_or(self.channels.len()));
        let boot = |channel: &Channel| ChannelBoot {
            name: channel.name.clone().unwrap_or_default(),
            input: channel.input,
            output: channel.output,
        };
        self.channels.iter().map(boot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(channel: u32, value: f64) -> Event {
        Event { channel: ChannelId(channel), value }
    }

    fn boot(values: &mut Values) -> Vec<(String, f64, f64)> {
        values.boot().0.into_iter().map(|channel| (channel.name, channel.input, channel.output)).collect()
    }

    #[test]
    fn an_input_counts_when_its_handler_is_done() {
        let mut values = Values::new(["a".into(), "b".into()]);
        values.taken(event(0, 0.1));
        values.taken(event(1, 0.2));
        values.ended(false);
        assert_eq!(boot(&mut values), [("a".into(), 0.1, 0.0), ("b".into(), 0.0, 0.0)]);
        values.taken(event(1, 0.3));
        values.ended(true);
        assert_eq!(boot(&mut values)[1], ("b".into(), 0.3, 0.0));
    }

    #[test]
    fn names_that_the_script_added_keep_their_numbers_and_values() {
        let mut values = Values::new(["a".into()]);
        values.sent(event(1, 0.5));
        assert!(values.named(1, "extra".into()));
        assert!(!values.named(0, "not this".into()));
        assert_eq!(boot(&mut values)[1], ("extra".into(), 0.0, 0.5));
    }

    #[test]
    fn a_value_whose_name_never_came_is_forgotten() {
        let mut values = Values::new(["a".into()]);
        values.sent(event(1, 0.5));
        assert_eq!(boot(&mut values).len(), 1);
    }

    #[test]
    fn values_stay_with_their_names_when_a_successor_numbers_them_its_own_way() {
        let mut values = Values::new(["a".into()]);
        for (number, name) in [(1, "x"), (2, "y")] {
            assert!(values.named(number, name.into()));
            values.sent(event(number, f64::from(number) / 4.0));
        }
        let mut names = BootedNames { version: 0, first: 1, names: Vec::new() };
        assert!(names.add(1, "y".into()));
        assert!(!names.add(3, "gap".into()));
        assert_eq!(values.serve(names).len(), 3);
        assert_eq!(boot(&mut values)[1..], [("y".into(), 0.0, 0.5)]);
        assert!(values.named(2, "x".into()));
        assert_eq!(boot(&mut values)[2], ("x".into(), 0.0, 0.25));
    }

    #[test]
    fn values_stay_with_their_names_when_the_show_changes() {
        let mut values = Values::new(["a".into(), "b".into()]);
        values.sent(event(1, 0.5));
        assert!(values.named(2, "extra".into()));
        values.sent(event(2, 0.7));
        values.rename(vec!["a".into(), "b".into(), "new".into()]);
        assert_eq!(values.mapped(), 3);
        let outputs: Vec<_> = boot(&mut values).into_iter().map(|(name, _, output)| (name, output)).collect();
        let expected = [("a", 0.0), ("b", 0.5), ("new", 0.0), ("extra", 0.7)];
        assert_eq!(outputs, expected.map(|(name, output)| (name.to_owned(), output)));
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let mut values = Values::new(["a".into()]);
        values.sent(event(values.limit(), 1.0));
        assert!(!values.named(values.limit(), "too many".into()));
        assert_eq!(values.channels.len(), 1);
    }

    #[test]
    fn values_of_the_last_run_come_back_by_name_and_new_names_are_added() {
        let mut values = Values::new(["a".into(), "b".into()]);
        values.restore([("b", 0.1, 0.2), ("extra", 0.3, 0.4), ("extra", 0.5, 0.6)]);
        let expected = [("a".into(), 0.0, 0.0), ("b".into(), 0.1, 0.2), ("extra".into(), 0.5, 0.6)];
        assert_eq!(boot(&mut values), expected);
    }

    /// Searching for each name would take 45 billion comparisons.
    #[test]
    fn values_of_very_many_channels_come_back() {
        let names: Vec<String> = (0..300_000).map(|number| format!("channel{number}")).collect();
        let mut values = Values::new(names.iter().cloned());
        values.restore(names.iter().rev().map(|name| (name.as_str(), 0.25, 0.5)));
        assert!(values.all().all(|(_, input, output)| (input, output) == (0.25, 0.5)));
    }

    #[test]
    fn a_worker_is_told_all_values_when_one_has_changed_since_its_boot() {
        let mut values = Values::new(["a".into(), "b".into()]);
        let (_, booted) = values.boot();
        assert_eq!(values.serve(booted), []);
        let (_, booted) = values.boot();
        values.sent(event(1, 0.5));
        let changed = values.serve(booted);
        assert_eq!(changed.iter().map(|channel| channel.output).collect::<Vec<_>>(), [0.0, 0.5]);
    }
}
