//! What it takes to start a worker, the same for all instances of a show.

use crate::event_loop::message::LoopMessage;
use crate::mailbox::MailboxSender;
use crate::reaper::ReaperClient;
use mm_shared::RingSizes;
use mm_shared::control_link::Rendezvous;
use std::path::PathBuf;

/// What it takes to start a worker.
pub struct WorkerLauncher {
    /// The `mm-worker` to run.
    pub program: PathBuf,
    /// Starts the process.
    pub spawner: ReaperClient,
    /// How threads tell the loop of it.
    pub post: MailboxSender<LoopMessage>,
    /// Where workers connect.
    pub rendezvous: Rendezvous,
    /// Sizes of the rings.
    pub ring_sizes: RingSizes,
}
