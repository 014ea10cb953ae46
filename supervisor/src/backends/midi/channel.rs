//! Parses channel names such as `ch0.cc7`: what they address, and which part is wrong.

use std::fmt;
use std::ops::Range;

/// The kinds of controls that a MIDI channel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    Cc,
    Note,
    /// Pressure on one key.
    Pressure,
    /// Pressure on the whole keyboard.
    Aftertouch,
    Program,
    Pitch,
    /// A registered parameter number.
    Rpn,
    /// A non-registered parameter number.
    Nrpn,
}

/// The highest number of a controller or key.
const TOP_7: u16 = 0x7f;
/// The highest value of 14 bits.
const TOP_14: u16 = 0x3fff;
/// The parameter number that means "none selected". It cannot be received.
pub const NULL_PARAMETER: u16 = TOP_14;

impl ChannelKind {
    const ALL: [Self; 8] = [
        Self::Cc,
        Self::Note,
        Self::Pressure,
        Self::Aftertouch,
        Self::Program,
        Self::Pitch,
        Self::Rpn,
        Self::Nrpn,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Cc => "cc",
            Self::Note => "note",
            Self::Pressure => "pressure",
            Self::Aftertouch => "aftertouch",
            Self::Program => "program",
            Self::Pitch => "pitch",
            Self::Rpn => "rpn",
            Self::Nrpn => "nrpn",
        }
    }

    /// The highest number that may follow the name; `None` for kinds that exist once per MIDI
    /// channel.
    fn top_number(self) -> Option<u16> {
        match self {
            Self::Cc | Self::Note | Self::Pressure => Some(TOP_7),
            Self::Rpn | Self::Nrpn => Some(TOP_14),
            Self::Aftertouch | Self::Program | Self::Pitch => None,
        }
    }

    /// The raw value of 1.0.
    pub fn top_value(self) -> u16 {
        match self {
            Self::Pitch | Self::Rpn | Self::Nrpn => TOP_14,
            _ => TOP_7,
        }
    }

    /// Converts a raw value to 0.0 to 1.0.
    pub fn value(self, raw: u16) -> f64 {
        f64::from(raw.min(self.top_value())) / f64::from(self.top_value())
    }

    /// Converts to the nearest raw value. The inverse of [`ChannelKind::value`] for every raw
    /// value.
    pub fn raw(self, value: f64) -> u16 {
        // A conversion from float saturates and turns NaN into 0.
        (value.clamp(0.0, 1.0) * f64::from(self.top_value())).round() as u16
    }
}

/// What a channel name addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelAddress {
    /// The MIDI channel, 0 to 15.
    pub channel: u8,
    pub kind: ChannelKind,
    /// The controller, key or parameter number; 0 for kinds without a number.
    pub number: u16,
}

impl fmt::Display for ChannelAddress {
    /// The name in a show file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channel, kind, number } = self;
        write!(f, "ch{channel}.{}", kind.name())?;
        if kind.top_number().is_some() { write!(f, "{number}") } else { Ok(()) }
    }
}

/// What is wrong with a part of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// The part, in bytes of the name.
    pub range: Range<usize>,
    /// The text that marks the part.
    pub label: String,
}

/// What a name addresses, and what is unusual about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedName {
    pub address: ChannelAddress,
    pub warning: Option<NameError>,
}

/// Parses a channel name.
pub fn parse_name(name: &str) -> Result<ParsedName, NameError> {
    let prefix = ["channel", "ch"].into_iter().find(|prefix| name.starts_with(prefix));
    let Some(prefix) = prefix else {
        return Err(name_error(0..name.len(), "expected `chN.TYPE`, as in `ch0.cc7`"));
    };
    let (digits, after) = leading_digits(&name[prefix.len()..]);
    let at = prefix.len()..prefix.len() + digits.len();
    let channel = digits.parse().ok().filter(|channel| *channel <= 15);
    let Some(channel) = channel else {
        let at = if digits.is_empty() { 0..at.end } else { at };
        return Err(name_error(at, "expected the number of a MIDI channel, 0 to 15"));
    };
    let Some(text) = after.strip_prefix('.') else {
        return Err(name_error(at.end..name.len().max(at.end), "expected a dot and a type, as in `.cc7`"));
    };
    let (kind, number, warning) = parse_control(text).map_err(|error| error.shifted(at.end + 1))?;
    let warning = warning.map(|warning| warning.shifted(at.end + 1));
    Ok(ParsedName { address: ChannelAddress { channel, kind, number }, warning })
}

/// Parses a type and its number.
fn parse_control(text: &str) -> Result<(ChannelKind, u16, Option<NameError>), NameError> {
    let letters = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let Some(kind) = ChannelKind::ALL.into_iter().find(|kind| kind.name() == &text[..letters]) else {
        let names = ChannelKind::ALL.map(ChannelKind::name).join("`, `");
        return Err(name_error(0..letters.max(1).min(text.len()), &format!("expected one of `{names}`")));
    };
    let rest = letters..text.len();
    let digits = &text[letters..];
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    match kind.top_number() {
        None if whole && !digits.is_empty() => {
            let only = format!("there is one `{}` per MIDI channel; the number is ignored", kind.name());
            Ok((kind, 0, Some(name_error(rest, &only))))
        }
        None if whole => Ok((kind, 0, None)),
        None => Err(name_error(rest, &format!("nothing follows `{}`", kind.name()))),
        Some(_) if digits.is_empty() => {
            let zero = format!("taken as `{}0`", kind.name());
            Ok((kind, 0, Some(name_error(0..letters, &zero))))
        }
        Some(top) => match digits.parse().ok().filter(|number| whole && *number <= top) {
            Some(NULL_PARAMETER) => {
                let odd = "this number means that no parameter is selected; it never receives events";
                Ok((kind, NULL_PARAMETER, Some(name_error(rest, odd))))
            }
            Some(number) => Ok((kind, number, None)),
            None => Err(name_error(rest, &format!("expected a number from 0 to {top}"))),
        },
    }
}

fn leading_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn name_error(range: Range<usize>, label: &str) -> NameError {
    NameError { range, label: label.to_owned() }
}

impl NameError {
    fn shifted(self, offset: usize) -> Self {
        Self { range: self.range.start + offset..self.range.end + offset, ..self }
    }
}

#[cfg(test)]
mod tests;
