//! Resolves mappings: looks up instances, expands ranges, drops duplicates.
//!
//! All look-ups are by hash, so that the time is linear in the number of mappings.

use std::collections::{HashMap, HashSet};

use super::{Declaration, Resolver};
use crate::ast::{self, ChannelReference, Direction};
use crate::model::{Channel, Endpoint, Mapping};
use crate::ranges::ChannelPattern;
use crate::source::{Span, excerpt};
use crate::suggest::did_you_mean;

/// The most mappings of a show, after expansion.
const MAPPING_LIMIT: u64 = 2 << 20;

/// The most bytes that all channel names of a show may have together.
const NAMES_LIMIT: usize = 256 << 20;

/// The mappings so far.
#[derive(Default)]
struct Mapped<'s> {
    /// For each instance, its channels by name.
    channels: Vec<HashMap<String, usize>>,
    pairs: HashSet<Mapping>,
    bytes: usize,
    /// The show is too large: no further line is resolved.
    full: bool,
    /// Instances without a declaration: where each is first used, and how often.
    unknown: HashMap<&'s str, (Span, usize)>,
}

/// One side of a mapping, parsed.
struct Side<'s> {
    reference: ChannelReference,
    pattern: ChannelPattern<'s>,
    /// Its index in `Show::instances`; `None` when the instance has an error.
    instance: Option<usize>,
}

impl<'s> Resolver<'s, '_> {
    pub(super) fn mappings<'a>(&mut self, blocks: impl Iterator<Item = &'a Vec<ast::MappingLine>>) {
        let channels = self.show.instances.iter().map(|_| HashMap::new()).collect();
        let mut mapped = Mapped { channels, ..Mapped::default() };
        for mapping in blocks.flatten() {
            self.mapping(mapping, &mut mapped);
            if mapped.full {
                break;
            }
        }
        self.report_unknown(mapped.unknown);
    }

    fn mapping(&mut self, mapping: &ast::MappingLine, mapped: &mut Mapped<'s>) {
        let (left, right) = (self.side(mapping.left, mapped), self.side(mapping.right, mapped));
        let (Some(left), Some(right)) = (left, right) else { return };
        if !self.sizes_fit(&left, &right) || !self.there_is_room(mapping, &left, &right, mapped) {
            return;
        }
        let (Some(left), Some(right)) = (self.endpoints(&left, mapped), self.endpoints(&right, mapped))
        else {
            return;
        };
        let count = left.len().max(right.len());
        // A side with a single channel maps it to all channels of the other side.
        for (left, right) in left.iter().cycle().zip(right.iter().cycle()).take(count) {
            if mapping.direction != Direction::ToLeft {
                self.add(Mapping { from: *left, to: *right }, mapped);
            }
            if mapping.direction != Direction::ToRight {
                self.add(Mapping { from: *right, to: *left }, mapped);
            }
        }
    }

    /// Whether the show stays within its limits with this mapping.
    fn there_is_room(
        &mut self,
        mapping: &ast::MappingLine,
        left: &Side<'s>,
        right: &Side<'s>,
        mapped: &mut Mapped<'s>,
    ) -> bool {
        let pairs = left.pattern.count().max(right.pattern.count());
        let directions = if mapping.direction == Direction::Both { 2 } else { 1 };
        let total = pairs.saturating_mul(directions).saturating_add(mapped.pairs.len() as u64);
        if total <= MAPPING_LIMIT && mapped.bytes <= NAMES_LIMIT {
            return true;
        }
        mapped.full = true;
        let line = mapping.left.instance.to(mapping.right.channel);
        let error = self.diagnostics.error(line, "the show is too large");
        error.label(format!("this line makes it {total} mappings"));
        error.hint(format!("at most {MAPPING_LIMIT}, and {} MiB of channel names", NAMES_LIMIT >> 20));
        false
    }

    fn add(&mut self, mapping: Mapping, mapped: &mut Mapped<'s>) {
        if mapped.pairs.insert(mapping) {
            self.show.mappings.push(mapping);
        }
    }

    fn side(&mut self, reference: ChannelReference, mapped: &mut Mapped<'s>) -> Option<Side<'s>> {
        let name = self.text(reference.instance);
        let instance = match self.declared.get(name) {
            Some(Declaration::Instance(index, _)) => Some(*index),
            Some(Declaration::Broken(_)) => None,
            None => {
                mapped.unknown.entry(name).or_insert((reference.instance, 0)).1 += 1;
                None
            }
        };
        self.warn_of_comment(reference.channel);
        match ChannelPattern::parse(self.text(reference.channel)) {
            Ok(pattern) => Some(Side { reference, pattern, instance }),
            Err(error) => {
                let span = reference.channel.slice(error.range);
                self.diagnostics.error(span, error.message).label(error.label);
                None
            }
        }
    }

    fn sizes_fit(&mut self, left: &Side<'s>, right: &Side<'s>) -> bool {
        let counts = (left.pattern.count(), right.pattern.count());
        if counts.0 == counts.1 || counts.0 == 1 || counts.1 == 1 {
            return true;
        }
        let message = format!("{} channels cannot be mapped to {}", counts.0, counts.1);
        self.diagnostics
            .error(right.reference.whole(), message)
            .label(format!("{} channels", counts.1))
            .also(left.reference.whole(), format!("{} channels", counts.0))
            .hint("both sides have the same number of channels, or one side has exactly one");
        false
    }

    /// The channels of one side, which are added if they are new.
    fn endpoints(&mut self, side: &Side<'s>, mapped: &mut Mapped<'s>) -> Option<Vec<Endpoint>> {
        let instance = side.instance?;
        let known = mapped.channels.get_mut(instance)?;
        let channels = &mut self.show.instances.get_mut(instance)?.channels;
        let mut endpoints = Vec::new();
        side.pattern.expand(|name| {
            let channel = known.get(name).copied().unwrap_or_else(|| {
                known.insert(name.to_string(), channels.len());
                channels.push(Channel { name: name.to_string(), span: side.reference.channel });
                mapped.bytes += name.len();
                channels.len() - 1
            });
            endpoints.push(Endpoint { instance, channel });
        });
        Some(endpoints)
    }

    /// One error for each name, however often it is used.
    fn report_unknown(&mut self, unknown: HashMap<&'s str, (Span, usize)>) {
        let mut unknown: Vec<_> = unknown.into_iter().collect();
        unknown.sort_by_key(|(_, (span, _))| (span.file, span.start));
        for (name, (span, uses)) in unknown {
            let names = self.show.instances.iter().map(|instance| instance.name.as_str());
            let hint = if self.diagnostics.is_full() { None } else { did_you_mean(name, names) };
            let ranges = name.contains('{').then_some("ranges stand in channel names, behind the first dot");
            let error = self.diagnostics.error(span, format!("unknown instance `{}`", excerpt(name)));
            error.label(match uses {
                1 => "no section declares it".to_string(),
                _ => format!("no section declares it; used {uses} times"),
            });
            error.maybe_hint(ranges).maybe_hint(hint);
        }
    }
}
