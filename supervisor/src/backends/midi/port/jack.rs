//! JACK.
//!
//! A third client, beside midir's two, connects ports and counts JACK's periods. The count shows
//! whether the server still works, and whether messages have left midir: between two periods midir
//! keeps 2047 messages and corrupts its stream with one more.

use super::super::rx_queue::RxStream;
use super::{Device, MidiSystem, OpenPorts, PortDirection, PortNames, SendOutcome, TxPort};
use jack::{
    AsyncClient, Client, ClientOptions, Control, Error, LoggerType, NotificationHandler, PortFlags, PortId,
    ProcessHandler, ProcessScope, set_logger,
};
use midir::os::unix::{VirtualInput, VirtualOutput};
use midir::{MidiInput, MidiInputConnection, MidiOutput, MidiOutputConnection};
use mm_shared::Doorbell;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MIDI: &str = "8 bit raw midi";

/// Without a period for this long the server is gone. The longest period is a fifth of a second.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection takes effect in one of the next periods; messages sent before that are lost.
const PERIODS_TO_CONNECT: u64 = 3;

/// Messages that midir may hold, well below its capacity.
const BUFFERED_LIMIT: u32 = 1500;

/// Opens the ports of an instance.
///
/// # Errors
///
/// What is missing, as text.
pub fn open(names: &PortNames, stream: RxStream) -> Result<OpenPorts, String> {
    // Keeps the library from printing failures; the setting holds for the whole process.
    set_logger(LoggerType::None);
    let (client, _) = Client::new(&names.client("watch"), ClientOptions::NO_START_SERVER)
        .map_err(|_| "no JACK server is running".to_owned())?;
    let periods = PeriodCounter::default();
    let changed = Arc::new(Doorbell::new().map_err(|error| error.to_string())?);
    let client = client
        .activate_async(PortChangeNotifier(Arc::clone(&changed)), periods.clone())
        .map_err(|error| error.to_string())?;
    let (receiver, sender) = (names.client("in"), names.client("out"));
    let before = all_ports(client.as_client());
    let connection = open_input(&receiver, &names.port(), stream)?;
    let tx = open_output(&sender, &names.port())?;
    let after = all_ports(client.as_client());
    let find = |client: &str| {
        let new = after.iter().find(|port| port.starts_with(client) && !before.contains(port));
        new.cloned().ok_or_else(|| format!("the port of `{client}` was not created"))
    };
    let ports = [find(&receiver)?, find(&sender)?];
    let tx = JackTxPort { connection: tx, buffered: BufferedMessages::default(), periods: periods.clone() };
    let last_period = (periods.count(), Instant::now());
    let system = JackSystem { _connection: connection, ports, client, changed, periods, last_period };
    Ok(OpenPorts { system: Box::new(system), tx: Box::new(tx) })
}

fn all_ports(client: &Client) -> Vec<String> {
    client.ports(None, Some(MIDI), PortFlags::empty())
}

fn open_input(client: &str, port: &str, mut stream: RxStream) -> Result<MidiInputConnection<()>, String> {
    let input = MidiInput::new(client).map_err(|error| error.to_string())?;
    let receive = move |_time: u64, bytes: &[u8], (): &mut ()| stream.receive(bytes);
    input.create_virtual(port, receive, ()).map_err(|error| error.to_string())
}

fn open_output(client: &str, port: &str) -> Result<MidiOutputConnection, String> {
    let output = MidiOutput::new(client).map_err(|error| error.to_string())?;
    output.create_virtual(port).map_err(|error| error.to_string())
}

/// Counts the periods of the server.
#[derive(Debug, Clone, Default)]
struct PeriodCounter(Arc<AtomicU64>);

impl PeriodCounter {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl ProcessHandler for PeriodCounter {
    fn process(&mut self, _client: &Client, _scope: &ProcessScope) -> Control {
        self.0.fetch_add(1, Ordering::Relaxed);
        Control::Continue
    }
}

/// Rings when ports appear or disappear.
struct PortChangeNotifier(Arc<Doorbell>);

impl NotificationHandler for PortChangeNotifier {
    fn port_registration(&mut self, _client: &Client, _port: PortId, _is_there: bool) {
        self.0.ring();
    }
}

struct JackSystem {
    _connection: MidiInputConnection<()>,
    /// The full names of the receiving and the sending port.
    ports: [String; 2],
    client: AsyncClient<PortChangeNotifier, PeriodCounter>,
    changed: Arc<Doorbell>,
    periods: PeriodCounter,
    /// The count of periods, and when it last changed.
    last_period: (u64, Instant),
}

impl JackSystem {
    fn port(&self, direction: PortDirection) -> &str {
        &self.ports[direction as usize]
    }

    /// Waits until `count` more periods have begun, or the server stalls.
    fn wait_for_periods(&self, count: u64) {
        let (target, start) = (self.periods.count() + count, Instant::now());
        while self.periods.count() < target && start.elapsed() < STALL_TIMEOUT {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn device(&self, key: String) -> Device {
        let client = self.client.as_client();
        let aliases = client.port_by_name(&key).and_then(|port| port.aliases().ok()).unwrap_or_default();
        let short = key.split_once(':').map(|(_, port)| port.to_owned());
        let mut names: Vec<_> = [key.clone()].into_iter().chain(aliases).chain(short).collect();
        names.iter_mut().for_each(|name| *name = without_number(name));
        Device { key, names }
    }
}

/// Removes the ALSA client number that bridges put into a name: `Launchpad [20] (capture): …`.
fn without_number(name: &str) -> String {
    let number = name.split_once(" [").and_then(|(before, rest)| Some((before, rest.split_once(']')?)));
    match number {
        Some((before, (digits, after))) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{before}{after}")
        }
        _ => name.to_owned(),
    }
}

impl MidiSystem for JackSystem {
    fn devices(&self, direction: PortDirection) -> Vec<Device> {
        let flags = match direction {
            PortDirection::In => PortFlags::IS_OUTPUT,
            PortDirection::Out => PortFlags::IS_INPUT,
        };
        let ports = self.client.as_client().ports(None, Some(MIDI), flags);
        let others = ports.into_iter().filter(|port| !self.ports.contains(port));
        others.map(|port| self.device(port)).collect()
    }

    fn is_connected(&self, direction: PortDirection, device: &Device) -> bool {
        let own = self.client.as_client().port_by_name(self.port(direction));
        own.is_some_and(|own| own.is_connected_to(&device.key).unwrap_or(false))
    }

    fn connect(&self, direction: PortDirection, device: &Device) -> Result<(), String> {
        let (own, other) = (self.port(direction), device.key.as_str());
        let (from, to) = if direction == PortDirection::In { (other, own) } else { (own, other) };
        match self.client.as_client().connect_ports_by_name(from, to) {
            Ok(()) => {
                self.wait_for_periods(PERIODS_TO_CONNECT);
                Ok(())
            }
            Err(Error::PortAlreadyConnected(..)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn is_alive(&mut self) -> bool {
        let count = self.periods.count();
        if count != self.last_period.0 {
            self.last_period = (count, Instant::now());
            let ports = all_ports(self.client.as_client());
            return self.ports.iter().all(|own| ports.contains(own));
        }
        self.last_period.1.elapsed() < STALL_TIMEOUT
    }

    fn wait(&mut self, bell: &Doorbell, timeout: Duration) {
        let readable = |bell| PollFd::new(bell, PollFlags::POLLIN);
        let mut descriptors = [readable(bell.as_fd()), readable(self.changed.as_fd())];
        let _ = poll(&mut descriptors, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX));
        self.changed.clear();
    }
}

struct JackTxPort {
    connection: MidiOutputConnection,
    buffered: BufferedMessages,
    periods: PeriodCounter,
}

/// Counts the messages that may not have left midir yet. Pure.
#[derive(Debug, Default)]
struct BufferedMessages {
    period: u64,
    in_period: u32,
    in_previous_period: u32,
}

impl BufferedMessages {
    /// Messages of two periods ago have left in the period between.
    fn count(&mut self, period: u64) -> u32 {
        match period.saturating_sub(self.period) {
            0 => {}
            1 => self.in_previous_period = std::mem::take(&mut self.in_period),
            _ => (self.in_previous_period, self.in_period) = (0, 0),
        }
        self.period = period;
        self.in_previous_period + self.in_period
    }
}

impl TxPort for JackTxPort {
    fn send(&mut self, message: &[u8]) -> SendOutcome {
        if self.buffered.count(self.periods.count()) >= BUFFERED_LIMIT {
            return SendOutcome::Busy;
        }
        match self.connection.send(message) {
            Ok(()) => {
                self.buffered.in_period += 1;
                SendOutcome::Sent
            }
            Err(error) => SendOutcome::Failed(error.to_string()),
        }
    }

    fn is_drained(&mut self) -> bool {
        self.buffered.count(self.periods.count()) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{BufferedMessages, without_number};

    #[test]
    fn what_was_handed_over_has_left_two_periods_later() {
        let mut buffered = BufferedMessages::default();
        assert_eq!(buffered.count(7), 0);
        buffered.in_period += 3;
        assert_eq!(buffered.count(7), 3);
        assert_eq!(buffered.count(8), 3);
        buffered.in_period += 2;
        assert_eq!(buffered.count(9), 2);
        assert_eq!(buffered.count(11), 0);
    }

    #[test]
    fn the_numbers_of_bridges_are_no_part_of_a_name() {
        assert_eq!(without_number("a2j:Pad [20] (capture): Pad MIDI 1"), "a2j:Pad (capture): Pad MIDI 1");
        assert_eq!(without_number("system:midi_capture_1"), "system:midi_capture_1");
        assert_eq!(without_number("odd [x] ["), "odd [x] [");
    }
}
