//! The paths that the channels of an instance use, found by the address of a message or by a
//! channel.
//!
//! A channel is one parameter of one path. Several names can mean the same parameter (`/a` and
//! `/a:0`); then each of them receives it, and each of them sets it.

use super::codec::{MAX_DATAGRAM, OutgoingMessage};
use super::options::{MAX_PARAMETER, OscOptions, OscRule};
use super::pattern::{OscAddressError, check_address};
use super::range::{OscArgument, OscNumber, OscRange};
use super::tx_queue::QueuePlace;
use mm_config::{Channel, Diagnostic, Diagnostics, Instance, Span};
use mm_shared::ChannelId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// All paths of an instance.
#[derive(Debug, Clone, Default)]
pub struct OscPaths {
    list: Vec<OscPath>,
    /// By address on the wire, including the root.
    by_address: HashMap<Box<[u8]>, u32>,
    /// By channel of the instance.
    targets: Vec<ChannelTarget>,
}

/// The parameter that a channel stands for.
#[derive(Debug, Clone, Copy)]
pub struct ChannelTarget {
    pub path: u32,
    pub parameter: u32,
}

/// One path and what is mapped of it.
#[derive(Debug, Clone)]
pub struct OscPath {
    /// The path without the root.
    pub local: String,
    /// Sorted by parameter.
    listeners: Vec<ParameterListener>,
    pub format: PathFormat,
}

/// The types and ranges of a path's parameters.
#[derive(Debug, Clone)]
pub enum PathFormat {
    /// No pattern matches: the message determines the types of incoming values, and nothing is
    /// sent.
    Unknown {
        /// Whether the missing pattern has been logged.
        has_warned: bool,
    },
    Known {
        ranges: Arc<[OscRange]>,
        output: PathOutput,
    },
}

/// The outgoing message of a path.
///
/// Events of one step share a message as long as no parameter is set twice: they form a *group*,
/// which has a number.
#[derive(Debug, Clone)]
pub struct PathOutput {
    /// The last value of each parameter.
    pub message: OutgoingMessage,
    /// The number of the peer to which the message was sent last (see `OscTx::peer`); 0: none.
    pub sent_to: u32,
    /// The group of the last event.
    pub group: u64,
    /// The message of that group, if one of its values is to be sent.
    pub place: Option<QueuePlace>,
    /// Whether the path waits for space in the queue, or for a peer; then its last values are sent.
    pub is_waiting: bool,
    /// The group of the last event of each parameter.
    groups: Box<[u64]>,
}

impl PathOutput {
    fn new(message: OutgoingMessage, parameters: usize) -> Self {
        let groups = vec![0; parameters].into();
        Self { message, sent_to: 0, group: 0, place: None, is_waiting: false, groups }
    }

    /// Adds the parameter to the group. Returns whether it was in the group before.
    pub fn join_group(&mut self, parameter: u32) -> bool {
        let group = self.group;
        let last = self.groups.get_mut(parameter as usize);
        last.is_some_and(|last| std::mem::replace(last, group) == group)
    }
}

#[derive(Debug, Clone, Copy)]
struct ParameterListener {
    parameter: u32,
    channel: ChannelId,
    /// Whether the parameter has arrived as `f` or `d`: a sender that writes whole numbers as `i`
    /// (JavaScript does) means the same range by them.
    is_real: bool,
}

/// The outcome of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OscDelivery {
    Done,
    /// The pattern has this number of parameters, the message another one.
    WrongParameterCount {
        expected: usize,
    },
    /// At least one mapped argument has no channel value.
    NoValue,
    /// At least one mapped argument is missing.
    NoArgument,
}

impl OscPaths {
    /// Builds the table for the channels of an instance. Errors in their names go to `diagnostics`.
    pub fn new(instance: &Instance, options: &OscOptions, diagnostics: &mut Diagnostics) -> Self {
        let mut paths = Self::default();
        let mut errors = ChannelErrors { instance, diagnostics, reported: HashSet::new() };
        for (id, channel) in (0..).map(ChannelId).zip(&instance.channels) {
            match split(&channel.name) {
                Ok((local, parameter)) => {
                    errors.colon(channel, local);
                    let full = options.rules.iter().find(|rule| rule.pattern.matches(local));
                    let rule = full.or_else(|| errors.longer_rule(&options.rules, local));
                    let is_beyond = |rule: &&OscRule| parameter as usize >= rule.ranges.len();
                    let beyond = rule.filter(is_beyond);
                    if let Some(rule) = beyond {
                        errors.beyond(rule, channel);
                    }
                    let path = paths.path(local, rule, &options.root);
                    if paths.datagram(path).len() > MAX_DATAGRAM {
                        errors.too_long(channel);
                    }
                    if beyond.is_none() {
                        let listener = ParameterListener { parameter, channel: id, is_real: false };
                        paths.list[path as usize].listeners.push(listener);
                    }
                    paths.targets.push(ChannelTarget { path, parameter });
                }
                Err(error) => errors.misnamed(error, channel),
            }
        }
        paths.list.iter_mut().for_each(|path| path.listeners.sort_by_key(|listener| listener.parameter));
        paths
    }

    /// Takes over the last values of paths that are sent in the same form as before.
    pub fn inherit(&mut self, mut old: Self) {
        for (address, index) in &self.by_address {
            let before = old.by_address.get(address).and_then(|index| old.list.get_mut(*index as usize));
            let now = self.list.get_mut(*index as usize);
            let (Some(OscPath { format: before, .. }), Some(OscPath { format: now, .. })) = (before, now)
            else {
                continue;
            };
            if let (
                PathFormat::Known { ranges: old_ranges, output: old_output },
                PathFormat::Known { ranges, output },
            ) = (before, now)
                && old_ranges == ranges
            {
                std::mem::swap(output, old_output);
                (output.place, output.is_waiting) = (None, false);
            }
        }
    }

    /// The index of a path, which is added if it is new.
    fn path(&mut self, local: &str, rule: Option<&OscRule>, root: &str) -> u32 {
        let address = format!("{root}{local}");
        let next = self.list.len() as u32;
        let path = *self.by_address.entry(address.as_bytes().into()).or_insert(next);
        if path == next {
            let (local, format) = (local.to_string(), PathFormat::new(&address, rule));
            self.list.push(OscPath { local, listeners: Vec::new(), format });
        }
        path
    }

    /// The path of an address on the wire.
    pub fn find(&mut self, address: &[u8]) -> Option<&mut OscPath> {
        self.list.get_mut(*self.by_address.get(address)? as usize)
    }

    /// The path of a channel, and which of its parameters the channel is.
    pub fn of_channel(&mut self, channel: ChannelId) -> Option<(ChannelTarget, &mut OscPath)> {
        let target = *self.targets.get(channel.index())?;
        Some((target, self.list.get_mut(target.path as usize)?))
    }

    /// The line of the show file that is missing for a channel to be sent, if one is.
    pub fn missing_pattern(&self, channel: ChannelId) -> Option<String> {
        let path = self.list.get(self.targets.get(channel.index())?.path as usize)?;
        matches!(path.format, PathFormat::Unknown { .. }).then(|| path.missing_line())
    }

    /// The outgoing message of a path; `None` if the format of the path is unknown.
    pub fn output(&mut self, path: u32) -> Option<&mut PathOutput> {
        match &mut self.list.get_mut(path as usize)?.format {
            PathFormat::Known { output, .. } => Some(output),
            PathFormat::Unknown { .. } => None,
        }
    }

    /// The outgoing messages of all paths, with their indices.
    pub fn outputs(&mut self) -> impl Iterator<Item = (u32, &mut PathOutput)> {
        (0..).zip(&mut self.list).filter_map(|(index, path)| match &mut path.format {
            PathFormat::Known { output, .. } => Some((index, output)),
            PathFormat::Unknown { .. } => None,
        })
    }

    /// The datagram of a path; empty if the format of the path is unknown.
    pub fn datagram(&self, path: u32) -> &[u8] {
        match self.list.get(path as usize).map(|path| &path.format) {
            Some(PathFormat::Known { output, .. }) => output.message.bytes(),
            _ => &[],
        }
    }
}

impl OscPath {
    /// Calls `event` for each channel of the path with its value in the message.
    pub fn deliver(
        &mut self,
        arguments: &[OscArgument],
        mut event: impl FnMut(ChannelId, f64),
    ) -> OscDelivery {
        let ranges = match &self.format {
            PathFormat::Known { ranges, .. } if ranges.len() != arguments.len() => {
                return OscDelivery::WrongParameterCount { expected: ranges.len() };
            }
            PathFormat::Known { ranges, .. } => Some(ranges),
            PathFormat::Unknown { .. } => None,
        };
        let mut delivery = OscDelivery::Done;
        for listener in &mut self.listeners {
            let parameter = listener.parameter as usize;
            let Some(&argument) = arguments.get(parameter) else { return OscDelivery::NoArgument };
            let range = ranges.and_then(|ranges| ranges.get(parameter)).copied();
            match range.unwrap_or_else(|| listener.default_range(argument)).normalise(argument) {
                Some(value) => event(listener.channel, value),
                None => delivery = OscDelivery::NoValue,
            }
        }
        delivery
    }

    /// The line of the show file with which this path would be sent.
    pub fn missing_line(&self) -> String {
        let parameters = self.listeners.last().map_or(0, |listener| listener.parameter as usize) + 1;
        format!("{} = {}{}", self.local, "f".repeat(parameters), " 0.0 1.0".repeat(parameters))
    }
}

impl ParameterListener {
    /// The range of an argument for which there is no pattern.
    fn default_range(&mut self, argument: OscArgument) -> OscRange {
        match argument {
            OscArgument::Number(number @ (OscNumber::Float(_) | OscNumber::Double(_))) => {
                self.is_real = true;
                OscRange::default_of(number)
            }
            OscArgument::Number(OscNumber::Int(_)) if self.is_real => {
                OscRange::default_of(OscNumber::Float(0.0))
            }
            OscArgument::Number(number) => OscRange::default_of(number),
            OscArgument::Switch(_) | OscArgument::Other => OscRange::default_of(OscNumber::Float(0.0)),
        }
    }
}

impl PathFormat {
    fn new(address: &str, rule: Option<&OscRule>) -> Self {
        let Some(rule) = rule else { return Self::Unknown { has_warned: false } };
        let message = OutgoingMessage::new(address, rule.ranges.iter().map(|range| range.denormalise(0.0)));
        let output = PathOutput::new(message, rule.ranges.len());
        Self::Known { ranges: rule.ranges.clone(), output }
    }
}

/// Splits the name of a channel into its path and its parameter.
fn split(name: &str) -> Result<(&str, u32), OscAddressError> {
    check_address(name)?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((path, digits)) = name.rsplit_once(':').filter(|(_, digits)| is_number(digits)) else {
        return Ok((name, 0));
    };
    let parameter = digits.parse().ok().filter(|parameter| *parameter <= MAX_PARAMETER);
    parameter.map(|parameter| (path, parameter)).ok_or_else(|| OscAddressError {
        range: path.len() + 1..name.len(),
        message: format!("expected the number of a parameter, 0 to {MAX_PARAMETER}"),
    })
}

/// Reports errors in channel names, once for all channels that come from one name with a range in
/// it.
struct ChannelErrors<'a> {
    instance: &'a Instance,
    diagnostics: &'a mut Diagnostics,
    reported: HashSet<Span>,
}

impl ChannelErrors<'_> {
    fn report(
        &mut self,
        channel: &Channel,
        at: std::ops::Range<usize>,
        message: String,
    ) -> Option<&mut Diagnostic> {
        // A name that comes from a range is not written as such: then the whole text is underlined.
        let written = channel.span.range().len() == channel.name.len();
        let span = if written { channel.span.slice(at) } else { channel.span };
        self.reported.insert(channel.span).then(|| self.diagnostics.error(span, message))
    }

    fn misnamed(&mut self, reason: OscAddressError, channel: &Channel) {
        let Instance { backend, name: owner, .. } = self.instance;
        let name = &channel.name;
        let message = format!("`{name}` is not a channel of the {backend} instance `{owner}`");
        let Some(error) = self.report(channel, reason.range, message) else { return };
        error.label(reason.message);
        if name.starts_with('/') {
            error.hint("channels are `/path` or `/path:N`, where N is the number of a parameter, from 0");
        } else {
            error.hint(format!("did you mean `{owner}./{name}`?"));
        }
    }

    /// The reference takes it for the first parameter of the path before the colon.
    fn colon(&mut self, channel: &Channel, path: &str) {
        let Some((_, word)) = path.rsplit_once(':').filter(|_| self.reported.insert(channel.span)) else {
            return;
        };
        let message = format!("`{word}` is not the number of a parameter, so all of `{path}` is a path");
        self.diagnostics.warning(channel.span, message).label("the number after a `:` counts from 0");
    }

    fn beyond(&mut self, rule: &OscRule, channel: &Channel) {
        let count = rule.ranges.len();
        let message = format!("`{}` names a parameter that its pattern does not have", channel.name);
        if self.reported.insert(channel.span) {
            let also = format!("this pattern has {count}; the last is `:{}`", count.saturating_sub(1));
            self.diagnostics.warning(channel.span, message).label("has no value").also(rule.span, also);
        }
    }

    /// The first rule with a pattern that is longer than `path` and matches as far as that goes.
    /// Shows of the reference depend on it, mostly without knowing.
    fn longer_rule<'r>(&mut self, rules: &'r [OscRule], path: &str) -> Option<&'r OscRule> {
        let (rule, part) = rules.iter().find_map(|rule| Some((rule, rule.pattern.beginning(path)?)))?;
        if self.reported.insert(rule.span) {
            let message = format!("the format of `{path}` is taken from a longer pattern");
            let warning = self.diagnostics.warning(rule.span, message);
            warning.label("matches as far as the path goes");
            warning.hint(format!("add the line `{part} = {}` if that is meant", rule.format));
        }
        Some(rule)
    }

    fn too_long(&mut self, channel: &Channel) {
        self.report(
            channel,
            0..channel.name.len(),
            "the message of this channel does not fit into a datagram".into(),
        );
    }
}

#[cfg(test)]
mod tests;
