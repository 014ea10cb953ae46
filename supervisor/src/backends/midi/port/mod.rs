//! The MIDI system, as much of it as an instance needs: two ports of its own, the devices, and what is connected.
//!
//! midir makes the ports and carries the messages, but for those that ALSA receives. It connects a port once, when it makes it, and does not tell when
//! that connection is gone; so connecting is done beside it, the way `aconnect` and `jack_connect` do it: the ports
//! stay, devices come and go. One of two systems is built in: ALSA, or JACK with the feature `jack`.

#[cfg(not(feature = "jack"))]
mod alsa;
#[cfg(feature = "jack")]
mod jack;

#[cfg(not(feature = "jack"))]
pub use alsa::open;
#[cfg(feature = "jack")]
pub use jack::open;

use mm_shared::Doorbell;
use std::time::Duration;

/// Which way events go, seen from the show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortDirection {
    In,
    Out,
}

impl PortDirection {
    pub const BOTH: [Self; 2] = [Self::In, Self::Out];
}

/// A port of somebody else that could be connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What the system calls it at the moment; it may have another key when it comes back.
    pub key: String,
    /// What people call it, the best name first; without numbers that change.
    pub names: Vec<String>,
}

impl Device {
    /// The name to show.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// What the ports of an instance are called.
#[derive(Debug, Clone)]
pub struct PortNames {
    /// What the names of clients begin with.
    pub client: String,
    /// The name of the instance.
    pub port: String,
}

impl PortNames {
    /// The longest name of a client that both systems take, in bytes.
    const LONGEST: usize = 60;

    /// The client of one port: each port of midir's is a client of its own.
    fn client(&self, what: &str) -> String {
        let most = Self::LONGEST.saturating_sub(what.len() + 1);
        let name = format!("{} {}", self.client, self.port).replace(['\0', ':'], "_");
        let end = (0..=name.len().min(most)).rfind(|end| name.is_char_boundary(*end)).unwrap_or(0);
        format!("{} {what}", &name[..end])
    }

    fn port(&self) -> String {
        self.port.replace(['\0', ':'], "_")
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is on its way.
    Sent,
    /// Nothing was taken, and there may be space in a moment.
    #[cfg_attr(not(feature = "jack"), allow(dead_code, reason = "ALSA does not tell this from a failure"))]
    Busy,
    /// Somebody who is connected has not got it.
    Failed(String),
}

/// The port that sends.
pub trait TxPort: Send {
    /// Sends one message; never waits.
    fn send(&mut self, message: &[u8]) -> SendOutcome;

    /// Whether all that was sent has left, so that the port can be closed.
    fn is_drained(&mut self) -> bool;
}

/// The system, with the port that receives.
pub trait MidiSystem {
    /// What could be connected, without our own ports.
    fn devices(&self, direction: PortDirection) -> Vec<Device>;

    fn is_connected(&self, direction: PortDirection, device: &Device) -> bool;

    /// Connects a device with the port of this direction.
    ///
    /// # Errors
    ///
    /// The system's reason.
    fn connect(&self, direction: PortDirection, device: &Device) -> Result<(), String>;

    /// Whether both ports still work. Asked about once a second.
    fn is_alive(&mut self) -> bool;

    /// Waits until the devices may have changed, `bell` rings or the time is over.
    fn wait(&mut self, bell: &Doorbell, timeout: Duration);
}

/// Both halves: they are used by two threads.
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
        assert!(long.len() <= PortNames::LONGEST && long.ends_with(" out"), "{long}");
        assert_eq!(names("a:b").port(), "a_b");
    }
}
