//! The control plane between supervisor and worker: one enum for each direction. How they travel is
//! told in [`crate::control_link`].
//!
//! Events never travel here; they have the rings. What does travel here is rare and may be large:
//! the boot of a worker, its outcome, errors of the script with their tracebacks, the request to
//! stop.
//!
//! The order of a worker's life, with the messages of each side:
//!
//! ```text
//! worker      Hello ──►         Sources, Ready | Failed ──►          Error*, Channel*, Sources* ──►         Yielded, Stopped ──►
//! supervisor         ──► Boot                           ──► Serve                              ──► Stop
//! ```
//!
//! The supervisor treats every message as hostile: numbers are checked against what it knows, texts
//! are cut.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Version of everything both binaries share: messages, segments, arguments. It is raised with
/// every change of any of them; supervisor and worker of different versions refuse each other.
pub const PROTOCOL: u32 = 4;

/// A worker that gets this signal writes the Python stacks of all its threads to standard error,
/// whatever it does at that moment. It is `SIGRTMIN+8` of the C library, which Python does not use,
/// and hardly any script.
pub const STACK_SIGNAL: i32 = 42;

/// The most names that a script may add to those of the show by sending on them.
///
/// The names and their last values are kept for the next worker, so their number has a bound.
pub const EXTRA_CHANNELS: u32 = 65_536;

/// The most bytes of all names that a script adds.
pub const EXTRA_NAME_BYTES: u32 = 4 << 20;

/// The longest name that a script may add, in bytes of UTF-8.
pub const NAME_LIMIT: usize = 1024;

/// What a script may still add to the names of its channels. Both sides count with it, name by
/// name in the same order, so a worker that keeps to it never breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameAllowance {
    /// So many names.
    pub names: u32,
    /// So many bytes of UTF-8 in all of them.
    pub bytes: u32,
}

/// Why a name is not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// It is empty, too long, or holds a NUL.
    #[error("a channel name holds 1 to {NAME_LIMIT} bytes and no NUL")]
    Unusable,
    /// The allowance is used up.
    #[error("a script may add {EXTRA_CHANNELS} channel names with {EXTRA_NAME_BYTES} bytes in all")]
    TooMany,
    /// Its number does not follow the last one.
    #[error("the number of a new channel is not the next one")]
    OutOfTurn,
}

impl Default for NameAllowance {
    /// That of a script which has added none yet.
    fn default() -> NameAllowance {
        NameAllowance { names: EXTRA_CHANNELS, bytes: EXTRA_NAME_BYTES }
    }
}

impl NameAllowance {
    /// Counts a name.
    ///
    /// # Errors
    ///
    /// It may not be added, and is not counted.
    pub fn take(&mut self, name: &str) -> Result<(), NameError> {
        if name.is_empty() || name.len() > NAME_LIMIT || name.contains('\0') {
            return Err(NameError::Unusable);
        }
        let names = self.names.checked_sub(1);
        // At most the limit.
        let bytes = self.bytes.checked_sub(name.len() as u32);
        let (Some(names), Some(bytes)) = (names, bytes) else { return Err(NameError::TooMany) };
        *self = NameAllowance { names, bytes };
        Ok(())
    }
}

/// A message from the supervisor to a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToWorker {
    /// First and once: an encoded [`Boot`] (see [`crate::frame`]).
    Boot(#[serde(with = "byte_run")] Vec<u8>),
    /// After `Ready`: the worker serves from now on. Sent apart from `Boot`, so that a worker can
    /// be made ready beside the one that it will replace. Holds the channels whose values have
    /// changed since `Boot`, by name; one that the worker does not know yet is added.
    Serve(Vec<ChannelBoot>),
    /// Take no more events, send `Yielded`, run the cleanup handler, send `Stopped` and exit with
    /// status 0.
    Stop,
}

/// All that makes an interpreter this instance: what to import, the channels and their last values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boot {
    /// Name of the instance, for messages.
    pub instance: String,
    /// Directory of the show file: the working directory and the first entry of `sys.path`.
    pub directory: PathBuf,
    /// Modules to import, in order.
    pub modules: Vec<Module>,
    /// `module.function`, the handler of every channel whose name holds no dot.
    pub default_handler: Option<String>,
    /// Channels by number: a channel's number is its index here. Those that mappings use come
    /// first.
    pub channels: Vec<ChannelBoot>,
    /// How many of `channels`, from the start, are used by a mapping; outputs on the others are
    /// remembered only.
    pub mapped: u32,
    /// Which of these are the target of a mapping, so that a name that looks like a handler should
    /// lead to one.
    pub targets: BitSet,
    /// What the script may add to `channels`.
    pub allowance: NameAllowance,
    /// From what it imports the modules, and whether another worker serves in the meantime.
    pub import: ImportMode,
}

/// How a worker imports its modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportMode {
    /// From the files, while no other worker of the instance is to run.
    Alone,
    /// From the files, while another worker serves: what there is only one of may be taken.
    Beside {
        /// Files that the other worker has loaded. They are compiled before a failure may be
        /// blamed on that worker, so that a syntax error in any of them is found while it serves.
        #[serde(with = "path_list")]
        loaded: Vec<PathBuf>,
    },
    /// Not at all: compiles the files and fails with [`Failure::is_busy`], since the user wants
    /// the other worker to be stopped first.
    CompileOnly {
        /// Files that the other worker has loaded.
        #[serde(with = "path_list")]
        loaded: Vec<PathBuf>,
    },
    /// From this list ([`crate::source_files`]) of the files that an earlier worker has loaded,
    /// where it has a text; from the files for everything else.
    LastGood(#[serde(with = "byte_run")] Vec<u8>),
}

/// A `module` option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// As the show file has it: a name, a file name or a path.
    pub text: String,
    /// Directory of the file that names it; relative paths start there.
    pub directory: PathBuf,
}

/// A channel as the next worker finds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelBoot {
    /// The channel's name, which may hold dots.
    pub name: String,
    /// Last value that a handler was done with, 0.0 before the first.
    pub input: f64,
    /// Last value that the script sent, 0.0 before the first.
    pub output: f64,
}

/// A message from a worker to the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FromWorker {
    /// First and once.
    Hello {
        /// The worker's [`PROTOCOL`].
        protocol: u32,
        /// Its process, as it sees itself.
        pid: u32,
        /// Where it waits for the channel on which it receives.
        address: String,
    },
    /// The files that the script was loaded from, those of modules that it imports itself included,
    /// as far as they are not installed packages: a list as in [`crate::source_files`]. Sent after
    /// the import and before its outcome, and again for modules that are imported later.
    Sources(#[serde(with = "byte_run")] Vec<u8>),
    /// The modules are imported and the handlers found; the worker waits for `Serve`.
    Ready {
        /// Which mapped channels have a handler: one bit each, by number, lowest bit first.
        handled: BitSet,
    },
    /// An exception in a thread, a task or a callback of the script shows that it needs something
    /// which another process holds. Sent once, and only after `Ready`; the text is the exception.
    ResourceBusy(String),
    /// A module could not be imported; the worker exits after this.
    Failed(Failure),
    /// The script sent on a name that no mapping uses. Numbers go on from those of `Boot`, without
    /// a gap.
    Channel {
        /// The number that records use for it.
        number: u32,
        /// Its name.
        name: String,
    },
    /// A remark for the user. Lines of hints follow the text, each after `\nhint: `.
    Warning(String),
    /// Python code raised; the instance goes on.
    Error {
        /// Where: `handler of \`h.tick\``, `interval \`tick\``, …
        place: String,
        /// The whole traceback, lines separated by `\n`.
        traceback: String,
        /// How many errors before this one were counted but not sent, to keep the log readable.
        suppressed: u64,
    },
    /// The worker takes no more events and sends none; its cleanup handler runs next. What it has
    /// not taken is for its successor.
    Yielded,
    /// The cleanup handler has run; the worker exits with status 0 after this.
    Stopped,
    /// A remark, as [`FromWorker::Warning`], on a handler that the show file names: it does not
    /// exist, or cannot do its work. Sent before `Ready`.
    HandlerWarning {
        /// What the show file says of it.
        subject: HandlerSubject,
        /// The remark.
        text: String,
    },
}

/// What in the show file names a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandlerSubject {
    /// A mapped channel, by its number.
    Channel(u32),
    /// The option `default-handler`.
    Default,
}

/// Why the modules of an instance could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed.
    pub subject: FailureSubject,
    /// One line: the exception, with file and line where it has them.
    pub summary: String,
    /// The whole traceback.
    pub traceback: String,
    /// What the user may do about it.
    pub hint: Option<String>,
    /// Whether the exception shows that another process holds what the script needs: a port, a
    /// device, a lock.
    pub is_busy: bool,
}

impl Failure {
    /// A failure of which there is no more to say than a text.
    #[must_use]
    pub fn of_text(subject: FailureSubject, text: String) -> Failure {
        Failure { subject, summary: text.clone(), traceback: text, hint: None, is_busy: false }
    }
}

/// What has failed when the modules could not be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureSubject {
    /// A module, as the show file has it.
    Module(String),
    /// The virtual environment.
    Venv,
    /// Nothing that the show file names.
    Other,
}

impl fmt::Display for FailureSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureSubject::Module(module) => write!(f, "module `{module}` could not be imported"),
            FailureSubject::Venv => f.write_str("the virtual environment cannot be used"),
            FailureSubject::Other => f.write_str("the modules could not be imported"),
        }
    }
}

/// A set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BitSet(#[serde(with = "byte_run")] Vec<u8>);

impl BitSet {
    /// Adds a number.
    pub fn insert(&mut self, number: u32) {
        let (byte, bit) = (number as usize / 8, number % 8);
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << bit;
    }

    /// Whether a number is in the set.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 8).is_some_and(|byte| byte & (1 << (number % 8)) != 0)
    }

    /// The numbers below `limit` that are in this set and not in `other`, in order.
    pub fn minus<'a>(&'a self, other: &'a Self, limit: u32) -> impl Iterator<Item = u32> + 'a {
        let bytes = self.0.iter().zip(0u32..).take(limit.div_ceil(8) as usize);
        let missing = bytes.flat_map(|(byte, index)| {
            let left = byte & !other.0.get(index as usize).copied().unwrap_or(0);
            (0..8).filter(move |bit| left & (1 << bit) != 0).map(move |bit| index * 8 + bit)
        });
        missing.filter(move |number| *number < limit)
    }
}

/// Bytes as one run, which is encoded and decoded by a copy instead of one by one.
mod byte_run {
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};
    use std::fmt;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_byte_buf(Bytes)
    }

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}

/// Paths as one run of bytes with a zero between them: however a worker fills a message, decoding
/// it costs little more than a copy, and the number of paths is bounded.
mod path_list {
    use super::byte_run;
    use serde::de::Error;
    use serde::{Deserializer, Serializer};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    /// The most paths of a list.
    const LIMIT: usize = 1 << 16;

    pub fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<&[u8]> = paths.iter().take(LIMIT).map(|path| path.as_os_str().as_bytes()).collect();
        byte_run::serialize(&bytes.join(&0), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        let bytes = byte_run::deserialize(deserializer)?;
        if bytes.iter().filter(|byte| **byte == 0).count() >= LIMIT {
            return Err(D::Error::custom("too many paths"));
        }
        let paths = bytes.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_another_is_what_only_the_first_has() {
        let (mut all, mut some) = (BitSet::default(), BitSet::default());
        for number in [0, 7, 8, 9, 100] {
            all.insert(number);
        }
        [7, 8, 3].into_iter().for_each(|number| some.insert(number));
        assert_eq!(all.minus(&some, 1000).collect::<Vec<_>>(), [0, 9, 100]);
        assert_eq!(all.minus(&some, 100).collect::<Vec<_>>(), [0, 9]);
        assert_eq!(some.minus(&all, 1000).collect::<Vec<_>>(), [3]);
    }
}
