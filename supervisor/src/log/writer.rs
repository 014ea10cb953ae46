//! The thread that writes, the only one that ever waits for standard error.

use super::dedup::Repeats;
use super::queue::{Entrance, Exit, Item, Next};
use super::record::Record;
use super::render::render;
use super::settings::Style;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};
use tracing::Level;

/// How long dropping the [`Guard`] may take. Standard error may be a pipe that nobody reads, and the program has to end.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Lines are written together up to about this many bytes.
const BATCH: usize = 64 * 1024;

/// The count of lost lines is said this often while more are lost.
const LOST_PAUSE: Duration = Duration::from_secs(1);

/// Keeps the log; dropping it waits, for a second at most, until what was logged is written.
#[must_use = "what is logged last is written when this is dropped"]
pub struct Guard {
    entrance: Entrance,
}

impl Guard {
    pub(super) fn new(entrance: Entrance) -> Self {
        Self { entrance }
    }

    /// Waits until what was logged is written, `patience` at most.
    pub fn flush(&self, patience: Duration) {
        self.entrance.flush(patience);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.entrance.flush(FLUSH_PATIENCE);
    }
}

/// Starts the thread; it ends when nobody can log any more.
pub(super) fn spawn<W: Write + Send + 'static>(exit: Exit, style: Style, sink: W) -> io::Result<()> {
    let pen = Pen {
        exit,
        style,
        sink,
        repeats: Repeats::default(),
        batch: String::new(),
        in_batch: 0,
        torn: false,
        lost: 0,
        lost_said: None,
    };
    thread::Builder::new().name("log".into()).spawn(move || pen.run()).map(drop)
}

struct Pen<W> {
    exit: Exit,
    style: Style,
    sink: W,
    repeats: Repeats,
    batch: String,
    /// Events in `batch`.
    in_batch: u64,
    /// The last write failed, perhaps in the middle of a line.
    torn: bool,
    /// Events lost that have not been spoken of.
    lost: u64,
    lost_said: Option<Instant>,
}

impl<W: Write> Pen<W> {
    fn run(mut self) {
        loop {
            let flushed = match self.exit.wait(self.repeats.deadline()) {
                Next::Item(item) => self.fill(item),
                Next::Late => None,
                Next::Closed => break,
            };
            let now = if flushed.is_some() { None } else { Some(Instant::now()) };
            self.say_repeats(now);
            self.say_lost(flushed.is_some());
            self.write_out();
            // Only now: the one who waits for it may end the process at once.
            drop(flushed);
        }
        self.say_repeats(None);
        self.say_lost(true);
        self.write_out();
    }

    /// Puts `item` and what is there behind it into the batch; a request to flush ends it.
    fn fill(&mut self, item: Item) -> Option<SyncSender<()>> {
        let now = Instant::now();
        let mut next = Next::Item(item);
        while let Next::Item(item) = next {
            match item {
                Item::Record(record) => {
                    if let Some(record) = self.repeats.admit(record, now) {
                        self.add(&record, 0);
                    }
                }
                Item::Flush(done) => return Some(done),
            }
            next = if self.batch.len() < BATCH { self.exit.poll() } else { Next::Late };
        }
        None
    }

    fn add(&mut self, record: &Record, repeated: u64) {
        render(&mut self.batch, self.style, record, repeated);
        self.in_batch += 1;
    }

    fn say_repeats(&mut self, now: Option<Instant>) {
        for held in self.repeats.due(now) {
            self.add(&held.last, held.count);
        }
    }

    fn say_lost(&mut self, at_once: bool) {
        self.lost += self.exit.take_lost();
        let too_soon = self.lost_said.is_some_and(|said| said.elapsed() < LOST_PAUSE);
        if self.lost == 0 || (too_soon && !at_once) {
            return;
        }
        let (lost, plural) = (self.lost, if self.lost == 1 { "" } else { "s" });
        let note = format!("{lost} line{plural} of the log lost, they could not be written fast enough");
        let record = Record { event: Some("lines_lost".into()), ..Record::own(Level::WARN, note) };
        self.add(&record, 0);
        // Were the note itself to fail, it counts as one line: its number must not be forgotten.
        self.in_batch += lost - 1;
        self.lost = 0;
        self.lost_said = Some(Instant::now());
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
            self.exit.add_lost(self.in_batch);
        }
        self.in_batch = 0;
        self.batch.clear();
        self.batch.shrink_to(2 * BATCH);
    }
}

/// Standard error without the lock that `std` puts around it: a writer that waits must not hold what a dying thread needs.
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        loop {
            match nix::unistd::write(stderr.as_fd(), bytes) {
                // Whoever shares the terminal with us may have made it non-blocking.
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
