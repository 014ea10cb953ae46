//! From all threads to the writer: bounded in events and in bytes, and never waiting.
//!
//! What does not fit is dropped and counted. The count travels beside the queue, since the queue is
//! full just then.

use super::record::LogRecord;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

/// The most events that wait for the writer.
pub(super) const EVENT_LIMIT: usize = 8192;

/// The most bytes that these events hold.
pub(super) const BYTE_LIMIT: usize = 4 * 1024 * 1024;

/// How long [`LogSender::flush`] waits before it tries again to enter a full queue.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// What reaches the writer.
pub(super) enum QueueItem {
    /// An event to write.
    Record(Box<LogRecord>),
    /// Write everything, then drop this.
    Flush(SyncSender<()>),
}

/// The result of waiting for the next item.
pub(super) enum Received {
    Item(QueueItem),
    /// Nothing came in time.
    Nothing,
    /// All senders are gone, so nothing will come any more.
    Closed,
}

#[derive(Default)]
struct Counts {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

/// The end of the threads that log.
#[derive(Clone)]
pub(super) struct LogSender {
    items: SyncSender<QueueItem>,
    counts: Arc<Counts>,
}

/// The writer's end.
pub(super) struct LogReceiver {
    items: Receiver<QueueItem>,
    counts: Arc<Counts>,
}

/// Makes both ends.
pub(super) fn bounded() -> (LogSender, LogReceiver) {
    let (sender, receiver) = mpsc::sync_channel(EVENT_LIMIT);
    let counts = Arc::new(Counts::default());
    (LogSender { items: sender, counts: Arc::clone(&counts) }, LogReceiver { items: receiver, counts })
}

impl LogSender {
    /// Takes an event in, or counts it as lost.
    pub(super) fn push(&self, record: LogRecord) {
        // Relaxed: the counters decide only when to drop, no other memory depends on their order.
        let weight = record.weight();
        let before = self.counts.bytes.fetch_add(weight, Ordering::Relaxed);
        let fits = before.saturating_add(weight) <= BYTE_LIMIT;
        if fits && self.items.try_send(QueueItem::Record(Box::new(record))).is_ok() {
            return;
        }
        self.counts.bytes.fetch_sub(weight, Ordering::Relaxed);
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until all that was pushed before is written, at most for `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let (sender, done) = mpsc::sync_channel(0);
        while self.items.try_send(QueueItem::Flush(sender.clone())).is_err() {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        drop(sender);
        // The writer drops its end when it is done; nothing is ever sent.
        let _ = done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl LogReceiver {
    /// Waits for the next item, until `deadline` where there is one.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Received {
        let Some(deadline) = deadline else {
            return self.items.recv().map_or(Received::Closed, |item| self.received(item));
        };
        match self.items.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(item) => self.received(item),
            Err(RecvTimeoutError::Timeout) => Received::Nothing,
            Err(RecvTimeoutError::Disconnected) => Received::Closed,
        }
    }

    /// The next item if one is there.
    pub(super) fn poll(&self) -> Received {
        self.items.try_recv().map_or(Received::Nothing, |item| self.received(item))
    }

    /// How many events were lost since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.counts.lost.swap(0, Ordering::Relaxed)
    }

    /// Counts events that left the queue but could not be written.
    pub(super) fn add_lost(&self, count: u64) {
        self.counts.lost.fetch_add(count, Ordering::Relaxed);
    }

    fn received(&self, item: QueueItem) -> Received {
        if let QueueItem::Record(record) = &item {
            self.counts.bytes.fetch_sub(record.weight(), Ordering::Relaxed);
        }
        Received::Item(item)
    }
}
