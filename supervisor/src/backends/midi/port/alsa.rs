//! The ALSA sequencer.
//!
//! It announces clients and ports that come and go, so nothing has to be looked for; a look once a second is for what
//! no announcement tells, somebody who cuts our connection for instance.

use super::super::arrivals::Post;
use super::{Device, Direction, Names, Opened, Outlet, Sending, System};
use alsa::poll::{Descriptors, poll, pollfd};
use alsa::seq::{
    Addr, ClientIter, PortCap, PortInfo, PortIter, PortSubscribe, PortSubscribeIter, PortType, QuerySubsType,
    Seq,
};
use alsa::{Direction as Flow, Output};
use midir::os::unix::{VirtualInput, VirtualOutput};
use midir::{MidiInput, MidiInputConnection, MidiOutput, MidiOutputConnection};
use mm_shared::Doorbell;
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Opens the ports of an instance.
///
/// # Errors
///
/// What is missing, for people.
pub fn open(names: &Names, post: Post) -> Result<Opened, String> {
    // The library prints what fails. For each thread it can be told not to; what it gathers instead is dropped with
    // the next attempt.
    let _ = Output::local_error_handler();
    let watch = open_watch(names).map_err(|error| match std::path::Path::new("/dev/snd/seq").exists() {
        true => format!("the ALSA sequencer cannot be opened: {error}"),
        false => "there is no ALSA sequencer, `/dev/snd/seq` is missing".to_owned(),
    })?;
    let (running, input) = Running::new();
    let (receiver, sender) = (names.client("in"), names.client("out"));
    let before = own_ports(&watch, &[&receiver, &sender]);
    let connection = open_input(&receiver, &names.port(), post, running)?;
    let outlet = open_output(&sender, &names.port())?;
    let find = |client: &str| {
        let mut ports = own_ports(&watch, &[client]).into_iter();
        ports
            .find(|port| !before.contains(port))
            .ok_or_else(|| format!("the port of `{client}` is not there"))
    };
    let ports = [find(&receiver)?, find(&sender)?];
    let system = Alsa { watch, ports, input, _connection: connection };
    Ok(Opened { system: Box::new(system), outlet: Box::new(AlsaOutlet(outlet)) })
}

/// A client that is told of all others.
fn open_watch(names: &Names) -> alsa::Result<Seq> {
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

/// Names were freed of zeros.
fn text(name: &str) -> CString {
    CString::new(name).unwrap_or_default()
}

fn open_input(
    client: &str,
    port: &str,
    mut post: Post,
    running: Running,
) -> Result<MidiInputConnection<()>, String> {
    let input = MidiInput::new(client).map_err(|error| error.to_string())?;
    let receive = move |_time: u64, bytes: &[u8], (): &mut ()| {
        let _held_while_the_thread_runs = &running;
        unmerged(bytes, |bytes| post.receive(bytes));
    };
    input.create_virtual(port, receive, ()).map_err(|error| error.to_string())
}

fn open_output(client: &str, port: &str) -> Result<MidiOutputConnection, String> {
    let output = MidiOutput::new(client).map_err(|error| error.to_string())?;
    output.create_virtual(port).map_err(|error| error.to_string())
}

/// Falls when the thread that receives ends.
struct Running(Arc<AtomicBool>);

impl Running {
    fn new() -> (Self, Arc<AtomicBool>) {
        let flag = Arc::new(AtomicBool::new(true));
        (Self(Arc::clone(&flag)), flag)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// midir gathers a system-exclusive message that comes in parts, and with it what others sent in between. Hands on
/// that the message was there, and what stands between its parts, whole messages each.
fn unmerged(bytes: &[u8], mut each: impl FnMut(&[u8])) {
    if bytes.first() != Some(&0xf0) {
        return each(bytes);
    }
    each(&[0xf0, 0xf7]);
    for (at, byte) in bytes.iter().enumerate() {
        let length = match byte {
            0xc0..=0xdf => 2,
            0x80..=0xef => 3,
            _ => continue,
        };
        if let Some(message) =
            bytes.get(at..at + length).filter(|message| message[1..].iter().all(|data| *data < 0x80))
        {
            each(message);
            // what follows belongs to the long message again
            each(&[0xf7]);
        }
    }
}

/// Ports of clients with these names.
fn own_ports(seq: &Seq, clients: &[&str]) -> Vec<Addr> {
    let own =
        ClientIter::new(seq).filter(|client| client.get_name().is_ok_and(|name| clients.contains(&name)));
    own.flat_map(|client| PortIter::new(seq, client.get_client())).map(|port| port.addr()).collect()
}

struct Alsa {
    watch: Seq,
    /// The one that receives and the one that sends.
    ports: [Addr; 2],
    /// Whether the thread that receives runs.
    input: Arc<AtomicBool>,
    _connection: MidiInputConnection<()>,
}

impl Alsa {
    fn port(&self, direction: Direction) -> Addr {
        self.ports[direction as usize]
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

impl System for Alsa {
    fn devices(&self, direction: Direction) -> Vec<Device> {
        let wanted = match direction {
            Direction::In => PortCap::READ | PortCap::SUBS_READ,
            Direction::Out => PortCap::WRITE | PortCap::SUBS_WRITE,
        };
        let kinds = PortType::MIDI_GENERIC | PortType::SYNTH | PortType::APPLICATION;
        let own = self.ports.map(|port| port.client);
        let clients = ClientIter::new(&self.watch).map(|client| client.get_client());
        let others = clients.filter(|client| *client != 0 && !own.contains(client));
        let ports = others.flat_map(|client| PortIter::new(&self.watch, client));
        let usable = ports.filter(|port| {
            let capability = port.get_capability();
            capability.contains(wanted)
                && !capability.contains(PortCap::NO_EXPORT)
                && port.get_type().intersects(kinds)
        });
        usable.filter_map(|port| self.device(&port)).collect()
    }

    fn is_connected(&self, direction: Direction, device: &Device) -> bool {
        let own = self.port(direction);
        let Ok(other) = device.key.parse::<Addr>() else { return false };
        let is_other = |addr: Addr| (addr.client, addr.port) == (other.client, other.port);
        match direction {
            Direction::In => PortSubscribeIter::new(&self.watch, own, QuerySubsType::WRITE)
                .any(|subscription| is_other(subscription.get_sender())),
            Direction::Out => PortSubscribeIter::new(&self.watch, own, QuerySubsType::READ)
                .any(|subscription| is_other(subscription.get_dest())),
        }
    }

    fn connect(&self, direction: Direction, device: &Device) -> Result<(), String> {
        let other: Addr = device.key.parse().map_err(|_| "it has no address".to_owned())?;
        let own = self.port(direction);
        let (from, to) = if direction == Direction::In { (other, own) } else { (own, other) };
        let connect = || {
            let subscription = PortSubscribe::empty()?;
            subscription.set_sender(from);
            subscription.set_dest(to);
            self.watch.subscribe_port(&subscription)
        };
        connect().map_err(|error: alsa::Error| error.to_string())
    }

    fn is_alive(&mut self) -> bool {
        self.input.load(Ordering::Relaxed)
    }

    fn wait(&mut self, bell: &Doorbell, timeout: Duration) {
        let bell_fd = pollfd { fd: bell.as_raw_fd(), events: alsa::poll::Flags::IN.bits(), revents: 0 };
        let mut descriptors = vec![bell_fd];
        match (&self.watch, Some(Flow::Capture)).get() {
            Ok(own) => descriptors.extend(own),
            Err(_) => std::thread::sleep(timeout),
        }
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let _ = poll(&mut descriptors, milliseconds);
        // what was announced does not matter, for all is looked at anew
        let mut announcements = self.watch.input();
        while announcements.event_input_pending(true).is_ok_and(|count| count > 0) {
            let _ = announcements.event_input();
        }
    }
}

struct AlsaOutlet(MidiOutputConnection);

impl Outlet for AlsaOutlet {
    fn send(&mut self, message: &[u8]) -> Sending {
        match self.0.send(message) {
            Ok(()) => Sending::Done,
            Err(error) => Sending::Failed(error.to_string()),
        }
    }

    /// The kernel has it.
    fn is_drained(&mut self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::unmerged;

    fn parts(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut parts = Vec::new();
        unmerged(bytes, |part| parts.push(part.to_vec()));
        parts
    }

    #[test]
    fn an_ordinary_message_is_handed_on_as_it_is() {
        assert_eq!(parts(&[0x90, 60, 100]), [[0x90, 60, 100]]);
    }

    #[test]
    fn what_stands_between_the_parts_of_a_long_message_is_found() {
        let merged = [0xf0, 1, 2, 0x90, 60, 100, 0xf8, 3, 4, 0xc1, 5, 6, 0xf7];
        let found = [vec![0xf0, 0xf7], vec![0x90, 60, 100], vec![0xf7], vec![0xc1, 5], vec![0xf7]];
        assert_eq!(parts(&merged), found);
    }

    #[test]
    fn a_message_that_is_cut_off_is_not_taken_for_one() {
        assert_eq!(parts(&[0xf0, 1, 0x90, 60, 0xf7]), [[0xf0, 0xf7]]);
        assert_eq!(parts(&[0xf0, 1, 0x90, 60]), [[0xf0, 0xf7]]);
    }
}
