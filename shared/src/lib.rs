//! What supervisor and worker share: the rings that carry events, the segments they live in, the
//! doorbells that wake the other side, and the messages of the control plane.
//!
//! Each worker gets a fresh pair of segments. *Down* is written by the supervisor alone, *up* by
//! the worker alone. A ring lies in both: its producer's words and slots in the producer's segment,
//! its consumer's words in the consumer's. So every word has one writer, and the worker cannot
//! change a word of the supervisor's.
//!
//! The worker runs other people's code, so everything read from *up* is hostile. The rules, which
//! hold throughout:
//!
//! 1. Sizes and offsets are private to each side and never read from a segment.
//! 2. No Rust reference to data in a segment; single words are copied by atomic operations.
//! 3. A record is copied once, and the copy is what gets checked and used.
//! 4. Each side keeps its own cursor privately, and publishes it last, by a release store.
//! 5. A broken rule is a [`Violation`], returned as an error, never a panic.
//! 6. No locks in a segment. Its content never decides what a worker's state is: that is private to
//!    the supervisor.
//!
//! `unsafe` in this crate is confined to [`ring::mapping`] and [`sys`].

mod event;
mod violation;

pub mod record;

pub mod ring;

pub mod segments;

pub mod doorbell;
pub mod histogram;
pub mod log_throttle;
pub mod progress;

pub mod control;
pub mod control_link;
pub mod frame;
pub mod source_files;

pub mod sys;

pub mod wakeup;

pub use doorbell::Doorbell;
pub use event::{ChannelId, Event};
pub use histogram::Histogram;
pub use log_throttle::LogThrottle;
pub use progress::{Activity, ProgressReader, ProgressWriter};
pub use ring::{Consumer, Full, Mapped, Producer};
pub use segments::{RawFds, RingSizes, SupervisorEnd, WorkerEnd, WorkerFds, attach, create};
pub use violation::{Cursor, Violation};
