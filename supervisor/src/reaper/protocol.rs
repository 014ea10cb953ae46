//! The messages between supervisor and reaper: one frame per packet, with descriptors beside it.
//!
//! ```text
//! supervisor ── Spawn {worker_id, program, directory, arguments} + 6 descriptors ──► reaper
//!            ── Kill {worker_id}                                                 ──►
//!            ◄── Spawned {worker_id, pid} + pidfd, stdout, stderr                ──
//!            ◄── Failed {worker_id, error}             instead of Spawned
//!            ◄── Exited {worker_id, status}            after Spawned
//!            ◄── Fault {error}                         its last one
//! ```
//!
//! Both ends are the same program. So a packet that is none of these is a fault of this program,
//! and ends the connection.

use crate::ids::WorkerId;
use mm_shared::WorkerFds;
use mm_shared::frame::{self, Kind};
use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

const FRAME: Kind = Kind { magic: *b"MMny", version: 3 };

/// Most bytes of a packet: a few paths, of which the system accepts none longer than 4 KiB.
const PACKET_LIMIT: usize = 32 << 10;

/// How often, a millisecond apart, a blocking send is tried while too many descriptors are under
/// way.
const SEND_TRIES: usize = 1000;

/// A message to the reaper.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Start a worker. Its descriptors come beside it, in the order of [`WorkerFds::into_array`].
    Spawn(SpawnCommand),
    /// Kill a worker.
    Kill {
        /// Which one.
        worker_id: WorkerId,
    },
}

/// How to start a worker.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct SpawnCommand {
    /// The worker that it will be.
    pub worker_id: WorkerId,
    /// The program to run.
    pub program: OsString,
    /// Its working directory.
    pub directory: OsString,
    /// Its arguments, apart from those that only its parent knows.
    pub arguments: Vec<OsString>,
}

/// A message from the reaper.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The worker runs. Beside it: pidfd, standard output, standard error.
    Spawned {
        /// Which one.
        worker_id: WorkerId,
        /// The number of its process.
        pid: i32,
    },
    /// The worker could not be started.
    Failed {
        /// Which one.
        worker_id: WorkerId,
        /// Why, in the system's words.
        error: String,
    },
    /// The worker's process has ended and is reaped. What it has left is killed next.
    Exited {
        /// Which one.
        worker_id: WorkerId,
        /// How it ended.
        status: WaitStatus,
    },
    /// The reaper cannot go on.
    Fault {
        /// Why, in the system's words.
        error: String,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitStatus {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The system does not report it, because a debugger took the status.
    Unknown,
    /// With the reaper, which cannot report it.
    Lost,
}

/// A packet that is ready to be sent.
#[derive(Debug)]
pub struct Packet(Vec<u8>);

impl Packet {
    /// The packet of a message.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for one that is too long.
    pub fn new<T: Serialize>(message: &T) -> io::Result<Self> {
        let frame = frame::encode(FRAME, message).map_err(io::Error::other)?;
        if frame.len() > PACKET_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "its paths are too long"));
        }
        Ok(Self(frame))
    }
}

/// One end of a socket for packets and descriptors.
#[derive(Debug)]
pub struct FdSocket<F> {
    socket: F,
}

/// A packet that was received.
pub struct ReceivedPacket<T> {
    /// The message.
    pub message: T,
    /// What came with it: fewer than were sent if this process has no descriptor left.
    pub descriptors: Vec<OwnedFd>,
}

impl<F: AsFd> FdSocket<F> {
    /// An end of a pair of `SEQPACKET` sockets.
    pub fn new(socket: F) -> Self {
        Self { socket }
    }

    /// The socket itself.
    pub fn socket(&self) -> &F {
        &self.socket
    }

    /// Sends a message; waits while the other end has too many unread.
    ///
    /// # Errors
    ///
    /// The other end is gone, or the message is too long.
    pub fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let packet = Packet::new(message)?;
        for _ in 1..SEND_TRIES {
            match self.send_packet(&packet, descriptors, SendFlags::NOSIGNAL) {
                Err(Errno::TOOMANYREFS) => thread::sleep(Duration::from_millis(1)),
                Err(Errno::INTR) => {}
                outcome => return Ok(outcome?),
            }
        }
        Ok(self.send_packet(&packet, descriptors, SendFlags::NOSIGNAL)?)
    }

    /// Sends a packet if there is room for it now; returns whether there was.
    ///
    /// # Errors
    ///
    /// The other end is gone, and those of the system.
    pub fn try_send(&self, packet: &Packet, descriptors: &[BorrowedFd<'_>]) -> io::Result<bool> {
        match self.send_packet(packet, descriptors, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(()) => Ok(true),
            // The last one: too many descriptors are under way in all sockets of this user.
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS | Errno::TOOMANYREFS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn send_packet(
        &self,
        packet: &Packet,
        descriptors: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(WorkerFds::COUNT))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Errno::INVAL);
        }
        sendmsg(&self.socket, &[IoSlice::new(&packet.0)], &mut beside, flags).map(drop)
    }

    /// Waits for the next packet; `None`: the other end is gone.
    ///
    /// # Errors
    ///
    /// Those of the system, and `InvalidData` for a packet that is not a message.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<ReceivedPacket<T>>> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC)
    }

    /// The next packet, if there is one; `None`: the other end is gone.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none yet, otherwise as for [`FdSocket::receive`].
    pub fn try_receive<T: DeserializeOwned>(&self) -> io::Result<Option<ReceivedPacket<T>>> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
    }

    fn receive_with<T: DeserializeOwned>(&self, flags: RecvFlags) -> io::Result<Option<ReceivedPacket<T>>> {
        let mut packet = [0; PACKET_LIMIT];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(WorkerFds::COUNT))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let into = &mut [IoSliceMut::new(&mut packet)];
            match recvmsg(&self.socket, into, &mut beside, flags) {
                Err(Errno::INTR) => {}
                // The other end was closed with something unread in it.
                Err(Errno::CONNRESET) => return Ok(None),
                outcome => break outcome?,
            }
        };
        let mut descriptors = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet is too long"));
        }
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let message = frame::decode(FRAME, PACKET_LIMIT, &packet[..received.bytes]).map_err(invalid)?;
        Ok(Some(ReceivedPacket { message, descriptors }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::fs::File;
    use std::io::{Read, Write};

    fn pair() -> (FdSocket<OwnedFd>, FdSocket<OwnedFd>) {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        (FdSocket::new(one), FdSocket::new(other))
    }

    #[test]
    fn a_start_arrives_with_its_descriptors() {
        let (supervisor, reaper) = pair();
        let (mut read, write) = io::pipe().unwrap();
        let start = SpawnCommand {
            worker_id: WorkerId(7),
            program: "/bin/mm-worker".into(),
            directory: OsString::from("/a show"),
            arguments: vec!["--server".into(), "x".into()],
        };
        supervisor.send(&start, &[write.as_fd()]).unwrap();
        drop(write);
        let received = reaper.receive::<SpawnCommand>().unwrap().unwrap();
        assert_eq!(received.message, start);
        for descriptor in received.descriptors {
            File::from(descriptor).write_all(b"through").unwrap();
        }
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn an_end_that_is_gone_is_no_error() {
        let (supervisor, reaper) = pair();
        supervisor.send(&Reply::Exited { worker_id: WorkerId(1), status: WaitStatus::Code(3) }, &[]).unwrap();
        drop(supervisor);
        assert!(reaper.receive::<Reply>().unwrap().is_some());
        assert!(reaper.receive::<Reply>().unwrap().is_none());
        assert!(
            reaper.send(&Reply::Exited { worker_id: WorkerId(1), status: WaitStatus::Lost }, &[]).is_err()
        );
    }

    #[test]
    fn bytes_that_are_no_packet_of_ours_are_refused() {
        let (one, other) = pair();
        rustix::net::send(&one.socket, b"garbage", SendFlags::empty()).unwrap();
        let refused = other.receive::<Reply>().err().map(|error| error.kind());
        assert_eq!(refused, Some(io::ErrorKind::InvalidData));
    }
}
