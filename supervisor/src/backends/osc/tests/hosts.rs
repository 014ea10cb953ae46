//! Hosts that have to be looked up.

use super::*;

fn answer(host: &str, addresses: &[&str]) -> ResolvedHost {
    let address = |text: &&str| SocketAddr::new(text.parse().expect("an address"), 0);
    ResolvedHost { host: host.into(), addresses: addresses.iter().map(address).collect() }
}

#[test]
fn a_host_to_bind_that_was_looked_up_is_bound() {
    let mut plan = plan(&[("bind", "stage.invalid 0")], &[]);
    assert_eq!(plan.hosts(), ["stage.invalid"]);
    plan.on_resolved(&answer("stage.invalid", &[]));
    let error = plan.open().err().expect("it has no address");
    assert!(error.message.contains("`bind = stage.invalid 0` does not resolve"), "{error}");
    assert_eq!(error.cause, OpenCause::Network);
    plan.on_resolved(&answer("stage.invalid", &["127.0.0.1"]));
    let socket = plan.open_socket().expect("it opens").socket;
    assert!(socket.local_address().is_some_and(|local| local.ip().is_loopback()));
}

#[test]
fn a_destination_that_resolves_later_gets_the_last_values_and_another_address_gets_them_again() {
    let first = peer();
    let second = UdpSocket::bind(("127.0.0.2", port_of(&first))).expect("another host");
    second.set_read_timeout(Some(TIMEOUT)).expect("a limit");
    let to = format!("stage.invalid {}", port_of(&first));
    let mut osc = open(&[("destination", &to), ("/*", "f 0 1")], &["/a", "/b"]).expect("it opens");
    osc.receive_answer(TIMEOUT);
    let status = osc.backend.status(LocalInstance(0));
    assert_eq!(status.state, BackendState::Connecting);
    assert_eq!(status.note, Some(format!("`destination = {to}` does not resolve")));
    osc.handle(0, 0, 0.25);
    osc.handle(0, 1, 0.5);
    osc.handle(0, 0, 0.75);
    osc.flush();
    for (peer, host) in [(first, "127.0.0.1"), (second, "127.0.0.2")] {
        osc.with(|osc, cx| osc.on_resolved(&answer("stage.invalid", &[host]), cx));
        for expected in [("/a".into(), floats([0.75])), ("/b".into(), floats([0.5]))] {
            assert_eq!(arrived_at(&peer), expected, "{host}");
        }
        let status = osc.backend.status(LocalInstance(0));
        assert_eq!((status.state, status.note), (BackendState::Running, None));
    }
}
