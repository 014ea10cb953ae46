//! How the channel to a worker is made, and its end handed over to the worker.
//!
//! `ipc-channel` alone would let a worker hold its supervisor up, in two ways:
//!
//! - It connects to the worker's socket, which waits as long as the queue of that socket is full. So
//!   the supervisor connects itself, without waiting, and only then sends what `ipc-channel` would
//!   have sent.
//! - A socket carries descriptors in both directions. The kernel closes those that no process received
//!   when the socket is closed, in the thread that closes it, and to close a TCP socket with
//!   `SO_LINGER` may take minutes. So both sockets that a worker gets an end of are shut down
//!   before it has that end, in the direction from the worker: it can send nothing over them.
//!
//! `ipc-channel` makes a sender from a connection that it has made itself, so the supervisor has a
//! listening socket for its own connections. Its file is removed before it listens; only
//! `/proc/self/fd` still leads there. What this process may be held up with by one that can open
//! that of its descriptors is not more than a signal would do.

use super::LinkError;
use super::to_worker::{ADDRESS_LIMIT, Introduction, Packet, PrivateDir, ToWorkerSender, guarded, place};
use ipc_channel::ipc::{self, IpcSender};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, bind, connect,
    listen, sendmsg, shutdown, socket,
};
use nix::sys::stat::Mode;
use serde::Serialize;
use std::fs;
use std::io::{self, IoSlice, Read};
use std::net;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Most bytes of what a worker gets first; it takes about 20.
const INTRODUCTION_LIMIT: usize = 512;

/// Connects to workers.
#[derive(Debug)]
pub struct ToWorkerConnector {
    own: OwnListener,
    /// What `ipc-channel` sends beside a descriptor to hand over a receiver.
    introduction: Vec<u8>,
}

impl ToWorkerConnector {
    /// Works in `directory`, which is private to this user, or elsewhere if that cannot be used,
    /// and leaves nothing there.
    ///
    /// # Errors
    ///
    /// Those of the system: no socket can be made anywhere.
    pub fn new(directory: &Path) -> Result<ToWorkerConnector, LinkError> {
        let own = OwnListener::new(directory)?;
        let introduction = own.introduction()?;
        Ok(ToWorkerConnector { own, introduction })
    }

    /// Connects to a worker that listens at `address`, and hands it the other end of a channel.
    /// Waits for nothing that the worker does.
    ///
    /// # Errors
    ///
    /// [`LinkError::Malformed`] for what cannot be an address, [`LinkError::QueueFull`], and those
    /// of the system.
    pub fn connect(&self, address: &str) -> Result<ToWorkerSender, LinkError> {
        if address.is_empty() || address.contains('\0') || address.len() > ADDRESS_LIMIT {
            return Err(LinkError::Malformed);
        }
        let worker = seqpacket()?;
        shutdown(worker.as_raw_fd(), Shutdown::Read).map_err(io::Error::from)?;
        let address = UnixAddr::new(address).map_err(io::Error::from)?;
        match connect(worker.as_raw_fd(), &address) {
            Err(Errno::EAGAIN) => return Err(LinkError::QueueFull),
            outcome => outcome.map_err(io::Error::from)?,
        }
        let (channel, end) = self.own.pair::<Packet>()?;
        end.shutdown(net::Shutdown::Write)?;
        let bytes = [IoSlice::new(&self.introduction)];
        let descriptors = [end.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        sendmsg::<()>(worker.as_raw_fd(), &bytes, &rights, flags, None)
            .map_err(|error| LinkError::of(error.into()))?;
        Ok(ToWorkerSender::new(channel))
    }
}

/// A socket where this process connects to itself.
#[derive(Debug)]
struct OwnListener {
    socket: UnixListener,
    /// Leads there, without a name.
    file: OwnedFd,
}

impl OwnListener {
    fn new(directory: &Path) -> Result<OwnListener, LinkError> {
        let (parent, own) = place(directory)?;
        let made = Self::within(&parent);
        drop(own);
        Ok(made?)
    }

    fn within(parent: &Path) -> io::Result<OwnListener> {
        let directory = PrivateDir::new(parent)?;
        let path = directory.0.join("own");
        let socket = seqpacket()?;
        bind(socket.as_raw_fd(), &UnixAddr::new(&path)?)?;
        let file = open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        fs::remove_file(&path)?;
        listen(&socket, Backlog::new(1)?)?;
        Ok(OwnListener { socket: socket.into(), file: file? })
    }

    /// A channel: its sender, and the socket at its other end.
    fn pair<T: Serialize>(&self) -> Result<(IpcSender<T>, UnixStream), LinkError> {
        let address = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let sender = guarded(|| Ok(IpcSender::connect(address)?))?;
        let (end, _) = self.socket.accept()?;
        Ok((sender, end))
    }

    fn introduction(&self) -> Result<Vec<u8>, LinkError> {
        let (sender, mut end) = self.pair::<Introduction>()?;
        let (_, receiver) = ipc::channel::<Packet>()?;
        guarded(|| sender.send(receiver))?;
        let mut bytes = vec![0; INTRODUCTION_LIMIT];
        let length = end.read(&mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// A socket that does not wait.
fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?)
}
