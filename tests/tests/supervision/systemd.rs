//! A service manager of our own, in the place of systemd.

use crate::{assert_answers, stage};
use mm_tests::osc::F;
use mm_tests::wait::PATIENCE;
use mm_tests::{Event, Running, TestShow};
use nix::sys::signal::Signal;
use std::os::unix::net::UnixDatagram;

struct Manager(UnixDatagram);

impl Manager {
    /// Starts a show under this manager, with a watchdog if there is a time for it.
    fn start(stage: TestShow, watchdog: Option<&str>) -> (Running, Manager) {
        let path = stage.directory().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket of the test's own");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        let mut command = stage.show_command();
        command.env("NOTIFY_SOCKET", &path);
        if let Some(time) = watchdog {
            command.env("WATCHDOG_USEC", time);
        }
        (stage.start_command(command), Manager(socket))
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let count = self.0.recv(&mut message).expect("a message in time");
        String::from_utf8_lossy(&message[..count]).into_owned()
    }

    /// Waits for a message with this in it, and returns those before it.
    fn wait_for(&self, text: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let message = self.next();
            if message.contains(text) {
                return before;
            }
            before.push(message);
        }
    }
}

#[test]
fn it_hears_that_the_show_is_ready_how_it_is_and_that_it_ends() {
    let (show, manager) = Manager::start(stage("restart = never"), None);
    let before = manager.wait_for("READY=1");
    assert!(before.iter().all(|message| !message.contains("STOPPING")), "{before:?}");
    show.wait_for(Event::named("show_running"));
    show.send("/die", &[F(0.5)]);
    manager.wait_for("STATUS=`show`: 0 of 1 instances run");
    show.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
    show.wait_for_end().assert(0, &[]);
}

#[test]
fn it_hears_of_a_show_file_that_is_read_again() {
    let (show, manager) = Manager::start(stage(""), None);
    manager.wait_for("READY=1");
    show.signal(Signal::SIGHUP);
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    show.stop();
}

#[test]
fn its_watchdog_is_fed_as_long_as_the_loop_goes_round() {
    let (show, manager) = Manager::start(stage(""), Some("100000"));
    for _ in 0..10 {
        manager.wait_for("WATCHDOG=1");
    }
    assert_answers(&show, 0.5);
    show.stop();
}

#[test]
fn workers_hear_nothing_of_it() {
    let stage = stage("");
    let script = "
        import os
        print('told of', sorted(name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG'))))
    ";
    stage.python("h.py", script);
    let (show, manager) = Manager::start(stage, Some("1000000"));
    show.wait_for(Event::printed("py", "told of []"));
    manager.wait_for("READY=1");
    show.stop();
}
