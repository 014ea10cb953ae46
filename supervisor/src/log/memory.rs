//! The last lines of each instance's log, for a person who looks at the instance later.

use super::record::LogRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::Level;

/// How many lines are kept of one instance.
pub const LINE_LIMIT: usize = 40;

/// The most bytes of one line.
const TEXT_LIMIT: usize = 400;

/// The most instances whose lines are kept; a show with more keeps those that logged first.
const INSTANCE_LIMIT: usize = 1024;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedLine {
    /// When, as RFC 3339 has it.
    pub at: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The message, without the fields that come with it, cut where it is long.
    pub message: String,
}

/// The last lines of all instances: written by the log's thread, read by those that serve clients.
/// At most 16 MiB.
#[derive(Debug, Default)]
pub struct LogMemory {
    lines: Mutex<HashMap<String, VecDeque<RememberedLine>>>,
}

impl LogMemory {
    /// Remembers a record that names its instance.
    pub(super) fn remember(&self, record: &LogRecord) {
        let Some(instance) = &record.instance else { return };
        let mut lines = self.lock();
        if !lines.contains_key(instance) {
            if lines.len() >= INSTANCE_LIMIT {
                return;
            }
            lines.insert(instance.clone(), VecDeque::new());
        }
        let Some(lines) = lines.get_mut(instance) else { return };
        if lines.len() >= LINE_LIMIT {
            lines.pop_front();
        }
        let at = Timestamp::try_from(record.time).unwrap_or_default().to_string();
        let level = record.level.as_str().to_ascii_lowercase();
        lines.push_back(RememberedLine { at, level, message: cut(&record.message).to_owned() });
    }

    /// The lines of an instance, the oldest first.
    #[must_use]
    pub fn lines(&self, instance: &str) -> Vec<RememberedLine> {
        self.lock().get(instance).map(|lines| lines.iter().cloned().collect()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, VecDeque<RememberedLine>>> {
        // Nothing in here is left half done by a panic.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RememberedLine {
    /// Whether it reports an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.level.eq_ignore_ascii_case(Level::ERROR.as_str())
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LIMIT)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(instance: &str, message: &str) -> LogRecord {
        LogRecord { instance: Some(instance.into()), ..LogRecord::own(Level::ERROR, message.into()) }
    }

    #[test]
    fn the_last_lines_of_each_instance_are_kept() {
        let memory = LogMemory::default();
        for number in 0..100 {
            memory.remember(&record("a", &format!("line {number}")));
        }
        memory.remember(&record("b", "other"));
        memory.remember(&LogRecord::own(Level::INFO, "of no instance".into()));
        let lines = memory.lines("a");
        assert_eq!((lines.len(), lines[0].message.as_str()), (LINE_LIMIT, "line 60"));
        assert!(lines[0].is_error());
        assert_eq!(memory.lines("b").len(), 1);
        assert!(memory.lines("c").is_empty());
    }

    #[test]
    fn memory_is_bounded_whatever_is_logged() {
        let memory = LogMemory::default();
        for number in 0..2 * INSTANCE_LIMIT {
            memory.remember(&record(&format!("i{number}"), &"ü".repeat(1000)));
        }
        assert_eq!(memory.lock().len(), INSTANCE_LIMIT);
        assert_eq!(memory.lines("i0")[0].message.len(), TEXT_LIMIT);
    }
}
