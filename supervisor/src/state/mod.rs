//! The state file: the last values of all channels, kept on disk for the start after a power cut.
//!
//! ```text
//! event loop ──► StateFile (latest wins) ──► thread: temporary file, fsync, rename, fsync ──► disk
//! disk ──► load (magic, version, length, checksum, values) ──► the next start
//! ```
//!
//! The rules:
//!
//! - No fault of the file ends a show. A file that cannot be read is put aside or left alone; a
//!   write that fails is repeated. Both are warnings.
//! - The values that are loaded are those that were saved, or none.
//! - The loop copies the values at most once per second, and only after one has changed. The thread
//!   puts them together with the names.

pub(crate) mod atomic_file;
mod load;
mod state_file;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use load::put_aside;
pub use load::{LoadedState, load};
pub use state_file::StateFile;

use mm_shared::frame;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashMap;
use std::sync::Arc;

/// The file is one frame of this kind. A change of [`Saved`] is a new version. A file of another
/// version is put aside, so that an older program finds it there.
const KIND: frame::Kind = frame::Kind { magic: *b"MMst", version: 1 };

/// The most bytes of the file's content: more than a million channels.
const LIMIT: usize = 64 << 20;

/// Puts the values together.
type Gather = Box<dyn FnOnce() -> Saved + Send>;

/// The last values of all channels, in any order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The channels.
    pub channels: Vec<SavedChannel>,
}

/// One channel of one instance. The names are shared, so that gathering all values once per second
/// copies no text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedChannel {
    /// The instance's name.
    #[serde(serialize_with = "write_name", deserialize_with = "read_name")]
    pub instance: Arc<str>,
    /// The channel's name.
    #[serde(serialize_with = "write_name", deserialize_with = "read_name")]
    pub channel: Arc<str>,
    /// What a script was handed last, or what has come in last otherwise, 0 to 1.
    pub input: f64,
    /// What a script has sent last, or what was routed there last otherwise, 0 to 1; -0.0: nothing
    /// ever.
    pub output: f64,
}

impl Saved {
    /// The channels of each instance, in their order.
    #[must_use]
    pub fn by_instance(&self) -> HashMap<&str, Vec<&SavedChannel>> {
        let mut instances: HashMap<&str, Vec<&SavedChannel>> = HashMap::new();
        for channel in &self.channels {
            instances.entry(&channel.instance).or_default().push(channel);
        }
        instances
    }

    /// Whether all of it fits into the file.
    #[must_use]
    pub fn fits(&self) -> bool {
        /// Two values and the lengths of two names.
        const BYTES_PER_CHANNEL: usize = 24;
        let bytes =
            |channel: &SavedChannel| channel.instance.len() + channel.channel.len() + BYTES_PER_CHANNEL;
        self.channels.iter().map(bytes).sum::<usize>() < LIMIT
    }

    /// Whether all values are ones that channels can have.
    fn is_sound(&self) -> bool {
        let is_sound = |value: f64| (0.0..=1.0).contains(&value);
        self.channels.iter().all(|channel| is_sound(channel.input) && is_sound(channel.output))
    }
}

fn write_name<S: Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

fn read_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Arc::from)
}
