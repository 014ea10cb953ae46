//! Faults `network-not-ready` and `peer-missing`: what the network lacks costs the show nothing but
//! that, and is used as soon as it is there.

use mm_tests::osc::{F, Peer};
use mm_tests::{Event, TestShow};
use nix::sys::signal::Signal;
use std::net::UdpSocket;

/// Of TEST-NET-1 (RFC 5737), which no machine has.
const FOREIGN_ADDRESS: &str = "192.0.2.77";

/// A show whose `net` works, with two instances for which the network lacks something.
fn unready_show(stage: &TestShow) {
    stage.show(&format!(
        "[osc net]\nbind = $IN\ndest = $OUT\n/out = f 0 1\n[osc stage]\ndestination = stage-left.invalid 9000\n\
         /* = f 0 1\n[osc later]\nbind = {FOREIGN_ADDRESS} 9000\n[map]\nnet./in > net./out\nnet./in > stage./in\n\
         net./in > later./in\n"
    ));
}

#[test]
fn a_name_that_does_not_resolve_and_an_address_that_is_not_there_do_not_keep_the_show_from_starting() {
    let stage = TestShow::new();
    unready_show(&stage);
    let show = stage.run();
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    show.wait_for(Event::named("osc_destination_unknown").level("warn").instance("stage"));
    show.wait_for(Event::named("backend_open_failed").level("warn").message("does not have this address"));
    let mut control = show.control();
    let note = |status: &serde_json::Value, part: &str| {
        status["note"].as_str().is_some_and(|note| note.contains(part))
    };
    control.wait_for("the name in the status", "stage", |status| note(status, "does not resolve"));
    control
        .wait_for("the address in the status", "later", |status| note(status, "does not have this address"));

    // The same with HUP, and then with addresses that are there.
    show.signal(Signal::SIGHUP);
    show.wait_for(Event::named("show_reloaded"));
    let listener = UdpSocket::bind((show.stage().bind().ip(), 0)).expect("a free port");
    let here = listener.local_addr().expect("it is bound");
    drop(listener);
    let peer = Peer::new(here, show.stage().bind());
    let text = show.stage().read("show.cfg");
    let text = text.replace("stage-left.invalid 9000", &format!("{} {}", here.ip(), here.port()));
    let text = text.replace(&format!("{FOREIGN_ADDRESS} 9000"), "127.0.0.1 0");
    show.stage().show(&text);
    show.signal(Signal::SIGHUP);
    control.wait_for_state("later", "running");
    show.send("/in", &[F(0.25)]);
    peer.expect("/in", &[F(0.25)]);
    show.expect("/out", &[F(0.25)]);
    show.stop();
}

#[test]
fn a_port_that_another_program_holds_ends_the_start() {
    let stage = TestShow::new();
    let _holder = UdpSocket::bind(stage.bind()).expect("the address of a test is its own");
    unready_show(&stage);
    let path = stage.path("show.cfg");
    stage.finish(&["--config", &path]).assert(1, &["the port is in use"]);
}

#[test]
fn a_number_that_is_not_an_address_is_an_error_of_the_show_file() {
    let stage = TestShow::new();
    stage.show("[osc net]\nbind = $IN\ndestination = 999.1.1.1 9000\n");
    stage.check().assert(2, &["`999.1.1.1` is neither an IP address nor a host name"]);
}

#[test]
fn a_peer_that_starts_later_gets_the_last_value_of_each_path_once() {
    let stage = TestShow::new();
    let free = UdpSocket::bind((stage.bind().ip(), 0)).expect("a free port");
    let there = free.local_addr().expect("it is bound");
    drop(free);
    stage.show(&format!(
        "[osc net]\nbind = $IN\ndest = $OUT\n/out = f 0 1\n[osc late]\ndest = {} {}\n/* = f 0 1\n[map]\n\
         net./a > late./a\nnet./b > late./b\nnet./in > net./out\n",
        there.ip(),
        there.port()
    ));
    let show = stage.run();
    for value in [0.25, 0.5, 0.75] {
        show.send("/a", &[F(value)]);
        show.send("/b", &[F(1.0 - value)]);
    }
    show.wait_for(Event::named("osc_peer_missing").level("warn").instance("late"));
    let mut control = show.control();
    control.wait_for("the peer in the status", "late", |status| {
        status["note"].as_str().is_some_and(|note| note.contains("does not receive"))
            && status["errors"].as_u64() > Some(0)
    });
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    let peer = Peer::new(there, show.stage().bind());
    let mut received = [peer.receive(), peer.receive()];
    show.wait_for(Event::named("osc_peer_returned").instance("late"));
    received.sort_by(|one, two| one.path.cmp(&two.path));
    let received = received.map(|message| (message.path, message.arguments));
    assert_eq!(received, [("/a".to_owned(), vec![F(0.75)]), ("/b".to_owned(), vec![F(0.25)])]);
    control.wait_for("nothing to note", "late", |status| status["note"].is_null());
    show.send("/a", &[F(0.125)]);
    assert_eq!(peer.receive().arguments, [F(0.125)], "the last values were sent once");
    show.stop();
}
