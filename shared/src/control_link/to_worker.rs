//! Messages to the worker: an `ipc-channel`. Only the worker receives, which trusts its supervisor.
//!
//! When does `send` of ipc-channel 0.23 block? It writes one packet into a socket pair, which
//! blocks while the unread packets fill the socket's send buffer (`net.core.wmem_default`, 208 KiB
//! by default; the kernel counts a packet as its buffer, rounded up to a power of two, and less
//! than 1 KiB more). A message that is longer than the send buffer is cut into several packets, and
//! then `send` waits for the receiver. So here a message is one packet of less than 4 KiB, whatever
//! it holds: a longer one goes into a memory file, and the packet hands that over. And a worker
//! gets at most [`MESSAGES_PER_LIFE`] messages, all of which fit into the send buffer unread.

use super::LinkError;
use crate::control::{PROTOCOL, ToWorker};
use crate::frame::{self, Kind};
use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory};
use nix::unistd::mkdtemp;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The most messages that a worker is sent in its life. It needs three: `Boot`, `Serve` and `Stop`.
pub const MESSAGES_PER_LIFE: u32 = 8;

/// Most bytes of a message within its packet.
const INLINE_LIMIT: usize = 2 << 10;

/// Most bytes of a message: a boot, and what it takes to hold one.
const MESSAGE_LIMIT: usize = frame::BOOT_LIMIT + (1 << 10);

/// A [`ToWorker`].
const MESSAGE: Kind = Kind { magic: *b"MMtw", version: PROTOCOL };

/// The longest path that the address of a socket has room for.
pub(super) const ADDRESS_LIMIT: usize = 107;

/// Bytes that `ipc-channel` adds to the path of a directory for a socket in it:
/// `/.tmpXXXXXX/socket`.
const SOCKET_BYTES: usize = 18;

/// Where a worker can listen if the runtime directory is gone, full, or its path is too long.
const FALLBACKS: [&str; 3] = ["/tmp", "/dev/shm", "/var/tmp"];

/// What is sent: the frame of a message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Packet {
    Inline(Vec<u8>),
    InMemory(IpcSharedMemory),
}

/// What the supervisor hands over when it connects.
pub(super) type Introduction = IpcReceiver<Packet>;

/// The supervisor's end.
#[derive(Debug)]
pub struct ToWorkerSender {
    channel: IpcSender<Packet>,
    left: u32,
}

impl ToWorkerSender {
    pub(super) fn new(channel: IpcSender<Packet>) -> ToWorkerSender {
        ToWorkerSender { channel, left: MESSAGES_PER_LIFE }
    }

    /// Sends a message without waiting for the worker.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when the worker has ended, [`LinkError::TooLong`] and
    /// [`LinkError::TooMany`] for what a worker is never sent, and those of the system.
    pub fn send(&mut self, message: &ToWorker) -> Result<(), LinkError> {
        self.left = self.left.checked_sub(1).ok_or(LinkError::TooMany)?;
        let frame = frame::encode(MESSAGE, message)?;
        if frame.len() > MESSAGE_LIMIT {
            return Err(LinkError::TooLong);
        }
        let packet = if frame.len() <= INLINE_LIMIT {
            Packet::Inline(frame)
        } else {
            // It panics where the system refuses a descriptor or memory.
            guarded(|| Ok(IpcSharedMemory::from_bytes(&frame)))
                .map(Packet::InMemory)
                .map_err(|_| io::Error::other("a memory file cannot be made"))?
        };
        Ok(self.channel.send(packet)?)
    }
}

/// The worker's end.
#[derive(Debug)]
pub struct ToWorkerReceiver(IpcReceiver<Packet>);

impl ToWorkerReceiver {
    /// Blocks until there is a message.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] when the supervisor has closed its end; others as named there. After
    /// an error nothing more is to be received.
    pub fn recv(&self) -> Result<ToWorker, LinkError> {
        loop {
            let packet = match guarded(|| self.0.recv()) {
                Err(LinkError::System(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                received => received?,
            };
            return Ok(match packet {
                Packet::Inline(frame) => frame::decode(MESSAGE, MESSAGE_LIMIT, &frame)?,
                Packet::InMemory(frame) => frame::decode(MESSAGE, MESSAGE_LIMIT, &frame)?,
            });
        }
    }
}

/// The worker's end before the supervisor has connected.
pub struct ToWorkerListener {
    server: IpcOneShotServer<Introduction>,
    address: String,
    /// A directory that was made for the socket alone.
    own: Option<PrivateDir>,
}

impl ToWorkerListener {
    /// Listens in `directory`, which is private to this user, or in a private directory elsewhere
    /// if that cannot be used. A process that listens again does so in the same place.
    ///
    /// # Errors
    ///
    /// No socket can be made anywhere.
    pub fn new(directory: &Path) -> Result<ToWorkerListener, LinkError> {
        let (place, own) = place(directory)?;
        // `ipc-channel` makes its sockets where temporary files go. This decides it for Rust alone:
        // for scripts, it stays as the environment has it.
        let _ = tempfile::env::override_temp_dir(&place);
        // It panics for a path that is not UTF-8.
        let (server, address) = guarded(|| IpcOneShotServer::new().map_err(IpcError::Io))?;
        Ok(ToWorkerListener { server, address, own })
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for the supervisor.
    ///
    /// # Errors
    ///
    /// The supervisor went away in between.
    pub fn accept(self) -> Result<ToWorkerReceiver, LinkError> {
        let (_, receiver) = guarded(|| self.server.accept())?;
        drop(self.own);
        Ok(ToWorkerReceiver(receiver))
    }
}

/// Where a socket can be made.
pub(super) fn place(directory: &Path) -> io::Result<(PathBuf, Option<PrivateDir>)> {
    let mut outcome = match PrivateDir::new(directory) {
        Ok(_) => return Ok((directory.to_owned(), None)),
        Err(error) => error,
    };
    for parent in FALLBACKS {
        match PrivateDir::new(Path::new(parent)) {
            Ok(own) => return Ok((own.0.clone(), Some(own))),
            Err(error) => outcome = error,
        }
    }
    Err(outcome)
}

/// A directory that only its owner may enter; it is removed when dropped.
pub(super) struct PrivateDir(pub(super) PathBuf);

impl PrivateDir {
    pub(super) fn new(parent: &Path) -> io::Result<PrivateDir> {
        let template = parent.join("mm-XXXXXX");
        if template.as_os_str().len() + SOCKET_BYTES > ADDRESS_LIMIT || template.to_str().is_none() {
            let message = format!("the path `{}` cannot hold a socket", parent.display());
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, message));
        }
        Ok(PrivateDir(mkdtemp(&template)?))
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        // It is empty, unless the socket in it could not be removed.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Runs a function of `ipc-channel` that may panic. What it worked on is not used again after that.
pub(super) fn guarded<T>(act: impl FnOnce() -> Result<T, IpcError>) -> Result<T, LinkError> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(LinkError::Malformed),
    }
}
