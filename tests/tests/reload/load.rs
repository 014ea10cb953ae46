//! Fault `reload-under-load`: reloads under load.

use mm_tests::osc::{F, Peer};
use mm_tests::wait::every;
use mm_tests::{Running, TestShow};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Each event carries its number, as a fraction of 2^23, and is sent on.
const SCRIPT: &str = "
    import midimonster
    def tick(value):
        midimonster.output('x', value)
";

/// Counts what comes out of an instance whose workers come and go.
const WITNESS: &str = "
    import midimonster
    seen = wrong = last = 0
    def tick(value):
        global seen, wrong, last
        number = round(value * 8388608)
        seen += 1
        wrong += number != last + 1
        last = number
    def report(value):
        print(f'witness: {seen} seen, {wrong} out of place')
";

/// Events in one burst, and time between two: 5,000 events a second.
const BURST: u32 = 10;
const PERIOD: Duration = Duration::from_millis(2);

/// The value that carries a number; a float has 24 bits for it.
fn value(number: u32) -> f32 {
    let (high, low) = (number >> 8, number.to_le_bytes()[0]);
    f32::from(u16::try_from(high).expect("fewer events than that")).mul_add(256.0, f32::from(low))
        / 8_388_608.0
}

/// Sends numbered events until it is told to stop; returns how many.
fn send(show: &Running, stop: &Arc<AtomicBool>) -> thread::JoinHandle<u32> {
    let (address, stop) = (show.stage().bind(), Arc::clone(stop));
    thread::spawn(move || {
        let peer = Peer::new(SocketAddr::new(address.ip(), 0), address);
        let mut sent = 0;
        every(PERIOD, || {
            for _ in 0..BURST {
                sent += 1;
                peer.send("/tick", &[F(value(sent))]);
            }
            !stop.load(Ordering::Relaxed)
        });
        sent
    })
}

fn assert_lossless(verb: &str, times: usize) {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.python("w.py", WITNESS);
    stage.osc_show(
        "[python py]\nmodule = h\n[python witness]\nmodule = w\n[map]\nnet./tick > py.h.tick\n\
         py.x > witness.w.tick\nnet./report > witness.w.report\n",
    );
    let show = stage.run();
    let stop = Arc::new(AtomicBool::new(false));
    let sender = send(&show, &stop);
    let mut control = show.control();
    for _ in 0..times {
        let outcome = control.act(verb, "py");
        assert_eq!(outcome["ok"], true, "{outcome}");
    }
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().expect("the sender only sends");
    control.wait_for("all events at the far end", "witness", |status| status["events_in"] == sent);
    show.send("/report", &[F(1.0)]);
    let line = show.wait_for(&["witness: "]);
    assert!(line.ends_with(&format!("witness: {sent} seen, 0 out of place")), "{sent} sent, but {line}");
    assert_eq!(control.standing("py")["conflated"], json!(0));
    show.stop();
}

#[test]
fn reloads_under_load_lose_double_and_reorder_nothing() {
    assert_lossless("reload", 20);
}

#[test]
fn restarts_under_load_lose_double_and_reorder_nothing() {
    assert_lossless("restart", 10);
}

#[test]
#[ignore = "takes long: the same as the test of 20"]
fn a_hundred_reloads_under_load_lose_double_and_reorder_nothing() {
    assert_lossless("reload", 100);
}
