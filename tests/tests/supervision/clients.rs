//! Faults `hostile-client` and `clients-idle`: clients of the control socket, as many as are
//! allowed and more.

use crate::{MAPPINGS, SCRIPT, assert_answers, stage};
use mm_tests::control::socket;
use mm_tests::osc::F;
use mm_tests::wait::every;
use mm_tests::{BackgroundTraffic, Control, Running, TestShow, wait_until};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn more_clients_than_there_may_be_are_refused_and_harm_nobody() {
    let show = stage("").run();
    let mut clients: Vec<Control> = (0..60).map(|_| show.control()).collect();
    for client in &mut clients {
        assert_eq!(client.status().len(), 2);
    }
    let mut more: Vec<UnixStream> =
        (0..100).filter_map(|_| UnixStream::connect(socket(&show)).ok()).collect();
    for stream in &mut more {
        // A client that is refused may find the connection closed already.
        let _ = stream.write_all(b"{\"verb\":\"status\"}\n");
    }
    for client in &mut clients {
        assert_eq!(client.status().len(), 2);
    }
    drop(more);
    wait_until("room for another client", || {
        let Ok(mut stream) = UnixStream::connect(socket(&show)) else { return false };
        let _ = stream.write_all(b"{\"verb\":\"status\"}\n");
        let mut reply = [0; 10];
        stream.read_exact(&mut reply).is_ok() && reply.starts_with(b"{\"status\"")
    });
    assert_answers(&show, 0.5);
    show.stop();
}

#[test]
fn a_client_that_watches_and_does_not_read_is_told_how_much_it_has_missed() {
    let show = stage("").run();
    let mut watcher = show.control();
    watcher.send(&json!({ "verb": "monitor" }));
    assert!(watcher.receive()["monitoring"].is_object());
    let mut counter = show.control();
    // More than the socket and the queue hold, and long before the watcher would be disconnected.
    for round in 0..60_u16 {
        for number in 0..100_u16 {
            show.send("/ask", &[F(f32::from(round * 100 + number) / 32_768.0)]);
        }
        let expected = u64::from(round + 1) * 100;
        counter.wait_for("the events", "py", |status| status["events_in"] == expected);
        // The answers would fill the socket, and the last one would be lost.
        show.peer().skip();
    }
    // None of this has been read so far; nor is there room for all of it.
    while !watcher.receive()["dropped"].is_u64() {}
    assert_answers(&show, 1.0);
    show.stop();
}

#[test]
fn a_command_line_is_answered_while_all_places_are_taken_by_clients_that_do_nothing() {
    let show = stage("").run();
    let idle: Vec<UnixStream> = (0..64).map(|_| UnixStream::connect(socket(&show)).unwrap()).collect();
    show.ask(&["status"]).assert(0, &["py"]);
    drop(idle);
    let monitors: Vec<UnixStream> = (0..64)
        .map(|_| {
            let mut stream = UnixStream::connect(socket(&show)).unwrap();
            stream.write_all(b"{\"verb\":\"monitor\"}\n").unwrap();
            // A client that waits for an answer would keep its place.
            let mut answer = [0; 1];
            while answer != *b"\n" && stream.read(&mut answer).is_ok_and(|count| count > 0) {}
            stream
        })
        .collect();
    show.ask(&["status"]).assert(0, &["py"]);
    assert_answers(&show, 0.5);
    drop(monitors);
    show.stop();
}

/// Sends 30,000 events per second until it is told to stop.
fn flood(show: &Running, stop: &AtomicBool) {
    let peer = show.another_peer();
    every(Duration::from_millis(1), || {
        (0..30_u8).for_each(|number| peer.send("/ask", &[F(f32::from(number) / 32.0)]));
        !stop.load(Ordering::Relaxed)
    });
}

/// A client that has asked for all events, and reads none.
fn monitor(show: &Running) -> BufReader<UnixStream> {
    let mut stream = BufReader::new(UnixStream::connect(socket(show)).expect("a running show listens"));
    stream.get_mut().write_all(b"{\"verb\":\"monitor\"}\n").expect("the show listens");
    let mut answer = String::new();
    stream.read_line(&mut answer).expect("an answer");
    assert!(answer.contains("monitoring"), "{answer}");
    stream
}

#[test]
fn monitors_that_nobody_reads_cost_the_others_nothing_under_a_flood_of_events() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    BackgroundTraffic::show(&stage, &format!("[python py]\nmodule = h\n[map]\n{MAPPINGS}"));
    let show = stage.run();
    let mut counter = show.control();
    let others = BackgroundTraffic::start(&show);
    let monitors: Vec<_> = (0..64).map(|_| monitor(&show)).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| flood(&show, &stop));
        let events = |status: &Value| status["events_in"].as_u64().unwrap_or(0);
        // More than the sockets and the queues of the monitors hold, again and again.
        for round in 1..=5 {
            counter.wait_for("the flood", "py", |status| events(status) > round * 6_000);
            // It takes the place of a monitor, or there is one that was disconnected.
            show.ask(&["status"]).assert(0, &["py", "steady"]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    others.finish(&show);
    let lost = counter.standing("steady")["conflated"].clone();
    assert_eq!(lost, json!(0));
    // Each has been told how much it has missed, or was disconnected.
    for monitor in monitors {
        let mut lines = monitor.lines().map_while(Result::ok);
        let _ = lines.find(|line| line.contains("\"dropped\""));
    }
    show.stop();
}

#[test]
fn a_verb_that_acts_on_several_instances_reports_each() {
    let show = stage("").run();
    show.ask(&["restart", "py", "nobody"]).assert(1, &["`nobody`"]);
    show.ask(&["restart", "net"]).assert(1, &["net"]);
    let outcome = show.control().ask(&json!({ "verb": "restart", "instances": ["py", "py"] }));
    assert!(outcome["done"].is_array() || outcome["refused"].is_object(), "{outcome}");
    assert_answers(&show, 0.5);
    show.stop();
}
