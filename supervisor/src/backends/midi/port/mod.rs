//! The MIDI system, as far as an instance needs it: two ports of its own, the devices, and the
//! connections.
//!
//! midir makes the ports and carries the messages, except for those that ALSA receives. It connects
//! a port once, when it makes it, and does not report when that connection is gone. So connections
//! are made beside it, as `aconnect` and `jack_connect` do: the ports stay, devices come and go.
//! One of two systems is built in: ALSA, or JACK with the feature `jack`.

#[cfg(not(feature = "jack"))]
mod alsa;
#[cfg(feature = "jack")]
mod jack;

#[cfg(test)]
pub mod fake;

#[cfg(not(feature = "jack"))]
pub use alsa::open;
#[cfg(feature = "jack")]
pub use jack::open;

use mm_shared::Doorbell;
use std::time::Duration;

/// The direction of events, as seen from the show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortDirection {
    In,
    Out,
}

impl PortDirection {
    pub const BOTH: [Self; 2] = [Self::In, Self::Out];

    /// The text for this direction.
    pub fn pick(self, source: &'static str, destination: &'static str) -> &'static str {
        match self {
            Self::In => source,
            Self::Out => destination,
        }
    }
}

/// A port of another program or of hardware that can be connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// How the system identifies it at the moment. It may have another key when it is back.
    pub key: String,
    /// Its names, the best first, without numbers that change.
    pub names: Vec<String>,
}

impl Device {
    /// The name to show.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// The names of the ports of an instance.
#[derive(Debug, Clone)]
pub struct PortNames {
    /// The beginning of client names.
    pub client: String,
    /// The name of the instance.
    pub port: String,
}

impl PortNames {
    /// The longest client name that both systems accept, in bytes.
    const LENGTH_LIMIT: usize = 60;

    /// The client of one port: each port of midir is a client of its own.
    fn client(&self, what: &str) -> String {
        let most = Self::LENGTH_LIMIT.saturating_sub(what.len() + 1);
        let name = format!("{} {}", self.client, self.port).replace(['\0', ':'], "_");
        let end = (0..=name.len().min(most)).rfind(|end| name.is_char_boundary(*end)).unwrap_or(0);
        format!("{} {what}", &name[..end])
    }

    /// The name of the instance's ports in the whole process.
    pub fn lease_name(&self) -> String {
        format!("{} {}", self.client, self.port)
    }

    fn port(&self) -> String {
        self.port.replace(['\0', ':'], "_")
    }
}

/// The outcome of sending a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// The system has the message.
    Sent,
    /// There was no space; there may be some in a moment.
    #[cfg_attr(not(feature = "jack"), allow(dead_code, reason = "ALSA reports this as a failure"))]
    Busy,
    /// A connected client has not accepted the message.
    Failed(String),
}

/// The port that sends.
pub trait TxPort: Send {
    /// Sends one message; never waits.
    fn send(&mut self, message: &[u8]) -> SendOutcome;

    /// Whether all messages have left the process, so that the port can be closed.
    fn is_drained(&mut self) -> bool;
}

/// The system, with the port that receives.
pub trait MidiSystem {
    /// All devices that can be connected, without our own ports.
    fn devices(&self, direction: PortDirection) -> Vec<Device>;

    fn is_connected(&self, direction: PortDirection, device: &Device) -> bool;

    /// Connects a device with the port of this direction.
    ///
    /// # Errors
    ///
    /// The system's reason.
    fn connect(&self, direction: PortDirection, device: &Device) -> Result<(), String>;

    /// Whether both ports still work. Called about once per second.
    fn is_alive(&mut self) -> bool;

    /// Waits until the devices may have changed, `bell` rings or `timeout` is over.
    fn wait(&mut self, bell: &Doorbell, timeout: Duration);
}

/// Open ports: the system stays with the connector, the sending port goes to its thread.
pub struct OpenPorts {
    pub system: Box<dyn MidiSystem>,
    pub tx: Box<dyn TxPort>,
}

#[cfg(test)]
mod tests {
    use super::PortNames;

    #[test]
    fn names_are_cut_to_what_the_systems_take() {
        let names = |port: &str| PortNames { client: "mm-supervisor".into(), port: port.into() };
        assert_eq!(names("fader").client("in"), "mm-supervisor fader in");
        let long = names(&"ä".repeat(100)).client("out");
        assert!(long.len() <= PortNames::LENGTH_LIMIT && long.ends_with(" out"), "{long}");
        assert_eq!(names("a:b").port(), "a_b");
    }
}
