//! `manage`.

use crate::rig::Script;
use mm_shared::Activity;
use std::net::UdpSocket;

/// A script with a socket `s`; it prints its port.
const SOCKET: &str = "
import midimonster as m, socket, os
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 0))
print(s.getsockname()[1])
def read(sock):
    print('read', sock is s, sock.recv(100).decode())
def other(sock):
    print('other', sock.recv(100).decode())
";

fn serve(code: &str) -> (crate::rig::Worker, impl Fn(&str)) {
    let mut worker = Script::new(&format!("{SOCKET}{code}"), &["h.f", "h.g"]).serve();
    let port: u16 = worker.line().parse().expect("a port");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let send = move |text: &str| {
        socket.send_to(text.as_bytes(), ("127.0.0.1", port)).expect("sent");
    };
    (worker, send)
}

#[test]
fn a_readable_socket_is_handed_to_its_callable_until_that_is_replaced_or_ended() {
    let (mut worker, send) = serve(
        "
m.manage(read, s)
def f(v):
    m.manage(other, s)
    print('replaced')
def g(v):
    m.manage(None, s)
    m.manage(None, s)
    print('ended')
",
    );
    send("one");
    assert_eq!(worker.line(), "read True one");
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "replaced");
    send("two");
    assert_eq!(worker.line(), "other two");
    worker.send("h.g", 1.0);
    assert_eq!(worker.line(), "ended");
    send("three");
    worker.send("h.g", 1.0);
    assert_eq!(worker.line(), "ended");
}

#[test]
fn what_is_not_read_at_once_is_offered_again() {
    let (mut worker, send) = serve(
        "
def one(sock):
    print(sock.recv(100).decode())
def f(v):
    m.manage(one, s)
",
    );
    for text in ["a", "b", "c"] {
        send(text);
    }
    worker.send("h.f", 1.0);
    assert_eq!([worker.line(), worker.line(), worker.line()], ["a", "b", "c"]);
}

#[test]
fn wrong_arguments_are_type_errors() {
    let (mut worker, _) = serve(
        "
class Odd:
    def fileno(self): return 'x'
def f(v):
    closed = socket.socket()
    closed.close()
    for args in ((3, s), (read, 3), (read, None), (read, closed), (None, closed), (read, Odd()), (read,)):
        try:
            m.manage(*args)
            print('accepted', args)
        except Exception as e:
            print(type(e).__name__)
    try:
        m.manage(read, open('h.py'))
    except OSError as e:
        print('OSError', e.errno)
",
    );
    worker.send("h.f", 1.0);
    for _ in 0..7 {
        assert_eq!(worker.line(), "TypeError");
    }
    assert_eq!(worker.line(), "OSError 1");
}

#[test]
fn a_second_object_with_the_same_descriptor_is_refused() {
    let (mut worker, send) = serve(
        "
m.manage(read, s)
class Same:
    def fileno(self): return s.fileno()
def f(v):
    for callable in (read, None):
        try:
            m.manage(callable, Same())
        except ValueError as e:
            print('already managed' in str(e))
",
    );
    worker.send("h.f", 1.0);
    assert_eq!([worker.line(), worker.line()], ["True", "True"]);
    send("still");
    assert_eq!(worker.line(), "read True still");
}

#[test]
fn a_socket_that_was_closed_makes_way_for_another_with_its_descriptor() {
    let (mut worker, _) = serve(
        "
m.manage(read, s)
def got(sock):
    print('got', sock.recv(10))
def f(v):
    global a, b
    number = s.fileno()
    s.close()
    a, b = socket.socketpair()
    print(number in (a.fileno(), b.fileno()))
    m.manage(got, a)
    m.manage(got, b)
    a.send(b'x')
    b.send(b'y')
",
    );
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "True");
    let mut lines = [worker.line(), worker.line()];
    lines.sort();
    assert_eq!(lines, ["got b'x'", "got b'y'"]);
}

#[test]
fn a_closed_socket_that_stays_readable_elsewhere_is_let_go_with_a_warning() {
    let (mut worker, send) = serve(
        "
m.manage(read, s)
def f(v):
    global copy
    # the file stays open under another number, so the system keeps reporting it
    copy = os.dup(s.fileno())
    s.close()
    print('closed')
def g(v):
    print('alive')
",
    );
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "closed");
    send("for nobody");
    assert!(worker.warning().contains("was closed"));
    worker.send("h.g", 1.0);
    assert_eq!(worker.line(), "alive");
    // were it reported for ever, the worker would never be idle
    let before = worker.end.progress.activity().generation;
    worker.until("it sleeps", |worker| worker.end.progress.activity().activity == Some(Activity::Idle));
    assert!(worker.end.progress.activity().generation < before + 100);
}

#[test]
fn an_error_of_a_callback_is_reported_and_the_instance_goes_on() {
    let (mut worker, send) = serve(
        "
def fail(sock):
    sock.recv(10)
    raise KeyboardInterrupt
m.manage(fail, s)
",
    );
    send("x");
    let (place, traceback) = worker.error();
    assert_eq!(place, "socket callback `fail`");
    assert!(traceback.contains("KeyboardInterrupt"), "{traceback}");
    send("y");
    worker.error();
}

#[test]
fn a_flood_of_packets_does_not_starve_events() {
    let (mut worker, send) = serve(
        "
def again(sock):
    # never read, so it stays readable
    pass
m.manage(again, s)
def f(v): print('event')
",
    );
    send("x");
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "event");
}

#[test]
fn a_thread_can_manage_a_socket_while_the_instance_sleeps() {
    let (mut worker, send) = serve(
        "
import threading, time
def later():
    time.sleep(0.05)
    m.manage(read, s)
threading.Thread(target=later).start()
",
    );
    send("late");
    assert_eq!(worker.line(), "read True late");
}

#[test]
fn a_number_that_was_given_to_another_file_can_be_managed_again() {
    let (mut worker, _) = serve(
        "
class Port:
    def __init__(self): self.reader, self.writer = os.pipe()
    def fileno(self): return self.reader
    def close(self):
        os.close(self.reader)
        os.close(self.writer)
def got(port):
    print('got', os.read(port.reader, 10).decode())
one = Port()
m.manage(got, one)
def f(v):
    # another object of the same number, while the first one still claims it
    global two
    one.close()
    two = Port()
    print(two.reader == one.reader)
    m.manage(got, two)
    os.write(two.writer, b'two')
def g(v):
    # the same object, opened again under the same number
    two.close()
    two.__init__()
    print(two.reader == one.reader)
    m.manage(got, two)
    os.write(two.writer, b'again')
",
    );
    worker.send("h.f", 1.0);
    assert_eq!([worker.line(), worker.line()], ["True", "got two"]);
    worker.send("h.g", 1.0);
    assert_eq!([worker.line(), worker.line()], ["True", "got again"]);
}

#[test]
fn a_descriptor_that_was_closed_while_it_hung_up_is_let_go_with_a_warning() {
    let (mut worker, _) = serve(
        "
class Port:
    def __init__(self, number): self.number = number
    def fileno(self): return self.number
reader, writer = os.pipe()
port = Port(reader)
def ignore(port): pass
m.manage(ignore, port)
def f(v):
    os.close(writer)
def g(v):
    os.close(reader)
    print('closed')
",
    );
    worker.send("h.f", 1.0);
    assert!(worker.warning().contains("hung up"));
    worker.send("h.g", 1.0);
    assert_eq!(worker.line(), "closed");
    assert!(worker.warning().contains("was closed"));
}

#[test]
fn all_that_hang_up_are_called_rarely_and_others_are_served() {
    let (mut worker, send) = serve(
        "
import socket
ends = []
calls = 0
def ignore(end):
    global calls
    calls += 1
for _ in range(200):
    ours, theirs = socket.socketpair()
    ends.append(ours)
    m.manage(ignore, ours)
    theirs.close()
m.manage(read, s)
def f(v):
    print(calls)
",
    );
    for _ in 0..200 {
        assert!(worker.warning().contains("hung up"));
    }
    send("through");
    assert_eq!(worker.line(), "read True through");
    worker.send("h.f", 1.0);
    // 16 or so each, and a few since.
    let calls: usize = worker.line().parse().expect("a number");
    assert!(calls < 200 * 40, "{calls} calls");
}

#[test]
fn a_packet_that_arrives_at_a_parked_socket_is_read_at_once() {
    let (mut worker, send) = serve(
        "
reading = False
def careless(sock):
    if reading:
        print('read', sock.recv(100).decode())
m.manage(careless, s)
def f(v):
    global reading
    reading = True
",
    );
    send("one");
    assert!(worker.warning().contains("stays readable"));
    worker.send("h.f", 1.0);
    send("two");
    assert_eq!([worker.line(), worker.line()], ["read one", "read two"]);
}

#[test]
fn many_packets_of_one_length_are_all_read() {
    let (mut worker, send) = serve(
        "
count = 0
def careful(sock):
    global count
    sock.recv(100)
    count += 1
    if count % 100 == 0: print(count)
m.manage(careful, s)
def f(v): m.interval(wrong, 1)
async def wrong(): pass
",
    );
    for hundred in 1..=50 {
        for _ in 0..100 {
            send("equal");
        }
        assert_eq!(worker.line(), (100 * hundred).to_string());
    }
    // The first warning after that of the channel without a handler is one that was asked for.
    worker.send("h.f", 1.0);
    assert!(worker.warning().contains("`wrong`"));
}
