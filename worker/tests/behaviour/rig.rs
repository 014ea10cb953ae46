//! A supervisor's end of one worker, for tests: writes the script, starts the binary, talks to it.
//!
//! Everything that waits has a deadline, and says what it waited for when that has passed.

use mm_shared::control::{
    BitSet, Boot, ChannelBoot, Failure, FromWorker, ImportMode, Module, NameAllowance, ToWorker,
};
use mm_shared::control_link::{FromWorkerReceiver, ToWorkerConnector, ToWorkerSender};
use mm_shared::{ChannelId, Event, RingSizes, SupervisorEnd, frame};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A show with one instance.
pub struct Script {
    pub directory: tempfile::TempDir,
    pub boot: Boot,
    pub ring_sizes: RingSizes,
    pub venv: Option<PathBuf>,
}

impl Script {
    /// An instance with the module `h`, and these channels, all of them mapped.
    pub fn new(code: &str, channels: &[&str]) -> Script {
        let script = Script::empty(channels).module("h");
        script.write("h.py", code);
        script
    }

    /// An instance without modules.
    pub fn empty(channels: &[&str]) -> Script {
        let directory = tempfile::tempdir().expect("a directory");
        let boot = Boot {
            instance: "py".into(),
            directory: directory.path().to_owned(),
            modules: Vec::new(),
            default_handler: None,
            channels: channels.iter().map(|name| value(name, 0.0, 0.0)).collect(),
            mapped: channels.len() as u32,
            targets: targets(channels.len() as u32),
            allowance: NameAllowance::default(),
            import: ImportMode::Alone,
        };
        Script { directory, boot, ring_sizes: RingSizes::default(), venv: None }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file into the show's directory.
    pub fn write(&self, name: &str, code: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, code).expect("a file");
    }

    /// Adds a `module` option.
    pub fn module(mut self, text: &str) -> Script {
        let directory = self.path().to_owned();
        self.boot.modules.push(Module { text: text.into(), directory });
        self
    }

    pub fn default_handler(mut self, name: &str) -> Script {
        self.boot.default_handler = Some(name.into());
        self
    }

    pub fn slots(mut self, down_slots: u32, up_slots: u32) -> Script {
        self.ring_sizes = RingSizes { down_slots, up_slots };
        self
    }

    /// Starts the worker and sends the boot message.
    pub fn start(self) -> Worker {
        let worker = Worker::spawn(self);
        worker.boot();
        worker
    }

    /// Starts the worker and does not tell it what it is.
    pub fn spare(self) -> Worker {
        Worker::spawn(self)
    }

    /// Starts the worker and lets it serve.
    pub fn serve(self) -> Worker {
        let mut worker = self.start();
        worker.ready();
        worker.say(ToWorker::Serve(Vec::new()));
        worker
    }

    /// Starts the worker, whose import fails.
    pub fn fail(self) -> (Failure, Worker) {
        let mut worker = self.start();
        loop {
            match worker.message() {
                FromWorker::Failed(failure) => return (failure, worker),
                FromWorker::Ready { .. } => panic!("the import should fail"),
                _ => {}
            }
        }
    }
}

/// All of so many channels.
fn targets(count: u32) -> BitSet {
    let mut targets = BitSet::default();
    (0..count).for_each(|number| targets.insert(number));
    targets
}

pub fn value(name: &str, input: f64, output: f64) -> ChannelBoot {
    ChannelBoot { name: name.into(), input, output }
}

/// A running worker. It is killed when the test is over.
pub struct Worker {
    pub script: Script,
    pub child: Child,
    /// Its first message.
    pub hello: FromWorker,
    pub end: SupervisorEnd,
    /// Names by number, those that the script added included.
    pub names: Vec<String>,
    /// Taken away when the supervisor is to be gone.
    pub sender: Option<RefCell<ToWorkerSender>>,
    /// Warnings that came while something else was waited for.
    pub warnings: Vec<String>,
    messages: Receiver<FromWorker>,
    lines: Receiver<String>,
    stderr: Receiver<String>,
}

impl Worker {
    fn spawn(script: Script) -> Worker {
        let (end, control, fds) = mm_shared::create(script.ring_sizes).expect("segments");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mm-worker"));
        command.args(["--parent", &std::process::id().to_string(), "--directory"]).arg(script.path());
        command.args(["--fds", &fds.raw().to_string(), "--ring-sizes", &script.ring_sizes.to_string()]);
        if let Some(venv) = &script.venv {
            command.arg("--venv").arg(venv);
        }
        fds.pass_to(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the worker");
        let (lines, stderr) = (lines(child.stdout.take()), lines(child.stderr.take()));
        let messages = messages(control);
        let hello = messages.recv_timeout(PATIENCE).expect("the worker says hello");
        let FromWorker::Hello { address, .. } = &hello else { panic!("no hello, but {hello:?}") };
        let connector = ToWorkerConnector::new(&std::env::temp_dir()).expect("writable");
        let sender = connector.connect(address).expect("the worker listens");
        let names = script.boot.channels.iter().map(|channel| channel.name.clone()).collect();
        let (sender, warnings) = (Some(RefCell::new(sender)), Vec::new());
        Worker { script, child, hello, end, names, sender, warnings, messages, lines, stderr }
    }

    pub fn boot(&self) {
        let bytes = frame::encode(frame::BOOT, &self.script.boot).expect("a frame");
        self.say(ToWorker::Boot(bytes));
    }

    pub fn say(&self, message: ToWorker) {
        let mut sender = self.sender.as_ref().expect("connected").borrow_mut();
        sender.send(&message).expect("the worker listens");
    }

    /// The next message. Names that the script added are noted on the way.
    pub fn message(&mut self) -> FromWorker {
        let message = self
            .messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no message; {}", self.post_mortem()));
        match &message {
            FromWorker::Channel { number, name } => {
                assert_eq!(*number as usize, self.names.len(), "numbers go on without a gap");
                self.names.push(name.clone());
            }
            FromWorker::Warning(text) | FromWorker::HandlerWarning { text, .. } => {
                self.warnings.push(text.clone());
            }
            _ => {}
        }
        message
    }

    /// Waits until the modules are imported.
    pub fn ready(&mut self) {
        loop {
            match self.message() {
                FromWorker::Ready { .. } => return,
                FromWorker::Failed(failure) => panic!("import failed: {}", failure.traceback),
                _ => {}
            }
        }
    }

    /// Waits for an error of the script: place and traceback.
    pub fn error(&mut self) -> (String, String) {
        loop {
            if let FromWorker::Error { place, traceback, .. } = self.message() {
                return (place, traceback);
            }
        }
    }

    /// Waits for a warning.
    pub fn warning(&mut self) -> String {
        loop {
            if let FromWorker::Warning(text) | FromWorker::HandlerWarning { text, .. } = self.message() {
                return text;
            }
        }
    }

    /// Puts an event in.
    pub fn send(&mut self, name: &str, value: f64) {
        let channel = self.channel(name);
        let deadline = Instant::now() + PATIENCE;
        while self.end.down.push(Event { channel, value }).is_err() {
            assert!(Instant::now() < deadline, "the worker takes nothing; {}", self.post_mortem());
            self.end.down.reclaim().expect("a correct worker");
            thread::yield_now();
        }
        self.publish();
    }

    fn channel(&self, name: &str) -> ChannelId {
        let number = self.names.iter().position(|known| known == name).expect("a channel");
        ChannelId(number as u32)
    }

    fn publish(&mut self) {
        if self.end.down.publish() {
            self.end.bell_to_worker.ring();
        }
    }

    /// The next event that comes out: the channel's number and the value.
    pub fn event(&mut self) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.try_event() {
                return event;
            }
            assert!(Instant::now() < deadline, "no output; {}", self.post_mortem());
            if self.end.up.prepare_sleep() {
                let mut fds = [PollFd::new(self.end.bell_from_worker.as_fd(), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::from(100u16)).expect("poll");
                self.end.bell_from_worker.clear();
            }
            self.end.up.wake();
        }
    }

    /// Naps, hands over these values at once, and returns how many events are there when the worker
    /// rings.
    pub fn outputs_when_rung(&mut self, name: &str, values: &[f64]) -> usize {
        assert!(self.end.up.prepare_nap(), "nothing is under way");
        let channel = self.channel(name);
        for value in values {
            self.end.down.push(Event { channel, value: *value }).expect("space");
        }
        self.publish();
        let mut fds = [PollFd::new(self.end.bell_from_worker.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(PATIENCE).expect("a time");
        assert_eq!(poll(&mut fds, patience), Ok(1), "the worker does not ring; {}", self.post_mortem());
        self.end.bell_from_worker.clear();
        self.end.up.wake();
        std::iter::from_fn(|| self.try_event()).count()
    }

    pub fn try_event(&mut self) -> Option<Event> {
        let event = self.end.up.pop().expect("a correct worker");
        if self.end.up.wants_space() {
            self.end.space.ring();
        }
        event
    }

    /// The next event that comes out: name and value.
    pub fn output(&mut self) -> (String, f64) {
        let event = self.event();
        let deadline = Instant::now() + PATIENCE;
        // the name may be on its way, on the control channel
        while event.channel.index() >= self.names.len() {
            assert!(Instant::now() < deadline, "channel {} has no name", event.channel);
            self.message();
        }
        (self.names[event.channel.index()].clone(), event.value)
    }

    /// The next line that the script prints.
    pub fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line; {}", self.post_mortem()))
    }

    /// Waits for a line on standard error that holds a text; returns all lines up to it.
    pub fn stderr_until(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let line = self.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no `{text}` in: {all}"));
            all = all + &line + "\n";
            if line.contains(text) {
                return all;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the worker is there");
    }

    /// Waits for a condition of the worker's that nothing announces.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Worker) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "waited for: {what}; {}", self.post_mortem());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks it to stop, in good order, and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.say(ToWorker::Stop);
        self.exit()
    }

    /// Waits for its end.
    pub fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the worker does not end; {}", self.post_mortem());
            while self.try_event().is_some() {}
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn post_mortem(&mut self) -> String {
        let status = self.child.try_wait();
        let stderr: Vec<String> = self.stderr.try_iter().collect();
        let messages: Vec<FromWorker> = self.messages.try_iter().collect();
        format!(
            "status {status:?}, stderr {stderr:?}, messages {messages:?}, doing {:?}",
            self.end.progress.activity()
        )
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let stream = stream.expect("a pipe");
    let (to, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Receives all that the worker sends, however long a test does not look.
fn messages(mut control: FromWorkerReceiver) -> Receiver<FromWorker> {
    let (to, messages) = mpsc::channel();
    thread::spawn(move || {
        loop {
            let mut fds = [PollFd::new(control.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, PollTimeout::NONE);
            while let Some(received) = control.try_recv(&mut usize::MAX.clone()).transpose() {
                let Ok(message) = received else { return };
                if to.send(message).is_err() {
                    return;
                }
            }
        }
    });
    messages
}
