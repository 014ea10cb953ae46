//! Fault `hostile-control-channel`: what a script can do to the channel between its worker and the
//! supervisor. It is for sockets what `random-writes` is for memory.

use crate::{assert_serves, finish, run};
use mm_tests::osc::F;
use mm_tests::{BackgroundTraffic, Event, TestShow, supervisor, worker};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    fields = b'MMfw' + struct.pack('<II', 4, len(payload))
    return fields + struct.pack('<I', zlib.crc32(fields + payload)) + payload
def pour(fd):
    while True:
        os.write(fd, frame(b'\\x06\\x04text'))
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

/// In place of `mm-worker`: runs it, except for an instance with a virtual environment. For that
/// one it says hello with the address of a socket where no connection is ever accepted.
const BROKEN_WORKER: &str = "#!/usr/bin/env python3
import os, re, struct, subprocess, sys, time, zlib
if '--venv' not in sys.argv:
    os.execv('REAL', ['mm-worker'] + sys.argv[1:])
version = subprocess.check_output(['REAL', '--version'], text=True)
protocol = int(re.search('protocol ([0-9]+)', version)[1])
control = int(sys.argv[sys.argv.index('--fds') + 1].split(',')[-1])
address = b'ADDRESS'
payload = bytes([0, protocol, 251]) + struct.pack('<H', 1000) + bytes([len(address)]) + address
fields = b'MMfw' + struct.pack('<II', protocol, len(payload))
os.write(control, fields + struct.pack('<I', zlib.crc32(fields + payload)) + payload)
time.sleep(600)
";

/// A socket that listens at `path`, and whose queue of connections is full: what keeps it so.
fn full_socket(path: &Path) -> Vec<OwnedFd> {
    let open = |flags| socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("a socket");
    let address = UnixAddr::new(path).expect("a short path");
    let mut all = vec![open(SockFlag::SOCK_CLOEXEC)];
    bind(all[0].as_raw_fd(), &address).expect("a new path");
    listen(&all[0], Backlog::new(1).expect("a number")).expect("it is bound");
    loop {
        let client = open(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK);
        match connect(client.as_raw_fd(), &address) {
            Ok(()) => all.push(client),
            Err(Errno::EAGAIN) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_worker_where_no_connection_is_accepted_does_not_keep_the_others_from_starting() {
    let stage = TestShow::new();
    stage.python("h.py", "def ask(value):\n    pass\n");
    BackgroundTraffic::show(
        &stage,
        "[python py]\nmodule = h\nvenv = venv\nstart-timeout = 1s\n[map]\nnet./ask > py.h.ask\n",
    );
    stage.write("venv/pyvenv.cfg", "");
    let address = stage.directory().join("full");
    let kept = full_socket(&address);
    let program = stage.directory().join("bin/mm-supervisor");
    let real = worker().to_string_lossy().into_owned();
    let text = BROKEN_WORKER.replace("REAL", &real).replace("ADDRESS", &address.to_string_lossy());
    let broken = stage.write("bin/mm-worker", text);
    fs::set_permissions(broken, fs::Permissions::from_mode(0o755)).expect("the stage is ours");
    fs::copy(supervisor(), &program).expect("there is room");
    let show = stage.with_program(program).start_show();
    show.wait_for(Event::named("worker_exited").instance("py"));
    show.wait_for(Event::named("worker_ready").instance("steady"));
    // Nor from a restart.
    show.worker("steady").signal(Signal::SIGKILL);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("steady"));
    drop(kept);
    show.stop();
}
