//! What the supervisor says: an `ipc-channel`. Only the worker receives, which trusts its
//! supervisor.

use super::LinkError;
use super::rendezvous::LONGEST_NAME;
use crate::control::ToWorker;
use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What the supervisor hands over when it connects.
type Introduction = IpcReceiver<ToWorker>;

/// The supervisor's end.
#[derive(Debug)]
pub struct ToWorkerSender(IpcSender<ToWorker>);

impl ToWorkerSender {
    /// Connects to a worker that listens under `name`, and hands it the other end.
    pub(super) fn connect(name: String) -> Result<ToWorkerSender, LinkError> {
        if name.contains('\0') || name.len() > LONGEST_NAME {
            return Err(LinkError::Malformed);
        }
        let worker = IpcSender::<Introduction>::connect(name)?;
        let (sender, receiver) = ipc::channel()?;
        worker.send(receiver)?;
        Ok(ToWorkerSender(sender))
    }

    /// Sends a message. Blocks while the worker has too many unread.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when nobody will read it; others as named there.
    pub fn send(&self, message: ToWorker) -> Result<(), LinkError> {
        Ok(self.0.send(message)?)
    }
}

/// The worker's end.
#[derive(Debug)]
pub struct ToWorkerReceiver(IpcReceiver<ToWorker>);

impl ToWorkerReceiver {
    /// Blocks until there is a message.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when the supervisor has closed its end; others as named there. None of
    /// them is to be tried again.
    pub fn recv(&self) -> Result<ToWorker, LinkError> {
        loop {
            match guarded(|| self.0.recv()) {
                Err(LinkError::System(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                received => return received,
            }
        }
    }
}

/// Listens in `directory`, unless this process has chosen another one before. The text is the path
/// to tell.
pub(super) fn one_shot_server(
    directory: &Path,
) -> Result<(IpcOneShotServer<Introduction>, String), LinkError> {
    // `ipc-channel` makes its sockets where temporary files go. This decides it for Rust alone: for
    // scripts, it stays as the environment says
    let _ = tempfile::env::override_temp_dir(directory);
    // it panics where nothing can be made there, for want of space for instance
    let made = catch_unwind(AssertUnwindSafe(IpcOneShotServer::new));
    made.unwrap_or_else(|_| Err(io::Error::other("no socket can be made in the runtime directory")))
        .map_err(LinkError::System)
}

/// Waits for the supervisor.
pub(super) fn accept(server: IpcOneShotServer<Introduction>) -> Result<ToWorkerReceiver, LinkError> {
    let (_, receiver) = guarded(|| server.accept())?;
    Ok(ToWorkerReceiver(receiver))
}

/// Runs a function of `ipc-channel` that may panic over what has come. Nothing of it is used again
/// after that.
fn guarded<T>(receive: impl FnOnce() -> Result<T, IpcError>) -> Result<T, LinkError> {
    match catch_unwind(AssertUnwindSafe(receive)) {
        Ok(received) => Ok(received?),
        Err(_) => Err(LinkError::Malformed),
    }
}
