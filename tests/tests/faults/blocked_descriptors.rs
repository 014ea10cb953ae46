//! Fault `descriptors-filled`: a worker fills whatever the supervisor writes to, empties what it
//! reads from, makes every descriptor blocking, and claims to wait.

use crate::{assert_serves, finish, run};
use mm_tests::Event;
use mm_tests::osc::F;
use std::net::TcpListener;

/// Finds the descriptors that a worker shares with its supervisor, and makes them blocking: those
/// that it has, and others of the same pipes.
const COMMON: &str = "
import ctypes, fcntl, midimonster, os, socket, struct, threading, time
def up():
    for line in open('/proc/self/maps'):
        if 'mm-up' in line:
            return int(line.split('-')[0], 16)
def shared():
    for name in os.listdir('/proc/self/fd'):
        fd = int(name)
        try:
            target = os.readlink('/proc/self/fd/' + name)
        except OSError:
            continue
        if fd > 2 and (target.startswith('pipe:') or target.startswith('anon_inode:[eventfd')):
            yield fd
            for flags in (os.O_RDONLY, os.O_WRONLY):
                try:
                    yield os.open(f'/proc/self/fd/{fd}', flags | os.O_NONBLOCK)
                except OSError:
                    pass
def fill(fd):
    size = 4096
    while size:
        try:
            os.write(fd, b'\\xff' * size)
        except BlockingIOError:
            size //= 2
        except OSError:
            return
def fill_counter(fd):
    try:
        os.write(fd, struct.pack('<Q', 0))
        while True:
            os.write(fd, struct.pack('<Q', (1 << 64) - 2))
    except OSError:
        pass
def empty(fd):
    try:
        while os.read(fd, 65536):
            pass
    except OSError:
        pass
def ask(value):
    midimonster.output('answer', value)
";

const MAPPINGS: &str = "net./harm > py.h.harm\nnet./ask > py.h.ask\npy.answer > net./answer";

#[test]
fn a_worker_that_fills_every_descriptor_and_claims_to_wait_does_not_stop_the_supervisor() {
    let script = "
def harm(value):
    for fd in list(shared()):
        os.set_blocking(fd, False)
        fill(fd)
        fill_counter(fd)
        os.set_blocking(fd, True)
    # An odd epoch at each of its places: it waits for space, and sleeps.
    for epoch in range(1, 2000, 2):
        for word in (16, 48):
            ctypes.memmove(up() + 8 * word, struct.pack('<Q', epoch), 8)
        midimonster.output('answer', 0.25)
        time.sleep(0.0005)
";
    let (show, others) = run(&format!("{COMMON}{script}"), "watchdog = 1s\nbackoff = 1ms", MAPPINGS);
    show.send("/harm", &[F(0.5)]);
    // What it has written into its own control channel is not a message.
    show.wait_for(Event::named("worker_exited").instance("py"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    show.peer().skip();
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_worker_that_empties_every_descriptor_does_not_stop_the_supervisor() {
    let script = "
def harm(value):
    for fd in list(shared()):
        os.set_blocking(fd, True)
        threading.Thread(target=empty, args=(fd,), daemon=True).start()
    for number in range(1000):
        midimonster.output('answer', 0.25)
        time.sleep(0.0005)
    os._exit(3)
";
    let (show, others) = run(&format!("{COMMON}{script}"), "watchdog = 1s\nbackoff = 1ms", MAPPINGS);
    show.send("/harm", &[F(0.5)]);
    show.wait_for(Event::named("worker_exited").instance("py"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    show.peer().skip();
    assert_serves(&show);
    finish(show, others);
}

/// The kernel closes descriptors that are sent and not received, in the process that reads. Closing
/// a connection that is to linger waits.
#[test]
fn a_worker_that_sends_descriptors_whose_end_takes_long_does_not_stop_the_supervisor() {
    // What it sends is never read, and outlives the worker: its end of the connection lingers.
    let sink = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = sink.local_addr().expect("it is bound").port();
    let script = "
def harm(value):
    for fd in map(int, os.listdir('/proc/self/fd')):
        try:
            channel = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        client = socket.create_connection(('127.0.0.1', PORT))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 600))
        client.setblocking(False)
        try:
            while True:
                client.send(b'x' * 65536)
        except BlockingIOError:
            pass
        client.setblocking(True)
        try:
            channel.settimeout(0.1)
            socket.send_fds(channel, [b'MMfw'], [client.fileno()])
        except OSError:
            pass
        # Here, closing it would wait.
        keep.append(client)
    os._exit(3)
keep = []
";
    let script = script.replace("PORT", &port.to_string());
    let (show, others) = run(&format!("{COMMON}{script}"), "watchdog = 5s\nbackoff = 1ms", MAPPINGS);
    show.send("/harm", &[F(0.5)]);
    show.wait_for(Event::named("worker_exited").instance("py"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_serves(&show);
    // The ends of channels, and the connections of workers after them, are not waited for either.
    show.ask(&["restart", "py"]).assert(0, &["running"]);
    show.log().wait_for_nth(3, Event::named("worker_ready").instance("py"));
    finish(show, others);
}
