//! Why a worker cannot do its work: one line on standard error.

use crate::args::ArgsError;
use crate::python::interpreter::StartError;
use mm_shared::Violation;
use mm_shared::control_link::LinkError;
use mm_shared::frame::FrameError;
use std::io;
use std::path::PathBuf;

/// Why a worker cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Arguments(#[from] ArgsError),
    #[error("the supervisor that started this worker is gone: {0}")]
    Orphaned(io::Error),
    #[error("the signals cannot be set up: {0}")]
    Signals(io::Error),
    #[error(
        "the event segments cannot be attached: {0}\nhint: mm-supervisor and mm-worker have to be of one build"
    )]
    Attach(io::Error),
    #[error("no socket for the supervisor can be made, neither in `{}` nor elsewhere: {error}", directory.display())]
    Listen { directory: PathBuf, error: LinkError },
    #[error(
        "the supervisor's boot message cannot be read: {0}\nhint: mm-supervisor and mm-worker have to be of one build"
    )]
    Boot(#[from] FrameError),
    #[error("the supervisor said `{0}` out of turn")]
    OutOfTurn(&'static str),
    #[error("the event ring is damaged: {0}")]
    Ring(#[from] Violation),
    #[error("the system refuses what a worker needs: {0}")]
    System(#[from] io::Error),
    #[error(transparent)]
    Interpreter(#[from] StartError),
    #[error("the interpreter is not usable: {0}")]
    Python(#[from] pyo3::PyErr),
}

impl From<nix::errno::Errno> for WorkerError {
    fn from(error: nix::errno::Errno) -> WorkerError {
        WorkerError::System(error.into())
    }
}
