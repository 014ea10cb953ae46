//! The sending side: makes a message of each event, in order, sends the messages at the end of a
//! routing step, and tries again later where the network does not accept them.
//!
//! No value is merged away. Values of different parameters of one path that are set in one step
//! share a message; a second value for a parameter begins the next one. The messages leave in the
//! order in which they began. Only where more messages wait than [`OscTxQueue`] takes, or where
//! there is no way to the peer, a path waits as a whole: then its last values are sent, once, and
//! the values that were replaced are counted.

mod sending;

use super::options::OscDestination;
use super::paths::{OscPath, OscPaths, PathFormat};
use super::peer_watch::{PeerStep, PeerWatch};
use super::socket::OscSocket;
use super::tx_queue::OscTxQueue;
use mm_shared::{ChannelId, LogThrottle};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The time until the first further attempt where there is no way to the peer. Each failure
/// doubles it.
const FIRST_LOST_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often a failure to send is logged.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The sending side of an instance.
#[derive(Debug)]
pub struct OscTx {
    name: String,
    destination: OscDestination,
    /// Whether values are sent that equal the last one sent.
    sends_all: bool,
    /// Whether the missing destination has been logged. It stays missing until a reload.
    has_warned: bool,
    /// Counts the peers, from 1: a new peer has received nothing yet.
    peer: u32,
    queue: OscTxQueue,
    /// Indices of the paths that wait as a whole, each once. They are behind the queue.
    waiting: VecDeque<u32>,
    /// The number of the next group of events (see [`super::paths::PathOutput`]).
    next_group: u64,
    /// The first group of this step.
    first_group: u64,
    hold: SendHold,
    lost_pause: Duration,
    watch: PeerWatch,
    /// The path that was sent last.
    latest: Option<u32>,
    conflated: u64,
    /// Messages that the peer's system refused.
    refused: u64,
    failures: LogThrottle,
    /// Why nothing can be sent.
    fault: Option<String>,
    /// Whether a failure was logged since a message was sent last.
    is_failing: bool,
}

/// What keeps messages from being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SendHold {
    None,
    /// The kernel's buffer is full.
    Busy(Instant),
    /// There is no way to the peer.
    Lost(Instant),
}

impl OscTx {
    pub fn new(name: String, destination: OscDestination, sends_all: bool) -> Self {
        Self {
            watch: PeerWatch::new(name.clone()),
            name,
            destination,
            sends_all,
            has_warned: false,
            peer: 1,
            queue: OscTxQueue::default(),
            waiting: VecDeque::new(),
            next_group: 1,
            first_group: 1,
            hold: SendHold::None,
            lost_pause: FIRST_LOST_RETRY_INTERVAL,
            latest: None,
            conflated: 0,
            refused: 0,
            failures: LogThrottle::new(1, FAILURE_LOG_INTERVAL),
            fault: None,
            is_failing: false,
        }
    }

    pub fn destination(&self) -> &OscDestination {
        &self.destination
    }

    /// Whether the destination is the last sender.
    pub fn learns(&self) -> bool {
        matches!(self.destination, OscDestination::Learn { .. })
    }

    /// Makes `sender`, from which a message of a mapped path came, the destination.
    pub fn learn(&mut self, sender: SocketAddr, port: &mut OscSocket) {
        let OscDestination::Learn { port: forced } = self.destination else { return };
        let mut address = sender;
        address.set_port(forced.unwrap_or(sender.port()));
        if port.peer() != Some(address) {
            port.set_peer(address);
            self.begin_peer();
            tracing::debug!(
                event = "osc_destination_learned",
                instance = %self.name,
                "learned the destination {address}"
            );
        }
    }

    /// The socket has another peer. What was set so far is sent to it by the next
    /// [`OscTx::flush`]; with `send = all` only what no peer was sent.
    pub fn change_peer(&mut self, paths: &mut OscPaths) {
        self.begin_peer();
        if !self.sends_all {
            self.resend(None, paths);
        }
    }

    fn begin_peer(&mut self) {
        self.peer = self.peer.wrapping_add(1).max(1);
        self.hold = SendHold::None;
        self.lost_pause = FIRST_LOST_RETRY_INTERVAL;
        self.fault = None;
        self.watch.forget();
    }

    /// Lets all paths that have been set wait to be sent, but one.
    fn resend(&mut self, except: Option<u32>, paths: &mut OscPaths) {
        for (path, output) in paths.outputs() {
            if output.sent_to != 0 && !output.is_waiting && Some(path) != except {
                output.is_waiting = true;
                output.sent_to = self.peer;
                self.waiting.push_back(path);
            }
        }
    }

    /// Sets a channel to a value, which [`OscTx::flush`] sends. Before a destination is learned,
    /// the value is stored only.
    pub fn set(&mut self, channel: ChannelId, value: f64, paths: &mut OscPaths, port: &mut OscSocket) {
        if matches!(self.destination, OscDestination::None) {
            return self.warn_of_destination();
        }
        if self.queue.is_full() && self.hold == SendHold::None {
            self.flush(paths, port);
        }
        let Some((target, path)) = paths.of_channel(channel) else { return };
        let PathFormat::Known { ranges, output } = &mut path.format else { return self.warn_of_format(path) };
        let Some(range) = ranges.get(target.parameter as usize) else { return };
        let changed = output.message.set(target.parameter, range.denormalise(value));
        let has_peer = port.peer().is_some();
        if !has_peer && self.learns() {
            return;
        }
        let is_news = changed || self.sends_all || output.sent_to != self.peer;
        let is_repeated = output.join_group(target.parameter);
        if output.is_waiting {
            self.conflated += u64::from(is_news && is_repeated && has_peer);
            return;
        }
        if is_repeated || output.group < self.first_group {
            output.group = self.next_group;
            output.place = None;
            self.next_group += 1;
            output.join_group(target.parameter);
        }
        if !is_news {
            return;
        }
        output.sent_to = self.peer;
        let in_order = has_peer && self.waiting.is_empty() && !self.queue.is_full();
        match output.place {
            Some(place) => self.queue.replace(place, output.message.bytes()),
            None if in_order && !matches!(self.hold, SendHold::Lost(_)) => {
                output.place = Some(self.queue.push(target.path, output.message.bytes()));
            }
            None => {
                output.is_waiting = true;
                self.waiting.push_back(target.path);
            }
        }
    }

    /// A channel had this value in an earlier run: its message contains it from now on, but is not
    /// sent.
    pub fn restore(channel: ChannelId, value: f64, paths: &mut OscPaths) {
        let Some((target, path)) = paths.of_channel(channel) else { return };
        let PathFormat::Known { ranges, output } = &mut path.format else { return };
        if let Some(range) = ranges.get(target.parameter as usize) {
            output.message.set(target.parameter, range.denormalise(value));
        }
    }

    fn warn_of_destination(&mut self) {
        let name = &self.name;
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                event = "osc_destination_missing",
                instance = %name,
                "`{name}` has no destination, so nothing is sent; \
                 add a line such as `destination = 127.0.0.1 9000` to `[osc {name}]`"
            );
        }
    }

    fn warn_of_format(&self, path: &mut OscPath) {
        let PathFormat::Unknown { has_warned } = &mut path.format else { return };
        if std::mem::replace(has_warned, true) {
            return;
        }
        let (name, local, line) = (&self.name, &path.local, path.missing_line());
        tracing::warn!(
            event = "osc_output_unformatted",
            instance = %name,
            "`{name}.{local}` is not sent: no pattern matches it; \
             add a line such as `{line}` to `[osc {name}]`"
        );
    }

    /// The paths are about to change, and their indices with them: the messages that wait stay.
    pub fn apply(&mut self, sends_all: bool, paths: &mut OscPaths) {
        for path in self.waiting.drain(..) {
            if let Some(output) = paths.output(path) {
                self.queue.push(path, output.message.bytes());
            }
        }
        self.queue.forget_paths();
        self.first_group = self.next_group;
        self.latest = None;
        self.has_warned = false;
        self.sends_all = sends_all;
    }

    /// How many attempts to send have failed, and how many messages were refused.
    pub fn errors(&self) -> u64 {
        self.failures.total() + self.refused
    }

    /// Values that were replaced by a later one of their channel before they could be sent.
    pub fn conflated(&self) -> u64 {
        self.conflated
    }

    /// What a user should know of the peer.
    pub fn note(&self) -> Option<String> {
        self.fault.clone().or_else(|| self.watch.note())
    }

    /// Whether the peer is not reached.
    pub fn is_troubled(&self) -> bool {
        self.fault.is_some() || self.watch.is_missing()
    }

    /// Whether the kernel's buffer keeps messages from being sent.
    pub fn is_busy(&self) -> bool {
        matches!(self.hold, SendHold::Busy(_))
    }

    /// When [`OscTx::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let retry = match self.hold {
            SendHold::None => None,
            SendHold::Busy(at) | SendHold::Lost(at) => Some(at),
        };
        [retry, self.watch.deadline(), self.failures.deadline()].into_iter().flatten().min()
    }

    /// Sends again what was not accepted, and logs how often that has failed.
    pub fn tick(&mut self, now: Instant, paths: &mut OscPaths, port: &mut OscSocket) {
        match self.watch.tick(now) {
            PeerStep::Wait => {}
            PeerStep::Probe if self.sends_all => self.watch.forget(),
            PeerStep::Probe => {
                let probe = self.latest.and_then(|path| Some((path, paths.output(path)?)));
                match probe {
                    Some((path, output)) if !output.is_waiting => {
                        output.is_waiting = true;
                        self.waiting.push_back(path);
                    }
                    Some(_) => {}
                    None => self.watch.forget(),
                }
            }
            PeerStep::Resend => self.resend(self.latest, paths),
        }
        let is_due = match self.hold {
            SendHold::None => true,
            SendHold::Busy(at) | SendHold::Lost(at) => at <= now,
        };
        if is_due {
            self.hold = SendHold::None;
            self.flush(paths, port);
        }
        if let Some(count) = self.failures.flush(now) {
            tracing::warn!(
                event = "osc_send_failed",
                instance = %self.name,
                suppressed = count,
                "sending failed {count} more times"
            );
        }
    }
}
