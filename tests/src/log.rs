//! What a program wrote, line by line, read by threads of its own so that the program never waits.

use crate::wait::PATIENCE;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// The lines so far. Copies are handles to the same lines.
#[derive(Clone, Default)]
pub struct Log {
    inner: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    /// Streams that have not ended.
    open: usize,
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
                log.lock().lines.push(line);
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

    /// All lines so far as one text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.lines().join("\n");
        text.push('\n');
        text
    }

    /// How many lines so far contain all of `parts`.
    #[must_use]
    pub fn count(&self, parts: &[&str]) -> usize {
        self.lock().lines.iter().filter(|line| has_all(line, parts)).count()
    }

    /// Waits for a line that contains all of `parts`, and gives it back.
    ///
    /// # Panics
    ///
    /// When none comes in time; the message shows the log.
    #[track_caller]
    pub fn wait_for(&self, parts: &[&str]) -> String {
        self.wait_for_nth(1, parts)
    }

    /// Waits for the `number`-th line that contains all of `parts`, counted from 1.
    ///
    /// # Panics
    ///
    /// When it does not come in time.
    #[track_caller]
    pub fn wait_for_nth(&self, number: usize, parts: &[&str]) -> String {
        let start = Instant::now();
        let mut lines = self.lock();
        loop {
            let found = lines.lines.iter().filter(|line| has_all(line, parts)).nth(number - 1);
            if let Some(line) = found {
                return line.clone();
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() || lines.open == 0 {
                let text = lines.lines.join("\n");
                drop(lines);
                panic!("the log has no line {number} with {parts:?}:\n{text}");
            }
            lines = self.inner.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until all streams have ended. A process that outlives its parent would keep them open.
    ///
    /// # Panics
    ///
    /// When they do not end in time.
    pub fn wait_for_end(&self) {
        let start = Instant::now();
        let mut lines = self.lock();
        while lines.open > 0 {
            let left = PATIENCE.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "somebody keeps the log open");
            lines = self.inner.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_all(line: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| line.contains(part))
}
