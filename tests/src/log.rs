//! What a program wrote, line by line, read by threads of its own so that the program never waits.
//!
//! The rig runs supervisors with `--log-format json`. Tests match their events by name and field,
//! see [`Event`]. Lines of text are for what is text for people: tests of the text format, of
//! verbs, and of programs that are not the supervisor. A failed test prints the log as text,
//! rendered from the JSON.

use crate::log_event::{Event, LoggedEvent};
use crate::wait::PATIENCE;
use std::fmt::Debug;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// The lines so far. Copies are handles to the same lines.
#[derive(Clone, Default)]
pub struct Log {
    inner: Arc<(Mutex<Written>, Condvar)>,
}

/// What was written so far.
#[derive(Default)]
pub struct Written {
    as_written: Vec<String>,
    lines: Vec<String>,
    events: Vec<LoggedEvent>,
    /// Streams that have not ended.
    open: usize,
}

impl Written {
    fn push(&mut self, line: String) {
        match LoggedEvent::parse(&line) {
            Some(event) => {
                self.lines.extend(event.render());
                self.events.push(event);
            }
            None => self.lines.push(line.clone()),
        }
        self.as_written.push(line);
    }
}

/// What can be looked for in a log: an [`Event`], or parts of a line of text.
pub trait Query: Debug {
    /// What is found.
    type Found: Clone;

    /// All that match, in the order in which they were logged.
    fn find<'a>(&'a self, written: &'a Written) -> impl DoubleEndedIterator<Item = &'a Self::Found>;
}

impl Query for Event {
    type Found = LoggedEvent;

    fn find<'a>(&'a self, written: &'a Written) -> impl DoubleEndedIterator<Item = &'a LoggedEvent> {
        written.events.iter().filter(|event| self.matches(event))
    }
}

impl<T: AsRef<str> + Debug> Query for &[T] {
    type Found = String;

    fn find<'a>(&'a self, written: &'a Written) -> impl DoubleEndedIterator<Item = &'a String> {
        written.lines.iter().filter(|line| self.iter().all(|part| line.contains(part.as_ref())))
    }
}

impl<T: AsRef<str> + Debug, const COUNT: usize> Query for &[T; COUNT] {
    type Found = String;

    fn find<'a>(&'a self, written: &'a Written) -> impl DoubleEndedIterator<Item = &'a String> {
        written.lines.iter().filter(|line| self.iter().all(|part| line.contains(part.as_ref())))
    }
}

impl Log {
    /// Reads the stream to its end.
    pub fn follow(&self, stream: impl Read + Send + 'static) {
        let log = self.clone();
        self.lock().open += 1;
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                let line = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
                bytes.clear();
                log.lock().push(line);
                log.inner.1.notify_all();
            }
            log.lock().open -= 1;
            log.inner.1.notify_all();
        });
    }

    /// All lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// All lines so far, JSON as JSON.
    #[must_use]
    pub fn as_written(&self) -> Vec<String> {
        self.lock().as_written.clone()
    }

    /// All lines so far as one text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.lines().join("\n");
        text.push('\n');
        text
    }

    /// How many events or lines match so far.
    #[must_use]
    pub fn count<Q: Query>(&self, query: Q) -> usize {
        query.find(&self.lock()).count()
    }

    /// All matches so far, in the order in which they were logged.
    #[must_use]
    pub fn all<Q: Query>(&self, query: Q) -> Vec<Q::Found> {
        query.find(&self.lock()).cloned().collect()
    }

    /// The place of the first such event among all events, to compare with that of another.
    #[must_use]
    pub fn position(&self, event: &Event) -> Option<usize> {
        self.lock().events.iter().position(|logged| event.matches(logged))
    }

    /// The latest match so far.
    #[must_use]
    pub fn last<Q: Query>(&self, query: Q) -> Option<Q::Found> {
        query.find(&self.lock()).next_back().cloned()
    }

    /// Waits for an event, or for a line that contains all parts, and returns it.
    ///
    /// # Panics
    ///
    /// When none comes in time; the message shows the log.
    #[track_caller]
    pub fn wait_for<Q: Query>(&self, query: Q) -> Q::Found {
        self.wait_for_nth(1, query)
    }

    /// Waits for the `number`-th match, counted from 1.
    ///
    /// # Panics
    ///
    /// When it does not come in time.
    #[track_caller]
    pub fn wait_for_nth<Q: Query>(&self, number: usize, query: Q) -> Q::Found {
        let start = Instant::now();
        let mut written = self.lock();
        loop {
            let found = query.find(&written).nth(number - 1).cloned();
            if let Some(found) = found {
                return found;
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() || written.open == 0 {
                let text = written.lines.join("\n");
                drop(written);
                panic!("the log has no match {number} of {query:?}:\n{text}");
            }
            written = self.inner.1.wait_timeout(written, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until all streams have ended. A process that outlives its parent would keep them open.
    ///
    /// # Panics
    ///
    /// When they do not end in time.
    pub fn wait_for_end(&self) {
        let start = Instant::now();
        let mut written = self.lock();
        while written.open > 0 {
            let left = PATIENCE.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "a process keeps the log open");
            written = self.inner.1.wait_timeout(written, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
