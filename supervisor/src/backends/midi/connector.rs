//! The thread that opens the ports of an instance, connects the devices that the show asks for, and
//! connects them again when they are back. It may block; the loop never waits for it.
//!
//! When the backend is closed, this thread waits until the sending thread has ended, closes the
//! ports and gives back their names (see [`super::port_leases`]).

use super::device_selector::DeviceSelector;
use super::link_state::{LinkState, LinkUpdate, log_change, next_link, summary};
use super::port::{MidiSystem, OpenPorts, PortDirection};
use super::port_leases::{PortLease, PortLeases};
use super::tx::TxRemote;
use super::tx_thread::TxCommand;
use mm_shared::Doorbell;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// How often all devices are checked, announced or not.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);
/// How often a missing MIDI system is tried again.
const REOPEN_INTERVAL: Duration = Duration::from_secs(3);
/// How long the ports wait for those of a closed instance of the same name.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the MIDI system is known to be missing. Shared, so that one instance logs it for all.
pub type OutageFlag = Arc<AtomicBool>;

/// Opens the ports of the instance.
pub type OpenFn = Box<dyn FnMut() -> Result<OpenPorts, String> + Send>;

#[derive(Debug)]
struct ConnectorShared {
    is_ending: AtomicBool,
    bell: Doorbell,
    /// The state of the ports, for `status`.
    status: Mutex<String>,
    leases: &'static PortLeases,
}

/// The loop's side. When it is dropped, the thread closes the ports and ends by itself.
#[derive(Debug)]
pub struct ConnectorHandle {
    shared: Arc<ConnectorShared>,
}

impl ConnectorHandle {
    /// The state of the ports; empty if there is nothing to report.
    pub fn status(&self) -> String {
        self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(test)]
    pub fn ring(&self) {
        self.shared.bell.ring();
    }
}

impl Drop for ConnectorHandle {
    /// Does not wait: the loop drops this.
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::SeqCst);
        self.shared.bell.ring();
        self.shared.leases.wake();
    }
}

/// What the thread needs to know of an instance.
pub struct ConnectorConfig {
    /// The name of the instance.
    pub name: String,
    /// The name of the ports in the whole process.
    pub lease_name: String,
    pub leases: &'static PortLeases,
    pub open: OpenFn,
    /// The devices to receive from and to send to.
    pub selectors: [Option<DeviceSelector>; 2],
    pub outage: OutageFlag,
}

/// The thread.
pub struct Connector {
    config: ConnectorConfig,
    tx: TxRemote,
    shared: Arc<ConnectorShared>,
}

impl Connector {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system refuses a descriptor or a thread.
    pub fn start(config: ConnectorConfig, tx: TxRemote) -> io::Result<ConnectorHandle> {
        let shared = Arc::new(ConnectorShared {
            is_ending: false.into(),
            bell: Doorbell::new()?,
            status: String::new().into(),
            leases: config.leases,
        });
        let connector = Self { config, tx, shared: Arc::clone(&shared) };
        Builder::new().name("midi-ports".into()).spawn(move || connector.run())?;
        Ok(ConnectorHandle { shared })
    }

    fn run(mut self) {
        // Dropped last.
        let Some(_lease) = self.acquire_lease() else { return };
        let mut links = [LinkState::Unknown, LinkState::Unknown];
        let mut system = None;
        while !self.is_ending() {
            match self.open_ports() {
                Ok(ports) => system = self.serve(ports, &mut links),
                Err(reason) => self.wait_for_system(&reason),
            }
        }
        // The last values go out through ports that are still connected.
        self.tx.join();
        system.into_iter().for_each(close);
    }

    fn acquire_lease(&self) -> Option<PortLease> {
        let ConnectorConfig { name, lease_name, leases, .. } = &self.config;
        self.set_status("waiting for the previous ports of this name to close".to_owned());
        let lease = leases.acquire(lease_name, PREDECESSOR_TIMEOUT, || self.is_ending())?;
        self.set_status(String::new());
        if lease.is_shared() {
            tracing::warn!(
                event = "midi_ports_shared",
                instance = %name,
                "the previous ports of this name are still not closed; opening new ones"
            );
        }
        Some(lease)
    }

    fn open_ports(&mut self) -> Result<OpenPorts, String> {
        let open = &mut self.config.open;
        // midir panics on some failures of the system.
        catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err("the ports cannot be opened".to_owned()))
    }

    fn wait_for_system(&self, reason: &str) {
        let seconds = REOPEN_INTERVAL.as_secs();
        if !self.config.outage.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                event = "midi_unavailable",
                "MIDI unavailable: {reason}; retrying every {seconds} s, the rest of the show runs"
            );
        }
        self.set_status(format!("waiting for MIDI: {reason}"));
        self.tx.send(TxCommand::ClosePort);
        let mut descriptors = [PollFd::new(self.shared.bell.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut descriptors, PollTimeout::try_from(REOPEN_INTERVAL).unwrap_or(PollTimeout::MAX));
        self.shared.bell.clear();
    }

    /// Works with open ports until they fail or the backend is closed; returns the system in the
    /// latter case.
    fn serve(&mut self, ports: OpenPorts, links: &mut [LinkState; 2]) -> Option<Box<dyn MidiSystem>> {
        let OpenPorts { mut system, tx } = ports;
        if self.config.outage.swap(false, Ordering::SeqCst) {
            tracing::info!(event = "midi_available", "MIDI available");
        }
        // The devices first, so that the first values reach them.
        self.connect_devices(&*system, links);
        self.tx.send(TxCommand::UsePort(tx));
        while !self.is_ending() && system.is_alive() {
            system.wait(&self.shared.bell, SCAN_INTERVAL);
            self.shared.bell.clear();
            if self.connect_devices(&*system, links) {
                self.tx.send(TxCommand::ResendValues);
            }
        }
        if self.is_ending() {
            return Some(system);
        }
        self.tx.send(TxCommand::ClosePort);
        tracing::warn!(
            event = "midi_ports_failed",
            instance = %self.config.name,
            "the MIDI ports have failed; reopening them"
        );
        links.iter_mut().for_each(LinkState::lose);
        close(system);
        None
    }

    /// Connects the devices that are present. Returns whether the device to send to was connected.
    fn connect_devices(&mut self, system: &dyn MidiSystem, links: &mut [LinkState; 2]) -> bool {
        let mut needs_values = false;
        let ConnectorConfig { name, selectors, .. } = &mut self.config;
        for (direction, link) in PortDirection::BOTH.into_iter().zip(links.iter_mut()) {
            let Some(selector) = &mut selectors[direction as usize] else { continue };
            let LinkUpdate { link: next, is_new } = next_link(system, direction, selector, link);
            needs_values |= is_new && direction == PortDirection::Out;
            if is_new || next != *link {
                log_change(name, direction, selector, link, &next, system);
                *link = next;
            }
        }
        let sides = PortDirection::BOTH.into_iter().zip(links.iter()).zip(&*selectors);
        let sides = sides
            .filter_map(|((direction, link), selector)| Some(summary(direction, link, selector.as_ref()?)));
        let status = sides.collect::<Vec<_>>().join(", ");
        self.set_status(status);
        needs_values
    }

    fn is_ending(&self) -> bool {
        self.shared.is_ending.load(Ordering::SeqCst)
    }

    fn set_status(&self, text: String) {
        *self.shared.status.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// Closes the ports. A thread behind a port may have failed, and midir panics then.
fn close(system: Box<dyn MidiSystem>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(system)));
}

#[cfg(test)]
mod tests;
