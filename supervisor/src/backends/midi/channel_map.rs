//! The channels of one `midi` instance, mapped to addresses and back.
//!
//! Each address has a *slot*, a small number. Two names of one address share a slot.

use super::channel::{ChannelAddress, NameError, ParsedName, parse_name};
use mm_config::{Channel, Diagnostic, Diagnostics, Instance, Span};
use mm_shared::ChannelId;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Look-up tables between channel indices, slots and addresses.
#[derive(Debug, Clone, Default)]
pub struct ChannelMap {
    /// By slot.
    pub addresses: Vec<ChannelAddress>,
    slots_by_address: HashMap<ChannelAddress, u32>,
    /// By slot: the channels that receive from it.
    listeners: Vec<Vec<ChannelId>>,
    /// By channel.
    slots: Vec<u32>,
}

impl ChannelMap {
    /// Parses the channel names of an instance; invalid ones are reported to `diagnostics`.
    pub fn new(instance: &Instance, diagnostics: &mut Diagnostics) -> Self {
        let mut map = Self::default();
        let mut errors = NameErrors { instance, diagnostics, reported: HashSet::new() };
        for (id, channel) in (0..).map(ChannelId).zip(&instance.channels) {
            match parse_name(&channel.name) {
                Ok(ParsedName { address, warning }) => {
                    map.add(id, address);
                    warning.into_iter().for_each(|warning| errors.warn(warning, channel));
                }
                Err(error) => errors.report(error, channel),
            }
        }
        map
    }

    fn add(&mut self, channel: ChannelId, address: ChannelAddress) {
        let next = self.addresses.len() as u32;
        let slot = *self.slots_by_address.entry(address).or_insert(next);
        if slot == next {
            self.addresses.push(address);
            self.listeners.push(Vec::new());
        }
        if let Some(listeners) = self.listeners.get_mut(slot as usize) {
            listeners.push(channel);
        }
        self.slots.push(slot);
    }

    /// The channels that receive what comes in on an address.
    pub fn listeners(&self, address: ChannelAddress) -> &[ChannelId] {
        let slot = self.slots_by_address.get(&address);
        slot.and_then(|slot| self.listeners.get(*slot as usize)).map_or(&[], Vec::as_slice)
    }

    /// The slot and the address of a channel.
    pub fn of_channel(&self, channel: ChannelId) -> Option<(u32, ChannelAddress)> {
        let slot = *self.slots.get(channel.index())?;
        Some((slot, *self.addresses.get(slot as usize)?))
    }
}

/// Reports invalid names, once for all channels that come from one name with a range in it.
struct NameErrors<'a> {
    instance: &'a Instance,
    diagnostics: &'a mut Diagnostics,
    reported: HashSet<Span>,
}

impl NameErrors<'_> {
    fn report(&mut self, error: NameError, channel: &Channel) {
        let Instance { backend, name: owner, .. } = self.instance;
        let message = format!("`{}` is not a channel of the {backend} instance `{owner}`", channel.name);
        let Some(span) = self.span(error.range, channel) else { return };
        let diagnostic: &mut Diagnostic = self.diagnostics.error(span, message);
        diagnostic
            .label(error.label)
            .hint("channels are `chN.TYPE`, as in `ch0.cc7`, `ch0.note60` and `ch15.pitch`");
    }

    fn warn(&mut self, warning: NameError, channel: &Channel) {
        let Some(span) = self.span(warning.range, channel) else { return };
        let message = format!("`{}` is an unusual channel name", channel.name);
        self.diagnostics.warning(span, message).label(warning.label);
    }

    /// The span to underline; `None` if it was reported before.
    fn span(&mut self, part: Range<usize>, channel: &Channel) -> Option<Span> {
        // A name that came from a range differs from what is written; then all of that is
        // underlined.
        let is_written = channel.span.range().len() == channel.name.len() && !part.is_empty();
        let span = if is_written { channel.span.slice(part) } else { channel.span };
        self.reported.insert(channel.span).then_some(span)
    }
}
