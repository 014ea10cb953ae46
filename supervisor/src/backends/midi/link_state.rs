//! The state of the connection to a device that the show asks for, and its log lines.

use super::device_selector::DeviceSelector;
use super::port::{Device, MidiSystem, PortDirection};

/// Devices that a warning names.
const NAMED_DEVICES_LIMIT: usize = 8;

/// The connection to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The device was not looked for yet.
    Unknown,
    Missing,
    /// The device was present, under this name.
    Lost(String),
    /// The device is present, but the system refuses the connection. That may be over soon: a
    /// device that goes away refuses too.
    Refused {
        name: String,
        /// Refusals in a row. The second is logged.
        times: u32,
        /// Whether the device was connected before.
        was_connected: bool,
    },
    Connected(String),
}

impl LinkState {
    /// The ports have failed, and the connection with them.
    pub fn lose(&mut self) {
        if let Self::Connected(name) | Self::Refused { name, was_connected: true, .. } = self {
            *self = Self::Lost(std::mem::take(name));
        }
    }
}

/// The outcome of a look at a device.
pub struct LinkUpdate {
    pub link: LinkState,
    /// Whether the device was connected just now.
    pub is_new: bool,
}

/// Connects the device if it is present and not connected.
pub fn next_link(
    system: &dyn MidiSystem,
    direction: PortDirection,
    selector: &mut DeviceSelector,
    link: &LinkState,
) -> LinkUpdate {
    let Some(device) = selector.select(&system.devices(direction)) else {
        return LinkUpdate { link: absent(link), is_new: false };
    };
    let name = device.name().to_owned();
    if matches!(link, LinkState::Connected(_)) && system.is_connected(direction, &device) {
        return LinkUpdate { link: LinkState::Connected(name), is_new: false };
    }
    match system.connect(direction, &device) {
        Ok(()) => LinkUpdate { link: LinkState::Connected(name), is_new: true },
        // Another program has connected it first.
        Err(_) if system.is_connected(direction, &device) => {
            LinkUpdate { link: LinkState::Connected(name), is_new: true }
        }
        Err(reason) => {
            tracing::debug!(event = "midi_connect_failed", "`{name}` cannot be connected: {reason}");
            LinkUpdate { link: refused(name, link), is_new: false }
        }
    }
}

fn absent(before: &LinkState) -> LinkState {
    match before {
        LinkState::Connected(name)
        | LinkState::Refused { name, was_connected: true, .. }
        | LinkState::Lost(name) => LinkState::Lost(name.clone()),
        LinkState::Unknown | LinkState::Missing | LinkState::Refused { .. } => LinkState::Missing,
    }
}

fn refused(name: String, before: &LinkState) -> LinkState {
    let (times, was_connected) = match before {
        LinkState::Refused { times, was_connected, .. } => (times.saturating_add(1), *was_connected),
        LinkState::Connected(_) | LinkState::Lost(_) => (1, true),
        LinkState::Unknown | LinkState::Missing => (1, false),
    };
    LinkState::Refused { name, times, was_connected }
}

/// Logs a change.
pub fn log_change(
    instance: &str,
    direction: PortDirection,
    selector: &DeviceSelector,
    before: &LinkState,
    now: &LinkState,
    system: &dyn MidiSystem,
) {
    match now {
        LinkState::Connected(device) => log_connected(instance, direction, device, before),
        LinkState::Missing => tracing::warn!(
            event = direction.pick("midi_source_missing", "midi_destination_missing"),
            instance = %instance,
            "`{} = {}` matches no device; connecting it when it appears; {}",
            option(direction),
            selector.text,
            listed(&system.devices(direction))
        ),
        LinkState::Lost(device) => tracing::warn!(
            event = direction.pick("midi_source_lost", "midi_destination_lost"),
            instance = %instance,
            "`{device}` is gone; reconnecting it when it is back"
        ),
        LinkState::Refused { name: device, times: 2, .. } => tracing::warn!(
            event = direction.pick("midi_source_refused", "midi_destination_refused"),
            instance = %instance,
            "`{device}` cannot be connected; retrying every second"
        ),
        LinkState::Refused { .. } | LinkState::Unknown => {}
    }
}

fn log_connected(instance: &str, direction: PortDirection, device: &str, before: &LinkState) {
    let does = direction.pick("receives from", "sends to");
    let connected = direction.pick("midi_source_connected", "midi_destination_connected");
    match before {
        LinkState::Unknown | LinkState::Refused { was_connected: false, .. } => {
            tracing::info!(event = connected, instance = %instance, "{does} `{device}`");
        }
        LinkState::Missing => {
            tracing::info!(event = connected, instance = %instance, "`{device}` has appeared: {does} it");
        }
        LinkState::Lost(_) | LinkState::Refused { .. } | LinkState::Connected(_) => tracing::info!(
            event = direction.pick("midi_source_restored", "midi_destination_restored"),
            instance = %instance,
            "`{device}` is back: {does} it again{}",
            direction.pick("", ", last values resent")
        ),
    }
}

fn option(direction: PortDirection) -> &'static str {
    direction.pick("read", "write")
}

/// The devices that are present, for a warning.
fn listed(devices: &[Device]) -> String {
    let names: Vec<_> = devices
        .iter()
        .take(NAMED_DEVICES_LIMIT)
        .map(|device| format!("`{}` ({})", device.name(), device.key))
        .collect();
    match names.is_empty() {
        true => "no device is present".to_owned(),
        false if devices.len() > NAMED_DEVICES_LIMIT => format!("present: {} and more", names.join(", ")),
        false => format!("present: {}", names.join(", ")),
    }
}

/// The state of a connection, for `status`.
pub fn summary(direction: PortDirection, link: &LinkState, selector: &DeviceSelector) -> String {
    let option = option(direction);
    match link {
        LinkState::Unknown | LinkState::Missing => format!("{option}: `{}` is missing", selector.text),
        LinkState::Lost(device) => format!("{option}: `{device}` is gone"),
        LinkState::Refused { name: device, .. } => format!("{option}: `{device}` cannot be connected"),
        LinkState::Connected(device) => format!("{option}: `{device}`"),
    }
}
