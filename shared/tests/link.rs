//! The control link: both directions, and every way in which the other side can go away.
//!
//! And what a worker can do that was written to harm its supervisor.

use mm_shared::control::{FromWorker, PROTOCOL, ToWorker};
use mm_shared::control_link::{self, FromWorkerReceiver, LONGEST, LinkError, Listener, Rendezvous};
use mm_shared::frame::{self, Kind};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::thread;

/// The place of this process while a test uses it. Workers and their supervisor are one process
/// here, which has a single directory for the sockets of `ipc-channel`.
struct Place {
    rendezvous: Rendezvous,
    path: PathBuf,
}

/// How many tests use it.
static USERS: Mutex<usize> = Mutex::new(0);

impl Place {
    fn enter() -> Place {
        let mut users = USERS.lock().expect("no test fails while it holds this");
        let path = std::env::temp_dir().join(format!("mm-link-{}", std::process::id()));
        let _ = tempfile::env::override_temp_dir(&path);
        let new = || Rendezvous::new(&path).expect("writable");
        static RENDEZVOUS: OnceLock<Rendezvous> = OnceLock::new();
        *users += 1;
        Place { rendezvous: RENDEZVOUS.get_or_init(new).clone(), path }
    }

    fn listen(&self) -> (Listener, String) {
        self.rendezvous.listen().expect("writable")
    }

    /// A worker up to the point where it says something: its socket, and the supervisor's end.
    fn meet(&self) -> (UnixStream, FromWorkerReceiver) {
        let (listener, name) = self.listen();
        let path = self.path.join(format!("{:?}", thread::current().id()));
        let kind = (AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC);
        let server = nix::sys::socket::socket(kind.0, kind.1, kind.2, None).expect("a descriptor");
        bind(server.as_raw_fd(), &UnixAddr::new(&path).expect("short enough")).expect("a new name");
        nix::sys::socket::listen(&server, Backlog::new(1).expect("small")).expect("bound");
        let mut socket = stranger(&name);
        socket.write_all(&whereabouts(&path.to_string_lossy())).expect("connected");
        let (_, receiver) = listener.accept().expect("it can be reached");
        std::fs::remove_file(path).expect("it was bound");
        (socket, receiver)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = USERS.lock().expect("no test fails while it holds this");
        *users -= 1;
        if *users == 0 {
            // the next listener makes it again
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// What a worker says first.
fn whereabouts(name: &str) -> Vec<u8> {
    let kind = Kind { magic: *b"MMwh", version: PROTOCOL };
    frame::encode(kind, &name.to_owned()).expect("small")
}

/// A connection of somebody who does not speak the language.
fn stranger(name: &str) -> UnixStream {
    UnixStream::connect(name).expect("somebody listens")
}

/// A frame's header, with this length and a checksum that is wrong.
fn header(magic: &[u8; 4], length: u32) -> Vec<u8> {
    [*magic, PROTOCOL.to_le_bytes(), length.to_le_bytes(), [0; 4]].concat()
}

#[test]
fn messages_go_both_ways() {
    let place = Place::enter();
    let (listener, name) = place.listen();
    let worker = thread::spawn(move || {
        let (sender, receiver) = control_link::connect(&name).expect("it listens");
        sender.send(&FromWorker::Hello { protocol: PROTOCOL, pid: 1 }).expect("it is there");
        assert!(matches!(receiver.recv(), Ok(ToWorker::Stop)));
    });
    let (sender, receiver) = listener.accept().expect("the worker connects");
    assert!(matches!(receiver.recv(), Ok(FromWorker::Hello { protocol: PROTOCOL, pid: 1 })));
    sender.send(ToWorker::Stop).expect("it is there");
    worker.join().expect("it ends well");
    assert!(matches!(receiver.recv(), Err(LinkError::Closed)));
    assert!(matches!(sender.send(ToWorker::Stop), Err(LinkError::Closed)));
}

#[test]
fn a_large_message_arrives_whole() {
    let place = Place::enter();
    let (listener, name) = place.listen();
    let blob: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    let expected = blob.clone();
    let worker = thread::spawn(move || {
        let (_sender, receiver) = control_link::connect(&name).expect("it listens");
        assert!(matches!(receiver.recv(), Ok(ToWorker::Boot(bytes)) if bytes == expected));
    });
    let (sender, _receiver) = listener.accept().expect("the worker connects");
    sender.send(ToWorker::Boot(blob)).expect("it is there");
    worker.join().expect("it ends well");
}

#[test]
fn accepting_ends_when_the_name_is_abandoned() {
    let place = Place::enter();
    let (listener, name) = place.listen();
    let accepting = thread::spawn(move || listener.accept().map(drop));
    control_link::abandon(&name);
    assert!(matches!(accepting.join().expect("no panic"), Err(LinkError::Closed)));
    control_link::abandon(&name);
}

#[test]
fn a_worker_that_speaks_gibberish_is_malformed() {
    let place = Place::enter();
    let outside = whereabouts("/run/elsewhere/socket");
    let long = whereabouts(&format!("{}/{}", place.path.display(), "x".repeat(100)));
    let zero = whereabouts(&format!("{}/a\0b", place.path.display()));
    let damaged = header(b"MMwh", 0);
    for gibberish in [&[0xFF; 64][..], &[0; 16], &header(b"MMwh", u32::MAX), &damaged, &outside, &long, &zero]
    {
        let (listener, name) = place.listen();
        stranger(&name).write_all(gibberish).expect("connected");
        let outcome = listener.accept().map(drop);
        assert!(matches!(outcome, Err(LinkError::Malformed | LinkError::Closed)), "{outcome:?}");
    }
}

#[test]
fn a_worker_that_is_not_where_it_says_is_an_error() {
    let place = Place::enter();
    let (listener, name) = place.listen();
    let nowhere = place.path.join("nowhere");
    stranger(&name).write_all(&whereabouts(&nowhere.to_string_lossy())).expect("connected");
    assert!(listener.accept().is_err());
}

#[test]
fn no_length_that_a_worker_claims_costs_memory_or_harms_the_supervisor() {
    let place = Place::enter();
    let lengths = (0..32).map(|bit| 1u32 << bit).chain([0, u32::MAX, LONGEST as u32, LONGEST as u32 + 1]);
    for length in lengths {
        let (mut socket, receiver) = place.meet();
        socket.write_all(&header(b"MMfw", length)).expect("connected");
        socket.write_all(&[0xFF; 100]).expect("connected");
        drop(socket);
        let outcome = receiver.recv();
        assert!(matches!(outcome, Err(LinkError::Malformed | LinkError::Closed)), "{length}: {outcome:?}");
    }
}

#[test]
fn a_message_that_claims_to_hold_more_than_it_does_is_malformed() {
    let place = Place::enter();
    // a list of files whose length is a number of eight bytes
    let list = [&[1u8, 253][..], &u64::MAX.to_le_bytes()].concat();
    let mut hasher = crc32fast::Hasher::new();
    let fields = [&b"MMfw"[..], &PROTOCOL.to_le_bytes(), &(list.len() as u32).to_le_bytes()].concat();
    [&fields[..], &list].into_iter().for_each(|part| hasher.update(part));
    let (mut socket, receiver) = place.meet();
    let packet = [&fields[..], &hasher.finalize().to_le_bytes(), &list].concat();
    socket.write_all(&packet).expect("connected");
    assert!(matches!(receiver.recv(), Err(LinkError::Malformed)));
}

#[test]
fn a_message_that_comes_in_pieces_arrives_and_one_that_breaks_off_is_the_end() {
    let place = Place::enter();
    let kind = Kind { magic: *b"MMfw", version: PROTOCOL };
    let packet = frame::encode(kind, &FromWorker::Warning("w".repeat(100))).expect("small");
    let (mut socket, receiver) = place.meet();
    let worker = thread::spawn(move || {
        packet.iter().for_each(|byte| socket.write_all(&[*byte]).expect("connected"));
        socket.write_all(&packet[..packet.len() - 1]).expect("connected");
    });
    assert!(matches!(receiver.recv(), Ok(FromWorker::Warning(text)) if text.len() == 100));
    assert!(matches!(receiver.recv(), Err(LinkError::Closed)));
    worker.join().expect("it ends well");
}

#[test]
fn a_message_that_is_too_long_is_not_sent_and_the_next_one_is() {
    let place = Place::enter();
    let (listener, name) = place.listen();
    let worker = thread::spawn(move || {
        let (sender, _receiver) = control_link::connect(&name).expect("it listens");
        let long = FromWorker::Warning("x".repeat(LONGEST + 1));
        assert!(matches!(sender.send(&long), Err(LinkError::TooLong)));
        sender.send(&FromWorker::Ready).expect("it is there");
    });
    let (_sender, receiver) = listener.accept().expect("the worker connects");
    assert!(matches!(receiver.recv(), Ok(FromWorker::Ready)));
    worker.join().expect("it ends well");
}

#[test]
fn nobody_listening_is_an_error() {
    let place = Place::enter();
    let (listener, name) = place.listen();
    drop(listener);
    for name in [&name, "/nowhere/at/all", "", "with\0zero"] {
        assert!(control_link::connect(name).is_err());
    }
}

#[test]
fn names_are_in_a_directory_that_nobody_else_may_enter_and_go_with_their_listeners() {
    let place = Place::enter();
    let (listener, name) = place.listen();
    let directory = Path::new(&name).parent().expect("a path");
    assert_eq!(directory.parent(), Some(&*place.path));
    let mode = std::fs::metadata(&place.path).expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    drop(listener);
    assert!(!directory.exists());
}

#[test]
fn what_an_earlier_run_left_is_removed_and_nothing_else() {
    let directory = tempfile::tempdir().expect("writable");
    let path = directory.path();
    for left in ["w-ABCDE/.tmpOLD", "w-others", "precious"] {
        std::fs::create_dir_all(path.join(left)).expect("writable");
        std::fs::write(path.join(left).join("socket"), "").expect("writable");
    }
    Rendezvous::new(path).expect("writable");
    assert!(!path.join("w-ABCDE").exists());
    assert!(path.join("w-others/socket").exists() && path.join("precious/socket").exists());
}
