//! What becomes of levels when the supervisor is started again. Fault `level-off-while-down`.

use mm_tests::dmx::artnet::Dmx;
use mm_tests::osc::F;
use mm_tests::{Running, TestShow, wait_until};
use std::fs;
use std::net::UdpSocket;

/// Sends a frame of universe 1 to the show.
fn send(desk: &UdpSocket, show: &Running, frame: &mut Dmx, slots: &[u8]) {
    desk.send_to(&frame.next(slots), show.stage().calm()).expect("it can be sent");
}

#[test]
fn a_level_that_is_turned_off_while_the_supervisor_is_down_goes_off_at_its_outputs() {
    let stage = TestShow::new();
    stage.osc_show(
        "[supervisor]\nstate-file = state\n[backend artnet]\nbind = $CALM\n[artnet in]\nuniverse = 1\n\
         [map]\nin.{1..3} > net./{1..3}\n",
    );
    let (desk, mut frame) = (UdpSocket::bind("127.0.0.1:0").expect("a port is free"), Dmx::new(1, &[]));
    let mut show = stage.run();
    send(&desk, &show, &mut frame, &[255, 51, 0, 0]);
    show.expect("/1", &[F(1.0)]);
    show.expect("/2", &[F(0.2)]);
    let state = show.stage().path("state");
    wait_until("the levels on disk", || {
        let bytes = fs::read(&state).unwrap_or_default();
        [1.0_f64, 0.2].iter().all(|value| bytes.windows(8).any(|window| window == value.to_le_bytes()))
    });
    show.kill();
    let show = show.run_again();
    // As they were, until the desk says otherwise.
    let mut restored = [show.peer().receive(), show.peer().receive()];
    restored.sort_by(|one, two| one.path.cmp(&two.path));
    assert_eq!(
        restored.map(|message| (message.path, message.arguments)),
        [("/1".to_owned(), vec![F(1.0)]), ("/2".to_owned(), vec![F(0.2)]),]
    );
    let kept = show.control().ask(&serde_json::json!({"verb": "get", "channels": ["in.1"]}));
    assert_eq!(kept["values"][0]["in"], serde_json::json!({"value": 1.0, "count": 0, "ago_ms": null}));
    send(&desk, &show, &mut frame, &[0, 51, 0, 0]);
    // The second has not changed, and the third was never on.
    show.expect("/1", &[F(0.0)]);
    send(&desk, &show, &mut frame, &[0, 51, 255, 0]);
    show.expect("/3", &[F(1.0)]);
    show.stop();
}
