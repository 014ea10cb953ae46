//! An event as bytes: a line for a person, for the journal or for a machine.

use super::record::LogRecord;
use super::settings::LogStyle;
use crate::terminal::{escape, is_control};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use tracing::Level;

/// What stands in front of the lines of a block under an event.
const INDENT: &str = "    ";

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const CYAN: &str = "\x1b[36m";

/// Appends the event to `out`, with the end of line. `repeated` is how many equal ones it stands
/// for, 0 for itself only.
pub(super) fn render(out: &mut String, style: LogStyle, record: &LogRecord, repeated: u64) {
    match style {
        LogStyle::Text { color, date } => {
            stamp(out, record, color, date);
            body(out, record, repeated, color, INDENT);
        }
        LogStyle::Journal => {
            let priority = format!("<{}>", priority(record.level));
            out.push_str(&priority);
            // Each line is an entry of its own in the journal, and so needs its own priority.
            body(out, record, repeated, false, &(priority + INDENT));
        }
        LogStyle::Json => json(out, record, repeated),
    }
    out.push('\n');
}

/// Time and level.
fn stamp(out: &mut String, record: &LogRecord, color: bool, date: bool) {
    let time = Timestamp::try_from(record.time).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::system());
    let time = time.strftime(if date { "%Y-%m-%d %H:%M:%S%.3f" } else { "%H:%M:%S%.3f" });
    let level = record.level;
    // Writing to a String cannot fail.
    let _ = if color {
        write!(out, "{DIM}{time}{RESET} {}{level:<5}{RESET} ", level_color(level))
    } else {
        write!(out, "{time} {level:<5} ")
    };
}

/// Instance, message and fields; what has several lines goes below, behind `indent`.
fn body(out: &mut String, record: &LogRecord, repeated: u64, color: bool, indent: &str) {
    if let Some(instance) = &record.instance {
        let (before, after) = if color { (CYAN, RESET) } else { ("", "") };
        out.push_str(before);
        out.push('[');
        escape(out, instance);
        out.push(']');
        out.push_str(after);
        out.push(' ');
    }
    let mut message = record.message.trim_end_matches('\n').split('\n');
    escape(out, without_return(message.next().unwrap_or_default()));
    let mut blocks = Vec::new();
    for (name, value) in &record.fields {
        match value {
            Value::String(text) if text.contains('\n') => blocks.push((*name, text)),
            value if *name == "suppressed" && *value == 0 => {}
            value => field(out, name, value),
        }
    }
    if repeated > 0 {
        let _ = write!(out, " … (repeated {repeated} times)");
    }
    message.for_each(|line| block_line(out, line, indent));
    for (name, text) in blocks {
        // A traceback needs no heading.
        if name != "traceback" {
            block_line(out, &format!("{name}:"), indent);
        }
        text.trim_end_matches('\n').split('\n').for_each(|line| block_line(out, line, indent));
    }
}

fn block_line(out: &mut String, line: &str, indent: &str) {
    out.push('\n');
    out.push_str(indent);
    escape(out, without_return(line));
}

fn without_return(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

fn field(out: &mut String, name: &str, value: &Value) {
    let _ = write!(out, " {name}=");
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=', '\t']) => {
            out.push('"');
            escape(out, &text.replace('\\', "\\\\").replace('"', "\\\""));
            out.push('"');
        }
        Value::String(text) => escape(out, text),
        value => {
            let _ = write!(out, "{value}");
        }
    }
}

fn json(out: &mut String, record: &LogRecord, repeated: u64) {
    let time = Timestamp::try_from(record.time).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut object = Map::new();
    object.insert("time".into(), format!("{time:.3}").into());
    object.insert("level".into(), record.level.as_str().to_ascii_lowercase().into());
    object.insert("event".into(), record.event.clone().into());
    object.insert("instance".into(), record.instance.clone().into());
    object.insert("message".into(), record.message.clone().into());
    let fields = record.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    object.insert("fields".into(), Value::Object(fields.collect()));
    if repeated > 0 {
        object.insert("repeated".into(), repeated.into());
    }
    ascii_controls(out, &Value::Object(object).to_string());
}

/// JSON may hold controls of the second set as they are, a terminal that shows it may not. They
/// only occur inside strings, where an escape means the same.
fn ascii_controls(out: &mut String, json: &str) {
    for character in json.chars() {
        if is_control(character) {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
}

/// Priorities as `sd-daemon(3)` has them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn level_color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[1;31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}
