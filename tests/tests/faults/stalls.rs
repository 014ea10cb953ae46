//! Fault `machine-stalls`: the host stands still for 5 to 15 ms, over and over, as virtual machines
//! do. Events are late then, but none is lost, merged into another one or out of place.

use mm_tests::osc::{Argument, F, I, Peer, bundle, encode};
use mm_tests::wait::{every, last};
use mm_tests::{PATIENCE, TestShow};
use nix::sys::signal::Signal;
use std::thread;
use std::time::Duration;

/// Pulses that are sent, one every millisecond.
const PULSES: i32 = 1500;

const SCRIPT: &str = "
    import midimonster
    def count(value):
        midimonster.output('counted', value)
    def pulse(value):
        midimonster.output('go', 1)
        midimonster.output('go', 0)
";

/// Sends numbered pulses.
fn send_pulses(sender: &Peer) {
    let mut number = 0;
    every(Duration::from_millis(1), || {
        number += 1;
        let (on, off) = (encode("/button", &[I(1)]), encode("/button", &[I(0)]));
        sender.send_raw(&bundle(&[encode("/count", &[I(number)]), on, off]));
        sender.send("/cue", &[F(0.5)]);
        number < PULSES
    });
}

/// What came out of each way through the show.
#[derive(Default)]
struct Received {
    counted: Vec<Argument>,
    lamp: Vec<Argument>,
    go: Vec<Argument>,
}

/// Receives all that the pulses lead to, or what comes of it in time.
fn receive_pulses(peer: &Peer) -> Received {
    let mut received = Received::default();
    let all = 5 * PULSES as usize;
    while received.counted.len() + received.lamp.len() + received.go.len() < all {
        let Some(message) = peer.receive_within(PATIENCE) else { break };
        let list = match message.path.as_str() {
            "/counted" => &mut received.counted,
            "/lamp" => &mut received.lamp,
            _ => &mut received.go,
        };
        list.extend(message.arguments);
    }
    received
}

#[test]
fn of_what_arrives_while_the_machine_stalls_nothing_is_lost_merged_or_out_of_order() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.show(&format!(
        "[osc net]\nbind = $IN\ndest = $OUT\n/count* = i 0 {PULSES}\n/* = i 0 1\n[python py]\nmodule = h\n\
         [map]\nnet./count > py.h.count\npy.counted > net./counted\nnet./button > net./lamp\n\
         net./cue > py.h.pulse\npy.go > net./go\n"
    ));
    let show = stage.run();
    let (process, sender) = (show.process(), show.another_peer());
    let received = thread::scope(|scope| {
        let sending = scope.spawn(|| send_pulses(&sender));
        let receiving = scope.spawn(|| receive_pulses(show.peer()));
        for length in [5, 9, 15, 7, 12].into_iter().cycle() {
            process.signal(Signal::SIGSTOP);
            last(Duration::from_millis(length));
            process.signal(Signal::SIGCONT);
            if sending.is_finished() {
                break;
            }
            last(Duration::from_millis(5));
        }
        receiving.join().expect("it reads what it knows")
    });
    let pulses: Vec<_> = (0..PULSES).flat_map(|_| [I(1), I(0)]).collect();
    let Received { counted, lamp, go } = received;
    assert_eq!((counted.len(), lamp.len(), go.len()), (PULSES as usize, pulses.len(), pulses.len()));
    assert!(counted == (1..=PULSES).map(I).collect::<Vec<_>>(), "events are out of order");
    assert!(lamp == pulses && go == pulses, "pulses are out of order");
    show.stop();
}
