//! Messages to a worker as the event loop orders them. Making one costs the loop next to nothing,
//! however many channels there are; the launcher's thread encodes it.

use super::data_plane::values::{ChangedValue, Snapshot};
use mm_shared::control::{BitSet, Boot, ImportMode, Module, ToWorker};
use mm_shared::control_link::LinkError;
use mm_shared::frame;
use std::path::PathBuf;

/// A message to a worker.
#[derive(Debug)]
pub enum WorkerMessage {
    /// See [`ToWorker::Boot`].
    Boot(Box<BootPlan>),
    /// See [`ToWorker::Serve`].
    Serve(Vec<ChangedValue>),
    /// See [`ToWorker::Stop`].
    Stop,
}

/// What a [`Boot`] is made of.
#[derive(Debug)]
pub struct BootPlan {
    /// See [`Boot`].
    pub instance: String,
    /// See [`Boot`].
    pub directory: PathBuf,
    /// See [`Boot`].
    pub modules: Vec<Module>,
    /// See [`Boot`].
    pub default_handler: Option<String>,
    /// See [`Boot`].
    pub targets: BitSet,
    /// See [`Boot`].
    pub import: ImportMode,
    /// The channels and their values.
    pub channels: Snapshot,
}

impl WorkerMessage {
    /// The message as it is sent.
    ///
    /// # Errors
    ///
    /// It is too long.
    pub fn encode(self) -> Result<ToWorker, LinkError> {
        Ok(match self {
            Self::Boot(plan) => ToWorker::Boot(plan.encode()?),
            Self::Serve(changed) => ToWorker::Serve(changed.iter().map(ChangedValue::boot).collect()),
            Self::Stop => ToWorker::Stop,
        })
    }
}

impl BootPlan {
    fn encode(self) -> Result<Vec<u8>, LinkError> {
        let boot = Boot {
            instance: self.instance,
            directory: self.directory,
            modules: self.modules,
            default_handler: self.default_handler,
            channels: self.channels.channels().collect(),
            mapped: self.channels.mapped(),
            targets: self.targets,
            allowance: self.channels.allowance(),
            import: self.import,
        };
        let frame = frame::encode(frame::BOOT, &boot)?;
        // The loop has checked the names, which leaves paths of many megabytes.
        if frame.len() > frame::BOOT_LIMIT { Err(LinkError::TooLong) } else { Ok(frame) }
    }
}
