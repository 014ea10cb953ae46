//! The thread that keeps the ports: it opens them, connects the devices that the show asks for, and connects them
//! again whenever they have come back. What it does may block, the loop never waits for it.

use super::device_selector::DeviceSelector;
use super::port::{MidiSystem, OpenPorts, PortDirection};
use super::tx_thread::TxCommand;
use mm_shared::Doorbell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// How often everything is looked at, announced or not.
const LOOK: Duration = Duration::from_secs(1);
/// How often a MIDI system is looked for that is not there.
const RETRY: Duration = Duration::from_secs(3);
/// Devices that a warning names.
const NAMED: usize = 8;

/// Whether the MIDI system is known to be missing: said once, not by each instance.
pub type OutageFlag = Arc<AtomicBool>;

/// What the loop and the thread both know.
#[derive(Debug)]
pub struct ConnectorShared {
    pub ending: AtomicBool,
    pub bell: Doorbell,
    /// The state of the ports, for people.
    pub state: Mutex<String>,
}

/// Opens the ports of the instance.
pub type Open = Box<dyn FnMut() -> Result<OpenPorts, String> + Send>;

/// What a thread needs that keeps the ports of an instance.
pub struct Connector {
    pub name: String,
    pub open: Open,
    /// The devices to receive from and to send to.
    pub wanted: [Option<DeviceSelector>; 2],
    pub commands: Sender<TxCommand>,
    /// The thread that hears the commands.
    pub sender: Thread,
    pub shared: Arc<ConnectorShared>,
    pub outage: OutageFlag,
    /// Told when the ports are closed at the end.
    pub closed: Sender<()>,
}

/// What is known of a device that the show asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LinkState {
    /// It was not looked for yet.
    Unknown,
    Missing,
    /// It was there, under this name.
    Lost(String),
    /// It is there, but the system refuses to connect it. That may be over in a moment: one that goes away does so too.
    Refused {
        name: String,
        /// How often in a row; said the second time.
        times: u32,
        /// Whether it was connected before.
        known: bool,
    },
    Connected(String),
}

impl Connector {
    /// Keeps the ports until the backend is closed.
    pub fn run(mut self) {
        let mut links = [LinkState::Unknown, LinkState::Unknown];
        while !self.is_ending() {
            match self.open_ports() {
                Ok(opened) => self.keep(opened, &mut links),
                Err(reason) => {
                    if !self.outage.swap(true, Ordering::SeqCst) {
                        tracing::warn!(
                            "{reason}: no MIDI for now; it is tried again every {} s, the rest of the show runs",
                            RETRY.as_secs()
                        );
                    }
                    self.set_state(format!("waiting for MIDI: {reason}"));
                    self.tell(TxCommand::ClosePort);
                    self.rest();
                }
            }
        }
        // the backend may have stopped waiting
        let _ = self.closed.send(());
    }

    fn open_ports(&mut self) -> Result<OpenPorts, String> {
        let open = &mut self.open;
        // midir takes some failures of the system for impossible
        catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err("the ports cannot be opened".to_owned()))
    }

    /// Works with open ports until they are no good any more.
    fn keep(&mut self, opened: OpenPorts, links: &mut [LinkState; 2]) {
        let OpenPorts { mut system, tx } = opened;
        if self.outage.swap(false, Ordering::SeqCst) {
            tracing::info!("MIDI is there now");
        }
        // the devices first, so that the first values reach them
        self.look(&*system, links);
        self.tell(TxCommand::UsePort(tx));
        while !self.is_ending() && system.is_alive() {
            system.wait(&self.shared.bell, LOOK);
            self.shared.bell.clear();
            if self.look(&*system, links) {
                self.tell(TxCommand::ResendValues);
            }
        }
        self.tell(TxCommand::ClosePort);
        if !self.is_ending() {
            tracing::warn!(instance = %self.name, "the MIDI ports do not work any more, they are opened anew");
            for link in links {
                if let LinkState::Connected(name) | LinkState::Refused { name, known: true, .. } = link {
                    *link = LinkState::Lost(std::mem::take(name));
                }
            }
        }
        // the thread behind a port may have failed, and midir fails with it
        let _ = catch_unwind(AssertUnwindSafe(|| drop(system)));
    }

    /// Connects what is there. Says whether the device to send to was connected anew.
    fn look(&mut self, system: &dyn MidiSystem, links: &mut [LinkState; 2]) -> bool {
        let mut refresh = false;
        for (direction, link) in PortDirection::BOTH.into_iter().zip(links.iter_mut()) {
            let Some(wanted) = &mut self.wanted[direction as usize] else { continue };
            let next = next_link(system, direction, wanted, link);
            if next.anew && direction == PortDirection::Out {
                refresh = true;
            }
            if next.anew || next.link != *link {
                say(&self.name, direction, wanted, link, &next.link, system);
                *link = next.link;
            }
        }
        let sides = PortDirection::BOTH.into_iter().zip(links.iter()).zip(&self.wanted);
        let sides =
            sides.filter_map(|((direction, link), wanted)| Some(describe(direction, link, wanted.as_ref()?)));
        self.set_state(sides.collect::<Vec<_>>().join(", "));
        refresh
    }

    fn is_ending(&self) -> bool {
        self.shared.ending.load(Ordering::SeqCst)
    }

    fn set_state(&self, text: String) {
        *self.shared.state.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn tell(&self, command: TxCommand) {
        // a sender that has ended needs no commands
        let _ = self.commands.send(command);
        self.sender.unpark();
    }

    fn rest(&self) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let mut descriptors = [PollFd::new(self.shared.bell.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut descriptors, PollTimeout::try_from(RETRY).unwrap_or(PollTimeout::MAX));
    }
}

/// What became of a device.
struct LinkUpdate {
    link: LinkState,
    /// It was connected just now.
    anew: bool,
}

fn next_link(
    system: &dyn MidiSystem,
    direction: PortDirection,
    wanted: &mut DeviceSelector,
    link: &LinkState,
) -> LinkUpdate {
    let Some(device) = wanted.choose(&system.devices(direction)) else {
        let link = match link {
            LinkState::Connected(name)
            | LinkState::Refused { name, known: true, .. }
            | LinkState::Lost(name) => LinkState::Lost(name.clone()),
            LinkState::Unknown | LinkState::Missing | LinkState::Refused { .. } => LinkState::Missing,
        };
        return LinkUpdate { link, anew: false };
    };
    let name = device.name().to_owned();
    if matches!(link, LinkState::Connected(_)) && system.is_connected(direction, &device) {
        return LinkUpdate { link: LinkState::Connected(name), anew: false };
    }
    match system.connect(direction, &device) {
        Ok(()) => LinkUpdate { link: LinkState::Connected(name), anew: true },
        // somebody was faster
        Err(_) if system.is_connected(direction, &device) => {
            LinkUpdate { link: LinkState::Connected(name), anew: true }
        }
        Err(reason) => {
            tracing::debug!("`{name}` cannot be connected: {reason}");
            LinkUpdate { link: refused(name, link), anew: false }
        }
    }
}

fn refused(name: String, before: &LinkState) -> LinkState {
    match before {
        LinkState::Refused { times, known, .. } => {
            LinkState::Refused { name, times: times.saturating_add(1), known: *known }
        }
        LinkState::Connected(_) | LinkState::Lost(_) => LinkState::Refused { name, times: 1, known: true },
        LinkState::Unknown | LinkState::Missing => LinkState::Refused { name, times: 1, known: false },
    }
}

/// Says in the log what has changed.
fn say(
    name: &str,
    direction: PortDirection,
    wanted: &DeviceSelector,
    before: &LinkState,
    now: &LinkState,
    system: &dyn MidiSystem,
) {
    let (option, does) = match direction {
        PortDirection::In => ("read", "receives from"),
        PortDirection::Out => ("write", "sends to"),
    };
    match now {
        LinkState::Connected(device) => match before {
            LinkState::Unknown => tracing::info!(instance = %name, "{does} `{device}`"),
            LinkState::Missing => tracing::info!(instance = %name, "`{device}` has appeared: {does} it"),
            LinkState::Refused { known: false, .. } => tracing::info!(instance = %name, "{does} `{device}`"),
            LinkState::Lost(_) | LinkState::Refused { .. } | LinkState::Connected(_) => {
                let values =
                    if direction == PortDirection::Out { ", the last values are sent once more" } else { "" };
                tracing::info!(instance = %name, "`{device}` is back: {does} it again{values}");
            }
        },
        LinkState::Missing => {
            let (text, there) = (&wanted.text, listed(&system.devices(direction)));
            tracing::warn!(
                instance = %name,
                "`{option} = {text}` names no device that is there, it is connected as soon as it appears; {there}"
            );
        }
        LinkState::Lost(device) => {
            tracing::warn!(instance = %name, "`{device}` is gone, it is connected again when it comes back");
        }
        LinkState::Refused { name: device, times: 2, .. } => {
            tracing::warn!(instance = %name, "`{device}` cannot be connected, it is tried again every second");
        }
        LinkState::Refused { .. } | LinkState::Unknown => {}
    }
}

fn listed(devices: &[super::port::Device]) -> String {
    let names: Vec<_> =
        devices.iter().take(NAMED).map(|one| format!("`{}` ({})", one.name(), one.key)).collect();
    match names.is_empty() {
        true => "there is none at all".to_owned(),
        false if devices.len() > NAMED => format!("there are {} and more", names.join(", ")),
        false => format!("there is {}", names.join(", ")),
    }
}

fn describe(direction: PortDirection, link: &LinkState, wanted: &DeviceSelector) -> String {
    let option = if direction == PortDirection::In { "read" } else { "write" };
    match link {
        LinkState::Unknown | LinkState::Missing => format!("{option}: `{}` is missing", wanted.text),
        LinkState::Lost(device) => format!("{option}: `{device}` is gone"),
        LinkState::Refused { name: device, .. } => format!("{option}: `{device}` cannot be connected"),
        LinkState::Connected(device) => format!("{option}: `{device}`"),
    }
}

#[cfg(test)]
mod tests;
