//! Events of the supervisor's log as its JSON format shows them, and the query that finds one.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// One event that the supervisor has logged.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    /// The stable name.
    pub name: Option<String>,
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// The instance that it is about.
    pub instance: Option<String>,
    /// The sentence for people. Tests match on the name and the fields instead.
    pub message: String,
    time: String,
    fields: Map<String, Value>,
    repeated: u64,
}

impl LoggedEvent {
    /// Reads a line of the JSON format. `None`: the line is something else.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let Value::Object(mut object) = serde_json::from_str(line).ok()? else { return None };
        let Some(Value::Object(fields)) = object.remove("fields") else { return None };
        let mut text = |member: &str| Some(object.remove(member)?.as_str()?.to_owned());
        Some(Self {
            name: text("event"),
            level: text("level")?,
            instance: text("instance"),
            message: text("message")?,
            time: text("time")?,
            repeated: object.get("repeated").and_then(Value::as_u64).unwrap_or(0),
            fields,
        })
    }

    /// The value of a field, null where the event does not have it.
    #[must_use]
    pub fn field(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }

    /// The lines of the text format, with the fields in the order of the alphabet.
    pub(crate) fn render(&self) -> Vec<String> {
        let mut first = format!("{} {:<5} ", self.time, self.level.to_uppercase());
        if let Some(instance) = &self.instance {
            let _ = write!(first, "[{instance}] ");
        }
        let mut message = self.message.trim_end_matches('\n').split('\n');
        first.push_str(message.next().unwrap_or_default());
        let mut below: Vec<&str> = message.collect();
        for (name, value) in &self.fields {
            match value {
                Value::String(text) if text.contains('\n') => below.extend(text.trim_end().split('\n')),
                Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => {
                    let _ = write!(first, " {name}={text}");
                }
                value => {
                    let _ = write!(first, " {name}={value}");
                }
            }
        }
        if self.repeated > 0 {
            let _ = write!(first, " … (repeated {} times)", self.repeated);
        }
        let below = below.into_iter().map(|line| format!("    {}", escape(line)));
        std::iter::once(escape(&first)).chain(below).collect()
    }
}

/// The text with control characters written out, so that the log of a failed test does not act on
/// the terminal.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for character in text.trim_end_matches('\r').chars() {
        if character.is_control() && character != '\t' {
            let _ = write!(out, "\\x{:02x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// What an event has to be like, for [`Log::wait_for`](crate::log::Log::wait_for), `count` and
/// `last`.
#[derive(Debug, Clone)]
pub struct Event {
    name: String,
    level: Option<String>,
    instance: Option<String>,
    message: Vec<String>,
    message_start: Option<String>,
    fields: Vec<(String, Value)>,
    field_parts: Vec<(String, String)>,
}

impl Event {
    /// Any event of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            level: None,
            instance: None,
            message: Vec::new(),
            message_start: None,
            fields: Vec::new(),
            field_parts: Vec::new(),
        }
    }

    /// A line that a script has printed and that begins with this text.
    #[must_use]
    pub fn printed(instance: &str, start: &str) -> Self {
        Self { message_start: Some(start.into()), ..Self::named("script_printed").instance(instance) }
    }

    /// Only of this level: `error`, `warn`, `info` or `debug`.
    #[must_use]
    pub fn level(mut self, level: &str) -> Self {
        self.level = Some(level.into());
        self
    }

    /// Only about this instance.
    #[must_use]
    pub fn instance(mut self, instance: &str) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// Only with this value in a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Only with this text as a part of a field, a traceback for instance.
    #[must_use]
    pub fn field_part(mut self, name: &str, part: &str) -> Self {
        self.field_parts.push((name.into(), part.into()));
        self
    }

    /// Only with this text in the message: data, such as a name or a reason, not the sentence
    /// around it.
    #[must_use]
    pub fn message(mut self, part: &str) -> Self {
        self.message.push(part.into());
        self
    }

    pub(crate) fn matches(&self, event: &LoggedEvent) -> bool {
        event.name.as_ref() == Some(&self.name)
            && self.level.as_ref().is_none_or(|level| event.level == *level)
            && self.instance.as_ref().is_none_or(|instance| event.instance.as_ref() == Some(instance))
            && self.message.iter().all(|part| event.message.contains(part))
            && self.message_start.as_ref().is_none_or(|start| event.message.starts_with(start))
            && self
                .field_parts
                .iter()
                .all(|(name, part)| event.field(name).as_str().is_some_and(|value| value.contains(part)))
            && self.fields.iter().all(|(name, value)| event.field(name) == value)
    }
}
