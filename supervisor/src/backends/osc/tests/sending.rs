//! Which messages go out for which events, and what becomes of them on their way.

use super::*;
use nix::errno::Errno;

#[test]
fn parameters_that_are_set_in_one_step_share_a_message_until_one_is_set_again() {
    let mut rig = Rig::new(&[("/xyz", "fif 0 1 10 20 2 4"), ("/b", "f 0 1")], &["/xyz", "/xyz:1", "/b"]);
    rig.step(&[(0, 0.5), (2, 1.0), (1, 0.0), (0, 0.25), (1, 0.5)]);
    let xyz = |x, y| ("/xyz".into(), vec![OscType::Float(x), OscType::Int(y), OscType::Float(2.0)]);
    assert_eq!(rig.arrived(), xyz(0.5, 10), "the parameter that is not mapped is at its minimum");
    assert_eq!(rig.arrived(), ("/b".into(), floats([1.0])));
    assert_eq!(rig.arrived(), xyz(0.25, 15));
    rig.step(&[(1, 1.0)]);
    rig.step(&[(0, 1.0)]);
    assert_eq!([rig.arrived(), rig.arrived()], [xyz(0.25, 20), xyz(1.0, 20)], "they are two steps");
    rig.nothing_arrives();
}

#[test]
fn what_comes_in_as_one_message_goes_out_as_one_message() {
    let mut rig = Rig::new(&[("/xy", "ff 0 1 0 1")], &["/xy:0", "/xy:1"]);
    // The second message repeats the first parameter, which begins its own message all the same.
    rig.step(&[(0, 0.25), (1, 0.25), (0, 0.25), (1, 0.5), (0, 0.75), (1, 0.5)]);
    for expected in [[0.25, 0.25], [0.25, 0.5], [0.75, 0.5]] {
        assert_eq!(rig.arrived().1, floats(expected));
    }
    rig.nothing_arrives();
}

#[test]
fn no_value_is_merged_away_within_a_step_and_the_order_is_that_of_the_events() {
    let mut rig = Rig::new(&[("/*", "f 0 1")], &["/go", "/stop"]);
    rig.step(&[(0, 1.0), (0, 0.0), (1, 1.0), (0, 1.0), (1, 0.0), (0, 0.0)]);
    for (path, value) in
        [("/go", 1.0), ("/go", 0.0), ("/stop", 1.0), ("/go", 1.0), ("/stop", 0.0), ("/go", 0.0)]
    {
        assert_eq!(rig.arrived(), (path.into(), floats([value])));
    }
    rig.nothing_arrives();
}

#[test]
fn with_send_all_equal_values_are_sent_too() {
    let mut rig =
        Rig::new(&[("send", "all"), ("/go", "i 1 1"), ("/xy", "ff 0 1 0 1")], &["/go", "/xy", "/xy:1"]);
    rig.step(&[(0, 1.0), (0, 1.0), (1, 0.0), (2, 0.0)]);
    rig.step(&[(0, 0.0)]);
    let go = ("/go".into(), vec![OscType::Int(1)]);
    assert_eq!([rig.arrived(), rig.arrived()], [go.clone(), go.clone()]);
    assert_eq!(rig.arrived(), ("/xy".into(), floats([0.0, 0.0])));
    assert_eq!(rig.arrived(), go);
    rig.nothing_arrives();
}

#[test]
fn more_messages_than_the_queue_takes_are_all_sent_within_one_step() {
    let mut rig = Rig::new(&[("/a", "i 0 100000")], &["/a"]);
    let count = 2 * tx_queue::MESSAGES_LIMIT as u32 + 100;
    (0..count).for_each(|n| rig.set(&[(0, f64::from(n + 1) / 100_000.0)]));
    rig.osc.flush();
    assert_eq!(rig.osc.backend.status(LocalInstance(0)).conflated, 0);
}

#[test]
fn without_a_way_to_the_peer_the_last_values_wait_and_the_others_are_counted() {
    let mut rig = Rig::new(&[("/*", "f 0 1")], &["/a", "/b"]);
    rig.set(&[(0, 0.25), (1, 0.5), (0, 0.5)]);
    let OscBackend { tx, paths, socket, .. } = &mut *rig.osc.backend;
    tx.lose(&Errno::ENETUNREACH.into(), paths, socket);
    rig.step(&[(0, 0.75), (1, 1.0)]);
    rig.nothing_arrives();
    let status = rig.osc.backend.status(LocalInstance(0));
    assert_eq!((status.conflated, status.errors), (3, 1));
    assert!(status.note.is_some_and(|note| note.starts_with("cannot send")));
    let due = rig.osc.deadline().expect("it is tried again");
    rig.osc.tick(due);
    assert_eq!(rig.arrived(), ("/a".into(), floats([0.75])));
    assert_eq!(rig.arrived(), ("/b".into(), floats([1.0])));
    rig.nothing_arrives();
    assert_eq!(rig.osc.backend.status(LocalInstance(0)).note, None);
}

#[test]
fn a_peer_that_refuses_is_in_the_status_and_gets_the_last_values_when_it_receives() {
    let mut rig = Rig::new(&[("/*", "f 0 1")], &["/a", "/b"]);
    let address = rig.peer.local_addr().expect("it is bound");
    rig.peer = peer();
    rig.step(&[(0, 0.25), (1, 0.5)]);
    rig.step(&[(0, 0.75)]);
    rig.receive();
    let status = rig.osc.backend.status(LocalInstance(0));
    assert!(status.errors > 0 && status.note.is_some_and(|note| note.contains("does not receive")));
    rig.peer = UdpSocket::bind(address).expect("the port is free again");
    rig.peer.set_read_timeout(Some(TIMEOUT)).expect("a limit");
    let due = rig.osc.deadline().expect("it is probed");
    rig.osc.tick(due);
    assert_eq!(rig.arrived(), ("/a".into(), floats([0.75])));
    let due = rig.osc.deadline().expect("it is waited for a refusal");
    rig.osc.tick(due);
    assert_eq!(rig.arrived(), ("/b".into(), floats([0.5])));
    rig.nothing_arrives();
    assert_eq!(rig.osc.backend.status(LocalInstance(0)).note, None);
}

#[test]
fn what_does_not_change_is_not_sent_again() {
    let mut rig = Rig::new(&[("/a", "i 0 255")], &["/a"]);
    rig.step(&[(0, 0.0)]);
    assert_eq!(rig.arrived().1, [OscType::Int(0)], "the peer does not know the first value");
    rig.step(&[(0, 0.0)]);
    rig.step(&[(0, 0.001)]);
    rig.step(&[]);
    rig.nothing_arrives();
    rig.step(&[(0, 1.0)]);
    assert_eq!(rig.arrived().1, [OscType::Int(255)]);
}

#[test]
fn a_step_with_more_messages_than_a_batch_sends_them_all_in_order() {
    let names: Vec<_> = (0..100).map(|n| format!("/out{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut rig = Rig::new(&[("/out*", "f 0 1")], &names);
    let values: Vec<_> = (0..100).map(|n| (n, 1.0)).collect();
    rig.step(&values);
    names.iter().for_each(|name| assert_eq!(rig.arrived().0, *name));
    rig.nothing_arrives();
}

#[test]
fn a_peer_that_is_gone_disturbs_nothing() {
    let mut rig = Rig::new(&[("/a", "f 0 1")], &["/a"]);
    let address = rig.peer.local_addr().expect("it is bound");
    rig.peer = peer();
    (0..20).for_each(|n| rig.step(&[(0, f64::from(n) / 20.0)]));
    rig.send(&encode("/a", floats([0.5])));
    assert_eq!(rig.events(1), [(0, 0.5)]);
    rig.peer = UdpSocket::bind(address).expect("the port is free again");
    rig.peer.set_read_timeout(Some(TIMEOUT)).expect("a limit");
    rig.step(&[(0, 1.0)]);
    assert_eq!(rig.arrived().1, floats([1.0]));
}
