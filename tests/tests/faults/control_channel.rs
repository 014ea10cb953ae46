//! Fault `hostile-control-channel`: what a script can do to the channel between its worker and the
//! supervisor. It is for sockets what `random-writes` is for memory.

use crate::{assert_serves, finish, run};
use mm_tests::Event;
use mm_tests::osc::F;

/// Writes `bytes` into all pipes and sockets of the worker, standard streams apart.
fn script(bytes: &str) -> String {
    format!(
        "import midimonster, os, stat, struct
def channels():
    for fd in map(int, os.listdir('/proc/self/fd')):
        try:
            mode = os.fstat(fd).st_mode
            if fd > 2 and (stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)):
                yield fd
        except OSError:
            pass
def spoil(value):
    for fd in channels():
        os.set_blocking(fd, False)
        try:
            os.write(fd, {bytes})
        except OSError:
            pass
def ask(value):
    midimonster.output('answer', value)
"
    )
}

fn assert_survived(bytes: &str) {
    let (show, others) =
        run(&script(bytes), "", "net./spoil > py.h.spoil\nnet./ask > py.h.ask\npy.answer > net./answer");
    show.send("/spoil", &[F(0.5)]);
    show.wait_for(Event::named("worker_exited").instance("py"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_serves(&show);
    assert_eq!(show.log().count(Event::named("worker_ready").instance("steady")), 1);
    finish(show, others);
}

#[test]
fn garbage_ends_that_worker_alone() {
    assert_survived("os.urandom(4096)");
}

#[test]
fn a_message_that_claims_to_be_gigabytes_long_ends_that_worker_alone() {
    assert_survived("b'MMfw' + struct.pack('<III', 3, 0xFFFFFFFF, 0) + b'x' * 100");
}

#[test]
fn the_header_of_another_library_that_claims_an_absurd_length_ends_that_worker_alone() {
    assert_survived("struct.pack('<QQ', 116, 1 << 46) + b'x' * 100");
}

#[test]
fn a_channel_that_is_closed_ends_that_worker_alone() {
    assert_survived("b'' if os.close(fd) else b''");
}

#[test]
fn messages_without_pause_do_not_delay_the_others_and_the_worker_serves_on() {
    let script = "
import fcntl, midimonster, os, stat, struct, threading, zlib
def frame(payload):
    fields = b'MMfw' + struct.pack('<II', 3, len(payload))
    return fields + struct.pack('<I', zlib.crc32(fields + payload)) + payload
def pour(fd):
    while True:
        os.write(fd, frame(b'\\x05\\x04text'))
def spoil(value):
    for fd in range(3, 100):
        try:
            # The pipe that it writes without O_NONBLOCK, which doorbells have.
            if stat.S_ISFIFO(os.fstat(fd).st_mode) and fcntl.fcntl(fd, fcntl.F_GETFL) & 0o7777 == os.O_WRONLY:
                threading.Thread(target=pour, args=(fd,), daemon=True).start()
        except OSError:
            pass
def ask(value):
    midimonster.output('answer', value)
";
    let mappings = "net./spoil > py.h.spoil\nnet./ask > py.h.ask\npy.answer > net./answer";
    let (show, others) = run(script, "", mappings);
    show.send("/spoil", &[F(0.5)]);
    // More than are read without a pause.
    show.log().wait_for_nth(3, Event::named("script_warned").instance("py"));
    assert_serves(&show);
    let ended = finish(show, others);
    assert_eq!(ended.log.count(Event::named("worker_exited")), 0);
}
