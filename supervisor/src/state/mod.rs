//! The state file: the last values of all channels, kept on disk for the start after a power cut.
//!
//! ```text
//! core loop ──► Store (latest wins, never waits) ──► thread: frame, temporary file, fsync, rename, fsync ──► disk
//! disk ──► load (magic, version, length, checksum, values) ──► the next start
//! ```
//!
//! The rules:
//!
//! - Nothing about the file ends a show. What cannot be read is put aside or left alone, what cannot be written is
//!   tried again; both are warnings.
//! - What is loaded is what was saved, or nothing.
//! - The loop pays for it once a second at most, and only when a value has changed.

mod file;
mod load;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use load::{Loaded, load};
pub use store::Store;

use mm_shared::frame;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// The file is one frame of this kind. A change of [`Saved`] is a new version; the file of another version is put
/// aside, so that going back to the older program finds it there.
const KIND: frame::Kind = frame::Kind { magic: *b"MMst", version: 1 };

/// Most bytes of the file's content: more than a million channels.
const LIMIT: usize = 64 << 20;

/// What is kept: the last values of all channels, in any order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The channels.
    pub channels: Vec<SavedChannel>,
}

/// One channel of one instance. The names are shared, so that gathering all values once a second copies no text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedChannel {
    /// The instance's name.
    #[serde(serialize_with = "write_name", deserialize_with = "read_name")]
    pub instance: Arc<str>,
    /// The channel's name.
    #[serde(serialize_with = "write_name", deserialize_with = "read_name")]
    pub channel: Arc<str>,
    /// Its last input value, 0 to 1.
    pub input: f64,
    /// Its last output value, 0 to 1.
    pub output: f64,
}

impl Saved {
    /// Whether all values are ones that channels can have.
    fn is_sound(&self) -> bool {
        let sound = |value: f64| (0.0..=1.0).contains(&value);
        self.channels.iter().all(|channel| sound(channel.input) && sound(channel.output))
    }
}

fn write_name<S: Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

fn read_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Arc::from)
}
