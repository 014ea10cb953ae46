//! The control link: both directions, and every way in which the other side can go away.
//!
//! And what a worker can do that was written to harm its supervisor.

use mm_shared::control::{FromWorker, PROTOCOL, ToWorker};
use mm_shared::control_link::{
    self, FromWorkerReceiver, FromWorkerSender, LONGEST, LinkError, MESSAGES_PER_LIFE, TEXT_LIMIT,
    ToWorkerConnector, ToWorkerListener, ToWorkerSender,
};
use mm_shared::frame::{self, Kind};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs;
use std::io::{PipeWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

/// The private directory of this process while a test uses it. Workers and their supervisor are one
/// process here, which has a single directory for the sockets of `ipc-channel`.
struct Place(PathBuf);

/// How many tests use it.
static USERS: Mutex<usize> = Mutex::new(0);

impl Place {
    fn enter() -> Place {
        let mut users = USERS.lock().expect("no test fails while it holds this");
        let path = std::env::temp_dir().join(format!("mm-link-{}", std::process::id()));
        let _ = tempfile::env::override_temp_dir(&path);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).expect("writable");
        *users += 1;
        Place(path)
    }

    fn listen(&self) -> ToWorkerListener {
        ToWorkerListener::new(&self.0).expect("writable")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = USERS.lock().expect("no test fails while it holds this");
        *users -= 1;
        if *users == 0 {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// The supervisor's end, and a worker's that writes what it likes.
fn stranger() -> (FromWorkerReceiver, PipeWriter) {
    let (receiver, pipe) = control_link::pair().expect("descriptors");
    (receiver, pipe.into())
}

fn connect(address: &str) -> Result<ToWorkerSender, LinkError> {
    ToWorkerConnector::new(&std::env::temp_dir()).expect("writable").connect(address)
}

/// Waits for the next message.
fn receive(receiver: &mut FromWorkerReceiver) -> Result<FromWorker, LinkError> {
    loop {
        if let Some(message) = receiver.try_recv(&mut usize::MAX.clone())? {
            return Ok(message);
        }
        poll(&mut [PollFd::new(receiver.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)
            .expect("it may wait");
    }
}

/// A frame's header, with this length and a checksum that is wrong.
fn header(magic: &[u8; 4], length: u32) -> Vec<u8> {
    [*magic, PROTOCOL.to_le_bytes(), length.to_le_bytes(), [0; 4]].concat()
}

fn message_frame(message: &FromWorker) -> Vec<u8> {
    frame::encode(Kind { magic: *b"MMfw", version: PROTOCOL }, message).expect("small")
}

#[test]
fn messages_go_both_ways() {
    let place = Place::enter();
    let (mut receiver, pipe) = control_link::pair().expect("descriptors");
    let listener = place.listen();
    let worker = thread::spawn(move || {
        let sender = FromWorkerSender::from(pipe);
        let address = listener.address().to_owned();
        sender.send(&FromWorker::Hello { protocol: PROTOCOL, pid: 1, address }).expect("it is there");
        let receiver = listener.accept().expect("the supervisor connects");
        assert!(matches!(receiver.recv(), Ok(ToWorker::Stop)));
    });
    let Ok(FromWorker::Hello { protocol: PROTOCOL, pid: 1, address }) = receive(&mut receiver) else {
        panic!("no hello");
    };
    let mut sender = connect(&address).expect("it listens");
    sender.send(&ToWorker::Stop).expect("it is there");
    worker.join().expect("it ends well");
    assert!(matches!(receive(&mut receiver), Err(LinkError::Closed)));
    assert!(receiver.is_closed());
    assert!(matches!(sender.send(&ToWorker::Stop), Err(LinkError::Closed)));
}

#[test]
fn a_large_message_arrives_whole() {
    let place = Place::enter();
    let listener = place.listen();
    let blob: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    let mut sender = connect(listener.address()).expect("it listens");
    sender.send(&ToWorker::Boot(blob.clone())).expect("it is there");
    let receiver = listener.accept().expect("the supervisor has connected");
    assert!(matches!(receiver.recv(), Ok(ToWorker::Boot(bytes)) if bytes == blob));
}

#[test]
fn sending_does_not_wait_for_a_worker_that_does_not_read_and_has_a_limit() {
    let place = Place::enter();
    let listener = place.listen();
    let mut sender = connect(listener.address()).expect("it listens");
    for length in (0..MESSAGES_PER_LIFE).map(|number| if number % 2 == 0 { 1_900 } else { 3_000_000 }) {
        sender.send(&ToWorker::Boot(vec![1; length])).expect("there is room");
    }
    assert!(matches!(sender.send(&ToWorker::Stop), Err(LinkError::TooMany)));
    let receiver = listener.accept().expect("the supervisor has connected");
    for _ in 0..MESSAGES_PER_LIFE {
        assert!(matches!(receiver.recv(), Ok(ToWorker::Boot(_))));
    }
}

#[test]
fn a_worker_that_speaks_gibberish_is_malformed() {
    for gibberish in [&[0xFF; 64][..], &[0; 16], &header(b"MMfw", u32::MAX), &header(b"MMfw", 0)] {
        let (mut receiver, mut pipe) = stranger();
        pipe.write_all(gibberish).expect("connected");
        let outcome = receive(&mut receiver).map(drop);
        assert!(matches!(outcome, Err(LinkError::Malformed)), "{outcome:?}");
    }
}

#[test]
fn a_worker_that_is_not_where_it_says_is_an_error() {
    let place = Place::enter();
    let gone = place.listen();
    let address = gone.address().to_owned();
    drop(gone);
    for address in [&*address, "/nowhere/at/all", "", "with\0zero", &"x".repeat(108)] {
        assert!(connect(address).is_err(), "{address}");
    }
}

#[test]
fn a_worker_whose_queue_of_connections_is_full_is_an_error() {
    let place = Place::enter();
    let listener = place.listen();
    let connector = ToWorkerConnector::new(&place.0).expect("writable");
    // More than a queue holds. The senders stay, and nothing is accepted.
    let outcomes: Vec<_> = (0..5000).map(|_| connector.connect(listener.address())).collect();
    assert!(matches!(outcomes.last(), Some(Err(LinkError::QueueFull))), "{:?}", outcomes.last());
    assert!(outcomes[0].is_ok());
}

#[test]
fn a_connector_leaves_nothing_behind_and_does_not_need_its_directory_any_more() {
    let directory = tempfile::tempdir().expect("writable");
    let connector = ToWorkerConnector::new(directory.path()).expect("writable");
    assert_eq!(fs::read_dir(directory.path()).expect("it exists").count(), 0);
    directory.close().expect("it is empty");
    let place = Place::enter();
    let listener = place.listen();
    drop(connector.connect(listener.address()).expect("it listens"));
}

#[test]
fn no_length_that_a_worker_claims_costs_memory_or_harms_the_supervisor() {
    let lengths = (0..32).map(|bit| 1u32 << bit).chain([0, u32::MAX, LONGEST as u32, LONGEST as u32 + 1]);
    for length in lengths {
        let (mut receiver, mut pipe) = stranger();
        pipe.write_all(&header(b"MMfw", length)).expect("connected");
        pipe.write_all(&[0xFF; 100]).expect("connected");
        drop(pipe);
        let outcome = receive(&mut receiver);
        assert!(matches!(outcome, Err(LinkError::Malformed | LinkError::Closed)), "{length}: {outcome:?}");
    }
}

#[test]
fn a_message_that_claims_to_hold_more_than_it_does_is_malformed() {
    // A list of files whose length is a number of eight bytes.
    let list = [&[1u8, 253][..], &u64::MAX.to_le_bytes()].concat();
    let mut hasher = crc32fast::Hasher::new();
    let fields = [&b"MMfw"[..], &PROTOCOL.to_le_bytes(), &(list.len() as u32).to_le_bytes()].concat();
    [&fields[..], &list].into_iter().for_each(|part| hasher.update(part));
    let (mut receiver, mut pipe) = stranger();
    let packet = [&fields[..], &hasher.finalize().to_le_bytes(), &list].concat();
    pipe.write_all(&packet).expect("connected");
    assert!(matches!(receive(&mut receiver), Err(LinkError::Malformed)));
}

#[test]
fn a_text_that_is_too_long_is_malformed_before_it_is_read() {
    let packet = message_frame(&FromWorker::Warning("w".repeat(TEXT_LIMIT)));
    let (mut receiver, mut pipe) = stranger();
    pipe.write_all(&packet[..100]).expect("connected");
    assert!(matches!(receive(&mut receiver), Err(LinkError::Malformed)));
}

#[test]
fn a_list_of_files_arrives_as_it_is() {
    let list: Vec<u8> = (0..1_000_000).map(|number: u32| number.to_le_bytes()[0]).collect();
    let packet = message_frame(&FromWorker::Sources(list.clone()));
    let (mut receiver, mut pipe) = stranger();
    let worker = thread::spawn(move || pipe.write_all(&packet).expect("connected"));
    assert!(matches!(receive(&mut receiver), Ok(FromWorker::Sources(found)) if found == list));
    worker.join().expect("it ends well");
}

#[test]
fn a_message_that_comes_in_pieces_arrives_and_one_that_breaks_off_is_the_end() {
    let packet = message_frame(&FromWorker::Warning("w".repeat(100)));
    let (mut receiver, mut pipe) = stranger();
    let worker = thread::spawn(move || {
        packet.iter().for_each(|byte| pipe.write_all(&[*byte]).expect("connected"));
        pipe.write_all(&packet[..packet.len() - 1]).expect("connected");
    });
    assert!(matches!(receive(&mut receiver), Ok(FromWorker::Warning(text)) if text.len() == 100));
    assert!(matches!(receive(&mut receiver), Err(LinkError::Closed)));
    worker.join().expect("it ends well");
}

#[test]
fn reading_stops_at_its_budget_and_goes_on_with_the_next() {
    let packet = message_frame(&FromWorker::Warning("w".repeat(10_000)));
    let (mut receiver, mut pipe) = stranger();
    pipe.write_all(&packet).expect("there is room");
    for _ in 0..10 {
        let mut budget = 1000;
        assert!(matches!(receiver.try_recv(&mut budget), Ok(None)));
        assert_eq!(budget, 0);
    }
    let mut budget = 1000;
    assert!(matches!(receiver.try_recv(&mut budget), Ok(Some(FromWorker::Warning(_)))));
    assert_eq!(budget, 11_000 - packet.len());
    assert!(matches!(receiver.try_recv(&mut budget), Ok(None)));
    assert_eq!(budget, 11_000 - packet.len());
}

#[test]
fn a_message_that_is_too_long_is_not_sent_and_the_next_one_is() {
    let (mut receiver, pipe) = control_link::pair().expect("descriptors");
    let sender = FromWorkerSender::from(pipe);
    let long = [FromWorker::Warning("x".repeat(TEXT_LIMIT)), FromWorker::Sources(vec![0; LONGEST])];
    assert!(long.iter().all(|message| matches!(sender.send(message), Err(LinkError::TooLong))));
    sender.send(&FromWorker::Stopped).expect("it is there");
    assert!(matches!(receive(&mut receiver), Ok(FromWorker::Stopped)));
}

#[test]
fn names_are_in_a_directory_that_nobody_else_may_enter_and_go_with_their_listeners() {
    let place = Place::enter();
    let listener = place.listen();
    let directory = Path::new(listener.address()).parent().expect("a path").to_owned();
    assert_eq!(directory.parent(), Some(&*place.0));
    let mode = fs::metadata(&place.0).expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    drop(listener);
    assert!(!directory.exists());
}
