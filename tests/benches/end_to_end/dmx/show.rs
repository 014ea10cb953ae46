//! The show, in the part of the language that both routers know.

use crate::routers::{Router, Running};
use std::net::UdpSocket;

/// So many universes, each mapped to one of the same number.
pub struct DmxShow {
    pub universes: usize,
    /// Whether a script stands between.
    pub python: bool,
}

/// The show in a router.
pub struct RunningDmx {
    pub running: Running,
    /// The port that it receives sACN on.
    pub input: u16,
    /// Receives what it sends.
    pub output: UdpSocket,
}

impl DmxShow {
    pub fn start(&self, router: &Router) -> RunningDmx {
        let free = || UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = |socket: &UdpSocket| socket.local_addr().expect("an address").port();
        let (output, [input, artnet]) = (free(), [free(), free()].map(|taken| port(&taken)));
        let show = self.text(input, artnet, port(&output));
        RunningDmx { running: router.run(&show, &self.scripts()), input, output }
    }

    fn text(&self, input: u16, artnet: u16, output: u16) -> String {
        let mut text = format!(
            "[backend sacn]\nbind = 127.0.0.1 {input}\n[backend artnet]\nbind = 127.0.0.1 {artnet}\n"
        );
        for n in 1..=self.universes {
            let universe = n - 1;
            text += &format!("[sacn in{n}]\nuniverse = {n}\nunicast = 1\n");
            text += &format!("[artnet out{n}]\nuniverse = {universe}\ndestination = 127.0.0.1 {output}\n");
        }
        if self.python {
            text += "[python py]\nmodule = dimmer\n";
        }
        text += "[map]\n";
        for n in 1..=self.universes {
            text += &match self.python {
                true => format!(
                    "in{n}.{{1..512}} > py.dimmer.i{n}_{{1..512}}\npy.o{n}_{{1..512}} > out{n}.{{1..512}}\n"
                ),
                false => format!("in{n}.{{1..512}} > out{n}.{{1..512}}\n"),
            };
        }
        text
    }

    /// Each slot through a handler of its own.
    fn scripts(&self) -> Vec<(String, String)> {
        let universes = self.universes;
        let script = format!(
            "import midimonster\n\
             def make(name):\n    output = midimonster.output\n    def handle(value):\n        \
             output(name, value)\n    return handle\n\
             for n in range(1, {universes} + 1):\n    for slot in range(1, 513):\n        \
             globals()[f'i{{n}}_{{slot}}'] = make(f'o{{n}}_{{slot}}')\n"
        );
        if self.python { vec![("dimmer".into(), script)] } else { Vec::new() }
    }
}
