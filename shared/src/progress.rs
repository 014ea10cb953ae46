//! The activity that a worker publishes: words in *up* that the worker stores and the supervisor
//! reads.
//!
//! It costs the worker a few stores per event, and nothing at all per second. Everything here is a
//! claim, and good for a watchdog, for `status` and for messages: a worker that stores wrong words
//! harms itself only. Words are read one by one, so two of them may be from different moments.
//!
//! Counts and times are shown to users, so they have to be possible: a count does not go back, and
//! no worker counts faster than [`FASTEST`] or spends more time in handlers than it has lived. Where
//! words say so, something has written over them, and what was last believed counts.
//!
//! | word | meaning |
//! |---|---|
//! | 0 | generation: goes up with every change of what the worker does |
//! | 1 | activity (bits 32 to 39) and subject (low 32 bits) |
//! | 2 | events handled |
//! | 3 | errors of the script |
//! | 4 | longest time in a handler, ns |
//! | 5 | length of the name in the next words, in bytes |
//! | 6 to 15 | the name of the callable of an interval or a socket, in UTF-8, cut to what fits |
//! | 16… | times in handlers by bucket, see [`crate::histogram`] |

use crate::histogram::{BUCKETS, Histogram, bucket};
use crate::ring::layout::PROGRESS_WORDS;
use crate::ring::memory::{Load, Memory, Store};
use crate::ring::{Mapped, heap};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

const GENERATION: usize = 0;
const ACTIVITY: usize = 1;
const HANDLED: usize = 2;
const ERRORS: usize = 3;
const LONGEST: usize = 4;
const NAME_LENGTH: usize = 5;
const NAME: usize = 6;
const TIMES: usize = 16;

/// The longest name of a callable, in bytes.
const NAME_LIMIT: usize = (TIMES - NAME) * 8;

/// The least time between two events or errors that a worker counts.
const FASTEST: Duration = Duration::from_nanos(20);

/// How much older a worker is taken for than it is: it ran before it was looked at first, and
/// clocks are read at different moments.
const AGE_TOLERANCE: Duration = Duration::from_secs(1);

const _: () = assert!(TIMES + BUCKETS <= PROGRESS_WORDS);

/// What a worker can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Activity {
    /// Nothing yet: the process starts, the interpreter too.
    #[default]
    Starting = 0,
    /// It waits for events, sockets and ticks.
    Idle = 1,
    /// It imports the modules.
    Import = 2,
    /// It is in a channel's handler; the subject is the channel.
    Handler = 3,
    /// It is in a callable of `interval`.
    Interval = 4,
    /// It is in a callable of `manage`; the subject is the descriptor.
    Socket = 5,
    /// It is in the cleanup handler.
    Cleanup = 6,
    /// It waits until the supervisor has taken some of what it sent; the subject is the channel.
    Sending = 7,
}

impl Activity {
    const ALL: [Activity; 8] = [
        Activity::Starting,
        Activity::Idle,
        Activity::Import,
        Activity::Handler,
        Activity::Interval,
        Activity::Socket,
        Activity::Cleanup,
        Activity::Sending,
    ];

    /// Whether the script's own code runs, which can hang.
    pub fn is_script(self) -> bool {
        !matches!(self, Activity::Starting | Activity::Idle | Activity::Sending)
    }
}

/// What a worker did when its words were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivitySnapshot {
    /// Differs from that of an earlier snapshot if, and only if, the worker did anything since.
    pub generation: u64,
    /// `None` if the word holds no known activity.
    pub activity: Option<Activity>,
    /// See [`Activity`]; not checked against anything.
    pub subject: u32,
}

/// The worker's side.
pub struct ProgressWriter<M: Memory = Mapped> {
    words: M::Own,
    generation: u64,
    activity: (Activity, u32),
    handled: u64,
    errors: u64,
    times: Histogram,
}

impl<M: Memory> ProgressWriter<M> {
    pub(crate) fn new(words: M::Own) -> ProgressWriter<M> {
        let (generation, activity, handled, errors) = (0, (Activity::Starting, 0), 0, 0);
        ProgressWriter { words, generation, activity, handled, errors, times: Histogram::default() }
    }

    /// Publishes what the worker does from now on, and returns what it did before.
    #[inline]
    pub fn enter(&mut self, activity: Activity, subject: u32) -> (Activity, u32) {
        self.generation += 1;
        self.words.store(ACTIVITY, u64::from(activity as u8) << 32 | u64::from(subject));
        self.words.store(GENERATION, self.generation);
        std::mem::replace(&mut self.activity, (activity, subject))
    }

    /// Names the callable that the worker is about to enter.
    pub fn name_callable(&mut self, name: &str) {
        let name = &name.as_bytes()[..name.floor_char_boundary(NAME_LIMIT)];
        for (index, part) in name.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.words.store(NAME + index, u64::from_le_bytes(word));
        }
        self.words.store(NAME_LENGTH, name.len() as u64);
    }

    /// Counts an event that its handler is done with, after so many nanoseconds.
    #[inline]
    pub fn handled(&mut self, nanos: u64) {
        self.handled += 1;
        self.words.store(HANDLED, self.handled);
        let count = self.times.record(nanos);
        self.words.store(TIMES + bucket(nanos), count);
        if self.times.longest() == nanos {
            self.words.store(LONGEST, nanos);
        }
    }

    /// Counts an error of the script.
    pub fn error(&mut self) {
        self.errors += 1;
        self.words.store(ERRORS, self.errors);
    }
}

/// The supervisor's side.
pub struct ProgressReader<M: Memory = Mapped> {
    words: M::Peer,
    /// When the words were made; the worker is younger.
    since: Instant,
    handled: Cell<u64>,
    errors: Cell<u64>,
    times: RefCell<Histogram>,
}

impl<M: Memory> ProgressReader<M> {
    pub(crate) fn new(words: M::Peer) -> ProgressReader<M> {
        let (handled, errors, times) = (Cell::new(0), Cell::new(0), RefCell::default());
        ProgressReader { words, since: Instant::now(), handled, errors, times }
    }

    /// What the worker does.
    pub fn activity(&self) -> ActivitySnapshot {
        let generation = self.words.load(GENERATION);
        let word = self.words.load(ACTIVITY);
        let activity = usize::try_from(word >> 32).ok().and_then(|index| Activity::ALL.get(index).copied());
        // The low half is the subject.
        ActivitySnapshot { generation, activity, subject: word as u32 }
    }

    /// The name of the callable of an interval or a socket that the worker has entered last;
    /// `None` if the words hold no text.
    pub fn callable(&self) -> Option<String> {
        let length =
            usize::try_from(self.words.load(NAME_LENGTH)).ok().filter(|length| *length <= NAME_LIMIT)?;
        let mut bytes: Vec<u8> =
            (NAME..TIMES).flat_map(|index| self.words.load(index).to_le_bytes()).collect();
        bytes.truncate(length);
        String::from_utf8(bytes).ok().filter(|name| !name.is_empty() && !name.contains(char::is_control))
    }

    /// How many events the worker handled.
    pub fn handled(&self) -> u64 {
        self.count(HANDLED, &self.handled)
    }

    /// How many errors the script raised.
    pub fn errors(&self) -> u64 {
        self.count(ERRORS, &self.errors)
    }

    /// How long its handlers took.
    pub fn handler_times(&self) -> Histogram {
        let counts = (0..BUCKETS).map(|index| self.words.load(TIMES + index));
        let mut believed = self.times.borrow_mut();
        if let Some(times) = Histogram::from_counts(counts, self.words.load(LONGEST), self.age()) {
            *believed = times;
        }
        believed.clone()
    }

    /// A count, or the one that was last believed.
    fn count(&self, word: usize, believed: &Cell<u64>) -> u64 {
        let count = self.words.load(word);
        let most = self.age().as_nanos() / FASTEST.as_nanos();
        if count > believed.get() && u128::from(count) <= most {
            believed.set(count);
        }
        believed.get()
    }

    fn age(&self) -> Duration {
        self.since.elapsed() + AGE_TOLERANCE
    }
}

/// Both sides in the memory of one process, for tests and benches.
pub fn on_heap() -> (ProgressWriter<heap::Heap>, ProgressReader<heap::Heap>) {
    let words = heap::HeapWords::new(PROGRESS_WORDS);
    (ProgressWriter::new(words.clone()), ProgressReader::new(words))
}

#[cfg(test)]
mod tests {
    use super::{ACTIVITY, Activity, ProgressReader, on_heap};
    use crate::ring::heap::{Heap, HeapWords};
    use crate::ring::layout::PROGRESS_WORDS;
    use crate::ring::memory::Store;

    #[test]
    fn the_reader_sees_what_the_writer_does() {
        let (mut writer, reader) = on_heap();
        let before = writer.enter(Activity::Handler, 7);
        let seen = reader.activity();
        assert_eq!(before, (Activity::Starting, 0));
        assert_eq!((seen.activity, seen.subject), (Some(Activity::Handler), 7));
    }

    #[test]
    fn doing_the_same_again_is_a_new_generation() {
        let (mut writer, reader) = on_heap();
        writer.enter(Activity::Handler, 7);
        let first = reader.activity();
        writer.enter(Activity::Handler, 7);
        assert_ne!(reader.activity(), first);
    }

    #[test]
    fn every_activity_reads_back_as_itself() {
        let (mut writer, reader) = on_heap();
        for activity in Activity::ALL {
            writer.enter(activity, u32::MAX);
            assert_eq!(reader.activity().activity, Some(activity));
        }
    }

    #[test]
    fn the_name_of_a_callable_reads_back_cut_to_what_fits() {
        let (mut writer, reader) = on_heap();
        assert_eq!(reader.callable(), None);
        for name in ["tick", "Lamp.fade.<locals>.step", "x"] {
            writer.name_callable(name);
            assert_eq!(reader.callable().as_deref(), Some(name));
        }
        writer.name_callable(&"ä".repeat(100));
        assert_eq!(reader.callable(), Some("ä".repeat(40)));
    }

    #[test]
    fn words_that_are_no_name_are_none() {
        for (length, word) in [(u64::MAX, 0), (8, u64::MAX), (4, u64::from_le_bytes(*b"a\x1b[2J\0\0\0"))] {
            let words = HeapWords::new(PROGRESS_WORDS);
            words.store(super::NAME_LENGTH, length);
            words.store(super::NAME, word);
            assert_eq!(ProgressReader::<Heap>::new(words).callable(), None);
        }
    }

    #[test]
    fn an_unknown_activity_is_none() {
        let words = HeapWords::new(256);
        words.store(ACTIVITY, u64::MAX);
        assert_eq!(ProgressReader::<Heap>::new(words).activity().activity, None);
    }

    #[test]
    fn counts_and_times_that_cannot_be_are_not_believed() {
        let (mut writer, reader) = on_heap();
        writer.handled(5_000);
        writer.error();
        let believed = (reader.handled(), reader.errors(), reader.handler_times());
        for garbage in [u64::MAX, 1 << 40, 0] {
            let words = HeapWords::new(PROGRESS_WORDS);
            (0..PROGRESS_WORDS).for_each(|word| words.store(word, garbage));
            let reader = ProgressReader::<Heap> { words, ..clone_of(&reader) };
            let seen = (reader.handled(), reader.errors());
            assert_eq!(seen, (believed.0, believed.1), "{garbage}");
            if garbage > 0 {
                assert_eq!(reader.handler_times(), believed.2);
            }
        }
    }

    fn clone_of(reader: &ProgressReader<Heap>) -> ProgressReader<Heap> {
        let words = HeapWords::new(PROGRESS_WORDS);
        let (handled, errors, times) = (reader.handled.clone(), reader.errors.clone(), reader.times.clone());
        ProgressReader { words, since: reader.since, handled, errors, times }
    }

    #[test]
    fn counts_and_times_arrive() {
        let (mut writer, reader) = on_heap();
        [100, 5_000, 1_000_000].into_iter().for_each(|nanos| writer.handled(nanos));
        writer.error();
        assert_eq!((reader.handled(), reader.errors()), (3, 1));
        assert_eq!(reader.handler_times().count(), 3);
        assert_eq!(reader.handler_times().max(), Some(std::time::Duration::from_millis(1)));
    }
}
