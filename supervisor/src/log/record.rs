//! An event of `tracing` as an owned value that can travel to the writer thread.

use serde_json::{Number, Value};
use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::SystemTime;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Target of the lines that scripts print. They are limited by stream where they are read, and
/// never taken for repeats of one message: three equal lines in a stack are three lines.
pub const SCRIPT: &str = "script";

/// The most bytes of one message or field that are kept.
const TEXT_LIMIT: usize = 64 * 1024;

/// The bytes that a record is taken to hold beside its texts.
const OVERHEAD: usize = 160;

/// An event that happened.
#[derive(Debug, Clone)]
pub(super) struct LogRecord {
    pub(super) time: SystemTime,
    pub(super) level: Level,
    /// The place in the program; none for what the log reports of itself.
    pub(super) callsite: Option<Identifier>,
    pub(super) target: &'static str,
    /// The stable name of what happened, for programs that read the log. Only the JSON format shows
    /// it.
    pub(super) event: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) message: String,
    /// All other fields, in the order of the program's text.
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl LogRecord {
    /// Copies what the event holds; long texts are cut.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut record = Self {
            callsite: Some(metadata.callsite()),
            target: metadata.target(),
            ..Self::own(*metadata.level(), String::new())
        };
        event.record(&mut record);
        record
    }

    /// Something that the log reports of itself.
    pub(super) fn own(level: Level, message: String) -> Self {
        let time = SystemTime::now();
        Self {
            time,
            level,
            callsite: None,
            target: "log",
            event: None,
            instance: None,
            message,
            fields: Vec::new(),
        }
    }

    /// About how many bytes of memory it holds.
    pub(super) fn weight(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(_, value)| OVERHEAD / 2 + text_len(value)).sum();
        let names = [&self.event, &self.instance].into_iter().flatten().map(String::len).sum::<usize>();
        OVERHEAD + self.message.len() + names + fields
    }

    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("event", Value::String(text)) => self.event = Some(text),
            ("instance", Value::String(text)) => self.instance = Some(text),
            (name, value) => self.fields.push((name, value)),
        }
    }
}

fn text_len(value: &Value) -> usize {
    if let Value::String(text) = value { text.len() } else { 0 }
}

impl Visit for LogRecord {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Bounded::default();
        // A value that cannot be shown leaves what it has written so far.
        let _ = write!(text, "{value:?}");
        self.put(field, Value::String(text.finish()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Bounded::default();
        // `Bounded` takes any text.
        let _ = text.write_str(value);
        self.put(field, Value::String(text.finish()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = Bounded::default();
        let _ = write!(text, "{value}");
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.put(field, Value::String(text.finish()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let number = Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number);
        self.put(field, number);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

/// A text that stops growing at [`TEXT_LIMIT`] and counts what was left out.
#[derive(Default)]
struct Bounded {
    text: String,
    left_out: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = if self.left_out > 0 { 0 } else { TEXT_LIMIT - self.text.len() };
        let fits = more.floor_char_boundary(room);
        self.text.push_str(&more[..fits]);
        self.left_out += more.len() - fits;
        Ok(())
    }
}

impl Bounded {
    fn finish(mut self) -> String {
        if self.left_out > 0 {
            let _ = write!(self.text, "… (cut, {} bytes more)", self.left_out);
        }
        self.text
    }
}
