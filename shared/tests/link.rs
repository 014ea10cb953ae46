//! The control link: both directions, and every way in which the other side can go away.
//!
//! The directory for names is chosen once for a process, so all tests here share one.

use mm_shared::control::{FromWorker, PROTOCOL, ToWorker};
use mm_shared::control_link::{self, LinkError, Rendezvous};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, socket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

/// The directory of this process while a test uses it.
struct Directory(PathBuf);

/// How many tests use it, and whether the first use of it cleared what an earlier run had left.
static USERS: Mutex<(usize, Option<bool>)> = Mutex::new((0, None));

impl Directory {
    fn enter() -> Directory {
        let mut users = USERS.lock().expect("no test fails while it holds this");
        let path = std::env::temp_dir().join(format!("mm-link-{}", std::process::id()));
        users.0 += 1;
        users.1.get_or_insert_with(|| clears_what_was_left(&path));
        Directory(path)
    }

    fn rendezvous(&self) -> Rendezvous {
        Rendezvous::new(&self.0).expect("writable, and the one that was chosen already")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let mut users = USERS.lock().expect("no test fails while it holds this");
        users.0 -= 1;
        if users.0 == 0 {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Leaves a listener of an earlier run and a file of somebody else; only the former may go.
fn clears_what_was_left(path: &Path) -> bool {
    for left in [".tmpOLD", ".tmpOTHER"] {
        std::fs::create_dir_all(path.join(left)).expect("writable");
    }
    std::fs::write(path.join(".tmpOLD/socket"), "").expect("writable");
    std::fs::write(path.join(".tmpOTHER/precious"), "").expect("writable");
    Rendezvous::new(path).expect("writable");
    !path.join(".tmpOLD").exists() && path.join(".tmpOTHER/precious").exists()
}

/// A socket that is connected under the name, as a worker that does not speak the language.
fn stranger(name: &str) -> OwnedFd {
    let kind = SockType::SeqPacket;
    let socket = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).expect("a descriptor");
    let address = UnixAddr::new(name).expect("short enough");
    connect(socket.as_raw_fd(), &address).expect("somebody listens");
    socket
}

#[test]
fn messages_go_both_ways() {
    let directory = Directory::enter();
    let (listener, name) = directory.rendezvous().listen().expect("writable");
    let worker = thread::spawn(move || {
        let (sender, receiver) = control_link::connect(&name).expect("it listens");
        sender.send(FromWorker::Hello { protocol: PROTOCOL, pid: 1 }).expect("it is there");
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
    let directory = Directory::enter();
    let (listener, name) = directory.rendezvous().listen().expect("writable");
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
    let directory = Directory::enter();
    let (listener, name) = directory.rendezvous().listen().expect("writable");
    let accepting = thread::spawn(move || listener.accept().map(drop));
    control_link::abandon(&name);
    assert!(matches!(accepting.join().expect("no panic"), Err(LinkError::Closed)));
    control_link::abandon(&name);
}

#[test]
fn a_peer_that_speaks_gibberish_is_malformed() {
    for gibberish in [&[0xFF; 64][..], &[0; 16], &[1, 2, 3]] {
        let directory = Directory::enter();
        let (listener, name) = directory.rendezvous().listen().expect("writable");
        let socket = stranger(&name);
        // what it says the whole packet has, what the message has, then a message about channels that are not there
        let len = 16 + gibberish.len() as u64;
        let packet = [&len.to_ne_bytes()[..], &(gibberish.len() as u64).to_ne_bytes(), gibberish].concat();
        send(socket.as_raw_fd(), &packet, MsgFlags::empty()).expect("connected");
        assert!(matches!(listener.accept().map(drop), Err(LinkError::Malformed)));
    }
}

#[test]
fn nobody_listening_is_an_error() {
    let directory = Directory::enter();
    let (listener, name) = directory.rendezvous().listen().expect("writable");
    drop(listener);
    for name in [&name, "/nowhere/at/all", "", "with\0zero"] {
        assert!(control_link::connect(name).is_err());
    }
}

#[test]
fn names_are_in_a_directory_that_nobody_else_may_enter() {
    let directory = Directory::enter();
    let (_listener, name) = directory.rendezvous().listen().expect("writable");
    assert!(Path::new(&name).starts_with(&directory.0));
    let mode = std::fs::metadata(&directory.0).expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn what_an_earlier_run_left_is_removed_and_nothing_else() {
    let _directory = Directory::enter();
    assert_eq!(USERS.lock().expect("no test fails while it holds this").1, Some(true));
}

#[test]
fn a_second_directory_is_refused() {
    let directory = Directory::enter();
    let other = directory.0.join("other");
    let refused = Rendezvous::new(&other).map(drop).expect_err("the first one holds");
    assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
    assert!(!other.exists());
}
