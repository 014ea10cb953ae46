//! Tests of whole instances: what closing them waits for, and what waits for that.

use super::port::fake::{FakeMidi, TEST_TIMEOUT, wait_for_text};
use super::*;
use crate::backends::test_loop::TestLoop;
use crate::test_shows::show;
use std::sync::mpsc::channel;
use std::thread;

/// Instances that are closed at once: if closing one took as little as 150 ms, the test would fail.
const INSTANCES: usize = 200;

fn new_leases() -> &'static PortLeases {
    Box::leak(Box::new(PortLeases::new()))
}

/// Starts an instance with the channels `ch0.cc1` and `ch0.cc2`.
fn start(midi: &FakeMidi, lease_name: &str, leases: &'static PortLeases) -> Midi {
    let show = show("[midi box]\n[map]\nbox.ch0.cc1 > box.ch0.cc2\n");
    let instance = &show.instances[0];
    let plan = MidiPlan {
        id: InstanceId(0),
        name: "box".into(),
        common: MidiBackendOptions::read(None),
        options: MidiInstanceOptions::read(instance),
        channels: ChannelMap::new(instance, &mut Diagnostics::default()),
        outage: OutageFlag::default(),
    };
    plan.start(lease_name.into(), leases, |_| midi.open_fn()).unwrap()
}

#[test]
fn closing_instances_whose_ports_hang_does_not_block_the_loop() {
    let (midi, leases) = (FakeMidi::default(), new_leases());
    let instances: Vec<_> = (0..INSTANCES).map(|n| start(&midi, &n.to_string(), leases)).collect();
    midi.wait_until(|state| state.opened == INSTANCES);
    midi.change(|state| state.holds_close = true);
    let (done, is_done) = channel();
    thread::spawn(move || {
        drop(instances);
        let _ = done.send(());
    });
    is_done.recv_timeout(TEST_TIMEOUT).expect("closing returns while the ports are still open");
    assert_eq!(midi.state().closed, 0);
    assert!(!leases.wait_until_free(Duration::ZERO));
    midi.change(|state| state.holds_close = false);
    assert!(leases.wait_until_free(TEST_TIMEOUT));
    assert_eq!(midi.state().closed, INSTANCES);
}

#[test]
fn a_successor_opens_its_ports_after_those_of_the_old_instance_are_closed() {
    let (midi, leases) = (FakeMidi::default(), new_leases());
    let old = start(&midi, "box", leases);
    midi.wait_until(|state| state.opened == 1);
    midi.change(|state| state.holds_close = true);
    drop(old);
    let new = start(&midi, "box", leases);
    let status = || new.connector.status();
    wait_for_text("waiting for the previous ports of this name to close", status);
    assert_eq!(midi.opened_and_closed(), (1, 0));
    midi.change(|state| state.holds_close = false);
    midi.wait_until(|state| state.opened == 2);
    assert_eq!(midi.state().closed, 1);
}

#[test]
fn a_successor_that_is_closed_while_it_waits_opens_no_ports() {
    let (midi, leases) = (FakeMidi::default(), new_leases());
    let old = start(&midi, "box", leases);
    midi.wait_until(|state| state.opened == 1);
    midi.change(|state| state.holds_close = true);
    drop(old);
    drop(start(&midi, "box", leases));
    midi.change(|state| state.holds_close = false);
    assert!(leases.wait_until_free(TEST_TIMEOUT));
    assert_eq!(midi.opened_and_closed(), (1, 1));
}

#[test]
fn values_that_wait_when_the_instance_is_closed_go_out_before_the_ports_close() {
    let (midi, leases) = (FakeMidi::default(), new_leases());
    let instance = start(&midi, "box", leases);
    let mut instance = TestLoop::start(Box::new(instance), vec![InstanceId(0)]);
    midi.wait_until(|state| state.opened == 1);
    // The sending thread has the port once a first value is out.
    instance.handle(0, 1, 0.0);
    instance.flush();
    midi.wait_until(|state| !state.sent.is_empty());
    (0..=1000).for_each(|n| instance.handle(0, 1, f64::from(n) / 1000.0));
    drop(instance);
    midi.wait_until(|state| state.closed == 1);
    assert_eq!(midi.state().sent.last().unwrap(), &[0xb0, 2, 127]);
}
