//! Faults `output-flood`, `bundle-flood` and `host-stalls`: sources that send as much as they can,
//! and a machine that stands still now and then.

use mm_tests::osc::{F, bundle, encode};
use mm_tests::wait::last;
use mm_tests::{BackgroundTraffic, Control, Event, Running, TestShow};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const SCRIPT: &str = "
    import midimonster, threading
    def flood():
        value = 0
        while True:
            value = (value + 1) % 1024
            midimonster.output('x', value / 1024)
    def begin(value):
        threading.Thread(target=flood, daemon=True).start()
    def sink(value):
        pass
    def ask(value):
        midimonster.output('answer', value)
";

/// Events of one worker that may wait in the router; the rest waits in its ring.
const ROUTER_LIMIT: u64 = 512;

/// Messages of the largest bundle that a desk sends: they just fit into a datagram.
const LARGE_BUNDLE: u16 = 2_900;

/// Where the ports of a test with many of them begin: above those that test shows count.
const FIRST_PORT: u16 = 21_000;

const ASK: &str = "[python asked]\nmodule = h\n[map]\nnet./ask > asked.h.ask\nasked.answer > net./answer\n";

fn run(text: &str) -> (Running, BackgroundTraffic) {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    BackgroundTraffic::show(&stage, text);
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    (show, others)
}

/// Fields of several instances at one moment.
fn counts<const N: usize>(control: &mut Control, fields: [(&str, &str); N]) -> [u64; N] {
    let status = control.status();
    fields.map(|(instance, field)| {
        let found = status.iter().find(|status| status["name"] == instance);
        found.and_then(|status| status[field].as_u64()).unwrap_or(0)
    })
}

/// What waits in the router never exceeds the limit, and round trips of another instance go on
/// while the flood does.
fn assert_that_a_flood_waits_for_its_turn(targets: u64) {
    let (show, others) = run(&format!(
        "[python py]\nmodule = h\nwatchdog = off\n[python sink]\nmodule = h\nqueue = 1000\n\
         default-handler = h.sink\n[map]\nnet./begin > py.h.begin\npy.x > sink.{{1..{targets}}}\n{ASK}"
    ));
    let mut control = show.control();
    show.send("/begin", &[F(1.0)]);
    control.wait_for("the flood", "py", |status| status["events_out"].as_u64() > Some(10 * ROUTER_LIMIT));
    let fields = [("py", "events_out"), ("sink", "events_in")];
    let mut sent_before = 0;
    for round in 1..=50_u8 {
        let value = F(f32::from(round) / 64.0);
        show.send("/ask", &[value]);
        show.expect("/answer", &[value]);
        let [sent, received] = counts(&mut control, fields);
        let waiting = sent * targets - received;
        assert!(waiting <= ROUTER_LIMIT * targets, "{waiting} targets wait, of {targets} for each event");
        sent_before = sent;
    }
    control.wait_for("the flood to go on", "py", |status| status["events_out"].as_u64() > Some(sent_before));
    others.finish(&show);
    let lost = counts(&mut control, [("py", "conflated"), ("asked", "conflated"), ("steady", "conflated")]);
    assert_eq!(lost, [0, 0, 0]);
    show.stop();
}

#[test]
fn a_script_in_a_loop_on_output_to_one_target_waits_for_its_turn() {
    assert_that_a_flood_waits_for_its_turn(1);
}

#[test]
fn a_script_in_a_loop_on_output_to_10_targets_waits_for_its_turn() {
    assert_that_a_flood_waits_for_its_turn(10);
}

#[test]
fn a_script_in_a_loop_on_output_to_50_targets_waits_for_its_turn() {
    assert_that_a_flood_waits_for_its_turn(50);
}

#[test]
fn a_script_in_a_loop_on_output_to_500_targets_waits_for_its_turn() {
    assert_that_a_flood_waits_for_its_turn(500);
}

#[test]
fn an_event_with_5000_targets_reaches_each_of_them_once_while_others_are_served() {
    let (show, others) = run(&format!(
        "[python sink]\nmodule = h\ndefault-handler = h.sink\n[map]\nnet./many > sink.{{1..5000}}\n{ASK}"
    ));
    let mut control = show.control();
    for round in 1..=20_u8 {
        let value = F(f32::from(round) / 64.0);
        show.send("/many", &[value]);
        show.send("/ask", &[value]);
        show.expect("/answer", &[value]);
    }
    control.wait_for("all events", "sink", |status| status["events_in"] == 100_000);
    others.finish(&show);
    show.stop();
}

/// A bundle of messages whose values are the numbers that the counting script expects, from
/// `first`.
fn numbered_bundle(first: u32, count: u16) -> Vec<u8> {
    let each = |number| encode("/tick", &[mm_tests::counter::numbered(number)]);
    bundle(&(first..first + u32::from(count)).map(each).collect::<Vec<_>>())
}

#[test]
fn a_bundle_as_large_as_a_datagram_arrives_complete_and_in_order() {
    let (show, others) = run(
        "[python counter]\nmodule = steady\n[map]\nnet./tick > counter.steady.tick\nnet./report > counter.steady.report\n",
    );
    let mut control = show.control();
    let mut sent = 0;
    for _ in 0..10 {
        // Two at once, and a message of another size between them.
        for count in [LARGE_BUNDLE, 1, LARGE_BUNDLE] {
            show.peer().send_raw(&numbered_bundle(sent + 1, count));
            sent += u32::from(count);
        }
        control.wait_for("the events", "net", |status| status["events_in"] == sent);
    }
    show.send("/report", &[F(1.0)]);
    mm_tests::counter::assert_complete(&show, "counter", sent);
    others.finish(&show);
    show.stop();
}

#[test]
fn bundles_on_another_port_take_nothing_from_the_others() {
    let (show, others) = run(&format!(
        "[python sink]\nmodule = h\nqueue = 1000\ndefault-handler = h.sink\n[map]\n\
         net./tick > sink.tick\n{ASK}"
    ));
    let (large, small) = (numbered_bundle(1, LARGE_BUNDLE), numbered_bundle(1, 100));
    let unknown = bundle(&vec![encode("/unknown", &[F(0.5)]); 2_000]);
    for _ in 0..20 {
        // What the kernel has no room for is lost, to the flood alone.
        (0..30).for_each(|_| show.another_peer().send_raw(&large));
        (0..300).for_each(|_| show.another_peer().send_raw(&small));
        (0..30).for_each(|_| show.another_peer().send_raw(&unknown));
    }
    let mut control = show.control();
    others.finish(&show);
    let conflated = counts(&mut control, ["net", "calm", "steady"].map(|name| (name, "conflated")));
    assert_eq!(conflated, [0, 0, 0]);
    assert_eq!(show.log().count(Event::named("events_conflated")), 0);
    let [received] = counts(&mut control, [("net", "events_in")]);
    assert!(received >= u64::from(LARGE_BUNDLE), "the flood itself is served: {received} events");
    show.stop();
}

#[test]
fn bundles_on_many_ports_take_nothing_from_the_others_and_each_port_has_its_turn() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    let names: Vec<String> = (0..8).map(|number| format!("port{number}")).collect();
    // No other test has this address: the host is that of this process.
    let address = |number: u16| SocketAddr::new(stage.bind().ip(), FIRST_PORT + number);
    let addresses: Vec<SocketAddr> = (0..8).map(address).collect();
    let sections: String = names
        .iter()
        .zip(&addresses)
        .map(|(name, address)| format!("[osc {name}]\nbind = {} {}\n", address.ip(), address.port()))
        .collect();
    let mappings: String = names.iter().map(|name| format!("{name}./tick > sink.{name}\n")).collect();
    let text = format!(
        "{sections}[python sink]\nmodule = h\nqueue = 1000\ndefault-handler = h.sink\n[map]\n{mappings}{ASK}"
    );
    BackgroundTraffic::show(&stage, &text);
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    let flood = UdpSocket::bind((show.stage().bind().ip(), 0)).expect("a port");
    let large = numbered_bundle(1, LARGE_BUNDLE);
    let send = |address: &SocketAddr| drop(flood.send_to(&large, address));
    (0..100).for_each(|_| addresses.iter().for_each(send));
    let mut control = show.control();
    for (name, address) in names.iter().zip(&addresses) {
        let before = control.standing(name)["events_in"].as_u64();
        send(address);
        control.wait_for("its turn", name, |status| status["events_in"].as_u64() > before);
    }
    others.finish(&show);
    let is_zero = |status: &Value| status["name"] == "sink" || status["conflated"].as_u64().unwrap_or(0) == 0;
    assert!(control.status().iter().all(is_zero));
    show.stop();
}

#[test]
fn a_machine_that_stands_still_now_and_then_loses_and_reorders_nothing() {
    let (show, others) = run(ASK);
    let workers = ["steady", "asked"].map(|name| show.worker(name));
    for round in 1..=60_u8 {
        let value = F(f32::from(round) / 64.0);
        show.send("/ask", &[value]);
        show.signal(Signal::SIGSTOP);
        workers.iter().for_each(|worker| worker.signal(Signal::SIGSTOP));
        last(Duration::from_millis(5 + u64::from(round) % 11));
        workers.iter().for_each(|worker| worker.signal(Signal::SIGCONT));
        show.signal(Signal::SIGCONT);
        show.expect("/answer", &[value]);
    }
    others.finish(&show);
    let mut control = show.control();
    let is_zero = |status: &Value| status["conflated"].as_u64().unwrap_or(0) == 0;
    assert!(control.status().iter().all(is_zero));
    show.stop();
}
