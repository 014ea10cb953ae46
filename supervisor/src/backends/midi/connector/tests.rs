//! Tests of the connector: devices that come and go in a fake MIDI system.

use super::{Connector, ConnectorConfig, ConnectorHandle, OutageFlag};
use crate::backends::midi::device_selector::DeviceSelector;
use crate::backends::midi::port::fake::{FakeMidi, TEST_TIMEOUT, wait_for_text};
use crate::backends::midi::port::{Device, PortDirection};
use crate::backends::midi::port_leases::PortLeases;
use crate::backends::midi::tx::TxRemote;
use crate::backends::midi::tx_thread::TxCommand;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

struct Rig {
    midi: FakeMidi,
    connector: ConnectorHandle,
    commands: Receiver<TxCommand>,
}

impl Rig {
    fn new(wanted: [Option<&str>; 2], devices: &[Device]) -> Self {
        let midi = FakeMidi::default();
        midi.change(|state| state.devices = devices.to_vec());
        let (sender, commands) = channel();
        let config = ConnectorConfig {
            name: "test".into(),
            lease_name: "test".into(),
            leases: Box::leak(Box::new(PortLeases::new())),
            open: midi.open_fn(),
            selectors: wanted.map(|text| text.map(DeviceSelector::new)),
            outage: OutageFlag::default(),
        };
        let remote = TxRemote::new(sender, thread::spawn(|| {}));
        Self { midi, connector: Connector::start(config, remote).unwrap(), commands }
    }

    fn command(&self) -> TxCommand {
        self.commands.recv_timeout(TEST_TIMEOUT).expect("a command")
    }

    #[track_caller]
    fn wait_for_status(&self, text: &str) {
        wait_for_text(text, || self.connector.status());
    }

    fn replace(&self, devices: &[Device]) {
        self.midi.change(|state| {
            state.devices = devices.to_vec();
            state.connected.clear();
        });
    }
}

fn pad(key: &str) -> Device {
    Device { key: key.into(), names: vec!["Pad:MIDI 1".into(), "Pad".into()] }
}

#[test]
fn a_device_that_is_there_is_connected_before_anything_is_sent() {
    let rig = Rig::new([Some("Pad"), Some("Pad")], &[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::UsePort(_)));
    let connected = rig.midi.state().connected.clone();
    assert_eq!(connected, [(PortDirection::In, "20:0".into()), (PortDirection::Out, "20:0".into())]);
    rig.wait_for_status("read: `Pad:MIDI 1`, write: `Pad:MIDI 1`");
}

#[test]
fn a_device_that_comes_back_elsewhere_is_connected_and_gets_the_last_values() {
    let rig = Rig::new([None, Some("20:0")], &[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::UsePort(_)));
    rig.replace(&[]);
    rig.wait_for_status("write: `Pad:MIDI 1` is gone");
    rig.replace(&[pad("28:0")]);
    assert!(matches!(rig.command(), TxCommand::ResendValues));
    rig.wait_for_status("write: `Pad:MIDI 1`");
    assert_eq!(rig.midi.state().connected, [(PortDirection::Out, "28:0".into())]);
}

#[test]
fn a_device_that_was_away_for_too_short_to_be_missed_is_connected_again() {
    let rig = Rig::new([None, Some("Pad")], &[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::UsePort(_)));
    rig.replace(&[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::ResendValues));
}

#[test]
fn a_missing_device_is_connected_when_it_appears() {
    let rig = Rig::new([None, Some("Pad")], &[]);
    assert!(matches!(rig.command(), TxCommand::UsePort(_)));
    rig.wait_for_status("write: `Pad` is missing");
    rig.replace(&[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::ResendValues));
}

#[test]
fn ports_that_have_failed_are_opened_again() {
    let rig = Rig::new([Some("Pad"), None], &[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::UsePort(_)));
    rig.midi.change(|state| state.is_down = true);
    assert!(matches!(rig.command(), TxCommand::ClosePort));
    rig.wait_for_status("waiting for MIDI: nothing runs");
    rig.midi.change(|state| state.is_down = false);
    // It would try again a little later without this.
    rig.connector.ring();
    while !matches!(rig.command(), TxCommand::UsePort(_)) {}
    assert_eq!(rig.midi.state().opened, 2);
}
