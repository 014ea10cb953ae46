//! The kinds of values, and how they are checked.

use std::ops::Range;
use std::time::Duration;

use super::values::{duration, fraction, size, switch};
use crate::suggest::did_you_mean;

/// The form that a value must have.
#[derive(Copy, Clone, Debug)]
pub enum ValueKind {
    /// The path of a file or directory.
    Path,
    /// Any text.
    Text,
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    Count {
        least: u64,
        most: u64,
    },
    /// A channel value.
    Fraction,
    Duration {
        least: Duration,
        off: bool,
    },
    Size {
        least: u64,
        off: bool,
    },
    /// `HOST PORT`, where the port may be 0.
    Address,
    /// A kind that only one backend has, with its own check.
    Custom {
        /// How to write such a value, for the tables and for errors.
        form: &'static str,
        /// Checks a text.
        check: fn(&str) -> Result<(), InvalidValue>,
    },
}

/// Why a value is invalid, and which part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// The invalid part, in bytes of the value.
    pub range: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

impl InvalidValue {
    /// The whole of `text` is invalid.
    pub fn whole(text: &str, message: impl Into<String>) -> Self {
        Self { range: 0..text.len(), message: message.into(), hint: None }
    }
}

impl ValueKind {
    /// Any text, described as `form` in the tables.
    pub const fn text(form: &'static str) -> Self {
        Self::Custom { form, check: |_| Ok(()) }
    }

    /// How to write such a value, for the tables.
    pub fn form(&self) -> String {
        let or_off = |text: &str, off: bool| if off { format!("{text} or `off`") } else { text.to_string() };
        match *self {
            Self::Path => "path".into(),
            Self::Text => "text".into(),
            Self::Switch => "`on` or `off`".into(),
            Self::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Count { .. } => "number".into(),
            Self::Fraction => "0.0 to 1.0".into(),
            Self::Duration { off, .. } => or_off("duration", off),
            Self::Size { off, .. } => or_off("size", off),
            Self::Address => "`HOST PORT`".into(),
            Self::Custom { form, .. } => form.into(),
        }
    }

    /// Whether `text` is such a value.
    pub fn check(&self, text: &str) -> Result<(), InvalidValue> {
        let plain = |message: String| InvalidValue::whole(text, message);
        match *self {
            Self::Path | Self::Text => Ok(()),
            Self::Switch => switch(text).map(drop).map_err(plain),
            Self::Word(words) => check_word(words, text),
            Self::Count { least, most } => check_count(text, least, most).map_err(plain),
            Self::Fraction => fraction(text).map(drop).map_err(plain),
            Self::Duration { least, off } => check_duration(text, least, off).map_err(plain),
            Self::Size { least, off } => check_size(text, least, off).map_err(plain),
            Self::Address => check_address(text, 0),
            Self::Custom { check, .. } => check(text),
        }
    }
}

fn check_word(words: &[&'static str], text: &str) -> Result<(), InvalidValue> {
    if words.contains(&text) {
        return Ok(());
    }
    let message = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("expected `{}` or `{last}`", rest.join("`, `")),
        _ => format!("expected `{}`", words.join("")),
    };
    Err(InvalidValue { range: 0..text.len(), message, hint: did_you_mean(text, words.iter().copied()) })
}

fn check_count(text: &str, least: u64, most: u64) -> Result<(), String> {
    match text.parse() {
        Ok(count) if (least..=most).contains(&count) => Ok(()),
        _ => Err(format!("expected a whole number from {least} to {most}")),
    }
}

fn check_duration(text: &str, least: Duration, off: bool) -> Result<(), String> {
    if off && text == "off" {
        return Ok(());
    }
    let or_off = if off { ", or `off`" } else { "" };
    match duration(text) {
        Ok(duration) if duration < least => {
            Err(format!("expected at least `{}ms`{or_off}", least.as_millis()))
        }
        Ok(_) => Ok(()),
        Err(message) => Err(format!("{message}{or_off}")),
    }
}

fn check_size(text: &str, least: u64, off: bool) -> Result<(), String> {
    if off && text == "off" {
        return Ok(());
    }
    let or_off = if off { ", or `off`" } else { "" };
    match size(text) {
        Ok(bytes) if bytes < least => Err(format!("expected at least `{}M`{or_off}", least >> 20)),
        Ok(_) => Ok(()),
        Err(message) => Err(format!("{message}{or_off}")),
    }
}

/// Checks that `text` is `HOST PORT` with a port of at least `least`. Port 0 is for listening only:
/// the system picks a port. The host is looked up when the socket is opened, not here.
///
/// # Errors
///
/// The form is wrong, or the port is too small.
pub fn check_address(text: &str, least: u16) -> Result<(), InvalidValue> {
    let host = text.split_whitespace().next().unwrap_or_default();
    let port = text[host.len()..].trim();
    let at_port = text.len() - port.len();
    if port.is_empty() {
        let pasted =
            host.rsplit_once(':').filter(|(host, port)| !host.is_empty() && check_port(port, least).is_ok());
        let hint = pasted.map(|(host, port)| format!("did you mean `{host} {port}`?"));
        let message = "expected `HOST PORT`, with a space between them".into();
        return Err(InvalidValue { range: 0..text.len(), message, hint });
    }
    check_port(port, least).map_err(|message| InvalidValue {
        range: at_port..text.len(),
        message,
        hint: None,
    })
}

/// Checks that `text` is a port of at least `least`.
///
/// # Errors
///
/// It is not. The message is what was expected.
pub fn check_port(text: &str, least: u16) -> Result<(), String> {
    match text.parse::<u16>() {
        Ok(port) if port >= least => Ok(()),
        _ => Err(format!("expected a port from {least} to 65535")),
    }
}
