//! The faults, each as something that can be done to a show over and over.

use mm_tests::Running;
use mm_tests::control::socket;
use mm_tests::osc::F;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// One of them.
pub struct Fault {
    pub name: &'static str,
    pub script: &'static str,
    pub options: &'static str,
    pub mappings: &'static str,
    /// How often it is done.
    pub period: Duration,
    pub cause: fn(&Running, u32),
}

const QUICK: &str = "backoff = 10ms\nbackoff-max = 100ms\nwatchdog = 500ms\nstart-timeout = 500ms\nstop-timeout = 200ms\nmemory-limit = 200M";

const MAPPINGS: &str = "net./go > py.h.go\npy.x > net./x\n";

const HALF: Duration = Duration::from_millis(500);

/// Nothing goes wrong.
pub const NONE: Fault = Fault {
    name: "(none)",
    script: "def go(value): pass",
    options: "",
    mappings: MAPPINGS,
    period: HALF,
    cause: |_, _| {},
};

const fn fault(name: &'static str, script: &'static str) -> Fault {
    Fault { name, script, options: QUICK, mappings: MAPPINGS, period: HALF, cause: go }
}

/// Lets `h.go` do it.
fn go(show: &Running, _: u32) {
    show.send("/go", &[F(0.5)]);
}

/// Sends a signal to the worker that runs at this moment, if one does.
fn signal(show: &Running, signal: Signal) {
    let pid = show.control().standing("py")["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn act(show: &Running, verb: &str) {
    show.control().act(verb, "py");
}

/// All of them.
pub const FAULTS: &[Fault] = &[
    fault(
        "(no fault, but it calculates all the time)",
        "import threading\ndef spin():\n    while True: pass\n\
         threading.Thread(target=spin, daemon=True).start()\ndef go(value): pass",
    ),
    fault("a handler raises", "def go(value): 1 / 0"),
    fault("os._exit", "import os\ndef go(value): os._exit(3)"),
    fault("a segmentation fault", "import ctypes\ndef go(value): ctypes.string_at(0)"),
    Fault { cause: |show, _| signal(show, Signal::SIGKILL), ..fault("kill -9", "def go(value): pass") },
    fault("an endless loop in a handler", "def go(value):\n    while True: pass"),
    fault(
        "the interpreter lock held for ever",
        "import ctypes\nlibc = ctypes.PyDLL(None)\nm = ctypes.create_string_buffer(64)\n\
         def go(value):\n    libc.pthread_mutex_lock(m)\n    libc.pthread_mutex_lock(m)",
    ),
    Fault {
        cause: |show, _| {
            signal(show, Signal::SIGSTOP);
            show.send("/go", &[F(0.5)]);
        },
        ..fault("SIGSTOP", "def go(value): pass")
    },
    fault("an import that raises", "raise RuntimeError('broken')"),
    fault("an import that never ends", "while True: pass"),
    Fault {
        cause: |show, _| act(show, "restart"),
        ..fault(
            "TERM ignored, a cleanup handler that hangs",
            "import midimonster, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
             def leave():\n    time.sleep(60)\nmidimonster.cleanup_handler(leave)",
        )
    },
    fault("memory over its limit", "kept = []\ndef go(value): kept.append(b'x' * (300 << 20))"),
    fault(
        "random bytes over its shared memory",
        "import ctypes, random\n\
         line = next(line for line in open('/proc/self/maps') if 'mm-up' in line)\n\
         start, end = (int(text, 16) for text in line.split()[0].split('-'))\n\
         def go(value):\n    for _ in range(1000):\n        \
         ctypes.memmove(start + random.randrange(4096) // 8 * 8, random.randbytes(8), 8)",
    ),
    fault(
        "64 MB printed without an end of line",
        "import os\ndef go(value):\n    for _ in range(64): os.write(1, b'x' * (1 << 20))",
    ),
    fault(
        "a hundred thousand events at once",
        "import midimonster\ndef go(value):\n    for number in range(100000): midimonster.output('x', number / 100000)",
    ),
    Fault {
        options: "watchdog = 60s\n[python slow]\nmodule = h\nqueue = 1000",
        mappings: "net./go > py.h.go\npy.x > slow.h.crawl\n",
        ..fault(
            "the same for one that takes 1,000 a second",
            "import midimonster, time\ndef crawl(value): time.sleep(0.001)\n\
             def go(value):\n    for number in range(100000): midimonster.output('x', number / 100000)",
        )
    },
    fault(
        "programs left behind, in sessions of their own",
        "import os, subprocess\ndef go(value):\n    subprocess.Popen(['sleep', '60'], start_new_session=True)\n    os._exit(3)",
    ),
    Fault {
        cause: |show, _| {
            if let Ok(mut stream) = UnixStream::connect(socket(show)) {
                // it is closed on the way
                let _ = stream.write_all(&vec![b'x'; 10 << 20]);
            }
        },
        ..fault("10 MB without an end of line on the control socket", "def go(value): pass")
    },
    Fault {
        cause: |show, _| {
            let socket = UdpSocket::bind((show.stage().bind().ip(), 0)).expect("a port");
            for number in 0..5_000_u32 {
                let _ = socket.send_to(&number.to_le_bytes().repeat(8), show.stage().bind());
            }
        },
        ..fault("5,000 packets of garbage at once", "def go(value): pass")
    },
    Fault { cause: |show, _| act(show, "reload"), ..fault("reload", "def go(value): pass") },
    Fault {
        cause: |show, round| {
            let text = show.stage().read("show.cfg");
            show.stage().replace("show.cfg", &format!("{text}net./round/{round} > py.h.go\n"));
            show.signal(Signal::SIGHUP);
        },
        ..fault("HUP with another mapping", "def go(value): pass")
    },
    Fault {
        mappings: "net./go > loop.x\nloop.x > loop.x\n",
        ..fault("a loop of one loopback channel", "def go(value): pass")
    },
    Fault {
        mappings: "net./go > loop.x1\nloop.x{1..8} > loop.x1\nloop.x1 > loop.x{1..8}\nloop.x2 > loop.x{1..8}\n",
        ..fault("a loop that multiplies its events", "def go(value): pass")
    },
    Fault {
        mappings: "net./go > py.h.go\npy.x > py.h.go\n",
        ..fault(
            "an instance that doubles its own events",
            "import midimonster\ndef go(value):\n    midimonster.output('x', value)\n    midimonster.output('x', value)",
        )
    },
];
