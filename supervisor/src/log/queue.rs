//! From all threads to the writer: bounded in events and in bytes, and never waiting.
//!
//! What does not fit is dropped and counted. The count travels beside the queue, since the queue is full just then.

use super::record::Record;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

/// The most events that wait for the writer.
pub(super) const EVENT_LIMIT: usize = 8192;

/// The most bytes that these events hold.
pub(super) const BYTE_LIMIT: usize = 4 * 1024 * 1024;

/// How long a full queue is left alone before [`Entrance::flush`] tries again.
const RETRY: Duration = Duration::from_millis(10);

/// What reaches the writer.
pub(super) enum Item {
    /// An event to write.
    Record(Box<Record>),
    /// Write everything, then drop this.
    Flush(SyncSender<()>),
}

/// What waiting for the next item came to.
pub(super) enum Next {
    /// This.
    Item(Item),
    /// Nothing before the time was over.
    Late,
    /// No entrance is left, nothing will come any more.
    Closed,
}

#[derive(Default)]
struct Counts {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

/// The callers' end.
#[derive(Clone)]
pub(super) struct Entrance {
    items: SyncSender<Item>,
    counts: Arc<Counts>,
}

/// The writer's end.
pub(super) struct Exit {
    items: Receiver<Item>,
    counts: Arc<Counts>,
}

/// Makes both ends.
pub(super) fn bounded() -> (Entrance, Exit) {
    let (sender, receiver) = mpsc::sync_channel(EVENT_LIMIT);
    let counts = Arc::new(Counts::default());
    (Entrance { items: sender, counts: Arc::clone(&counts) }, Exit { items: receiver, counts })
}

impl Entrance {
    /// Takes an event in, or counts it as lost.
    pub(super) fn push(&self, record: Record) {
        // The counters decide nothing but when to drop: no other memory depends on their order.
        let weight = record.weight();
        let before = self.counts.bytes.fetch_add(weight, Ordering::Relaxed);
        let fits = before.saturating_add(weight) <= BYTE_LIMIT;
        if fits && self.items.try_send(Item::Record(Box::new(record))).is_ok() {
            return;
        }
        self.counts.bytes.fetch_sub(weight, Ordering::Relaxed);
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until all that was pushed before is written, `patience` at most.
    pub(super) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let (sender, done) = mpsc::sync_channel(0);
        while self.items.try_send(Item::Flush(sender.clone())).is_err() {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(RETRY);
        }
        drop(sender);
        // The writer drops its end when it is done; nothing is ever sent.
        let _ = done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Exit {
    /// Waits for the next item, until `deadline` where there is one.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Next {
        let Some(deadline) = deadline else {
            return self.items.recv().map_or(Next::Closed, |item| self.out(item));
        };
        match self.items.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(item) => self.out(item),
            Err(RecvTimeoutError::Timeout) => Next::Late,
            Err(RecvTimeoutError::Disconnected) => Next::Closed,
        }
    }

    /// The next item if one is there.
    pub(super) fn poll(&self) -> Next {
        self.items.try_recv().map_or(Next::Late, |item| self.out(item))
    }

    /// How many events were lost since this was asked last.
    pub(super) fn take_lost(&self) -> u64 {
        self.counts.lost.swap(0, Ordering::Relaxed)
    }

    /// Counts events that went out of the queue but could not be written.
    pub(super) fn add_lost(&self, count: u64) {
        self.counts.lost.fetch_add(count, Ordering::Relaxed);
    }

    fn out(&self, item: Item) -> Next {
        if let Item::Record(record) = &item {
            self.counts.bytes.fetch_sub(record.weight(), Ordering::Relaxed);
        }
        Next::Item(item)
    }
}
