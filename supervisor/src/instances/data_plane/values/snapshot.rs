//! The names and values of one moment, taken in the event loop at the cost of a copy of numbers,
//! and turned by another thread into what a worker or the state file gets.

use super::names::Names;
use super::{Slot, selection};
use crate::state::SavedChannel;
use mm_shared::control::{ChannelBoot, NameAllowance, NameError};
use std::sync::Arc;

/// An output value that the script has never sent, in the state file. Scripts send no such value.
const NEVER_SENT: f64 = -0.0;

/// Names and values of all channels at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) names: Names,
    pub(super) slots: Vec<Slot>,
    pub(super) life_start: u64,
}

/// One channel whose value has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedValue {
    pub(super) name: Arc<str>,
    pub(super) slot: Slot,
}

/// What a worker that does not serve yet knows of the channels.
#[derive(Debug)]
pub struct BootedNames {
    /// The version of the values at its boot.
    pub(super) version: u64,
    /// The numbering at its boot.
    pub(super) numbering: u64,
    /// The numbers that its added names had then, if it was not given all of them.
    pub(super) kept: Option<Vec<u32>>,
    /// How many names it was given.
    pub(super) given: usize,
    /// All names as this worker numbers them: those that it was given, then its own.
    pub(super) names: Names,
}

impl BootedNames {
    /// Adds a name.
    ///
    /// # Errors
    ///
    /// Its number is not the next one, it is not a name that a script may add, or there are too
    /// many.
    pub fn add(&mut self, number: u32, name: &str) -> Result<(), NameError> {
        add(&mut self.names, number, name)
    }
}

/// Adds a name that comes from a worker.
pub(super) fn add(names: &mut Names, number: u32, name: &str) -> Result<(), NameError> {
    if number as usize != names.len() {
        return Err(NameError::OutOfTurn);
    }
    // Checked before it is copied: a message may be megabytes long.
    names.allowance().take(name)?;
    names.add(Arc::from(name))
}

impl Snapshot {
    /// What a worker may add to the names that it is given.
    #[must_use]
    pub fn allowance(&self) -> NameAllowance {
        self.names.allowance()
    }

    /// How many of the channels, from the start, mappings use.
    #[must_use]
    pub fn mapped(&self) -> u32 {
        u32::try_from(self.names.mapped()).unwrap_or(u32::MAX)
    }

    /// The channels as a worker gets them.
    pub fn channels(&self) -> impl Iterator<Item = ChannelBoot> {
        self.names.iter().zip(&self.slots).map(|(name, slot)| slot.boot(name))
    }

    /// The channels as the state file gets them: those that the next worker would get.
    pub fn saved(&self, instance: &Arc<str>) -> impl Iterator<Item = SavedChannel> {
        let kept = selection::kept(&self.names, &self.slots, self.life_start);
        let mapped = self.names.mapped();
        let is_kept = move |number: &usize| {
            let kept = kept.as_ref().filter(|_| *number >= mapped);
            kept.is_none_or(|kept| kept.binary_search(&(*number as u32)).is_ok())
        };
        self.names.iter().zip(&self.slots).enumerate().filter(move |(number, _)| is_kept(number)).map(
            move |(_, (name, slot))| SavedChannel {
                instance: Arc::clone(instance),
                channel: Arc::clone(name),
                input: slot.input,
                output: slot.output.unwrap_or(NEVER_SENT),
            },
        )
    }
}

impl ChangedValue {
    /// The channel as a worker gets it.
    #[must_use]
    pub fn boot(&self) -> ChannelBoot {
        self.slot.boot(&self.name)
    }
}

impl Slot {
    fn boot(&self, name: &str) -> ChannelBoot {
        ChannelBoot { name: name.to_owned(), input: self.input, output: self.output.unwrap_or_default() }
    }

    /// Values from the state file.
    pub(super) fn saved(input: f64, output: f64, used: u64) -> Self {
        let output = (output.to_bits() != NEVER_SENT.to_bits()).then_some(output);
        Self { input, output, used }
    }
}
