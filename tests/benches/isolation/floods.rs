//! Floods: one source sends as much as it can, and the others have to get their turn.

use crate::faults::{Fault, NONE};
use mm_tests::Running;
use mm_tests::osc::{F, bundle, encode};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// A thread that calls `output` in a loop; it begins with the first event, so that the show is up.
const SCRIPT: &str = "
    import midimonster, threading
    begun = False
    def flood():
        value = 0
        while True:
            value = (value + 1) % 1024
            midimonster.output('x', value / 1024)
    def go(value):
        global begun
        if not begun:
            begun = True
            threading.Thread(target=flood, daemon=True).start()
    def sink(value): pass
";

const SINK: &str = "watchdog = off\n[python sink]\nmodule = h\nqueue = 1000\ndefault-handler = h.sink";

/// How long the network floods in each period.
const BURST: Duration = Duration::from_millis(450);

const fn script(name: &'static str, mappings: &'static str) -> Fault {
    Fault { name, script: SCRIPT, options: SINK, mappings, period: Duration::from_millis(500), cause: go }
}

fn go(show: &Running, _: u32) {
    show.send("/go", &[F(0.5)]);
}

const fn network(name: &'static str, mappings: &'static str, cause: fn(&Running, u32)) -> Fault {
    Fault { name, options: "default-handler = h.go", mappings, cause, ..NONE }
}

/// Sends the same packet to the port of `net` until the time is over, or so many times.
fn send(show: &Running, packet: &[u8], limit: usize) {
    let socket = UdpSocket::bind((show.stage().bind().ip(), 0)).expect("a port");
    let start = Instant::now();
    for _ in 0..limit {
        if start.elapsed() > BURST {
            return;
        }
        // What the kernel has no room for is lost, to the flood alone.
        let _ = socket.send_to(packet, show.stage().bind());
    }
}

/// A bundle of messages for as many channels as the mappings have.
fn packet(messages: usize) -> Vec<u8> {
    let each =
        |number: usize| encode(&format!("/f{:02}", number % 64), &[F(number as f32 / messages as f32)]);
    bundle(&(0..messages).map(each).collect::<Vec<_>>())
}

const NETWORK: &str = "net./go > py.h.go\nnet./f{00..63} > py.{1..64}\n";

/// All of them.
pub const FLOODS: &[Fault] = &[
    script("a script in a loop on output, 1 target", "net./go > py.h.go\npy.x > sink.1\n"),
    script("a script in a loop on output, 10 targets", "net./go > py.h.go\npy.x > sink.{1..10}\n"),
    script("a script in a loop on output, 50 targets", "net./go > py.h.go\npy.x > sink.{1..50}\n"),
    script("a script in a loop on output, 500 targets", "net./go > py.h.go\npy.x > sink.{1..500}\n"),
    script("a script in a loop on output, 1 OSC path", "net./go > py.h.go\npy.x > net./out/1\n"),
    script("a script in a loop on output, 500 OSC paths", "net./go > py.h.go\npy.x > net./out/{1..500}\n"),
    network("OSC messages on another port, as many as fit", NETWORK, |show, _| {
        send(show, &encode("/f00", &[F(0.5)]), usize::MAX);
    }),
    network("OSC bundles of 100 messages on another port", NETWORK, |show, _| {
        send(show, &packet(100), usize::MAX);
    }),
    network("OSC bundles of 2,900 messages on another port", NETWORK, |show, _| {
        send(show, &packet(2_900), usize::MAX);
    }),
    network("40 OSC bundles of 2,900 messages on another port", NETWORK, |show, _| {
        send(show, &packet(2_900), 40);
    }),
    network("OSC bundles of 2,900 messages for no channel", "net./go > py.h.go\n", |show, _| {
        send(show, &packet(2_900), usize::MAX);
    }),
];
