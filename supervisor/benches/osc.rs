//! How fast OSC messages are read, and made ready to be sent.
//!
//! `cargo bench -p mm-supervisor --bench osc`. The codec alone, without sockets. Allocations are
//! counted: reading a message and patching one must not allocate.

#[path = "../src/backends/osc/codec/mod.rs"]
#[expect(dead_code, reason = "what the codec does for people is not measured")]
mod codec;

#[path = "../src/backends/osc/range.rs"]
#[expect(dead_code, reason = "the wire formats are measured by one of them")]
mod range;

use codec::{IncomingMessage, OutgoingMessage, each_message};
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use range::{OscArgument, OscNumber};
use rosc::{OscBundle, OscMessage, OscPacket, OscTime, OscType};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Messages in a bundle.
const BUNDLED: u32 = 16;

fn message(arguments: usize) -> OscPacket {
    let args = vec![OscType::Float(0.5); arguments];
    OscPacket::Message(OscMessage { addr: "/mixer/channel/12/fader".into(), args })
}

fn bytes(packet: &OscPacket) -> Vec<u8> {
    rosc::encoder::encode(packet).expect("a packet that can be encoded")
}

/// What a datagram costs until its arguments are numbers.
fn read(packet: &[u8], open_ends: &mut Vec<usize>, arguments: &mut Vec<OscArgument>) {
    let whole = each_message(black_box(packet), open_ends, |bytes| {
        if let Ok(message) = IncomingMessage::read(bytes) {
            black_box(message.address);
            let _ = black_box(message.read_arguments(arguments));
        }
    });
    let _ = black_box(whole);
}

#[divan::bench(args = [1, 4, 16], sample_size = 1000)]
fn reading_a_message_by_arguments(bencher: Bencher, arguments: usize) {
    let packet = bytes(&message(arguments));
    let (mut open_ends, mut read_so_far) = (Vec::new(), Vec::new());
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| read(&packet, &mut open_ends, &mut read_so_far));
}

#[divan::bench(sample_size = 100)]
fn reading_a_bundle(bencher: Bencher) {
    let timetag = OscTime { seconds: 0, fractional: 1 };
    let content = (0..BUNDLED).map(|_| message(1)).collect();
    let packet = bytes(&OscPacket::Bundle(OscBundle { timetag, content }));
    let (mut open_ends, mut arguments) = (Vec::new(), Vec::new());
    bencher.counter(ItemsCount::new(BUNDLED)).bench_local(|| read(&packet, &mut open_ends, &mut arguments));
}

/// A message is laid out once; for each event its argument is patched in.
#[divan::bench(sample_size = 1000)]
fn writing_a_message(bencher: Bencher) {
    let mut outgoing = OutgoingMessage::new("/mixer/channel/12/fader", [OscNumber::Float(0.0)]);
    let mut value = 0.0_f32;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        value = if value < 1.0 { value + 0.001 } else { 0.0 };
        black_box(outgoing.set(0, OscNumber::Float(black_box(value))));
        black_box(outgoing.bytes().len())
    });
}
