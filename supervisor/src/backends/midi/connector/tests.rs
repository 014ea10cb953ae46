//! Devices that come and go, in a MIDI system made for the test.

use super::{Connector, ConnectorShared, OpenPorts, OutageFlag};
use crate::backends::midi::device_selector::DeviceSelector;
use crate::backends::midi::port::{Device, MidiSystem, PortDirection, SendOutcome, TxPort};
use crate::backends::midi::tx_thread::TxCommand;
use mm_shared::Doorbell;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct World {
    is_down: bool,
    devices: Vec<Device>,
    connected: Vec<(PortDirection, String)>,
    opened: usize,
}

type Shares = Arc<Mutex<World>>;

struct Fake(Shares);

impl MidiSystem for Fake {
    fn devices(&self, _direction: PortDirection) -> Vec<Device> {
        self.0.lock().unwrap().devices.clone()
    }

    fn is_connected(&self, direction: PortDirection, device: &Device) -> bool {
        self.0.lock().unwrap().connected.contains(&(direction, device.key.clone()))
    }

    fn connect(&self, direction: PortDirection, device: &Device) -> Result<(), String> {
        self.0.lock().unwrap().connected.push((direction, device.key.clone()));
        Ok(())
    }

    fn is_alive(&mut self) -> bool {
        !self.0.lock().unwrap().is_down
    }

    fn wait(&mut self, _bell: &Doorbell, _timeout: Duration) {
        thread::yield_now();
    }
}

struct NoPort;

impl TxPort for NoPort {
    fn send(&mut self, _message: &[u8]) -> SendOutcome {
        SendOutcome::Sent
    }

    fn is_drained(&mut self) -> bool {
        true
    }
}

struct Rig {
    world: Shares,
    shared: Arc<ConnectorShared>,
    commands: Receiver<TxCommand>,
}

impl Rig {
    fn new(wanted: [Option<&str>; 2], devices: &[Device]) -> Self {
        let world = Shares::default();
        world.lock().unwrap().devices = devices.to_vec();
        let (commands, received) = channel();
        let shared = Arc::new(ConnectorShared {
            ending: false.into(),
            bell: Doorbell::new().unwrap(),
            state: String::new().into(),
        });
        let its_world = Arc::clone(&world);
        let keeper = Connector {
            name: "test".into(),
            open: Box::new(move || {
                let mut world = its_world.lock().unwrap();
                if world.is_down {
                    return Err("nothing runs".to_owned());
                }
                world.opened += 1;
                Ok(OpenPorts { system: Box::new(Fake(Arc::clone(&its_world))), tx: Box::new(NoPort) })
            }),
            wanted: wanted.map(|text| text.map(DeviceSelector::new)),
            commands,
            sender: thread::current(),
            shared: Arc::clone(&shared),
            outage: OutageFlag::default(),
            closed: channel().0,
        };
        thread::spawn(move || keeper.run());
        Self { world, shared, commands: received }
    }

    fn command(&self) -> TxCommand {
        self.commands.recv_timeout(PATIENCE).expect("a command")
    }

    fn wait_for_state(&self, text: &str) {
        let start = Instant::now();
        while *self.shared.state.lock().unwrap() != text {
            assert!(start.elapsed() < PATIENCE, "the state stays `{}`", self.shared.state.lock().unwrap());
            thread::yield_now();
        }
    }

    fn replace(&self, devices: &[Device]) {
        let mut world = self.world.lock().unwrap();
        world.devices = devices.to_vec();
        world.connected.clear();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.shared.bell.ring();
    }
}

fn pad(key: &str) -> Device {
    Device { key: key.into(), names: vec!["Pad:MIDI 1".into(), "Pad".into()] }
}

#[test]
fn a_device_that_is_there_is_connected_before_anything_is_sent() {
    let rig = Rig::new([Some("Pad"), Some("Pad")], &[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::UsePort(_)));
    let connected = rig.world.lock().unwrap().connected.clone();
    assert_eq!(connected, [(PortDirection::In, "20:0".into()), (PortDirection::Out, "20:0".into())]);
    rig.wait_for_state("read: `Pad:MIDI 1`, write: `Pad:MIDI 1`");
}

#[test]
fn a_device_that_comes_back_elsewhere_is_connected_and_gets_the_last_values() {
    let rig = Rig::new([None, Some("20:0")], &[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::UsePort(_)));
    rig.replace(&[]);
    rig.wait_for_state("write: `Pad:MIDI 1` is gone");
    rig.replace(&[pad("28:0")]);
    assert!(matches!(rig.command(), TxCommand::ResendValues));
    rig.wait_for_state("write: `Pad:MIDI 1`");
    assert_eq!(rig.world.lock().unwrap().connected, [(PortDirection::Out, "28:0".into())]);
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
    rig.wait_for_state("write: `Pad` is missing");
    rig.replace(&[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::ResendValues));
}

#[test]
fn ports_that_do_not_work_any_more_are_opened_anew() {
    let rig = Rig::new([Some("Pad"), None], &[pad("20:0")]);
    assert!(matches!(rig.command(), TxCommand::UsePort(_)));
    rig.world.lock().unwrap().is_down = true;
    assert!(matches!(rig.command(), TxCommand::ClosePort));
    rig.wait_for_state("waiting for MIDI: nothing runs");
    rig.world.lock().unwrap().is_down = false;
    // it would look again by itself a little later
    rig.shared.bell.ring();
    while !matches!(rig.command(), TxCommand::UsePort(_)) {}
    assert_eq!(rig.world.lock().unwrap().opened, 2);
}
