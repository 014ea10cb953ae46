//! Multi-channel names: `fader{1..5}`, `{a,b,c}`, also several in one name. The rightmost varies
//! fastest.

use std::ops::Range;

use crate::source::excerpt;

/// The most channels that one name may stand for.
const CHANNEL_LIMIT: u64 = 1 << 20;

/// The most bytes that the names of one expansion may have together.
const NAMES_LIMIT: u64 = 64 << 20;

/// A channel name as written, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChannelPattern<'t> {
    parts: Vec<PatternPart<'t>>,
}

#[derive(Debug, PartialEq, Eq)]
enum PatternPart<'t> {
    Literal(&'t str),
    /// Both ends included, up or down.
    Numbers {
        from: u64,
        to: u64,
    },
    List(Vec<&'t str>),
}

/// Why a name cannot be parsed, and which part of it is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RangeError {
    /// The wrong part, in bytes of the name.
    pub range: Range<usize>,
    pub message: String,
    pub label: &'static str,
}

impl<'t> ChannelPattern<'t> {
    pub(crate) fn parse(name: &'t str) -> Result<Self, RangeError> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(open) = name[at..].find('{').map(|found| at + found) {
            if open > at {
                parts.push(PatternPart::Literal(&name[at..open]));
            }
            let inside = name[open + 1..].find(['{', '}']).map(|found| open + 1 + found);
            let close = inside.filter(|&end| name[end..].starts_with('}'));
            let Some(close) = close else {
                let message = "a range is not closed".into();
                return Err(RangeError {
                    range: open..inside.unwrap_or(name.len()),
                    message,
                    label: "expected `}`",
                });
            };
            parts.push(braces(name, open + 1..close)?);
            at = close + 1;
        }
        if at < name.len() {
            parts.push(PatternPart::Literal(&name[at..]));
        }
        let pattern = Self { parts };
        pattern.check_size(name)?;
        Ok(pattern)
    }

    /// How many channels the name stands for.
    pub(crate) fn count(&self) -> u64 {
        self.parts.iter().fold(1, |count, part| count.saturating_mul(part.count()))
    }

    /// Calls `visit` with each name in turn.
    pub(crate) fn expand(&self, mut visit: impl FnMut(&str)) {
        let mut name = String::new();
        let mut wheels = vec![0; self.parts.len()];
        for _ in 0..self.count() {
            name.clear();
            self.parts.iter().zip(&wheels).for_each(|(part, &index)| part.write(index, &mut name));
            visit(&name);
            self.turn(&mut wheels);
        }
    }

    /// Advances the indices like an odometer: the rightmost one first, and at its end the next one
    /// to the left.
    fn turn(&self, wheels: &mut [u64]) {
        for (wheel, part) in wheels.iter_mut().zip(&self.parts).rev() {
            *wheel += 1;
            if *wheel < part.count() {
                return;
            }
            *wheel = 0;
        }
    }

    fn check_size(&self, name: &str) -> Result<(), RangeError> {
        let count = self.count();
        let longest: u64 = self.parts.iter().map(PatternPart::longest).sum();
        let message = if count > CHANNEL_LIMIT {
            let counted = if count == u64::MAX { "far too many".into() } else { count.to_string() };
            format!("a name stands for {counted} channels")
        } else if count > 1 && count.saturating_mul(longest) > NAMES_LIMIT {
            format!("the {count} names of a range are too long")
        } else {
            return Ok(());
        };
        Err(RangeError {
            range: 0..name.len(),
            message,
            label: "at most 1048576 channels, and 64 MiB of names",
        })
    }
}

impl PatternPart<'_> {
    fn count(&self) -> u64 {
        match self {
            Self::Literal(_) => 1,
            Self::Numbers { from, to } => from.abs_diff(*to).saturating_add(1),
            Self::List(values) => values.len() as u64,
        }
    }

    fn longest(&self) -> u64 {
        match self {
            Self::Literal(text) => text.len() as u64,
            Self::Numbers { from, to } => from.max(to).to_string().len() as u64,
            Self::List(values) => values.iter().map(|value| value.len() as u64).max().unwrap_or(0),
        }
    }

    fn write(&self, index: u64, name: &mut String) {
        use std::fmt::Write;
        match self {
            Self::Literal(text) => name.push_str(text),
            Self::Numbers { from, to } => {
                let number = if from <= to { from.saturating_add(index) } else { from.saturating_sub(index) };
                // Writing to a string cannot fail.
                let _ = write!(name, "{number}");
            }
            Self::List(values) => name.push_str(values.get(index as usize).copied().unwrap_or_default()),
        }
    }
}

/// Parses the text between braces. The first `..` or `,` decides whether it is a range or a list.
fn braces(name: &str, inside: Range<usize>) -> Result<PatternPart<'_>, RangeError> {
    let text = &name[inside.clone()];
    let dots = text.find("..").unwrap_or(usize::MAX);
    let comma = text.find(',').unwrap_or(usize::MAX);
    if comma < dots {
        return list(name, inside);
    }
    if dots == usize::MAX {
        let message = "neither a range nor a list between braces".into();
        let range = inside.start - 1..inside.end + 1;
        return Err(RangeError { range, message, label: "expected `{1..5}` or `{a,b,c}`" });
    }
    let middle = inside.start + dots;
    let from = number(name, inside.start..middle)?;
    let to = number(name, middle + 2..inside.end)?;
    Ok(PatternPart::Numbers { from, to })
}

fn number(name: &str, range: Range<usize>) -> Result<u64, RangeError> {
    let label = "expected a whole number, 0 or more";
    let digits = name[range.clone()].trim();
    if digits.is_empty() {
        // An empty text cannot be underlined, so the characters around it are.
        let range = range.start.saturating_sub(1)..range.end + 1;
        return Err(RangeError { range, message: "a range has no number on one side".into(), label });
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RangeError {
            range,
            message: format!("`{}` is not an end of a range", excerpt(digits)),
            label,
        });
    }
    let message = "a range has too large a number".into();
    digits.parse().map_err(|_| RangeError { range, message, label: "expected a smaller one" })
}

fn list(name: &str, inside: Range<usize>) -> Result<PatternPart<'_>, RangeError> {
    let values: Vec<&str> = name[inside.clone()].split(',').map(str::trim).collect();
    if values.iter().any(|value| value.is_empty()) {
        let message = "a list has an empty value".into();
        let range = inside.start - 1..inside.end + 1;
        return Err(RangeError { range, message, label: "expected `{a,b,c}`" });
    }
    Ok(PatternPart::List(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Vec<String> {
        let mut names = Vec::new();
        ChannelPattern::parse(name).unwrap().expand(|name| names.push(name.to_string()));
        names
    }

    fn problem(name: &str) -> (String, &str) {
        let error = ChannelPattern::parse(name).unwrap_err();
        (error.message, &name[error.range])
    }

    #[test]
    fn a_plain_name_stands_for_itself() {
        assert_eq!(names("/a/b:1"), ["/a/b:1"]);
        assert_eq!(names("odd}name"), ["odd}name"]);
    }

    #[test]
    fn numbers_count_up_and_down_without_leading_zeros() {
        assert_eq!(names("{1..3}"), ["1", "2", "3"]);
        assert_eq!(names("f{3..1}x"), ["f3x", "f2x", "f1x"]);
        assert_eq!(names("{08..10}"), ["8", "9", "10"]);
        assert_eq!(names("{ 7 .. 7 }"), ["7"]);
    }

    #[test]
    fn a_list_stands_for_its_values_in_order() {
        assert_eq!(names("/{red, green,b..l}/x"), ["/red/x", "/green/x", "/b..l/x"]);
    }

    #[test]
    fn the_rightmost_varies_fastest() {
        assert_eq!(
            names("{a,b}-{1..2}{x,y}"),
            ["a-1x", "a-1y", "a-2x", "a-2y", "b-1x", "b-1y", "b-2x", "b-2y"]
        );
    }

    #[test]
    fn what_is_wrong_is_underlined() {
        assert_eq!(problem("a{1..2"), ("a range is not closed".into(), "{1..2"));
        assert_eq!(problem("a{1..{2}}"), ("a range is not closed".into(), "{1.."));
        assert_eq!(problem("a{5}"), ("neither a range nor a list between braces".into(), "{5}"));
        assert_eq!(problem("a{}"), ("neither a range nor a list between braces".into(), "{}"));
        assert_eq!(problem("a{1..x}"), ("`x` is not an end of a range".into(), "x"));
        assert_eq!(problem("a{-1..2}"), ("`-1` is not an end of a range".into(), "-1"));
        assert_eq!(problem("a{1..}"), ("a range has no number on one side".into(), ".}"));
        assert_eq!(problem("a{1..3,5}"), ("`3,5` is not an end of a range".into(), "3,5"));
        assert_eq!(problem("a{x,}"), ("a list has an empty value".into(), "{x,}"));
    }

    #[test]
    fn an_expansion_beyond_all_measure_is_refused_without_being_made() {
        assert!(ChannelPattern::parse("{1..1048576}").is_ok());
        assert_eq!(problem("{0..1048576}").0, "a name stands for 1048577 channels");
        assert_eq!(problem("{0..18446744073709551615}{1..2}").0, "a name stands for far too many channels");
        let long = format!("{}{{1..10000}}", "x".repeat(10_000));
        assert_eq!(problem(&long).0, "the 10000 names of a range are too long");
    }
}
