//! What supervisor and reaper say to each other: one frame a packet, with descriptors beside it.
//!
//! ```text
//! supervisor ── SpawnCommand {incarnation, program, directory, arguments} + 5 descriptors ──► reaper
//! supervisor ◄── Spawned {incarnation, pid} + pidfd, stdout, stderr                  ── reaper
//!            ◄── Failed {incarnation, error}            instead of Spawned
//!            ◄── Exited {worker_id, status}             after Spawned
//! ```
//!
//! Both ends are the same program. So a packet that is none of these is a fault of ours, and ends the connection.

use crate::ids::WorkerId;
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

const FRAME: Kind = Kind { magic: *b"MMny", version: 1 };

/// Most bytes of a packet: a few paths, of which the system takes none longer than 4 KiB.
const LONGEST: usize = 32 << 10;

/// Most descriptors beside a packet.
const MOST_DESCRIPTORS: usize = 5;

/// How often, a millisecond apart, a packet is tried again while too many descriptors are on their way.
const TRIES: usize = 1000;

/// A worker that is to be started. Its descriptors come beside it, in the order of [`mm_shared::RawFds`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct SpawnCommand {
    /// The incarnation that it will be.
    pub worker_id: WorkerId,
    /// The program to run.
    pub program: OsString,
    /// Its working directory.
    pub directory: OsString,
    /// Its arguments, apart from those that only its parent knows.
    pub arguments: Vec<OsString>,
}

/// What the reaper has to say.
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
    /// The worker's process has ended and is reaped, and its process group killed.
    Exited {
        /// Which one.
        worker_id: WorkerId,
        /// In which way.
        status: WaitStatus,
    },
}

/// In which way a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitStatus {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The system does not say: whoever traces it was told instead.
    Unknown,
    /// With the reaper. It cannot say so itself.
    Lost,
}

/// One end of the socket.
pub struct FdSocket<F> {
    socket: F,
}

/// A packet.
pub struct Received<T> {
    /// What it says.
    pub message: T,
    /// What came with it: fewer than were sent if this process has no descriptor left.
    pub descriptors: Vec<OwnedFd>,
}

impl<F: AsFd> FdSocket<F> {
    /// This end.
    pub fn new(socket: F) -> Self {
        Self { socket }
    }

    /// What it goes over.
    pub fn socket(&self) -> &F {
        &self.socket
    }

    /// Sends a packet; waits while the other end is behind.
    ///
    /// # Errors
    ///
    /// The other end is gone, or the packet is too long.
    pub fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let packet = frame::encode(FRAME, message).map_err(io::Error::other)?;
        if packet.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "its paths are too long"));
        }
        for _ in 1..TRIES {
            match self.send_packet(&packet, descriptors) {
                Err(Errno::TOOMANYREFS) => thread::sleep(Duration::from_millis(1)),
                Err(Errno::INTR) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
        }
        Ok(self.send_packet(&packet, descriptors).map(drop)?)
    }

    fn send_packet(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Errno::INVAL);
        }
        sendmsg(&self.socket, &[IoSlice::new(packet)], &mut beside, SendFlags::NOSIGNAL)
    }

    /// Waits for the next packet; `None`: the other end is gone.
    ///
    /// # Errors
    ///
    /// Those of the system, and `InvalidData` for a packet that is none of ours.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Received<T>>> {
        let mut packet = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let into = &mut [IoSliceMut::new(&mut packet)];
            match recvmsg(&self.socket, into, &mut beside, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                // it went with something unread
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
        let message = frame::decode(FRAME, LONGEST, &packet[..received.bytes]).map_err(invalid)?;
        Ok(Some(Received { message, descriptors }))
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
