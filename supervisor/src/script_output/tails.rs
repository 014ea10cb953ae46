//! The last of each worker's standard error, for `status` and for the reason of an exit.

use super::level::strip_all;
use crate::ids::WorkerId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much is kept of one worker.
pub(super) const TAIL_LIMIT: usize = 4096;

/// How many workers that are gone are remembered.
pub(super) const RETIRED_LIMIT: usize = 512;

/// The tails of all workers, written by the reader's thread and read by the event loop.
#[derive(Default)]
pub(super) struct Tails {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tails: HashMap<WorkerId, Vec<u8>>,
    /// Those whose worker is gone, the oldest first.
    retired: VecDeque<WorkerId>,
}

impl Tails {
    /// A worker begins.
    pub(super) fn open(&self, worker_id: WorkerId) {
        self.lock().tails.entry(worker_id).or_default();
    }

    /// The worker wrote this.
    pub(super) fn append(&self, worker_id: WorkerId, bytes: &[u8]) {
        let mut inner = self.lock();
        let Some(tail) = inner.tails.get_mut(&worker_id) else { return };
        tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_LIMIT)..]);
        // Twice the limit may gather, so that short lines do not move the whole tail each time.
        if tail.len() > 2 * TAIL_LIMIT {
            tail.drain(..tail.len() - TAIL_LIMIT);
        }
    }

    /// The worker is gone; its tail stays until many others are gone as well.
    pub(super) fn retire(&self, worker_id: WorkerId) {
        let mut inner = self.lock();
        if !inner.tails.contains_key(&worker_id) || inner.retired.contains(&worker_id) {
            return;
        }
        inner.retired.push_back(worker_id);
        if inner.retired.len() > RETIRED_LIMIT
            && let Some(oldest) = inner.retired.pop_front()
        {
            inner.tails.remove(&oldest);
        }
    }

    /// The last lines as text, without the prefixes that give their levels.
    pub(super) fn text(&self, worker_id: WorkerId) -> String {
        let inner = self.lock();
        let Some(tail) = inner.tails.get(&worker_id) else { return String::new() };
        if tail.len() <= TAIL_LIMIT {
            return strip_all(&String::from_utf8_lossy(tail));
        }
        let tail = &tail[tail.len() - TAIL_LIMIT..];
        // Half a line at the start only confuses, unless there is nothing else.
        let start = tail.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        strip_all(&String::from_utf8_lossy(if start < tail.len() { &tail[start..] } else { tail }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here is left half done by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{RETIRED_LIMIT, TAIL_LIMIT, Tails};
    use crate::ids::WorkerId;

    #[test]
    fn the_last_whole_lines_are_kept() {
        let tails = Tails::default();
        tails.open(WorkerId(1));
        for number in 0..10_000 {
            tails.append(WorkerId(1), format!("line {number}\n").as_bytes());
        }
        let text = tails.text(WorkerId(1));
        assert!(text.len() <= TAIL_LIMIT);
        assert!(text.starts_with("line ") && text.ends_with("line 9999\n"), "{text}");
        assert!(tails.lock().tails[&WorkerId(1)].capacity() <= 8 * TAIL_LIMIT);
    }

    #[test]
    fn one_line_without_end_is_kept_as_far_as_it_goes() {
        let tails = Tails::default();
        tails.open(WorkerId(1));
        tails.append(WorkerId(1), &vec![b'x'; 100_000]);
        tails.append(WorkerId(1), &vec![b'x'; 100_000]);
        assert_eq!(tails.text(WorkerId(1)), "x".repeat(TAIL_LIMIT));
    }

    #[test]
    fn a_tail_outlives_its_worker_but_not_for_ever() {
        let tails = Tails::default();
        for worker_id in (0..=RETIRED_LIMIT as u64).map(WorkerId) {
            tails.open(worker_id);
            tails.append(worker_id, b"last words\n");
            tails.retire(worker_id);
            assert_eq!(tails.text(worker_id), "last words\n");
        }
        assert_eq!(tails.text(WorkerId(0)), "");
        assert_eq!(tails.text(WorkerId(1)), "last words\n");
        assert_eq!(tails.text(WorkerId(12345)), "");
    }
}
