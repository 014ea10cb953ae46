//! What it takes to start a worker, the same for all instances of a show.

use crate::notices::Post;
use crate::nursery::Spawner;
use mm_shared::Geometry;
use mm_shared::control_link::Rendezvous;
use std::path::PathBuf;

/// What it takes to start a worker.
pub struct Tools {
    /// The `mm-worker` to run.
    pub program: PathBuf,
    /// Starts the process.
    pub spawner: Spawner,
    /// How threads tell the loop of it.
    pub post: Post,
    /// Where workers connect.
    pub rendezvous: Rendezvous,
    /// Sizes of the rings.
    pub geometry: Geometry,
}
