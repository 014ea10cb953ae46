//! What `[midi NAME]` and `[backend midi]` say, and what the channels of an instance are.

use super::channel::{Address, Fault, Parsed, parse};
use mm_config::options::switch;
use mm_config::{Channel, Diagnostic, Diagnostics, Instance, Section, Setting, Span};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// What the names of ports begin with, unless the show says otherwise.
const DEFAULT_NAME: &str = "mm-supervisor";
const DEFAULT_RATE: u32 = 1000;

/// What holds for all instances.
#[derive(Debug, Clone)]
pub struct Common {
    pub name: String,
    pub detect: bool,
}

impl Common {
    pub fn read(section: Option<&Section>) -> Self {
        let settings = section.map_or(&[][..], |section| &section.settings);
        Self {
            name: last(settings, "name").unwrap_or(DEFAULT_NAME).to_owned(),
            detect: last(settings, "detect").is_some_and(|text| switch(text).unwrap_or(false)),
        }
    }
}

/// The options of an instance.
#[derive(Debug, Clone)]
pub struct Options {
    /// The device to receive from, as the show names it.
    pub read: Option<String>,
    /// The device to send to.
    pub write: Option<String>,
    /// Whether a parameter is deselected after it was set.
    pub deselect: bool,
    /// Messages sent in a second when there are many.
    pub rate: u32,
}

impl Options {
    /// Of an option that is set twice, the last counts. The option tables have checked the values.
    pub fn read(instance: &Instance) -> Self {
        let text = |key| last(&instance.settings, key);
        Self {
            read: text("read").map(str::to_owned),
            write: text("write").map(str::to_owned),
            deselect: text("epn-tx") != Some("short"),
            rate: text("rate").and_then(|rate| rate.parse().ok()).unwrap_or(DEFAULT_RATE),
        }
    }
}

fn last<'a>(settings: &'a [Setting], key: &str) -> Option<&'a str> {
    let setting = settings.iter().rfind(|setting| setting.key.value == key)?;
    Some(&setting.value.value)
}

/// The channels of an instance: two names of one address share a slot.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// What each slot stands for.
    pub addresses: Vec<Address>,
    by_address: HashMap<Address, u32>,
    /// By slot: the channels that listen to it.
    listeners: Vec<Vec<u32>>,
    /// By channel.
    slots: Vec<u32>,
}

impl Slots {
    /// Reads the names; what is wrong with them goes to `diagnostics`.
    pub fn new(instance: &Instance, diagnostics: &mut Diagnostics) -> Self {
        let mut slots = Self::default();
        let mut faults = Faults { instance, diagnostics, reported: HashSet::new() };
        for (number, channel) in (0..).zip(&instance.channels) {
            match parse(&channel.name) {
                Ok(Parsed { address, oddity }) => {
                    slots.add(number, address);
                    oddity.into_iter().for_each(|oddity| faults.odd(oddity, channel));
                }
                Err(fault) => faults.misnamed(fault, channel),
            }
        }
        slots
    }

    fn add(&mut self, channel: u32, address: Address) {
        let next = self.addresses.len() as u32;
        let slot = *self.by_address.entry(address).or_insert(next);
        if slot == next {
            self.addresses.push(address);
            self.listeners.push(Vec::new());
        }
        if let Some(listeners) = self.listeners.get_mut(slot as usize) {
            listeners.push(channel);
        }
        self.slots.push(slot);
    }

    /// The channels that listen to an address.
    pub fn listeners(&self, address: Address) -> &[u32] {
        let slot = self.by_address.get(&address);
        slot.and_then(|slot| self.listeners.get(*slot as usize)).map_or(&[], Vec::as_slice)
    }

    /// What a channel stands for.
    pub fn of_channel(&self, channel: u32) -> Option<(u32, Address)> {
        let slot = *self.slots.get(channel as usize)?;
        Some((slot, *self.addresses.get(slot as usize)?))
    }
}

/// What is wrong with channels, said once for all that come from one name with a range in it.
struct Faults<'a> {
    instance: &'a Instance,
    diagnostics: &'a mut Diagnostics,
    reported: HashSet<Span>,
}

impl Faults<'_> {
    fn misnamed(&mut self, fault: Fault, channel: &Channel) {
        let Instance { kind, name: owner, .. } = self.instance;
        let message = format!("`{}` is no channel of the {kind} instance `{owner}`", channel.name);
        let Some(span) = self.place(fault.range, channel) else { return };
        let error: &mut Diagnostic = self.diagnostics.error(span, message);
        error
            .label(fault.label)
            .hint("channels are `chN.TYPE`, as in `ch0.cc7`, `ch0.note60` and `ch15.pitch`");
    }

    fn odd(&mut self, oddity: Fault, channel: &Channel) {
        let Some(span) = self.place(oddity.range, channel) else { return };
        let message = format!("`{}` is an odd name for a channel", channel.name);
        self.diagnostics.warning(span, message).label(oddity.label);
    }

    /// Where to point at, if that was not done yet.
    fn place(&mut self, at: Range<usize>, channel: &Channel) -> Option<Span> {
        // a name that came from a range is not what is written; then all of that is meant
        let written = channel.span.range().len() == channel.name.len() && !at.is_empty();
        let span = if written { channel.span.slice(at) } else { channel.span };
        self.reported.insert(channel.span).then_some(span)
    }
}
