//! The control socket of a running show: its verbs as a user types them, and one connection for
//! many requests.

use crate::running::Running;
use crate::wait::{PATIENCE, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

/// What a verb printed, and its exit status.
#[derive(Debug)]
pub struct Said {
    /// The exit status; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Makes sure that it ended with this status and printed all of this, to either stream.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    pub fn assert(&self, code: i32, said: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for text in said {
            assert!(self.out.contains(text) || self.err.contains(text), "no `{text}` in {self:?}");
        }
        self
    }
}

/// A connection to a running show.
pub struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    /// Connects to the show's socket.
    ///
    /// # Panics
    ///
    /// When the connection is refused.
    #[must_use]
    pub fn connect(show: &Running) -> Self {
        let stream = UnixStream::connect(socket(show)).expect("a running show listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request, without its answer.
    ///
    /// # Panics
    ///
    /// When the show has closed the connection.
    pub fn send(&mut self, request: &Value) {
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).expect("the show listens");
    }

    /// The next answer.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    pub fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer in time");
        serde_json::from_str(&line).expect("an answer is JSON")
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        self.receive()
    }

    /// Acts on one instance and waits for the outcome.
    pub fn act(&mut self, verb: &str, instance: &str) -> Value {
        self.ask(&json!({ "verb": verb, "instances": [instance] }))["done"][0].clone()
    }

    /// The status of all instances.
    pub fn status(&mut self) -> Vec<Value> {
        let status = self.ask(&json!({ "verb": "status" }));
        status["status"]["instances"].as_array().cloned().unwrap_or_default()
    }

    /// The status of one instance.
    ///
    /// # Panics
    ///
    /// When the show has none of that name.
    pub fn standing(&mut self, instance: &str) -> Value {
        let found = self.status().into_iter().find(|status| status["name"] == instance);
        found.expect("an instance of the show")
    }

    /// Waits until the status of an instance is as wanted, and returns it.
    pub fn wait_for(&mut self, what: &str, instance: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || Some(self.standing(instance)).filter(&is))
    }

    /// Waits until an instance is in this state.
    pub fn wait_for_state(&mut self, instance: &str, state: &str) -> Value {
        self.wait_for(&format!("`{instance}` to be {state}"), instance, |status| status["state"] == state)
    }
}

/// Where the show listens for its users.
#[must_use]
pub fn socket(show: &Running) -> PathBuf {
    show.stage().directory().join("runtime/mm-supervisor/show.sock")
}

impl Running {
    /// Runs the program with these arguments beside the show, to its end.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Said {
        let output = self.stage().command(arguments).stdin(Stdio::null()).output();
        let output = output.expect("the program under test can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// A connection to the control socket.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::connect(self)
    }
}
