//! A started program: its log, its processes, its end. What a test has started ends with the test.

use crate::log::{Log, Query};
use crate::log_event::Event;
use crate::osc::{Argument, Message, Peer};
use crate::processes::{Process, tagged};
use crate::test_show::TestShow;
use crate::wait::{PATIENCE, wait_for, wait_within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long processes may outlive a supervisor that was killed.
pub const GONE_WITHIN: Duration = Duration::from_secs(1);

/// A supervisor at work.
pub struct Running {
    child: Child,
    status: Option<ExitStatus>,
    log: Log,
    peer: Arc<Peer>,
    stage: Arc<TestShow>,
}

/// A supervisor that has ended.
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// All that it wrote, to both of its streams.
    pub text: String,
    /// The same, to look for events in.
    pub log: Log,
    /// OSC messages that it sent and the test has not received.
    pub messages: Vec<Message>,
    /// Where it ran; its files are still there.
    pub stage: Arc<TestShow>,
}

impl Running {
    pub(crate) fn start(mut command: Command, stage: Arc<TestShow>, peer: Arc<Peer>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A copy of the program is busy while any process has it open for writing, for instance a
        // child of another test.
        let mut child = wait_for("a program that can be started", || match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => None,
            outcome => Some(outcome.expect("the program under test can be started")),
        });
        let log = Log::default();
        child.stdout.take().into_iter().for_each(|stream| log.follow(stream));
        child.stderr.take().into_iter().for_each(|stream| log.follow(stream));
        Self { child, status: None, log, peer, stage }
    }

    /// What it has written so far.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Waits for an event of the log, or for a line that contains all parts.
    #[track_caller]
    pub fn wait_for<Q: Query>(&self, query: Q) -> Q::Found {
        self.log.wait_for(query)
    }

    /// Where it runs.
    #[must_use]
    pub fn stage(&self) -> &TestShow {
        &self.stage
    }

    /// The same show once more, after the supervisor was killed: same files, same addresses.
    ///
    /// # Panics
    ///
    /// When the supervisor is still there, or the show does not come up.
    #[must_use]
    pub fn run_again(self) -> Self {
        let again = self.start_again(&[], &[]);
        again.wait_for(Event::named("show_running"));
        again
    }

    /// The same show once more with these arguments and variables, after the supervisor was killed;
    /// does not wait for anything.
    ///
    /// # Panics
    ///
    /// When the supervisor is still there.
    #[must_use]
    pub fn start_again(self, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        assert!(self.status.is_some(), "the show still runs");
        // The same socket: a process that another test starts may hold a copy of a closed one for a
        // moment.
        let (stage, peer) = (Arc::clone(&self.stage), Arc::clone(&self.peer));
        drop(self);
        peer.skip();
        let mut command = stage.show_command();
        command.args(arguments).envs(variables.iter().copied());
        Self::start(command, stage, peer)
    }

    /// The far end of its OSC instance.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// One more peer of the show, at another address.
    #[must_use]
    pub fn another_peer(&self) -> Peer {
        let show = self.stage.bind();
        Peer::new(SocketAddr::new(show.ip(), 0), show)
    }

    /// Sends an OSC message to the show.
    pub fn send(&self, path: &str, arguments: &[Argument]) {
        self.peer.send(path, arguments);
    }

    /// Waits for an OSC message of the show.
    #[track_caller]
    pub fn expect(&self, path: &str, arguments: &[Argument]) {
        self.peer.expect(path, arguments);
    }

    /// The supervisor's process.
    ///
    /// # Panics
    ///
    /// When it is gone.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::of(self.pid()).expect("the supervisor is alive")
    }

    /// The process of an instance that is ready: that of its latest worker.
    ///
    /// # Panics
    ///
    /// When it is not ready in time, or its process is gone.
    #[must_use]
    pub fn worker(&self, instance: &str) -> Process {
        // A client may learn of a worker before its event is in the log. The last event then names
        // a worker that is gone.
        wait_for("the process of a worker that is ready", || {
            let latest = self.log.last(Event::named("worker_ready").instance(instance))?;
            Process::of(latest.field("pid").as_i64()?.try_into().ok()?)
        })
    }

    /// The process that is the parent of all workers.
    ///
    /// # Panics
    ///
    /// When there is none in time.
    #[must_use]
    pub fn reaper(&self) -> Process {
        let parent = self.pid();
        wait_for("a reaper", || {
            let processes = tagged(self.stage.tag()).into_iter();
            processes.filter(|process| process.name() == "mm-reaper").find(|process| {
                // one that was left behind by a supervisor that is gone has another parent
                process.family().is_some_and(|family| family.0 == parent)
            })
        })
    }

    /// Sends the supervisor a signal.
    pub fn signal(&self, signal: Signal) {
        self.process().signal(signal);
    }

    /// Stops the show as a user does and makes sure that it was a clean end.
    ///
    /// # Panics
    ///
    /// When it was not.
    pub fn stop(self) -> Ended {
        self.signal(Signal::SIGTERM);
        let ended = self.wait_for_end();
        assert!(ended.status.success(), "the show ended with {}:\n{}", ended.status, ended.text);
        ended
    }

    /// Waits until the supervisor has ended by itself.
    ///
    /// # Panics
    ///
    /// When it does not, or leaves a process behind.
    #[must_use]
    pub fn wait_for_end(mut self) -> Ended {
        let child = &mut self.child;
        let status = wait_for("the end of the supervisor", || child.try_wait().ok().flatten());
        self.status = Some(status);
        self.assert_nothing_is_left();
        self.log.wait_for_end();
        // A message that was sent before the end is there by now.
        let messages = std::iter::from_fn(|| self.peer.receive_within(Duration::ZERO)).collect();
        Ended {
            status,
            text: self.log.text(),
            log: self.log.clone(),
            messages,
            stage: Arc::clone(&self.stage),
        }
    }

    /// Stops the show as a user does, to [`Self::run_again`].
    ///
    /// # Panics
    ///
    /// When it was not a clean end.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGTERM);
        let child = &mut self.child;
        let status = wait_for("the end of the supervisor", || child.try_wait().ok().flatten());
        self.status = Some(status);
        assert!(status.success(), "the show ended with {status}:\n{}", self.log.text());
    }

    /// Kills the supervisor with SIGKILL, and returns the processes that it leaves.
    ///
    /// # Panics
    ///
    /// When it is gone already.
    pub fn kill(&mut self) -> Vec<Process> {
        self.child.kill().expect("the supervisor is alive");
        let status = self.child.wait().expect("a child of our own");
        self.status = Some(status);
        tagged(self.stage.tag())
    }

    /// Waits until all processes of this stage are gone.
    ///
    /// # Panics
    ///
    /// When they are not in time.
    pub fn assert_nothing_is_left(&self) {
        wait_within("the end of all processes of the show", GONE_WITHIN.max(PATIENCE / 6), || {
            tagged(self.stage.tag()).is_empty().then_some(())
        });
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("the number of a process")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            // Killed, not stopped: nothing may be left behind even so.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("the log of the show was:\n{}", self.log.text());
            for process in tagged(self.stage.tag()) {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
        } else {
            self.assert_nothing_is_left();
        }
    }
}

impl Ended {
    /// The exit status; a signal is 128 and its number.
    ///
    /// # Panics
    ///
    /// Never, for a process that has ended.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().or_else(|| self.status.signal().map(|signal| 128 + signal)).expect("one of both")
    }

    /// Makes sure that it ended with this status and wrote all of these texts.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn assert(&self, code: i32, said: &[&str]) -> &Self {
        assert_eq!(self.code(), code, "status of a program that said:\n{}", self.text);
        for text in said {
            assert!(self.text.contains(text), "no `{text}` in:\n{}", self.text);
        }
        self
    }
}
