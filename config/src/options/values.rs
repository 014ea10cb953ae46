//! Parses values that are not plain text.
//!
//! An error is what was expected: the label beside the underlined value.

use std::time::Duration;

const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A duration: `500ms`, `2s`, `5m` or `1h`. Fractions are allowed; the maximum is a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" if !number.is_empty() => {
            return Err(format!("expected a unit, as in `{number}ms` or `{number}s`"));
        }
        _ => return Err("expected a duration such as `500ms`, `2s` or `5m`".into()),
    };
    let number: f64 = number.parse().map_err(|_| "expected a duration such as `500ms`, `2s` or `5m`")?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(duration) if duration <= YEAR => Ok(duration),
        _ => Err("expected at most a year".into()),
    }
}

/// A size in bytes: `64K`, `256M` or `2G` in powers of 1024, or a number without a unit.
pub fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as `64K`, `256M` or `2G`".to_string();
    let (number, unit) = split_unit(text);
    let shift = match unit.strip_suffix("iB").or(unit.strip_suffix('B')).unwrap_or(unit) {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(1 << shift).ok_or_else(|| "expected less than 16 million terabytes".into())
}

/// A switch: `on` or `off`, `yes` or `no`, `true` or `false`, `1` or `0`.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" => Ok(true),
        "off" | "no" | "false" | "0" => Ok(false),
        _ => Err("expected `on` or `off`".into()),
    }
}

/// A channel value, from 0.0 to 1.0.
pub fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0.0 to 1.0".into()),
    }
}

/// Splits a text into digits with a decimal point, and the unit after them; white space may
/// separate the two.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}
