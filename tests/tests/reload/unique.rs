//! Fault `script-needs-what-its-old-worker-holds`: a port, a device, a lock that there is only one
//! of, taken at import, in a thread or in a task. After a reload the new worker really has it, or
//! the old one goes on.

use crate::{assert_answers, script};
use mm_tests::{Event, Running, TestShow, wait_for};
use serde_json::json;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Time for one question to the script's own port.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(200);

/// Serves a port from a thread, as HTTP and OSC servers in scripts do; `VERSION` is the answer.
const THREAD: &str = "
    import midimonster, socket, threading
    def serve():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            port.bind(('HOST', PORT))
            while True:
                _, client = port.recvfrom(100)
                port.sendto(b'VERSION', client)
    threading.Thread(target=serve, daemon=True).start()
    def ask(value):
        midimonster.output('one', value)
";

/// Serves the port from a task that nothing waits for.
const TASK: &str = "
    import asyncio, midimonster, threading
    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport
        def datagram_received(self, data, client):
            self.transport.sendto(b'VERSION', client)
    async def serve():
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(Server, local_addr=('HOST', PORT))
    async def main():
        asyncio.get_running_loop().create_task(serve())
        await asyncio.Event().wait()
    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    def ask(value):
        midimonster.output('one', value)
";

fn run(text: &str, options: &str) -> (Running, SocketAddr) {
    let stage = TestShow::new();
    let address = free_address(&stage);
    stage.python("h.py", &filled(text, address, "1"));
    stage.osc_show(&format!("[python py]\nmodule = h\n{options}\n[map]\n{}", crate::MAPPINGS));
    let show = stage.run();
    assert_answers(&show, "/one", 0.25);
    (show, address)
}

/// The script's own port: the address belongs to this process, its tests run at the same time.
fn free_address(stage: &TestShow) -> SocketAddr {
    static LAST_PORT: AtomicU16 = AtomicU16::new(20_000);
    SocketAddr::new(stage.bind().ip(), LAST_PORT.fetch_add(1, Ordering::Relaxed) + 1)
}

fn filled(text: &str, address: SocketAddr, version: &str) -> String {
    let text = text.replace("HOST", &address.ip().to_string()).replace("PORT", &address.port().to_string());
    text.replace("VERSION", version)
}

/// The script's own port answers with this version.
fn assert_serves(address: SocketAddr, version: &str) {
    let client = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).expect("a port");
    client.set_read_timeout(Some(ANSWER_TIMEOUT)).expect("a time");
    wait_for("an answer of the script's own port", || {
        client.send_to(b"?", address).ok()?;
        let mut answer = [0; 100];
        let length = client.recv(&mut answer).ok()?;
        (&answer[..length] == version.as_bytes()).then_some(())
    });
}

fn assert_reload_replaces_the_server(text: &str) {
    let (show, address) = run(text, "");
    assert_serves(address, "1");
    let before = show.worker("py");
    show.stage().python("h.py", &filled(text, address, "2"));
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    assert!(!before.is_alive());
    assert_serves(address, "2");
    assert_answers(&show, "/one", 0.5);
    assert_eq!(show.log().count(Event::named("reload_replaced_by_restart").instance("py")), 1);
    show.stop();
}

#[test]
fn a_script_that_serves_a_port_in_a_thread_serves_it_after_a_reload() {
    assert_reload_replaces_the_server(THREAD);
}

#[test]
fn a_script_that_serves_a_port_in_a_task_serves_it_after_a_reload() {
    assert_reload_replaces_the_server(TASK);
}

#[test]
fn a_thread_that_the_script_handles_errors_of_counts_as_well() {
    let hook =
        "import threading\n    threading.excepthook = lambda args: print('mine', args.exc_type.__name__)";
    let text = THREAD.replacen("import midimonster", &format!("{hook}\n    import midimonster"), 1);
    let (show, address) = run(&text, "");
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    show.wait_for(Event::printed("py", "mine OSError"));
    assert_serves(address, "1");
    show.stop();
}

#[test]
fn a_server_that_fails_after_the_swap_is_started_again_when_the_old_worker_has_ended() {
    // The second worker takes the port while the first one, which has handed over, cleans up.
    let text = "
        import midimonster, os, socket, threading, time
        def wait_for(name):
            while not os.path.exists(name):
                time.sleep(0.01)
        def serve():
            if os.path.exists('first'):
                wait_for('cleaning')
            open('first', 'w')
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
                try:
                    port.bind(('HOST', PORT))
                except OSError:
                    open('failed', 'w')
                    raise
                while True:
                    _, client = port.recvfrom(100)
                    port.sendto(b'VERSION', client)
        def clean_up():
            open('cleaning', 'w')
            wait_for('failed')
        midimonster.cleanup_handler(clean_up)
        threading.Thread(target=serve, daemon=True).start()
        def ask(value):
            midimonster.output('one', value)
    ";
    let (show, address) = run(text, "stop-timeout = 20s");
    assert_serves(address, "1");
    show.stage().python("h.py", &filled(text, address, "2"));
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    show.wait_for(Event::named("reload_replaced_by_restart").instance("py"));
    show.log().wait_for_nth(3, Event::named("worker_ready").instance("py"));
    assert_serves(address, "2");
    assert_answers(&show, "/one", 0.5);
    show.stop();
}

#[test]
fn a_lock_or_a_device_that_the_old_worker_holds_is_released_first() {
    for taken in [
        "import fcntl\n    lock = open('lock', 'w')\n    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        // A library that passes on neither the number nor the type.
        "import fcntl\n    lock = open('lock', 'w')\n    try:\n        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n    \
         except OSError:\n        raise RuntimeError('no camera')",
        "import os\n    device = open(f'held-{os.getpid()}', 'w')\n    \
         import glob\n    others = [file for file in glob.glob('held-*') if os.path.exists('/proc/' + file[5:])]\n    \
         if len(others) > 1:\n        raise ValueError('GPIO busy')",
    ] {
        let text = format!(
            "\n    import midimonster\n    {taken}\n    def ask(value):\n        midimonster.output('one', value)\n"
        );
        let (show, _) = run(&text, "");
        let before = show.worker("py");
        show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
        assert!(!before.is_alive());
        assert_answers(&show, "/one", 0.5);
        show.stop();
    }
}

#[test]
fn a_typo_where_the_script_handles_that_a_port_is_taken_leaves_the_old_worker() {
    let text = "
        import midimonster, socket
        port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            port.bind(('HOST', PORT))
        except OSError:
            prnt('taken')
        def ask(value):
            midimonster.output('one', value)
    ";
    let (show, _) = run(text, "");
    let before = show.worker("py");
    show.ask(&["reload", "py"]).assert(1, &["error: `py`", "NameError"]);
    assert_eq!(show.control().standing("py")["pid"], before.pid);
    assert_answers(&show, "/one", 0.5);
    show.stop();
}

#[test]
fn with_reload_restart_the_old_worker_ends_before_the_new_one_imports() {
    let text = "
        import midimonster, os
        print('others', os.path.exists('here'))
        open('here', 'w')
        midimonster.cleanup_handler(lambda: os.unlink('here'))
        def ask(value):
            midimonster.output('one', value)
    ";
    let (show, _) = run(text, "reload = restart");
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    show.log().wait_for_nth(2, Event::printed("py", "others False"));
    assert_answers(&show, "/one", 0.5);
    let before = show.worker("py");
    show.stage().replace("h.py", "def broken(:\n");
    show.ask(&["reload", "py"]).assert(1, &["error: `py`", "SyntaxError"]);
    assert_eq!(show.control().standing("py")["pid"], before.pid);
    show.stage().replace("h.py", "raise RuntimeError('on purpose')\n");
    show.ask(&["reload", "py"]).assert(1, &["error: `py`", "last good version", "on purpose"]);
    assert_answers(&show, "/one", 0.75);
    assert_eq!(show.log().count(Event::printed("py", "others True")), 0);
    show.stop();
}

#[test]
fn a_mistake_behind_the_line_that_takes_the_port_leaves_the_last_good_version() {
    let text = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('HOST', PORT))\n\
         import part\n{}",
        script("one")
    );
    let stage = TestShow::new();
    let address = free_address(&stage);
    stage.write("h.py", filled(&text, address, ""));
    stage.write("part.py", "def on_error():\n    raise ValueError('in the first version')\n");
    stage.osc_show(&format!("[python py]\nmodule = h\n[map]\n{}", crate::MAPPINGS));
    let show = stage.run();
    assert_answers(&show, "/one", 0.25);
    let before = show.worker("py");
    // Found while the old worker serves, although the import does not get that far.
    show.stage().replace("part.py", "def broken(:\n");
    show.ask(&["reload", "py"]).assert(1, &["error: `py`: the previous worker", "part.py", "SyntaxError"]);
    assert_eq!(show.control().standing("py")["pid"], before.pid);
    // Found only when the old worker has been stopped.
    show.stage().replace("part.py", "prnt('a typo')\n");
    show.ask(&["reload", "py"]).assert(1, &["error: `py`: the last good version", "part.py", "NameError"]);
    assert_answers(&show, "/one", 0.5);
    show.wait_for(Event::named("last_good_version_serving").instance("py").level("warn"));
    let status = show.control().standing("py");
    assert_eq!(status["state"], "running");
    assert!(status["note"].to_string().contains("last good version"), "{status}");
    // The mended script replaces it.
    show.stage().replace("part.py", "");
    show.ask(&["reload", "py"]).assert(0, &["py: running, pid "]);
    assert_answers(&show, "/one", 0.75);
    assert_eq!(show.control().standing("py")["note"], json!(null));
    show.stop();
}
