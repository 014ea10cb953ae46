//! Channel names: `1` to `512` for a slot, `COARSE+FINE` for 16 bits in two slots of the universe.
//!
//! A slot belongs to one channel. Two names of the same slots (`7` and `007`) are the same channel
//! for the universe: each receives what comes in, and each sets it. Slots that overlap in another
//! way are an error, as one of the two would destroy the value of the other.

use super::{Levels, SLOTS};
use mm_config::{Channel, Diagnostics, Instance, Span};
use mm_shared::ChannelId;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;

/// The slots of a channel, as indices from 0 to 511.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelSlots {
    Single(u16),
    /// 16 bits: the upper byte in `coarse`, the lower one in `fine`.
    Pair {
        coarse: u16,
        fine: u16,
    },
}

impl ChannelSlots {
    /// The raw value of 1.0.
    fn top(self) -> u16 {
        match self {
            Self::Single(_) => u16::from(u8::MAX),
            Self::Pair { .. } => u16::MAX,
        }
    }

    /// Converts a raw value to 0.0 to 1.0.
    #[must_use]
    pub fn value(self, raw: u16) -> f64 {
        f64::from(raw.min(self.top())) / f64::from(self.top())
    }

    /// Converts to the nearest raw value: the inverse of [`ChannelSlots::value`] for each raw value.
    #[must_use]
    pub fn raw(self, value: f64) -> u16 {
        // A conversion from float saturates and turns NaN into 0.
        (value.clamp(0.0, 1.0) * f64::from(self.top())).round() as u16
    }

    /// The raw value in a frame.
    #[must_use]
    pub fn read(self, levels: &Levels) -> u16 {
        let level = |slot: u16| u16::from(levels.get(usize::from(slot)).copied().unwrap_or(0));
        match self {
            Self::Single(slot) => level(slot),
            Self::Pair { coarse, fine } => level(coarse) << 8 | level(fine),
        }
    }

    /// Puts a raw value into a frame.
    pub fn write(self, raw: u16, levels: &mut Levels) {
        let [upper, lower] = raw.to_be_bytes();
        let mut put = |slot: u16, level: u8| {
            if let Some(place) = levels.get_mut(usize::from(slot)) {
                *place = level;
            }
        };
        match self {
            Self::Single(slot) => put(slot, lower),
            Self::Pair { coarse, fine } => {
                put(coarse, upper);
                put(fine, lower);
            }
        }
    }

    /// The slots: one or two.
    pub fn each(self) -> impl Iterator<Item = u16> {
        let (first, second) = match self {
            Self::Single(slot) => (slot, None),
            Self::Pair { coarse, fine } => (coarse, Some(fine)),
        };
        std::iter::once(first).chain(second)
    }

    /// The lowest of its slots.
    #[must_use]
    pub fn lowest(self) -> u16 {
        match self {
            Self::Single(slot) => slot,
            Self::Pair { coarse, fine } => coarse.min(fine),
        }
    }
}

impl fmt::Display for ChannelSlots {
    /// The name in a show file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(slot) => write!(f, "{}", slot + 1),
            Self::Pair { coarse, fine } => write!(f, "{}+{}", coarse + 1, fine + 1),
        }
    }
}

/// The slots of the channels of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotMap {
    /// By channel.
    by_channel: Vec<ChannelSlots>,
    /// In the order of their lowest slots, in which events are reported.
    ordered: Vec<(ChannelSlots, ChannelId)>,
    /// One bit for each slot that a channel has.
    used: [u64; SLOTS / 64],
}

impl SlotMap {
    /// Parses the channel names of an instance. Wrong names, and slots that two channels claim, go to
    /// `diagnostics`.
    pub fn read(instance: &Instance, diagnostics: &mut Diagnostics) -> Self {
        let mut map = Self::default();
        let mut claims: HashMap<u16, (ChannelSlots, Span)> = HashMap::new();
        let mut errors = SlotErrors { instance, diagnostics, reported: HashSet::new() };
        for (id, channel) in (0..).map(ChannelId).zip(&instance.channels) {
            match parse(&channel.name) {
                Ok(slots) => {
                    map.by_channel.push(slots);
                    map.ordered.push((slots, id));
                    slots.each().for_each(|slot| map.mark(slot));
                    let clash = slots.each().find_map(|slot| {
                        let (owner, span) = *claims.entry(slot).or_insert((slots, channel.span));
                        (owner != slots).then_some((slot, owner, span))
                    });
                    if let Some((slot, owner, span)) = clash {
                        errors.claimed_twice(slot, channel, owner, span);
                    }
                }
                Err(error) => errors.misnamed(error, channel),
            }
        }
        map.ordered.sort_by_key(|(slots, channel)| (slots.lowest(), channel.0));
        map
    }

    /// The slots of a channel.
    #[must_use]
    pub fn of_channel(&self, channel: ChannelId) -> Option<ChannelSlots> {
        self.by_channel.get(channel.index()).copied()
    }

    /// All channels, in the order of their lowest slots.
    #[must_use]
    pub fn ordered(&self) -> &[(ChannelSlots, ChannelId)] {
        &self.ordered
    }

    /// Whether a channel has the slot with this index.
    #[must_use]
    pub fn has_slot(&self, index: usize) -> bool {
        self.used.get(index / 64).is_some_and(|bits| bits & 1 << (index % 64) != 0)
    }

    fn mark(&mut self, slot: u16) {
        if let Some(bits) = self.used.get_mut(usize::from(slot) / 64) {
            *bits |= 1 << (slot % 64);
        }
    }
}

/// What is wrong with a part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SlotNameError {
    range: Range<usize>,
    label: String,
}

fn parse(name: &str) -> Result<ChannelSlots, SlotNameError> {
    let Some((coarse, fine)) = name.split_once('+') else {
        return parse_slot(name, 0).map(ChannelSlots::Single);
    };
    let after = coarse.len() + 1;
    let (coarse, fine) = (parse_slot(coarse, 0)?, parse_slot(fine, after)?);
    if coarse == fine {
        let label = "the two slots of a pair are different ones".to_owned();
        return Err(SlotNameError { range: after..name.len(), label });
    }
    Ok(ChannelSlots::Pair { coarse, fine })
}

/// Parses the number of a slot that stands at `offset` of a name.
fn parse_slot(text: &str, offset: usize) -> Result<u16, SlotNameError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let label = match text.parse::<u64>() {
        Ok(0) if is_number => "the first slot is 1",
        Ok(number @ 1..=512) if is_number => return Ok((number - 1) as u16),
        _ if is_number => "a universe has 512 slots",
        _ => "expected a slot, 1 to 512",
    };
    Err(SlotNameError { range: offset..offset + text.len(), label: label.to_owned() })
}

/// Reports errors in channel names, once for all channels that come from one name with a range in
/// it.
struct SlotErrors<'a> {
    instance: &'a Instance,
    diagnostics: &'a mut Diagnostics,
    reported: HashSet<Span>,
}

impl SlotErrors<'_> {
    fn misnamed(&mut self, error: SlotNameError, channel: &Channel) {
        let Instance { backend, name: owner, .. } = self.instance;
        // A name that comes from a range is not written as such: then the whole text is underlined.
        let is_written = channel.span.range().len() == channel.name.len() && !error.range.is_empty();
        let span = if is_written { channel.span.slice(error.range) } else { channel.span };
        if self.reported.insert(channel.span) {
            let message = format!("`{}` is not a channel of the {backend} instance `{owner}`", channel.name);
            let error = self.diagnostics.error(span, message).label(error.label);
            error.hint(format!(
                "channels are slots, `1` to `{SLOTS}`, or two of them as 16 bits, coarse and fine: `1+2`"
            ));
        }
    }

    fn claimed_twice(&mut self, slot: u16, channel: &Channel, owner: ChannelSlots, span: Span) {
        if self.reported.insert(channel.span) {
            let number = slot + 1;
            let message = format!(
                "slot {number} of `{}` belongs to both `{owner}` and `{}`",
                self.instance.name, channel.name
            );
            let error = self.diagnostics.error(channel.span, message).label("mapped again, in another way");
            error
                .also(span, format!("`{owner}` is mapped here"))
                .hint("a slot that is part of a pair cannot be mapped alone, or in another pair");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_shows::show;
    use mm_config::{Section, Show};

    /// An instance with these channels. Its backend is `loopback`, which takes any name.
    fn instance(channels: &str) -> Show {
        show(&format!("[loopback net]\n[loopback other]\n[map]\nother.x > net.{channels}\n"))
    }

    fn errors(channels: &str) -> Vec<String> {
        let show = instance(channels);
        let mut diagnostics = Diagnostics::default();
        SlotMap::read(&show.instances[0], &mut diagnostics);
        let _: &[Section] = &show.backends;
        diagnostics.iter().map(|diagnostic| diagnostic.message().to_owned()).collect()
    }

    fn map(channels: &str) -> SlotMap {
        let show = instance(channels);
        let mut diagnostics = Diagnostics::default();
        let map = SlotMap::read(&show.instances[0], &mut diagnostics);
        assert!(diagnostics.is_empty(), "{channels}");
        map
    }

    #[test]
    fn names_are_slots_and_pairs_of_slots() {
        let map = map("{512,007,1+2,500+4,7}");
        let slots: Vec<String> = map.ordered().iter().map(|(slots, _)| slots.to_string()).collect();
        assert_eq!(slots, ["1+2", "500+4", "7", "7", "512"]);
        assert_eq!(map.of_channel(ChannelId(2)), Some(ChannelSlots::Pair { coarse: 0, fine: 1 }));
        assert_eq!(map.of_channel(ChannelId(5)), None);
        assert!([0, 1, 3, 6, 499, 511].into_iter().all(|index| map.has_slot(index)));
        assert!([4, 7, 510, 512, 9999].into_iter().all(|index| !map.has_slot(index)));
    }

    #[test]
    fn other_names_are_errors() {
        for name in
            ["0", "513", "x", "1+", "+2", "1+513", "1+2+3", "3+3", "-1", "1.5", "99999999999999999999"]
        {
            let [error] = &errors(name)[..] else { panic!("{name}") };
            assert_eq!(*error, format!("`{name}` is not a channel of the loopback instance `net`"));
        }
        assert_eq!(errors("{510..514}").len(), 1, "one for all names of a range");
    }

    #[test]
    fn a_slot_of_two_channels_is_an_error_that_names_both() {
        for (names, slot) in [("{1+2,2}", 2), ("{1,1+2}", 1), ("{1+2,2+3}", 2), ("{1+2,2+1}", 2)] {
            let [error] = &errors(names)[..] else { panic!("{names}: {:?}", errors(names)) };
            assert!(error.contains(&format!("slot {slot} of `net`")), "{names}: {error}");
        }
        let twice = "[loopback net]\n[loopback other]\n[map]\nother.x > net.1+2\nother.y > net.2\n";
        let mut diagnostics = Diagnostics::default();
        SlotMap::read(&show(twice).instances[0], &mut diagnostics);
        assert_eq!(diagnostics.iter().count(), 1);
    }

    #[test]
    fn each_byte_and_each_word_goes_out_as_it_came_in() {
        let single = ChannelSlots::Single(3);
        assert!((0..=255).all(|raw| single.raw(single.value(raw)) == raw));
        let pair = ChannelSlots::Pair { coarse: 8, fine: 2 };
        assert!((0..=u16::MAX).all(|raw| pair.raw(pair.value(raw)) == raw));
        for slots in [single, pair] {
            assert_eq!((slots.raw(0.0), slots.value(0)), (0, 0.0));
            assert_eq!((slots.raw(1.0), slots.value(slots.top())), (slots.top(), 1.0));
            for odd in [f64::NAN, f64::NEG_INFINITY, -1.0] {
                assert_eq!(slots.raw(odd), 0);
            }
            assert_eq!(slots.raw(f64::INFINITY), slots.top());
        }
        let mut levels = [0; SLOTS];
        pair.write(0x12ab, &mut levels);
        assert_eq!((levels[8], levels[2], pair.read(&levels)), (0x12, 0xab, 0x12ab));
    }
}
