//! A JACK client for the tests, in place of a MIDI device: sends what it is told to, says what it
//! receives.
//!
//! `mm-jack-peer NAME` has the ports `NAME:out` and `NAME:in`, and reads commands line by line:
//!
//! - `send 90 3c 64, b0 07` sends these byte strings as events of one period; nothing checks them,
//! - `ping COUNT` sends controller 1 of channel 0 and waits for controller 2 of channel 0 with the
//!   same value, then says `ping MEDIAN P99 MOST` in microseconds.
//!
//! It says `ready`, and `got 90 3c 64` for each event.

use jack::{
    Client, ClientOptions, Control, LoggerType, MidiIn, MidiOut, Port, ProcessHandler, ProcessScope, RawMidi,
};
use std::io::stdin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

type Bytes = Vec<u8>;

struct Process {
    input: Port<MidiIn>,
    output: Port<MidiOut>,
    to_send: Receiver<Vec<Bytes>>,
    received: Sender<(Instant, Bytes)>,
}

impl ProcessHandler for Process {
    fn process(&mut self, _client: &Client, scope: &ProcessScope) -> Control {
        let now = Instant::now();
        for event in self.input.iter(scope) {
            let _ = self.received.send((now, event.bytes.to_vec()));
        }
        let mut writer = self.output.writer(scope);
        if let Ok(events) = self.to_send.try_recv() {
            for bytes in &events {
                let _ = writer.write(&RawMidi { time: 0, bytes });
            }
        }
        Control::Continue
    }
}

fn main() {
    let name = std::env::args().nth(1).expect("a name");
    jack::set_logger(LoggerType::None);
    let (client, _) = Client::new(&name, ClientOptions::NO_START_SERVER).expect("a JACK server");
    let input = client.register_port("in", MidiIn::default()).expect("a port");
    let output = client.register_port("out", MidiOut::default()).expect("a port");
    let (send, to_send) = channel();
    let (received, receive) = channel();
    let process = Process { input, output, to_send, received };
    let _client = client.activate_async((), process).expect("an active client");
    println!("ready");
    let (say, said) = channel::<Bytes>();
    let (measure, measured) = channel::<(Instant, Bytes)>();
    thread::spawn(move || {
        for (at, bytes) in receive {
            let _ = measure.send((at, bytes.clone()));
            let _ = say.send(bytes);
        }
    });
    thread::spawn(move || said.iter().for_each(|bytes| println!("got {}", hex(&bytes))));
    for line in stdin().lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("send", events)) => {
                send.send(events.split(',').map(parse).collect()).expect("a thread that sends")
            }
            Some(("ping", count)) => ping(count.parse().expect("a number"), &send, &measured),
            _ => panic!("unknown command `{line}`"),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn parse(text: &str) -> Bytes {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte")).collect()
}

/// Measures from the period in which a message is written to the one in which the answer is read.
fn ping(count: usize, send: &Sender<Vec<Bytes>>, received: &Receiver<(Instant, Bytes)>) {
    let mut times = Vec::new();
    for number in 0..count {
        let value = (number % 128) as u8;
        while received.try_recv().is_ok() {}
        let start = Instant::now();
        send.send(vec![vec![0xb0, 1, value]]).expect("a thread that sends");
        while let Ok((at, bytes)) = received.recv_timeout(Duration::from_secs(5)) {
            if bytes == [0xb0, 2, value] {
                times.push(at.saturating_duration_since(start).as_micros());
                break;
            }
        }
        // no rhythm that JACK's periods could fall in with
        thread::sleep(Duration::from_micros(5000 + (number as u64 * 7919) % 5000));
    }
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied();
    let (median, late, most) = (at(50).unwrap_or(0), at(99).unwrap_or(0), times.last().copied().unwrap_or(0));
    println!("ping {median} {late} {most} of {}", times.len());
}
