//! The last values of an instance's channels, which outlive its workers.
//!
//! Input values follow from the events that the worker takes out of its ring, output values from
//! those that it sends. An event becomes the input value when its handler has returned, so the
//! event taken last is held back until the next one is taken, or until the worker is known to have
//! finished it.
//!
//! Each worker numbers the names that its script adds in its own way. The numbers here are those of
//! the worker that serves; [`BootedNames`] has those of one that does not serve yet.

mod names;
mod selection;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{BootedNames, ChangedValue, Snapshot};

use mm_shared::control::{EXTRA_CHANNELS, NameError};
use mm_shared::{ChannelId, Event};
use names::Names;
use std::collections::HashMap;
use std::sync::Arc;

/// The channels of an instance, by number: those of the show first, then those that the script
/// added by sending on them.
#[derive(Debug, Clone)]
pub struct Values {
    names: Names,
    /// Values by number. There are more of them than names between a record and the message that
    /// names its channel.
    slots: Vec<Slot>,
    held: Option<Event>,
    /// Values of names that the present worker knows, but has not numbered yet.
    unnumbered: HashMap<Arc<str>, Slot>,
    /// Counts changes of values.
    version: u64,
    /// The version when the last worker began to serve.
    life_start: u64,
    /// Counts changes of the meaning of numbers.
    numbering: u64,
}

/// The values of one channel.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Slot {
    input: f64,
    /// `None`: the script has never sent one.
    output: Option<f64>,
    /// The version of the last change.
    used: u64,
}

impl Values {
    /// All channels of the show at 0.0.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names = Names::new(names.into_iter().map(Arc::from));
        let slots = vec![Slot::default(); names.len()];
        let (held, unnumbered) = (None, HashMap::new());
        Self { names, slots, held, unnumbered, version: 0, life_start: 0, numbering: 0 }
    }

    /// The show has other channels now; values stay with their names. Names that the script added
    /// go on behind.
    pub fn rename(&mut self, mapped: Vec<String>) {
        let mapped: Vec<Arc<str>> = mapped.into_iter().map(Arc::from).collect();
        let old = std::mem::replace(&mut self.names, Names::new(mapped));
        let slots = std::mem::take(&mut self.slots);
        let mut values: HashMap<&str, Slot> = old.iter().map(AsRef::as_ref).zip(slots).collect();
        self.slots = self.names.iter().map(|name| values.remove(&**name).unwrap_or_default()).collect();
        for name in old.iter().skip(old.mapped()) {
            if let Some(slot) = values.remove(&**name)
                && self.names.add(Arc::clone(name)).is_ok()
            {
                self.slots.push(slot);
            }
        }
        self.held = None;
        self.unnumbered = HashMap::new();
        self.version += 1;
        self.numbering += 1;
    }

    /// These values as they will be after [`Values::rename`]: what a worker gets at its boot that
    /// will serve with other channels. Changes until then count as changes since its boot.
    #[must_use]
    pub fn renamed(&self, mapped: &[String]) -> Self {
        let mut renamed = self.clone();
        renamed.rename(mapped.to_vec());
        Self { version: self.version, ..renamed }
    }

    /// The names that the show's mappings use.
    pub fn mapped_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.iter().take(self.names.mapped()).map(AsRef::as_ref)
    }

    /// How many channels the show's mappings use; they have the lowest numbers.
    #[must_use]
    pub fn mapped(&self) -> u32 {
        u32::try_from(self.names.mapped()).unwrap_or(u32::MAX)
    }

    /// Channel numbers in records must be below this.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.mapped().saturating_add(EXTRA_CHANNELS)
    }

    /// The name of a channel, for messages.
    #[must_use]
    pub fn name(&self, channel: ChannelId) -> &str {
        self.names.get(channel.index()).map_or("?", AsRef::as_ref)
    }

    /// The last value that the script sent on a channel, if it has sent one.
    #[must_use]
    pub fn output(&self, channel: ChannelId) -> Option<f64> {
        self.slots.get(channel.index())?.output
    }

    /// Names and values of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let slots = self.slots.iter().take(self.names.len()).copied().collect();
        Snapshot { names: self.names.clone(), slots, life_start: self.life_start }
    }

    /// Puts back the values of the last run: name, input, output. Names that the show does not have
    /// are added, as far as a script may add them; returns how many were left out.
    pub fn restore<'a>(&mut self, saved: impl IntoIterator<Item = (&'a Arc<str>, f64, f64)>) -> usize {
        self.version += 1;
        let mut left_out = 0;
        let mut numbers: HashMap<Arc<str>, usize> = self.names.iter().cloned().zip(0..).collect();
        for (name, input, output) in saved {
            let slot = Slot::saved(input, output, self.version);
            if let Some(number) = numbers.get(name) {
                self.slots[*number] = slot;
            } else if self.names.add(Arc::clone(name)).is_ok() {
                numbers.insert(Arc::clone(name), self.slots.len());
                self.slots.push(slot);
            } else {
                left_out += 1;
            }
        }
        left_out
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
        if let Some(slot) = self.slots.get_mut(event.channel.index()) {
            self.version += 1;
            slot.input = event.value;
            slot.used = self.version;
        }
    }

    /// The worker has sent an event. Numbers beyond [`Values::limit`] are ignored.
    pub fn sent(&mut self, event: Event) {
        if event.channel.0 >= self.limit() {
            return;
        }
        let index = event.channel.index();
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::default());
        }
        self.version += 1;
        let slot = &mut self.slots[index];
        slot.output = Some(event.value);
        slot.used = self.version;
    }

    /// The script of the worker that serves sends on a name that the show does not have.
    ///
    /// # Errors
    ///
    /// As for [`BootedNames::add`].
    pub fn named(&mut self, number: u32, name: &str) -> Result<(), NameError> {
        snapshot::add(&mut self.names, number, name)?;
        self.version += 1;
        let index = number as usize;
        if index >= self.slots.len() {
            self.slots.push(Slot::default());
        }
        if let Some(before) = self.unnumbered.remove(name) {
            // A record may have come before this message.
            let output = self.slots[index].output.or(before.output);
            self.slots[index] = Slot { output, ..before };
        }
        self.slots[index].used = self.version;
        Ok(())
    }

    /// The most bytes that the channels take in a boot.
    #[must_use]
    pub fn boot_bytes(&self) -> usize {
        /// Two values, and a length of up to nine bytes.
        const BYTES_PER_CHANNEL: usize = 25;
        self.names.bytes() + BYTES_PER_CHANNEL * self.names.len()
    }

    /// What the next worker gets at its boot.
    #[must_use]
    pub fn boot(&self) -> (Snapshot, BootedNames) {
        let kept = selection::kept(&self.names, &self.slots, self.life_start);
        let (names, slots) = match &kept {
            None => (self.names.clone(), self.slots.iter().take(self.names.len()).copied().collect()),
            Some(kept) => (self.names.select(kept), select(&self.slots, self.names.mapped(), kept)),
        };
        let booted = BootedNames {
            version: self.version,
            numbering: self.numbering,
            kept,
            given: names.len(),
            names: names.clone(),
        };
        (Snapshot { names, slots, life_start: self.life_start }, booted)
    }

    /// A worker serves from now on: added names have its numbers, values stay with their names.
    /// Returns what has changed since its boot.
    #[must_use]
    pub fn serve(&mut self, booted: BootedNames) -> Vec<ChangedValue> {
        let all = self.names.iter().zip(&self.slots);
        let changed: Vec<ChangedValue> = all
            .filter(|(_, slot)| slot.used > booted.version)
            .map(|(name, slot)| ChangedValue { name: Arc::clone(name), slot: *slot })
            .collect();
        self.life_start = self.version;
        // What it has added while its modules were imported counts as used by it.
        self.version += 1;
        self.take_numbers(booted);
        changed
    }

    fn take_numbers(&mut self, booted: BootedNames) {
        let BootedNames { version, numbering, kept, given, names } = booted;
        let before = std::mem::replace(&mut self.names, names);
        let all: Vec<Slot> = std::mem::take(&mut self.slots);
        let named = |from: usize| before.iter_from(from).cloned().zip(all.iter().skip(from).copied());
        let is_same = numbering == self.numbering;
        match kept {
            None if is_same => {
                self.unnumbered = named(given).collect();
                self.slots = all.iter().take(given).copied().collect();
                self.numbering += u64::from(before.len() > given);
            }
            Some(kept) if is_same => {
                // Of those that it was not given, what has changed since is of use.
                let others = named(before.mapped()).filter(|(_, slot)| slot.used > version);
                self.unnumbered = others.collect();
                self.slots = select(&all, before.mapped(), &kept);
                self.numbering += 1;
            }
            _ => {
                self.unnumbered = named(0).collect();
                self.numbering += 1;
            }
        }
        for name in self.names.iter_from(self.slots.len()) {
            let slot = self.unnumbered.remove(name).unwrap_or_default();
            self.slots.push(Slot { used: self.version, ..slot });
        }
    }
}

/// The values of the mapped channels, and of the others those with these numbers.
fn select(slots: &[Slot], mapped: usize, kept: &[u32]) -> Vec<Slot> {
    let others = kept.iter().filter_map(|number| slots.get(*number as usize));
    slots.iter().take(mapped).chain(others).copied().collect()
}
