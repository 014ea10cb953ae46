//! A service manager of our own at the other end of the socket.

use super::*;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use tempfile::TempDir;

/// A test that takes this long has failed.
const DEADLINE: Duration = Duration::from_secs(10);

struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a time limit");
        Self { socket, folder }
    }

    fn service(&self, watchdog: Option<Duration>, now: Instant) -> Systemd {
        Systemd::new(self.folder.path().join("notify").as_os_str(), watchdog, now).expect("a socket")
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("a message before the deadline");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    /// All that has been sent is there at once.
    fn is_quiet(&self) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        let quiet = self.socket.recv(&mut [0; 4096]).is_err();
        self.socket.set_nonblocking(false).expect("a socket");
        quiet
    }
}

#[test]
fn readiness_comes_with_a_status() {
    let (manager, now) = (Manager::new(), Instant::now());
    let mut systemd = manager.service(None, now);
    systemd.ready("3 instances running", now);
    assert_eq!(manager.next(), "READY=1\nSTATUS=3 instances running\n");
    assert_eq!(systemd.deadline(), None);
}

#[test]
fn a_status_is_told_when_it_changed_and_once_a_second_at_most() {
    let (manager, now) = (Manager::new(), Instant::now());
    let mut systemd = manager.service(None, now);
    systemd.status("one", now);
    assert_eq!(manager.next(), "STATUS=one\n");
    systemd.status("one", now + STATUS_INTERVAL * 2);
    systemd.feed(now + STATUS_INTERVAL * 2);
    assert!(manager.is_quiet());
    systemd.status("two", now + STATUS_INTERVAL / 2);
    systemd.status("three\nlines\nSTOPPING=1", now + STATUS_INTERVAL / 2);
    assert!(manager.is_quiet());
    assert_eq!(systemd.deadline(), Some(now + STATUS_INTERVAL));
    systemd.feed(now + STATUS_INTERVAL);
    assert_eq!(manager.next(), "STATUS=three lines STOPPING=1\n");
    assert_eq!(systemd.deadline(), None);
}

#[test]
fn the_same_state_again_is_no_more_than_a_status() {
    let (manager, now) = (Manager::new(), Instant::now());
    let mut systemd = manager.service(None, now);
    systemd.ready("3 instances running", now);
    manager.next();
    systemd.ready("2 instances running", now);
    assert!(manager.is_quiet(), "so soon after another one");
    systemd.ready("2 instances running", now + STATUS_INTERVAL);
    systemd.feed(now + STATUS_INTERVAL);
    assert_eq!(manager.next(), "STATUS=2 instances running\n");
}

#[test]
fn a_reload_carries_its_time_and_ends_with_readiness() {
    let (manager, now) = (Manager::new(), Instant::now());
    let mut systemd = manager.service(None, now);
    systemd.reloading("reading the show file", now);
    let message = manager.next();
    assert!(message.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{message}");
    systemd.ready("running", now);
    assert_eq!(manager.next(), "READY=1\nSTATUS=running\n");
    systemd.stopping("stopping", now);
    assert_eq!(manager.next(), "STOPPING=1\nSTATUS=stopping\n");
}

#[test]
fn the_watchdog_is_fed_twice_as_often_as_it_asks_for() {
    let (manager, now) = (Manager::new(), Instant::now());
    let mut systemd = manager.service(Some(Duration::from_secs(10)), now);
    systemd.feed(now);
    assert_eq!(manager.next(), "WATCHDOG=1\n");
    let due = now + Duration::from_secs(5);
    assert_eq!(systemd.deadline(), Some(due));
    systemd.feed(due - Duration::from_millis(1));
    assert!(manager.is_quiet());
    systemd.feed(due);
    assert_eq!(manager.next(), "WATCHDOG=1\n");
}

#[test]
fn a_manager_without_room_does_not_hold_up_the_loop_and_is_told_later() {
    let (manager, now) = (Manager::new(), Instant::now());
    let mut systemd = manager.service(None, now);
    let mut fed = now;
    for no in 0.. {
        fed = now + STATUS_INTERVAL * no;
        systemd.status(&format!("status {no}"), fed);
        if systemd.pause.is_some() {
            break;
        }
    }
    systemd.ready("running", fed);
    assert_eq!(systemd.deadline(), Some(fed + NO_ROOM_INTERVAL));
    while !manager.is_quiet() {}
    systemd.feed(fed);
    assert!(manager.is_quiet(), "not before the pause is over");
    systemd.feed(fed + NO_ROOM_INTERVAL);
    assert_eq!(manager.next(), "READY=1\nSTATUS=running\n");
}

#[test]
fn a_manager_that_is_gone_is_tried_again_and_found_when_it_is_back() {
    let (manager, now) = (Manager::new(), Instant::now());
    let mut systemd = manager.service(Some(Duration::from_secs(1)), now);
    let path = manager.folder.path().join("notify");
    std::fs::remove_file(&path).expect("removable");
    systemd.ready("running", now);
    assert_eq!(systemd.deadline(), Some(now + ERROR_INTERVAL));
    let again = UnixDatagram::bind(&path).expect("a socket");
    let manager = Manager { socket: again, folder: manager.folder };
    systemd.feed(now + ERROR_INTERVAL);
    assert_eq!(manager.next(), "READY=1\nSTATUS=running\nWATCHDOG=1\n");
}

#[test]
fn an_abstract_socket_is_found_and_a_foreign_address_refused() {
    let name = format!("@mm-supervisor-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    let folder = tempfile::tempdir().expect("a folder");
    let now = Instant::now();
    let mut systemd = Systemd::new(OsStr::new(&name), None, now).expect("a socket");
    systemd.ready("", now);
    assert_eq!(Manager { socket, folder }.next(), "READY=1\n");
    assert!(Systemd::new(OsStr::new("vsock:2:1234"), None, now).is_err());
}

#[test]
fn without_a_manager_nothing_happens() {
    let (mut systemd, now) = (Systemd::default(), Instant::now());
    systemd.ready("running", now);
    systemd.status("running", now);
    systemd.feed(now);
    assert_eq!(systemd.deadline(), None);
}

#[test]
fn a_long_status_is_cut_between_characters() {
    let (manager, now) = (Manager::new(), Instant::now());
    let mut systemd = manager.service(None, now);
    systemd.status(&"ä".repeat(STATUS_LIMIT), now);
    assert_eq!(manager.next().len(), "STATUS=\n".len() + STATUS_LIMIT);
}
