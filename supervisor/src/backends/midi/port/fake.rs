//! A MIDI system for tests: devices come and go, the system fails, closing ports takes as long as
//! the test wants.

use super::{Device, MidiSystem, OpenPorts, PortDirection, SendOutcome, TxPort};
use crate::backends::midi::connector::OpenFn;
use mm_shared::Doorbell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// No test takes this long unless it fails.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub struct FakeState {
    /// Ports cannot be opened, and those that are open have failed.
    pub is_down: bool,
    pub devices: Vec<Device>,
    pub connected: Vec<(PortDirection, String)>,
    /// How often ports were opened and closed.
    pub opened: usize,
    pub closed: usize,
    /// Closing ports blocks.
    pub holds_close: bool,
    pub sent: Vec<Vec<u8>>,
}

/// The system; all clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct FakeMidi(Arc<(Mutex<FakeState>, Condvar)>);

impl FakeMidi {
    pub fn state(&self) -> MutexGuard<'_, FakeState> {
        self.0.0.lock().unwrap()
    }

    pub fn opened_and_closed(&self) -> (usize, usize) {
        let state = self.state();
        (state.opened, state.closed)
    }

    pub fn change(&self, change: impl FnOnce(&mut FakeState)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    /// Opens ports of this system.
    pub fn open_fn(&self) -> OpenFn {
        let midi = self.clone();
        Box::new(move || {
            let mut state = midi.state();
            if state.is_down {
                return Err("nothing runs".to_owned());
            }
            state.opened += 1;
            drop(state);
            midi.0.1.notify_all();
            Ok(OpenPorts {
                system: Box::new(FakeSystem(midi.clone())),
                tx: Box::new(FakeTxPort(midi.clone())),
            })
        })
    }

    #[track_caller]
    pub fn wait_until(&self, condition: impl Fn(&FakeState) -> bool) {
        let (state, timeout) =
            self.0.1.wait_timeout_while(self.state(), TEST_TIMEOUT, |state| !condition(state)).unwrap();
        assert!(!timeout.timed_out(), "waited too long: {state:?}");
    }
}

/// Waits until `text` returns this.
#[track_caller]
pub fn wait_for_text(expected: &str, text: impl Fn() -> String) {
    let start = Instant::now();
    while text() != expected {
        assert!(start.elapsed() < TEST_TIMEOUT, "the text stays `{}`", text());
        thread::yield_now();
    }
}

struct FakeSystem(FakeMidi);

impl MidiSystem for FakeSystem {
    fn devices(&self, _direction: PortDirection) -> Vec<Device> {
        self.0.state().devices.clone()
    }

    fn is_connected(&self, direction: PortDirection, device: &Device) -> bool {
        self.0.state().connected.contains(&(direction, device.key.clone()))
    }

    fn connect(&self, direction: PortDirection, device: &Device) -> Result<(), String> {
        self.0.change(|state| state.connected.push((direction, device.key.clone())));
        Ok(())
    }

    fn is_alive(&mut self) -> bool {
        !self.0.state().is_down
    }

    fn wait(&mut self, _bell: &Doorbell, _timeout: Duration) {
        thread::sleep(Duration::from_millis(1));
    }
}

impl Drop for FakeSystem {
    fn drop(&mut self) {
        let held = self.0.0.1.wait_while(self.0.state(), |state| state.holds_close);
        held.unwrap().closed += 1;
        self.0.0.1.notify_all();
    }
}

struct FakeTxPort(FakeMidi);

impl TxPort for FakeTxPort {
    fn send(&mut self, message: &[u8]) -> SendOutcome {
        self.0.change(|state| state.sent.push(message.to_vec()));
        SendOutcome::Sent
    }

    fn is_drained(&mut self) -> bool {
        !self.0.state().holds_close
    }
}
