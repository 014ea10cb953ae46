//! The server with real sockets and a loop that stands in for the show's.

use super::monitors::Watchers;
use super::name_index::Names;
use super::name_index::tests::names;
use super::protocol::{Direction, ErrorReply, Outcome, Reply, Status};
use super::request::{Act, Ask, Asked};
use super::server::{Limits, Server};
use crate::ids::InstanceId;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Whatever a test waits for comes long before this, or never.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a test tells the loop to do.
enum Order {
    Asked(Asked),
    /// Let this many events pass.
    Pass(u64),
    End,
}

/// A running show as far as clients can tell.
struct Show {
    server: Option<Server>,
    path: PathBuf,
    orders: Sender<Order>,
    seen: Receiver<Ask>,
    event_loop: Option<JoinHandle<()>>,
}

impl Show {
    fn start() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mm-server-{}-{number}/show.sock", std::process::id()));
        let (orders, taken) = channel();
        let (tell, seen) = channel();
        let event_loop = std::thread::spawn(move || event_loop(&taken, &tell));
        let asks = orders.clone();
        let leave = move |asked| asks.send(Order::Asked(asked)).is_ok();
        let server = Server::start_with(&path, limits, leave).unwrap();
        Self { server: Some(server), path, orders, seen, event_loop: Some(event_loop) }
    }

    fn client(&self) -> Client {
        Client::new(UnixStream::connect(&self.path).unwrap())
    }

    /// What reaches the loop next.
    fn seen(&self) -> Ask {
        self.seen.recv_timeout(DEADLINE).expect("an ask for the loop")
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.server = None;
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.event_loop.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_dir_all(self.path.parent().unwrap());
    }
}

fn event_loop(orders: &Receiver<Order>, tell: &Sender<Ask>) {
    let names = names("[loopback a]\n[loopback b]\n[map]\na.x > b.y\n");
    let (mut watchers, mut unanswered) = (Watchers::default(), Vec::new());
    for order in orders {
        match order {
            Order::Asked(asked) => {
                let _ = tell.send(asked.ask.clone());
                unanswered.extend(answer(asked, &mut watchers, &names));
            }
            Order::Pass(count) => {
                for number in 0..count {
                    let value = number as f64 / count as f64;
                    watchers.pass(&names, InstanceId(0), 0, Direction::Out, value);
                }
                watchers.wake();
            }
            Order::End => return,
        }
    }
}

/// Answers, or hands back what is never answered: an act on the instance `never`.
fn answer(asked: Asked, watchers: &mut Watchers, names: &Names) -> Option<Asked> {
    let Asked { ask, answer } = &asked;
    match ask {
        Ask::Status => answer.status(Status { show: "s".into(), ..Status::default() }),
        Ask::Send { channel, .. } if channel == "big" => answer.refuse(ErrorReply::new("x".repeat(8 << 20))),
        Ask::Send { .. } => answer.sent(),
        Ask::Act { instances, .. } if instances == &["never"] => return Some(asked),
        Ask::Act { instances, .. } => answer.done(vec![outcome(&instances[0])]),
        Ask::Monitor { .. } => {
            let Asked { ask: Ask::Monitor { pattern }, answer } = asked else { return None };
            watchers.add(pattern.as_deref(), names, answer);
            return None;
        }
    };
    None
}

fn outcome(instance: &str) -> Outcome {
    Outcome { instance: instance.into(), ok: true, message: "running".into(), traceback: None }
}

struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    fn write(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn reply(&mut self) -> Option<Reply> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no reply: {error}"),
        }
    }

    fn ask(&mut self, text: &str) -> Reply {
        self.write(text);
        self.write("\n");
        self.reply().expect("a reply")
    }

    fn refused(&mut self) -> String {
        match self.reply() {
            Some(Reply::Refused(refusal)) => refusal.message,
            other => panic!("not refused: {other:?}"),
        }
    }
}

const STATUS: &str = r#"{"verb":"status"}"#;

fn is_served(show: &Show) -> bool {
    matches!(show.client().ask(STATUS), Reply::Status(_))
}

#[test]
fn requests_are_answered_in_their_order() {
    let show = Show::start();
    let mut client = show.client();
    client.write(concat!(
        r#"{"verb":"send","channel":"a.x","value":0.5}"#,
        "\n",
        r#"{"verb":"status"}"#,
        "\r\n\n",
        r#"{"verb":"restart","instances":["a"]}"#,
        "\n"
    ));
    assert_eq!(client.reply(), Some(Reply::Sent {}));
    assert!(matches!(client.reply(), Some(Reply::Status(_))));
    assert_eq!(client.reply(), Some(Reply::Done(vec![outcome("a")])));
    assert_eq!(show.seen(), Ask::Send { instance: "a".into(), channel: "x".into(), value: 0.5 });
    assert_eq!(show.seen(), Ask::Status);
    assert_eq!(show.seen(), Ask::Act { act: Act::Restart, instances: vec!["a".into()] });
}

#[test]
fn garbage_is_refused_and_the_client_stays() {
    let show = Show::start();
    let mut client = show.client();
    client.reader.get_mut().write_all(b"\xff\x00{{{\n\"\n").unwrap();
    assert!(client.refused().starts_with("not a request: "));
    assert!(client.refused().starts_with("not a request: "));
    assert!(matches!(client.ask(STATUS), Reply::Status(_)));
}

#[test]
fn half_a_line_waits_for_its_other_half_and_holds_up_nobody() {
    let show = Show::start();
    let mut client = show.client();
    client.write(r#"{"verb":"#);
    assert!(is_served(&show));
    client.write("\"status\"}\n");
    assert!(matches!(client.reply(), Some(Reply::Status(_))));
}

#[test]
fn ten_megabytes_without_a_line_end_are_refused_and_the_client_gets_to_read_it() {
    let show = Show::start();
    let mut client = show.client();
    for _ in 0..10 {
        client.write(&"x".repeat(1 << 20));
    }
    assert!(is_served(&show));
    assert_eq!(client.refused(), "a request has at most 65536 bytes in one line");
    client.reader.get_mut().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.reply(), None);
}

#[test]
fn a_client_that_never_ends_its_line_is_parted_with() {
    let show = Show::with(Limits { patience: Duration::from_millis(50), ..Limits::default() });
    let mut client = show.client();
    client.write(&"x".repeat(100_000));
    assert!(client.refused().starts_with("a request has at most"));
    assert_eq!(client.reply(), None);
}

#[test]
fn no_more_than_the_most_clients_are_let_in_until_one_goes() {
    let show = Show::with(Limits { clients: 8, ..Limits::default() });
    let mut clients: Vec<Client> = (0..8).map(|_| show.client()).collect();
    for client in &mut clients {
        assert!(matches!(client.ask(STATUS), Reply::Status(_)));
    }
    assert_eq!(show.client().refused(), "8 clients are connected already, no more are let in");
    drop(clients.pop());
    // it is let go of as soon as the server sees it, which no reply tells
    let served = (0..1000).any(|_| {
        let mut client = show.client();
        // a refusal may have closed the connection before
        let _ = client.reader.get_mut().write_all(format!("{STATUS}\n").as_bytes());
        matches!(client.reply(), Some(Reply::Status(_)))
    });
    assert!(served);
    assert!(clients.iter_mut().all(|client| matches!(client.ask(STATUS), Reply::Status(_))));
}

#[test]
fn many_clients_at_once_all_get_their_own_answers() {
    let show = Show::start();
    std::thread::scope(|scope| {
        for number in 0..32 {
            let show = &show.path;
            scope.spawn(move || {
                let mut client = Client::new(UnixStream::connect(show).unwrap());
                for round in 0..20 {
                    let name = format!("i{number}-{round}");
                    let text = format!(r#"{{"verb":"stop","instances":["{name}"]}}"#);
                    assert_eq!(client.ask(&text), Reply::Done(vec![outcome(&name)]));
                }
            });
        }
    });
}

#[test]
fn a_client_that_waits_for_its_answer_holds_up_nobody() {
    let show = Show::start();
    let mut waiting = show.client();
    waiting.write("{\"verb\":\"stop\",\"instances\":[\"never\"]}\n");
    show.seen();
    assert!(is_served(&show));
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_and_loses_its_connection() {
    let show = Show::with(Limits { patience: Duration::from_millis(50), ..Limits::default() });
    let mut client = show.client();
    client.write("{\"verb\":\"send\",\"channel\":\"a.big\",\"value\":1}\n");
    show.seen();
    assert!(is_served(&show));
    // the server's end is closed once the rest of the answer has found no room for too long
    let mut watched = [nix::poll::PollFd::new(
        std::os::fd::AsFd::as_fd(client.reader.get_ref()),
        nix::poll::PollFlags::empty(),
    )];
    let limit = nix::poll::PollTimeout::try_from(DEADLINE).unwrap();
    assert_eq!(nix::poll::poll(&mut watched, limit), Ok(1));
    let mut rest = Vec::new();
    let _ = client.reader.read_to_end(&mut rest);
    assert!(rest.len() < 8 << 20, "{}", rest.len());
}

#[test]
fn a_request_before_the_end_of_the_input_is_answered() {
    let show = Show::start();
    let mut client = show.client();
    client.write(&format!("{STATUS}\n{STATUS}"));
    client.reader.get_mut().shutdown(Shutdown::Write).unwrap();
    assert!(matches!(client.reply(), Some(Reply::Status(_))));
    assert!(matches!(client.reply(), Some(Reply::Status(_))));
    assert_eq!(client.reply(), None);
}

#[test]
fn what_a_client_sent_before_it_went_away_is_done() {
    let show = Show::start();
    let mut client = show.client();
    for value in ["0.25", "0.5", "0.75"] {
        client.write(&format!("{{\"verb\":\"send\",\"channel\":\"a.x\",\"value\":{value}}}\n"));
    }
    drop(client);
    for wanted in [0.25, 0.5, 0.75] {
        assert!(matches!(show.seen(), Ask::Send { value, .. } if value == wanted));
    }
}

#[test]
fn events_are_shown_as_they_pass() {
    let show = Show::start();
    let mut client = show.client();
    assert_eq!(client.ask(r#"{"verb":"monitor","pattern":"a.?"}"#), Reply::Monitoring {});
    show.orders.send(Order::Pass(2)).unwrap();
    for wanted in [0.0, 0.5] {
        let Some(Reply::Event(event)) = client.reply() else { panic!("no event") };
        assert_eq!((event.instance.as_str(), event.channel.as_str(), event.value), ("a", "x", wanted));
    }
}

#[test]
fn a_pattern_that_can_match_nothing_is_refused_and_the_client_stays() {
    let show = Show::start();
    let mut client = show.client();
    assert!(matches!(client.ask(r#"{"verb":"monitor","pattern":"c.x"}"#), Reply::Refused(_)));
    assert!(matches!(client.ask(STATUS), Reply::Status(_)));
}

#[test]
fn a_monitor_that_does_not_read_loses_events_that_are_counted_and_stays() {
    const EVENTS: u64 = 100_000;
    let show = Show::with(Limits { patience: Duration::from_millis(50), ..Limits::default() });
    let mut client = show.client();
    assert_eq!(client.ask(r#"{"verb":"monitor"}"#), Reply::Monitoring {});
    show.orders.send(Order::Pass(EVENTS)).unwrap();
    // the loop gets to this only when it has passed them all
    assert!(is_served(&show));
    let (mut shown, mut dropped) = (0, 0);
    while shown + dropped < EVENTS {
        match client.reply() {
            Some(Reply::Event(_)) => shown += 1,
            Some(Reply::Dropped(count)) => dropped += count,
            other => panic!("{other:?} after {shown} events and {dropped} dropped"),
        }
    }
    assert_eq!(shown + dropped, EVENTS);
    assert!(dropped > 0);
    show.orders.send(Order::Pass(1)).unwrap();
    assert!(matches!(client.reply(), Some(Reply::Event(_))));
}

#[test]
fn the_end_of_the_show_is_told_to_who_waits_and_the_socket_goes_with_it() {
    let mut show = Show::start();
    let mut client = show.client();
    client.write("{\"verb\":\"stop\",\"instances\":[\"never\"]}\n");
    show.seen();
    show.orders.send(Order::End).unwrap();
    show.event_loop.take().unwrap().join().unwrap();
    assert_eq!(client.refused(), "the show is ending");
    assert_eq!(
        client.ask(STATUS),
        Reply::Refused(ErrorReply::new("the show is ending")),
        "the loop does not listen any more"
    );
    show.server = None;
    assert_eq!(client.reply(), None);
    assert!(!show.path.exists());
}

#[test]
fn a_loop_that_no_longer_takes_anything_does_not_keep_the_server_from_ending() {
    let path = std::env::temp_dir().join(format!("mm-server-{}-stuck.sock", std::process::id()));
    let (asks, never_taken) = std::sync::mpsc::sync_channel(0);
    let server = Server::start(&path, move |asked| asks.send(asked).is_ok()).unwrap();
    Client::new(UnixStream::connect(&path).unwrap()).write("{\"verb\":\"status\"}\n");
    drop(server);
    assert!(!path.exists());
    drop(never_taken);
}

#[test]
fn another_user_is_refused_even_where_the_socket_lets_them_through() {
    if !nix::unistd::Uid::effective().is_root() {
        // only root can become somebody else; the decision itself has a test of its own
        return;
    }
    let show = Show::start();
    let directory = show.path.parent().unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&show.path, fs::Permissions::from_mode(0o666)).unwrap();
    let path = show.path.clone();
    let stranger = std::thread::spawn(move || {
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
        Client::new(UnixStream::connect(path).unwrap())
    });
    let mut client = stranger.join().unwrap();
    assert_eq!(client.refused(), "this show belongs to user 0, you are user 65534");
    assert_eq!(client.reply(), None);
    assert!(is_served(&show));
}
