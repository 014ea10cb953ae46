//! The ALSA sequencer.
//!
//! It announces clients and ports that come and go, so there is no need to search for them. The
//! check once per second is for what is not announced, such as another program that cuts our
//! connection.

mod rx_port;

use super::super::rx_queue::RxStream;
use super::{Device, MidiSystem, OpenPorts, PortDirection, PortNames, SendOutcome, TxPort};
use alsa::poll::{Descriptors, poll, pollfd};
use alsa::seq::{
    Addr, ClientIter, PortCap, PortInfo, PortIter, PortSubscribe, PortSubscribeIter, PortType, QuerySubsType,
    Seq,
};
use alsa::{Direction, Output};
use midir::os::unix::VirtualOutput;
use midir::{MidiOutput, MidiOutputConnection};
use mm_shared::Doorbell;
use rx_port::AlsaRxPort;
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Opens the ports of an instance.
///
/// # Errors
///
/// What is missing, as text.
pub fn open(names: &PortNames, stream: RxStream) -> Result<OpenPorts, String> {
    // Keeps the library from printing failures; the setting holds for one thread. The text that it
    // collects instead is dropped with the next attempt.
    let _ = Output::local_error_handler();
    let watch = open_watch(names).map_err(|error| match std::path::Path::new("/dev/snd/seq").exists() {
        true => format!("the ALSA sequencer cannot be opened: {error}"),
        false => {
            "`/dev/snd/seq` is missing (no ALSA sequencer); `modprobe snd-seq` as root loads it".to_owned()
        }
    })?;
    let sender = names.client("out");
    let before = ports_of(&watch, &sender);
    let tx = open_output(&sender, &names.port())?;
    let outgoing = ports_of(&watch, &sender).into_iter().find(|port| !before.contains(port));
    let outgoing = outgoing.ok_or_else(|| format!("the port of `{sender}` was not created"))?;
    let input = AlsaRxPort::open(&text(&names.client("in")), &text(&names.port()), stream)?;
    let system = AlsaSystem { watch, outgoing, input };
    Ok(OpenPorts { system: Box::new(system), tx: Box::new(AlsaTxPort(tx)) })
}

/// A client that receives the announcements of all others.
fn open_watch(names: &PortNames) -> alsa::Result<Seq> {
    let seq = Seq::open(None, None, true)?;
    let (client, port) = (text(&names.client("watch")), text("watch"));
    seq.set_client_name(&client)?;
    let port = seq.create_simple_port(&port, PortCap::WRITE | PortCap::NO_EXPORT, PortType::APPLICATION)?;
    let subscription = PortSubscribe::empty()?;
    subscription.set_sender(Addr::system_announce());
    subscription.set_dest(Addr { client: seq.client_id()?, port });
    seq.subscribe_port(&subscription)?;
    Ok(seq)
}

/// The names contain no zeros.
fn text(name: &str) -> CString {
    CString::new(name).unwrap_or_default()
}

fn open_output(client: &str, port: &str) -> Result<MidiOutputConnection, String> {
    let output = MidiOutput::new(client).map_err(|error| error.to_string())?;
    output.create_virtual(port).map_err(|error| error.to_string())
}

/// The ports of all clients of this name.
fn ports_of(seq: &Seq, name: &str) -> Vec<Addr> {
    let clients =
        ClientIter::new(seq).filter(|client| client.get_name().is_ok_and(|its_name| its_name == name));
    clients.flat_map(|client| PortIter::new(seq, client.get_client())).map(|port| port.addr()).collect()
}

struct AlsaSystem {
    watch: Seq,
    /// The port that sends.
    outgoing: Addr,
    input: AlsaRxPort,
}

impl AlsaSystem {
    fn port(&self, direction: PortDirection) -> Addr {
        match direction {
            PortDirection::In => self.input.address,
            PortDirection::Out => self.outgoing,
        }
    }

    fn device(&self, port: &PortInfo) -> Option<Device> {
        let client = self.watch.get_any_client_info(port.get_client()).ok()?;
        let (client_name, port_name) = (client.get_name().ok()?, port.get_name().ok()?);
        let Addr { client, port } = port.addr();
        let names = vec![
            format!("{client_name}:{port_name}"),
            client_name.to_owned(),
            port_name.to_owned(),
            format!("{client_name}:{port}"),
        ];
        Some(Device { key: format!("{client}:{port}"), names })
    }
}

impl MidiSystem for AlsaSystem {
    fn devices(&self, direction: PortDirection) -> Vec<Device> {
        let capabilities = match direction {
            PortDirection::In => PortCap::READ | PortCap::SUBS_READ,
            PortDirection::Out => PortCap::WRITE | PortCap::SUBS_WRITE,
        };
        let kinds = PortType::MIDI_GENERIC | PortType::SYNTH | PortType::APPLICATION;
        let own = PortDirection::BOTH.map(|direction| self.port(direction).client);
        let clients = ClientIter::new(&self.watch).map(|client| client.get_client());
        let others = clients.filter(|client| *client != 0 && !own.contains(client));
        let ports = others.flat_map(|client| PortIter::new(&self.watch, client));
        let usable = ports.filter(|port| {
            let capability = port.get_capability();
            capability.contains(capabilities)
                && !capability.contains(PortCap::NO_EXPORT)
                && port.get_type().intersects(kinds)
        });
        usable.filter_map(|port| self.device(&port)).collect()
    }

    fn is_connected(&self, direction: PortDirection, device: &Device) -> bool {
        let own = self.port(direction);
        let Ok(other) = device.key.parse::<Addr>() else { return false };
        let is_other = |addr: Addr| (addr.client, addr.port) == (other.client, other.port);
        match direction {
            PortDirection::In => PortSubscribeIter::new(&self.watch, own, QuerySubsType::WRITE)
                .any(|subscription| is_other(subscription.get_sender())),
            PortDirection::Out => PortSubscribeIter::new(&self.watch, own, QuerySubsType::READ)
                .any(|subscription| is_other(subscription.get_dest())),
        }
    }

    fn connect(&self, direction: PortDirection, device: &Device) -> Result<(), String> {
        let other: Addr = device.key.parse().map_err(|_| "it is not an address".to_owned())?;
        let own = self.port(direction);
        let (from, to) = if direction == PortDirection::In { (other, own) } else { (own, other) };
        let connect = || {
            let subscription = PortSubscribe::empty()?;
            subscription.set_sender(from);
            subscription.set_dest(to);
            self.watch.subscribe_port(&subscription)
        };
        connect().map_err(|error: alsa::Error| error.to_string())
    }

    fn is_alive(&mut self) -> bool {
        self.input.is_alive()
    }

    fn wait(&mut self, bell: &Doorbell, timeout: Duration) {
        let bell_fd = pollfd { fd: bell.as_raw_fd(), events: alsa::poll::Flags::IN.bits(), revents: 0 };
        let mut descriptors = vec![bell_fd];
        match (&self.watch, Some(Direction::Capture)).get() {
            Ok(own) => descriptors.extend(own),
            Err(_) => std::thread::sleep(timeout),
        }
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let _ = poll(&mut descriptors, milliseconds);
        // The content does not matter, since all devices are checked.
        let mut announcements = self.watch.input();
        while announcements.event_input_pending(true).is_ok_and(|count| count > 0) {
            let _ = announcements.event_input();
        }
    }
}

struct AlsaTxPort(MidiOutputConnection);

impl TxPort for AlsaTxPort {
    fn send(&mut self, message: &[u8]) -> SendOutcome {
        match self.0.send(message) {
            Ok(()) => SendOutcome::Sent,
            Err(error) => SendOutcome::Failed(error.to_string()),
        }
    }

    /// The kernel has all messages.
    fn is_drained(&mut self) -> bool {
        true
    }
}
