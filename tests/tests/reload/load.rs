//! Fault `reload-under-load`: reloads under load.

use mm_tests::counter::{COUNTER, assert_complete, numbered};
use mm_tests::osc::{F, Peer};
use mm_tests::wait::every;
use mm_tests::{Running, TestShow};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Each event carries its number, and is sent on.
const SCRIPT: &str = "
    import midimonster
    def tick(value):
        midimonster.output('x', value)
";

/// Events in one burst, and time between two: 5,000 events a second.
const BURST: u32 = 10;
const PERIOD: Duration = Duration::from_millis(2);

/// Sends numbered events until it is told to stop; returns how many.
fn send(show: &Running, stop: &Arc<AtomicBool>) -> thread::JoinHandle<u32> {
    let (address, stop) = (show.stage().bind(), Arc::clone(stop));
    thread::spawn(move || {
        let peer = Peer::new(SocketAddr::new(address.ip(), 0), address);
        let mut sent = 0;
        every(PERIOD, || {
            for _ in 0..BURST {
                sent += 1;
                peer.send("/tick", &[numbered(sent)]);
            }
            !stop.load(Ordering::Relaxed)
        });
        sent
    })
}

fn assert_lossless(verb: &str, times: usize) {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.write("w.py", COUNTER);
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
    assert_complete(&show, "witness", sent);
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
