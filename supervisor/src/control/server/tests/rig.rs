//! What the tests of the server share: real sockets, and a loop that stands in for the show's.

use crate::control::clients::ClientLimits;
use crate::control::monitors::Monitors;
use crate::control::name_index::NameIndex;
use crate::control::name_index::tests::names;
use crate::control::protocol::{ControlReply, ErrorReply, EventDirection, Outcome, ShowStatus};
use crate::control::request::{LoopRequest, RequestBody};
use crate::control::server::ControlServer;
use crate::ids::InstanceId;
use mm_shared::ChannelId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// Whatever a test waits for comes long before this, or never.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// What a test tells the loop to do.
pub(super) enum Order {
    Handle(LoopRequest),
    /// Let this many events pass.
    Pass(u64),
    End,
}

/// A running show as far as clients can tell.
pub(super) struct Show {
    pub(super) server: Option<ControlServer>,
    pub(super) directory: TempDir,
    pub(super) orders: Sender<Order>,
    seen: Receiver<RequestBody>,
    pub(super) event_loop: Option<JoinHandle<()>>,
}

impl Show {
    pub(super) fn start() -> Self {
        Self::with(ClientLimits::default())
    }

    pub(super) fn with(limits: ClientLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (orders, taken) = channel();
        let (tell, seen) = channel();
        let event_loop = std::thread::spawn(move || event_loop(&taken, &tell));
        let requests = orders.clone();
        let submit = move |request| requests.send(Order::Handle(request)).is_ok();
        let server =
            ControlServer::start(&directory.path().join("show.sock"), limits, Arc::default(), submit)
                .unwrap();
        Self { server: Some(server), directory, orders, seen, event_loop: Some(event_loop) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("show.sock")
    }

    pub(super) fn client(&self) -> Client {
        Client::new(UnixStream::connect(self.path()).unwrap())
    }

    /// What reaches the loop next.
    pub(super) fn seen(&self) -> RequestBody {
        self.seen.recv_timeout(DEADLINE).expect("a request for the loop")
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.server = None;
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.event_loop.take() {
            let _ = thread.join();
        }
    }
}

fn event_loop(orders: &Receiver<Order>, tell: &Sender<RequestBody>) {
    let names = Arc::new(names("[loopback a]\n[loopback b]\n[map]\na.x > b.y\n"));
    let (mut monitors, mut unanswered) = (Monitors::default(), Vec::new());
    for order in orders {
        match order {
            Order::Handle(request) => {
                let _ = tell.send(request.body.clone());
                unanswered.extend(answer(request, &mut monitors, &names));
            }
            Order::Pass(count) => {
                for number in 0..count {
                    let value = number as f64 / count as f64;
                    monitors.record(&names, InstanceId(0), ChannelId(0), EventDirection::Out, value);
                }
                monitors.flush(&names);
            }
            Order::End => return,
        }
    }
}

/// Answers, or hands back what is never answered: a command to the instance `never`.
fn answer(request: LoopRequest, monitors: &mut Monitors, names: &NameIndex) -> Option<LoopRequest> {
    if matches!(&request.body, RequestBody::Command { names, .. } if names.instances == ["never"]) {
        return Some(request);
    }
    let LoopRequest { body, responder } = request;
    match body {
        RequestBody::Status { .. } => {
            responder.status(ShowStatus { show: "s".into(), ..ShowStatus::default() })
        }
        RequestBody::Get { .. } => responder.result(Ok(ControlReply::Values(Vec::new()))),
        RequestBody::Send { channel, .. } if channel == "big" => {
            responder.refuse(ErrorReply::new("x".repeat(8 << 20)))
        }
        RequestBody::Send { .. } => responder.sent(1),
        RequestBody::Quit => responder.ended(None),
        RequestBody::Command { names, .. } => responder.done(vec![outcome(&names.instances[0])]),
        RequestBody::Monitor { pattern } => {
            monitors.add(pattern.as_deref(), names, responder);
            return None;
        }
    };
    None
}

pub(super) fn outcome(instance: &str) -> Outcome {
    Outcome { instance: instance.into(), ok: true, message: "running".into(), traceback: None }
}

pub(super) struct Client {
    pub(super) reader: BufReader<UnixStream>,
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(super) fn write(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(super) fn reply(&mut self) -> Option<ControlReply> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no reply: {error}"),
        }
    }

    pub(super) fn ask(&mut self, text: &str) -> ControlReply {
        self.write(text);
        self.write("\n");
        self.reply().expect("a reply")
    }

    pub(super) fn refused(&mut self) -> String {
        match self.reply() {
            Some(ControlReply::Refused(refusal)) => refusal.message,
            other => panic!("not refused: {other:?}"),
        }
    }
}

pub(super) const STATUS: &str = r#"{"verb":"status"}"#;

pub(super) fn is_served(show: &Show) -> bool {
    matches!(show.client().ask(STATUS), ControlReply::Status(_))
}

/// Waits until the server has closed its end; reads nothing.
pub(super) fn wait_for_hangup(client: &Client) {
    let stream = client.reader.get_ref();
    let mut watched = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    assert_eq!(poll(&mut watched, PollTimeout::try_from(DEADLINE).unwrap()), Ok(1));
}
