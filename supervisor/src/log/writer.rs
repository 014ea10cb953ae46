//! The thread that writes, the only one that ever waits for standard error.

use super::dedup::{Admitted, Dedup};
use super::memory::LogMemory;
use super::queue::{LogReceiver, LogSender, QueueItem, Received};
use super::record::LogRecord;
use super::render::render;
use super::settings::LogStyle;
use mm_shared::LogThrottle;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tracing::Level;

/// How long dropping the [`LogGuard`] may take. Standard error may be a pipe that is not read, and
/// the program has to end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Lines are written together up to about this many bytes.
const BATCH_LIMIT: usize = 64 * 1024;

/// The count of lost lines is logged once per interval while more are lost.
const LOST_INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the log; dropping it waits, for one second at most, until what was logged is written.
#[must_use = "what is logged last is written when this is dropped"]
pub struct LogGuard {
    sender: LogSender,
}

impl LogGuard {
    pub(super) fn new(sender: LogSender) -> Self {
        Self { sender }
    }

    /// Waits until what was logged is written, at most for `timeout`.
    pub fn flush(&self, timeout: Duration) {
        self.sender.flush(timeout);
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.sender.flush(FLUSH_TIMEOUT);
    }
}

/// Starts the thread; it ends when all senders are gone.
pub(super) fn spawn<W: Write + Send + 'static>(
    receiver: LogReceiver,
    style: LogStyle,
    sink: W,
    memory: Arc<LogMemory>,
) -> io::Result<()> {
    let writer = LogWriter {
        receiver,
        style,
        sink,
        memory,
        dedup: Dedup::default(),
        batch: String::new(),
        in_batch: 0,
        last_time: SystemTime::UNIX_EPOCH,
        torn: false,
        lost: 0,
        lost_throttle: LogThrottle::new(1, LOST_INTERVAL),
    };
    thread::Builder::new().name("log".into()).spawn(move || writer.run()).map(drop)
}

struct LogWriter<W> {
    receiver: LogReceiver,
    style: LogStyle,
    sink: W,
    memory: Arc<LogMemory>,
    dedup: Dedup,
    batch: String,
    /// Events in `batch`.
    in_batch: u64,
    /// The time of the line added last.
    last_time: SystemTime,
    /// The last write failed, perhaps in the middle of a line.
    torn: bool,
    /// Lost events that have not been reported.
    lost: u64,
    lost_throttle: LogThrottle,
}

impl<W: Write> LogWriter<W> {
    fn run(mut self) {
        loop {
            let flushed = match self.receiver.wait(self.dedup.deadline()) {
                Received::Item(item) => self.fill(item),
                Received::Nothing => None,
                Received::Closed => break,
            };
            let now = if flushed.is_some() { None } else { Some(Instant::now()) };
            self.write_repeated(now);
            self.report_lost(flushed.is_some());
            self.write_out();
            // Only now: the thread that waits for it may end the process at once.
            drop(flushed);
        }
        self.write_repeated(None);
        self.report_lost(true);
        self.write_out();
    }

    /// Puts `item` and what is there behind it into the batch; a request to flush ends it.
    fn fill(&mut self, item: QueueItem) -> Option<SyncSender<()>> {
        let now = Instant::now();
        let mut next = Received::Item(item);
        while let Received::Item(item) = next {
            match item {
                QueueItem::Record(record) => {
                    if let Some(Admitted { record, repeated }) = self.dedup.admit(record, now) {
                        self.add(&record, repeated);
                    }
                }
                QueueItem::Flush(done) => return Some(done),
            }
            next = if self.batch.len() < BATCH_LIMIT { self.receiver.poll() } else { Received::Nothing };
        }
        None
    }

    fn add(&mut self, record: &LogRecord, repeated: u64) {
        self.memory.remember(record);
        render(&mut self.batch, self.style, record, repeated);
        self.last_time = record.time;
        self.in_batch += 1;
    }

    fn write_repeated(&mut self, now: Option<Instant>) {
        for Admitted { mut record, repeated } in self.dedup.due(now) {
            // It was held back: lines that came after it are written already, and the log is in the
            // order of its times.
            record.time = record.time.max(self.last_time);
            self.add(&record, repeated);
        }
    }

    fn report_lost(&mut self, at_once: bool) {
        self.lost += self.receiver.take_lost();
        if self.lost == 0 || (self.lost_throttle.hit(Instant::now()).is_none() && !at_once) {
            return;
        }
        let (lost, plural) = (self.lost, if self.lost == 1 { "" } else { "s" });
        let note = format!("{lost} line{plural} of the log lost, they could not be written fast enough");
        let record = LogRecord { event: Some("lines_lost".into()), ..LogRecord::own(Level::WARN, note) };
        self.add(&record, 0);
        // Were the note itself to fail, it counts as one line: its number must not be forgotten.
        self.in_batch += lost - 1;
        self.lost = 0;
    }

    /// A failure costs these lines, never the log: a full disk may have room again.
    fn write_out(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.torn {
            self.batch.insert(0, '\n');
        }
        let result = self.sink.write_all(self.batch.as_bytes()).and_then(|()| self.sink.flush());
        self.torn = result.is_err();
        if self.torn {
            self.receiver.add_lost(self.in_batch);
        }
        self.in_batch = 0;
        self.batch.clear();
        self.batch.shrink_to(2 * BATCH_LIMIT);
    }
}

/// Standard error without the lock that `std` puts around it: a writer that waits must not hold
/// what a dying thread needs.
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        loop {
            match nix::unistd::write(stderr.as_fd(), bytes) {
                // Another process that shares the terminal may have made it non-blocking.
                Err(Errno::EAGAIN) => {
                    let mut descriptors = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
                    match poll(&mut descriptors, PollTimeout::NONE) {
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(Errno::EINTR) => {}
                result => return result.map_err(io::Error::from),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
