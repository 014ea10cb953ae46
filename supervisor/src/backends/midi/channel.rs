//! Names of channels, `ch0.cc7`: what they address, and what is wrong with them.

use std::fmt;
use std::ops::Range;

/// The kinds of events that MIDI has for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
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
/// The parameter that means "none": it cannot be received.
pub const NULL_PARAMETER: u16 = TOP_14;

impl Kind {
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

    /// The highest number that follows the name; `None` where there is only one for each MIDI channel.
    fn top_number(self) -> Option<u16> {
        match self {
            Self::Cc | Self::Note | Self::Pressure => Some(TOP_7),
            Self::Rpn | Self::Nrpn => Some(TOP_14),
            Self::Aftertouch | Self::Program | Self::Pitch => None,
        }
    }

    /// What 1.0 is on the wire.
    pub fn top_value(self) -> u16 {
        match self {
            Self::Pitch | Self::Rpn | Self::Nrpn => TOP_14,
            _ => TOP_7,
        }
    }

    /// The value of a raw one, from 0.0 to 1.0.
    pub fn value(self, raw: u16) -> f64 {
        f64::from(raw.min(self.top_value())) / f64::from(self.top_value())
    }

    /// The raw value that is nearest to `value`; the way through [`Kind::value`] and back changes none.
    pub fn raw(self, value: f64) -> u16 {
        // a conversion from float saturates, and makes 0 of what is no number
        (value.clamp(0.0, 1.0) * f64::from(self.top_value())).round() as u16
    }
}

/// What a channel stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// The MIDI channel, 0 to 15.
    pub channel: u8,
    pub kind: Kind,
    /// The controller, key or parameter; 0 where there is only one.
    pub number: u16,
}

impl fmt::Display for Address {
    /// As a show names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channel, kind, number } = self;
        write!(f, "ch{channel}.{}", kind.name())?;
        if kind.top_number().is_some() { write!(f, "{number}") } else { Ok(()) }
    }
}

/// What is wrong with a name, and with which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In bytes of the name.
    pub range: Range<usize>,
    /// What was expected there.
    pub label: String,
}

/// What a name stands for, and what is odd about it all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub address: Address,
    pub oddity: Option<Fault>,
}

/// Reads a name.
pub fn parse(name: &str) -> Result<Parsed, Fault> {
    let prefix = ["channel", "ch"].into_iter().find(|prefix| name.starts_with(prefix));
    let Some(prefix) = prefix else {
        return Err(fault(0..name.len(), "expected `chN.TYPE`, as in `ch0.cc7`"));
    };
    let (digits, after) = leading_digits(&name[prefix.len()..]);
    let at = prefix.len()..prefix.len() + digits.len();
    let channel = digits.parse().ok().filter(|channel| *channel <= 15);
    let Some(channel) = channel else {
        let at = if digits.is_empty() { 0..at.end } else { at };
        return Err(fault(at, "expected the number of a MIDI channel, 0 to 15"));
    };
    let Some(text) = after.strip_prefix('.') else {
        return Err(fault(at.end..name.len().max(at.end), "expected a dot and a type, as in `.cc7`"));
    };
    let (kind, number, oddity) = parse_control(text).map_err(|fault| fault.behind(at.end + 1))?;
    let oddity = oddity.map(|oddity| oddity.behind(at.end + 1));
    Ok(Parsed { address: Address { channel, kind, number }, oddity })
}

/// Reads a type and its number.
fn parse_control(text: &str) -> Result<(Kind, u16, Option<Fault>), Fault> {
    let letters = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == &text[..letters]) else {
        let names = Kind::ALL.map(Kind::name).join("`, `");
        return Err(fault(0..letters.max(1).min(text.len()), &format!("expected one of `{names}`")));
    };
    let rest = letters..text.len();
    let digits = &text[letters..];
    let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    match kind.top_number() {
        None if whole && !digits.is_empty() => {
            let only = format!("there is one `{}` for each MIDI channel: the number is ignored", kind.name());
            Ok((kind, 0, Some(fault(rest, &only))))
        }
        None if whole => Ok((kind, 0, None)),
        None => Err(fault(rest, &format!("nothing follows `{}`", kind.name()))),
        Some(_) if digits.is_empty() => {
            let zero = format!("taken as `{}0`", kind.name());
            Ok((kind, 0, Some(fault(0..letters, &zero))))
        }
        Some(top) => match digits.parse().ok().filter(|number| whole && *number <= top) {
            Some(NULL_PARAMETER) => {
                let odd = "this parameter means that none is selected: nothing comes in on it";
                Ok((kind, NULL_PARAMETER, Some(fault(rest, odd))))
            }
            Some(number) => Ok((kind, number, None)),
            None => Err(fault(rest, &format!("expected a number from 0 to {top}"))),
        },
    }
}

fn leading_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn fault(range: Range<usize>, label: &str) -> Fault {
    Fault { range, label: label.to_owned() }
}

impl Fault {
    fn behind(self, offset: usize) -> Self {
        Self { range: self.range.start + offset..self.range.end + offset, ..self }
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
