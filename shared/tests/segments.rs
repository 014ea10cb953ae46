//! The segments between real processes: what crosses them, and what the kernel refuses to a worker.
//!
//! The worker is this test program, started again for one ignored test.

use mm_shared::ring::mapping::{Mapping, ReadOnly, ReadWrite};
use mm_shared::sys::inherit;
use mm_shared::{Activity, ChannelId, Doorbell, Event, RawFds, RingSizes, SupervisorEnd, WorkerFds};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{ftruncate, write};
use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command};

const GEOMETRY: RingSizes = RingSizes { down_slots: 16, up_slots: 16 };
const LEN: usize = 8192;
const EVENTS: u32 = 20_000;
/// A test that waits longer than this for its peer has found a wake-up that was lost.
const PATIENCE_MS: u16 = 20_000;

/// Starts the ignored test `role` in a process of its own, with the descriptors of a worker.
fn spawn(role: &str, fds: WorkerFds) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", role, "--ignored", "--nocapture"]);
    command.env("TEST_FDS", fds.raw().to_string()).env("TEST_GEOMETRY", GEOMETRY.to_string());
    fds.pass_to(&mut command);
    command.spawn().expect("a process")
}

/// What the started process was told.
fn told() -> (RawFds, RingSizes) {
    let fds = std::env::var("TEST_FDS").expect("started by a test of this file");
    let ring_sizes = std::env::var("TEST_GEOMETRY").expect("started by a test of this file");
    (fds.parse().expect("descriptors"), ring_sizes.parse().expect("a ring_sizes"))
}

fn run(role: &str) -> SupervisorEnd {
    let (end, _control, fds) = mm_shared::create(GEOMETRY).expect("segments");
    let status = spawn(role, fds).wait().expect("its end");
    assert!(status.success(), "{role}: {status}");
    end
}

fn wait(bell: &Doorbell) {
    let mut fds = [PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
    let rung = poll(&mut fds, PollTimeout::from(PATIENCE_MS)).expect("no signal");
    assert_eq!(rung, 1, "the doorbell was not rung in {PATIENCE_MS} ms");
    bell.clear();
}

fn event(n: u32) -> Event {
    Event { channel: ChannelId(n), value: f64::from(n) / 2.0 }
}

#[test]
fn events_go_through_another_process_and_back() {
    let (mut end, _control, fds) = mm_shared::create(GEOMETRY).expect("segments");
    let mut child = spawn("echo", fds);
    let (mut sent, mut received) = (0, 0);
    while received < EVENTS {
        end.down.reclaim().expect("no violation");
        while sent < EVENTS && end.down.push(event(sent)).is_ok() {
            sent += 1;
        }
        if end.down.publish() {
            end.bell_to_worker.ring();
        }
        let mut next = received;
        let check = |seen| {
            assert_eq!(seen, event(next));
            next += 1;
        };
        let taken = end.up.drain(usize::MAX, check).expect("no violation");
        received = next;
        if end.up.wants_space() {
            end.space.ring();
        }
        if taken == 0 && end.up.prepare_sleep() {
            wait(&end.bell_from_worker);
            end.up.wake();
        }
    }
    assert!(child.wait().expect("its end").success());
}

#[test]
#[ignore = "run as a process by events_go_through_another_process_and_back"]
fn echo() {
    let (fds, ring_sizes) = told();
    let (mut end, _control) = mm_shared::attach(fds, ring_sizes).expect("segments");
    let mut echoed = 0;
    while echoed < EVENTS {
        let Some(event) = end.down.pop().expect("no violation") else {
            if end.down.prepare_sleep() {
                wait(&end.bell_to_worker);
                end.down.wake();
            }
            continue;
        };
        while end.up.push(event).is_err() {
            if end.up.reclaim().expect("no violation") == 0 && end.up.prepare_wait() {
                wait(&end.space);
                end.up.end_wait();
            }
        }
        if end.up.publish() {
            end.bell_from_worker.ring();
        }
        echoed += 1;
    }
}

#[test]
fn a_worker_that_dies_leaves_what_it_sent_and_what_it_had_in_hand() {
    let (mut end, _control, fds) = mm_shared::create(GEOMETRY).expect("segments");
    for n in 0..5 {
        end.down.push(event(n)).expect("space");
    }
    let _ = end.down.publish();
    let status = spawn("die_with_an_event_in_hand", fds).wait().expect("its end");
    assert!(!status.success());
    let (mut given, mut sent) = (Vec::new(), Vec::new());
    end.down.reclaim_with(|event| given.push(event)).expect("no violation");
    end.up.drain(usize::MAX, |event| sent.push(event)).expect("no violation");
    assert_eq!(given, [event(0), event(1)]);
    assert_eq!(end.down.in_hand(), Some(event(1)));
    assert_eq!(end.down.undelivered(), [event(2), event(3), event(4)]);
    assert_eq!(sent, [event(100)], "published before it died; what was only staged is not there");
    let doing = end.progress.activity();
    assert_eq!((doing.activity, doing.subject), (Some(Activity::Handler), 1));
}

#[test]
#[ignore = "run as a process by a_worker_that_dies_leaves_what_it_sent_and_what_it_had_in_hand"]
fn die_with_an_event_in_hand() {
    let (fds, ring_sizes) = told();
    let (mut end, _control) = mm_shared::attach(fds, ring_sizes).expect("segments");
    for sent in [100, 101] {
        let given = end.down.pop().expect("no violation").expect("an event");
        end.progress.enter(Activity::Handler, given.channel.0);
        end.up.push(event(sent)).expect("space");
        if sent == 101 {
            std::process::abort();
        }
        let _ = end.up.publish();
        end.down.finish();
    }
}

#[test]
fn the_kernel_refuses_a_worker_what_it_must_not_do() {
    run("try_everything");
}

#[test]
#[ignore = "run as a process by the_kernel_refuses_a_worker_what_it_must_not_do"]
fn try_everything() {
    let fds = told().0.claim().expect("inherited");
    for segment in [&fds.down, &fds.up] {
        assert_eq!(ftruncate(segment, 0), Err(Errno::EPERM));
        assert_eq!(ftruncate(segment, 1 << 20), Err(Errno::EPERM));
        for seal in [SealFlag::F_SEAL_WRITE, SealFlag::F_SEAL_FUTURE_WRITE] {
            assert_eq!(fcntl(segment, FcntlArg::F_ADD_SEALS(seal)), Err(Errno::EPERM));
        }
    }
    let path = format!("/proc/self/fd/{}", fds.down.as_raw_fd());
    let reopened = OpenOptions::new().read(true).write(true).open(path);
    let reopened: OwnedFd = reopened.expect("the file itself may be opened").into();
    for down in [&fds.down, &reopened] {
        let mapped = Mapping::<ReadWrite>::new(down, LEN).map(drop);
        assert_eq!(mapped.map_err(|error| error.raw_os_error()), Err(Some(Errno::EPERM as i32)));
        assert_eq!(write(down, b"x"), Err(Errno::EPERM));
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        assert_eq!(fallocate(down, hole, 0, 4096), Err(Errno::EPERM));
    }
    assert_eq!(mprotect_writable(&fds.down), Err(Errno::EACCES));
}

/// Maps for reading, then asks for more.
fn mprotect_writable(fd: &OwnedFd) -> nix::Result<()> {
    use nix::sys::mman::{MapFlags, ProtFlags, mmap, mprotect};
    let len = std::num::NonZeroUsize::new(LEN).expect("not zero");
    // SAFETY: a new mapping where the kernel chooses, which stays until the process ends
    let base = unsafe { mmap(None, len, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, fd, 0) }?;
    // SAFETY: the mapping is ours, and nothing refers to it
    unsafe { mprotect(base, LEN, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE) }
}

#[test]
fn a_worker_inherits_its_descriptors_and_no_others() {
    let stray: OwnedFd = OpenOptions::new().read(true).open("/dev/null").expect("it exists").into();
    fcntl(&stray, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("open");
    assert!(inherit::outlives_exec(&stray));
    run("count_descriptors");
}

#[test]
#[ignore = "run as a process by a_worker_inherits_its_descriptors_and_no_others"]
fn count_descriptors() {
    let fds = told().0.claim().expect("inherited");
    let above_stderr = std::fs::read_dir("/proc/self/fd").expect("proc").filter(|entry| {
        let entry = entry.as_ref().expect("an entry");
        let number: i32 = entry.file_name().to_string_lossy().parse().expect("a number");
        let target = std::fs::read_link(entry.path()).map(|path| path.display().to_string());
        let inherited = ["/memfd:mm-", "pipe:", "/dev/null"];
        number > 2 && target.is_ok_and(|target| inherited.iter().any(|name| target.starts_with(name)))
    });
    assert_eq!(above_stderr.count(), 6);
    let number = fds.raw().down;
    assert!(fds.into_array().iter().all(|fd| !inherit::outlives_exec(fd)));
    assert!(inherit::claim(number).is_err(), "closed again");
}

#[test]
fn what_this_process_opened_itself_cannot_be_claimed() {
    let bell = Doorbell::new().expect("a descriptor");
    let refused = inherit::claim(bell.as_raw_fd()).expect_err("it has an owner");
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    assert!(inherit::claim(1).is_err(), "a standard stream");
    assert!(inherit::claim(-1).is_err());
    assert!(inherit::claim(1 << 20).is_err(), "not open");
}

#[test]
fn all_descriptors_are_closed_on_exec_until_they_are_passed_on() {
    let (end, _control, fds) = mm_shared::create(GEOMETRY).expect("segments");
    let bells = [end.bell_to_worker, end.bell_from_worker, end.space];
    assert!(!bells.iter().any(inherit::outlives_exec));
    assert!(!fds.into_array().iter().any(inherit::outlives_exec));
}

#[test]
fn another_geometry_than_that_of_the_segments_is_refused() {
    for wrong in [RingSizes { down_slots: 4096, ..GEOMETRY }, RingSizes { up_slots: 4096, ..GEOMETRY }] {
        let (_end, _control, fds) = mm_shared::create(GEOMETRY).expect("segments");
        let refused = mm_shared::segments::adopt(fds, wrong).map(drop).expect_err("another length");
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidData);
    }
}

#[test]
fn an_impossible_geometry_is_an_error() {
    let impossible = RingSizes { down_slots: 3, up_slots: 16 };
    let refused = mm_shared::create(impossible).map(drop).expect_err("no power of two");
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_file_that_could_shrink_is_not_mapped() {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC | nix::sys::memfd::MFdFlags::MFD_ALLOW_SEALING;
    let file = nix::sys::memfd::memfd_create(c"test", flags).expect("a descriptor");
    ftruncate(&file, 4096).expect("not sealed");
    assert!(Mapping::<ReadOnly>::new(&file, 4096).is_err());
}

#[test]
fn a_region_outside_of_its_mapping_is_refused() {
    let (_end, _control, fds) = mm_shared::create(GEOMETRY).expect("segments");
    let mapping = Mapping::<ReadOnly>::new(&fds.down, LEN).expect("sealed");
    for (offset, words) in [(LEN, 1), (LEN - 8, 2), (4, 1), (0, 3), (0, 0), (usize::MAX - 7, 1), (0, 1 << 61)]
    {
        assert!(mapping.region(offset, words).is_err(), "{words} words at {offset}");
    }
    assert!(mapping.region(LEN - 8, 1).is_ok());
}
