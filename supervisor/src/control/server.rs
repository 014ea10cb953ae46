//! The control socket: one thread accepts clients, and one thread serves each of them.
//!
//! The threads read, parse, format and write. What needs the show goes to the event loop as a
//! [`LoopRequest`]. All threads end with the [`ControlServer`], which takes the socket with it.

use super::clients::{ClientLimits, Clients};
use super::connection::{Submit, serve};
use super::protocol::{ControlReply, ErrorReply, write_line};
use super::request::LoopRequest;
use super::socket_file::{SocketFile, SocketFileError};
use crate::log::LogMemory;
use mm_shared::Doorbell;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// How often the socket's file is looked for. It is created again if it was removed.
const FILE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long no client is accepted after that has failed, for lack of descriptors for example.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(500);

/// How long the threads are waited for at the end. They may wait themselves for a loop that no
/// longer takes requests, or for a client that does not read.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// The stack of a client's thread, in bytes. The deepest call is the parser of requests, whose
/// depth is limited to 128; without optimization it takes between 256 and 384 KiB. Only what is
/// used is resident.
const CLIENT_STACK_SIZE: usize = 512 * 1024;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlServerError {
    /// It cannot be at its path.
    #[error(transparent)]
    SocketFile(#[from] SocketFileError),
    /// The system refuses a thread or a descriptor.
    #[error("cannot serve the control socket: {0}")]
    System(#[from] io::Error),
}

impl ControlServerError {
    /// Whether a running show has its socket there.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::SocketFile(SocketFileError::Runs { .. }))
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::SocketFile(error) => Some(error.hint()),
            Self::System(_) => None,
        }
    }
}

/// The control socket of a running show; it is closed and removed when dropped.
#[derive(Debug)]
pub struct ControlServer {
    is_ending: Arc<AtomicBool>,
    bell: Arc<Doorbell>,
    /// Disconnected once all threads have ended; nothing is ever sent.
    ended: Receiver<()>,
}

impl ControlServer {
    /// Opens the socket at `path` and serves it. `submit` hands a request to the event loop and
    /// returns whether the loop still takes requests; the client waits with it.
    ///
    /// # Errors
    ///
    /// A show has its socket there already, the path cannot be used, or the system refuses a
    /// thread.
    pub fn start(
        path: &Path,
        limits: ClientLimits,
        log: Arc<LogMemory>,
        submit: impl Fn(LoopRequest) -> bool + Send + Sync + 'static,
    ) -> Result<Self, ControlServerError> {
        let file = SocketFile::create(path)?;
        let (is_ending, bell) = (Arc::new(AtomicBool::new(false)), Arc::new(Doorbell::new()?));
        let (running, ended) = sync_channel(0);
        let acceptor = Acceptor {
            file,
            bell: Arc::clone(&bell),
            is_ending: Arc::clone(&is_ending),
            clients: Arc::new(Clients::new(limits)),
            submit: Arc::new(submit),
            log,
            running,
            can_accept: true,
            can_restore: true,
        };
        thread::Builder::new().name("control".into()).spawn(move || acceptor.run())?;
        Ok(Self { is_ending, bell, ended })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `Acceptor::run`.
        self.is_ending.store(true, Ordering::Release);
        self.bell.ring();
        let _ = self.ended.recv_timeout(SHUTDOWN_TIMEOUT);
    }
}

/// What the accepting thread works with.
struct Acceptor {
    file: SocketFile,
    bell: Arc<Doorbell>,
    is_ending: Arc<AtomicBool>,
    clients: Arc<Clients>,
    submit: Arc<Submit>,
    /// The last lines of each instance.
    log: Arc<LogMemory>,
    /// Held by each thread until its end.
    running: SyncSender<()>,
    /// False while accepting fails, which is logged once.
    can_accept: bool,
    /// False while creating the socket's file again fails, which is logged once.
    can_restore: bool,
}

impl Acceptor {
    fn run(mut self) {
        // Acquire: pairs with the Release in `ControlServer::drop`.
        while !self.is_ending.load(Ordering::Acquire) {
            if !self.wait() {
                self.restore_file();
                continue;
            }
            match self.file.listener.accept() {
                Ok((stream, _)) => {
                    self.can_accept = true;
                    self.admit(stream);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => self.note_failure(&error),
                },
            }
        }
        self.clients.finish();
    }

    /// Waits for a client. False: it is time to look at the socket's file.
    fn wait(&self) -> bool {
        let bell = PollFd::new(self.bell.as_fd(), PollFlags::POLLIN);
        let listener = PollFd::new(self.file.listener.as_fd(), PollFlags::POLLIN);
        let outcome = if self.can_accept {
            poll(&mut [bell, listener], timeout(FILE_CHECK_INTERVAL))
        } else {
            // the listener would be reported over and over
            poll(&mut [bell], timeout(ACCEPT_RETRY_DELAY)).map(|_| 1)
        };
        outcome != Ok(0)
    }

    fn note_failure(&mut self, error: &io::Error) {
        if self.can_accept {
            tracing::warn!(event = "control_accept_failed", %error, "cannot accept control clients: {error}");
        }
        self.can_accept = false;
    }

    fn admit(&self, stream: UnixStream) {
        let place = match self.clients.admit(stream) {
            Ok(place) => place,
            Err((stream, error)) => return refuse(&stream, error),
        };
        let (stream, submit) = (Arc::clone(&place.stream), Arc::clone(&self.submit));
        let (running, log) = (self.running.clone(), Arc::clone(&self.log));
        let thread = move || {
            serve(&place, &*submit, &log);
            drop(place);
            drop(running);
        };
        let builder = thread::Builder::new().name("control-client".into()).stack_size(CLIENT_STACK_SIZE);
        if let Err(error) = builder.spawn(thread) {
            refuse(&stream, ErrorReply::new(format!("the system refuses a thread: {error}")));
        }
    }

    fn restore_file(&mut self) {
        match self.file.restore() {
            Ok(false) => self.can_restore = true,
            Ok(true) => {
                self.can_restore = true;
                let path = self.file.path().display();
                tracing::warn!(
                    event = "control_socket_restored",
                    "control socket `{path}` was removed; created again"
                );
            }
            Err(error) => {
                if self.can_restore {
                    tracing::warn!(event = "control_socket_lost", "control socket was removed: {error}");
                }
                self.can_restore = false;
            }
        }
    }
}

/// A duration of at least a millisecond that fits.
fn timeout(duration: Duration) -> PollTimeout {
    PollTimeout::try_from(duration).unwrap_or(PollTimeout::MAX)
}

fn refuse(mut stream: &UnixStream, error: ErrorReply) {
    let mut line = Vec::new();
    write_line(&mut line, &ControlReply::Refused(error));
    // for a client that cannot take this at once it is lost
    let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(&line));
}

#[cfg(test)]
mod tests;
