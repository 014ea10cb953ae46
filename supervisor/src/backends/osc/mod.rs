//! `osc`: Open Sound Control 1.0 over UDP.
//!
//! An instance is a socket, a table of paths and two independent sides: [`rx`] turns datagrams into
//! events, [`tx`] turns events into datagrams. Each instance is a backend of its own. A reload that
//! changes neither `bind` nor `destination` keeps the socket, so that no datagram is lost.

mod format;
mod options;
mod pattern;

mod codec;
mod range;

mod paths;
mod rx;
mod tx;
mod tx_queue;

mod destination;
mod opening;
mod peer_watch;
mod socket;
mod warnings;

use super::{
    AddressUse, Backend, BackendContext, BackendKind, BackendState, BackendStatus, LocalInstance,
    NeededAddress, OpenCause, OpenError, Plan, PlanChange, PlanKey, Reconfigured, SourceId, TimerId,
};
use crate::backends::udp::sender_address;
use crate::ids::InstanceId;
use crate::poller::Interest;
use crate::resolver::ResolvedHost;
use crate::show::LiveInstance;
use destination::DestinationLookup;
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use mm_shared::{ChannelId, LogThrottle};
use options::{OscAddress, OscDestination, OscOptions};
use paths::OscPaths;
use rx::OscRx;
use socket::OscSocket;
use std::any::Any;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tx::OscTx;

/// The most batches that one call receives, so that a flood leaves time for other instances.
const BATCH_LIMIT: usize = 2;

/// About the most bytes of datagrams that one call reads: those of 1,500 messages. To read them
/// takes 150 µs, also where none of them is for a channel.
const READ_BYTES_LIMIT: usize = 32 << 10;

/// How often a failing socket is logged.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The kind of backend that a show file calls `osc`.
pub struct OscKind;

impl BackendKind for OscKind {
    fn spec(&self) -> BackendSpec {
        options::SPEC
    }

    /// One plan for each instance.
    fn plan(
        &self,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        let detect = options::detect(section);
        let plans: Vec<_> = instances.iter().map(|live| OscPlan::new(*live, detect, diagnostics)).collect();
        for (index, later) in plans.iter().enumerate() {
            if let Some(earlier) = plans[..index].iter().find(|earlier| earlier.collides(later)) {
                report_collision(earlier, later, diagnostics);
            }
        }
        plans.into_iter().map(|plan| Box::new(plan) as Box<dyn Plan>).collect()
    }
}

/// An instance as the show file describes it.
#[derive(Debug, Clone)]
struct OscPlan {
    id: InstanceId,
    name: String,
    bind: Option<OscAddress>,
    /// The addresses of the host of `bind`, where it has to be looked up; `None` before the first
    /// answer.
    found: Option<Vec<SocketAddr>>,
    destination: OscDestination,
    sends_all: bool,
    paths: OscPaths,
    /// `Some`: incoming messages are logged, without this root.
    detect: Option<String>,
}

impl OscPlan {
    fn new(live: LiveInstance<'_>, detect: bool, diagnostics: &mut Diagnostics) -> Self {
        let LiveInstance { id, instance, .. } = live;
        let options = OscOptions::read(instance, diagnostics);
        let paths = OscPaths::new(instance, &options, diagnostics);
        warnings::check(&live, &options, &paths, diagnostics);
        let OscOptions { bind, destination, sends_all, root, .. } = options;
        let (name, detect) = (instance.name.clone(), detect.then_some(root));
        Self { id, name, bind, found: None, destination, sends_all, paths, detect }
    }

    /// Whether both ask for the same port, as far as that is known without looking up names.
    fn collides(&self, other: &Self) -> bool {
        let (Some(own), Some(other)) = (&self.bind, &other.bind) else { return false };
        let same_host =
            own.host == other.host || covers(&own.host, &other.host) || covers(&other.host, &own.host);
        own.port == other.port && own.port != 0 && same_host
    }

    /// Whether `running` has the socket that this plan asks for.
    fn shares_socket(&self, running: &OscBackend) -> bool {
        self.bind == running.bind && self.destination == *running.tx.destination()
    }

    /// The host of `bind`, if it has to be looked up.
    fn host_to_bind(&self) -> Option<&OscAddress> {
        self.bind.as_ref().filter(|bind| bind.host != "*" && bind.known().is_none())
    }

    /// Why the host of `bind` has no address to listen on.
    fn without_address(&self, OscAddress { host, port, .. }: &OscAddress) -> OpenError {
        let what = format!("instance `{}`: the host of `bind = {host} {port}`", self.name);
        match self.found {
            Some(_) => OpenError {
                message: format!("{what} does not resolve"),
                hint: Some("check the name and the name server, or write the host's IP address".into()),
                cause: OpenCause::Network,
            },
            None => OpenError {
                message: format!("{what} is being looked up"),
                hint: None,
                cause: OpenCause::LookUp,
            },
        }
    }

    fn open_socket(self) -> Result<OscBackend, OpenError> {
        let found = self.found.as_deref().unwrap_or_default();
        if let Some(bind) = self.host_to_bind().filter(|_| found.is_empty()) {
            return Err(self.without_address(bind));
        }
        let socket = opening::open(&self.name, self.bind.as_ref(), found, &self.destination)?;
        if let Some(local) = socket.local_address().filter(|_| self.bind.is_some()) {
            tracing::info!(event = "osc_listening", instance = %self.name, "listening on {local}");
        }
        if let Some(peer) = socket.peer() {
            tracing::info!(event = "osc_destination_set", instance = %self.name, "sending to {peer}");
        }
        let lookup = match &self.destination {
            OscDestination::Fixed(to) => DestinationLookup::new(&self.name, to, Instant::now()),
            OscDestination::None | OscDestination::Learn { .. } => None,
        };
        Ok(OscBackend {
            rx: OscRx::new(self.name.clone(), self.detect),
            tx: OscTx::new(self.name.clone(), self.destination, self.sends_all),
            lookup,
            paths: self.paths,
            bind: self.bind,
            socket,
            receive_failures: LogThrottle::new(1, FAILURE_LOG_INTERVAL),
            name: self.name,
        })
    }
}

/// Whether a wildcard includes the address `host`. False for names of hosts, which are not looked
/// up yet.
fn covers(wildcard: &str, host: &str) -> bool {
    match wildcard {
        "*" | "0.0.0.0" => host == "*" || host.parse::<Ipv4Addr>().is_ok(),
        "::" => host == "*" || host.parse::<IpAddr>().is_ok(),
        _ => false,
    }
}

fn report_collision(earlier: &OscPlan, later: &OscPlan, diagnostics: &mut Diagnostics) {
    let (Some(first), Some(second)) = (&earlier.bind, &later.bind) else { return };
    let message = format!("`{}` and `{}` bind the same port", earlier.name, later.name);
    let error = diagnostics.error(second.span, message).label("already in use");
    error.also(first.span, "here").hint("an instance that only sends needs no `bind`");
}

impl Plan for OscPlan {
    fn key(&self) -> PlanKey {
        PlanKey { backend: options::SPEC.name, name: self.name.clone() }
    }

    fn instances(&self) -> Vec<InstanceId> {
        vec![self.id]
    }

    fn hosts(&self) -> Vec<String> {
        self.host_to_bind().map(|bind| bind.host.clone()).into_iter().collect()
    }

    fn needed_addresses(&self) -> Vec<NeededAddress> {
        let needed = |address: &OscAddress, usage| NeededAddress {
            host: address.host.clone(),
            span: address.span.slice(0..address.host.len()),
            usage,
        };
        let destination = match &self.destination {
            OscDestination::Fixed(to) => Some(needed(to, AddressUse::Peer)),
            OscDestination::None | OscDestination::Learn { .. } => None,
        };
        let bind = self.bind.as_ref().map(|bind| needed(bind, AddressUse::Own));
        bind.into_iter().chain(destination).collect()
    }

    fn on_resolved(&mut self, answer: &ResolvedHost) {
        let Some(port) = self.host_to_bind().filter(|bind| bind.host == answer.host).map(|bind| bind.port)
        else {
            return;
        };
        let with_port = |address: &SocketAddr| {
            let mut address = *address;
            address.set_port(port);
            address
        };
        self.found = Some(answer.addresses.iter().map(with_port).collect());
    }

    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        Ok(Box::new(self.clone().open_socket()?))
    }
}

/// The only descriptor of an instance.
const SOCKET: SourceId = SourceId(0);
/// The only timer of an instance: for messages to send again, and for counts to log.
const TIMER: TimerId = TimerId(0);

/// An open instance.
#[derive(Debug)]
struct OscBackend {
    name: String,
    paths: OscPaths,
    /// The address that the socket was opened for.
    bind: Option<OscAddress>,
    socket: OscSocket,
    rx: OscRx,
    tx: OscTx,
    /// `Some`: the destination is a name.
    lookup: Option<DestinationLookup>,
    receive_failures: LogThrottle,
}

impl OscBackend {
    fn look_up(&mut self, now: Instant, cx: &mut BackendContext<'_>) {
        if let Some(host) = self.lookup.as_mut().and_then(|lookup| lookup.due(now)) {
            cx.look_up(host);
        }
        self.set_timer(cx);
    }

    fn set_timer(&mut self, cx: &mut BackendContext<'_>) {
        let is_troubled = self.tx.is_troubled();
        let lookup = self.lookup.as_mut().map(|lookup| lookup.deadline(is_troubled));
        let all = [self.rx.deadline(), self.tx.deadline(), self.receive_failures.deadline(), lookup];
        cx.set_timer(TIMER, all.into_iter().flatten().min());
    }
}

/// The sender of a packet, for the log.
struct SenderName<'a>(&'a nix::sys::socket::SockaddrStorage);

impl fmt::Display for SenderName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match sender_address(self.0) {
            Some(address) => address.fmt(f),
            None => f.write_str("an unknown sender"),
        }
    }
}

impl Backend for OscBackend {
    fn start(&mut self, cx: &mut BackendContext<'_>) -> io::Result<()> {
        self.look_up(Instant::now(), cx);
        cx.watch(self.socket.descriptor(), Interest::Read, SOCKET)
    }

    fn on_ready(&mut self, _source: SourceId, budget: usize, cx: &mut BackendContext<'_>) {
        let Self { paths, socket, rx, tx, .. } = self;
        let full_at = cx.sink.len().saturating_add(budget);
        let mut bytes = 0;
        let mut has_read = false;
        for _ in 0..BATCH_LIMIT {
            let room = full_at.saturating_sub(cx.sink.len());
            if room == 0 || bytes >= READ_BYTES_LIMIT {
                break;
            }
            let mut last_sender = None;
            let more = socket.receive(room, |datagram, sender| {
                has_read = true;
                let is_mapped = rx.datagram(datagram, &SenderName(sender), &mut *paths, &mut cx.sink);
                if is_mapped && tx.learns() {
                    last_sender = sender_address(sender).or(last_sender);
                }
                bytes += datagram.len();
                cx.sink.len() < full_at && bytes < READ_BYTES_LIMIT
            });
            if let Some(sender) = last_sender {
                tx.learn(sender, socket);
            }
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    if let Some(suppressed) = self.receive_failures.hit(Instant::now()) {
                        tracing::warn!(
                            event = "osc_receive_failed",
                            instance = %self.name,
                            suppressed,
                            "cannot receive: {error}"
                        );
                    }
                    break;
                }
            }
        }
        if self.socket.has_kept() {
            cx.call_again(SOCKET);
        }
        // What woke the loop may be a report.
        if !has_read {
            self.tx.take_reports(&mut self.socket);
        }
        self.set_timer(cx);
    }

    fn on_timer(&mut self, _timer: TimerId, now: Instant, cx: &mut BackendContext<'_>) {
        self.rx.tick(now);
        self.look_up(now, cx);
        self.tx.tick(now, &mut self.paths, &mut self.socket);
        if let Some(count) = self.receive_failures.flush(now) {
            tracing::warn!(
                event = "osc_receive_failed",
                instance = %self.name,
                suppressed = count,
                "receiving failed {count} more times"
            );
        }
        self.set_timer(cx);
    }

    fn on_resolved(&mut self, answer: &ResolvedHost, cx: &mut BackendContext<'_>) {
        let Some(lookup) = &mut self.lookup else { return };
        if lookup.answered(answer, &mut self.socket, Instant::now()) {
            self.tx.change_peer(&mut self.paths);
            self.tx.flush(&mut self.paths, &mut self.socket);
        }
        self.set_timer(cx);
    }

    fn handle(
        &mut self,
        _instance: LocalInstance,
        channel: ChannelId,
        value: f64,
        _cx: &mut BackendContext<'_>,
    ) {
        self.tx.set(channel, value, &mut self.paths, &mut self.socket);
    }

    fn flush(&mut self, cx: &mut BackendContext<'_>) {
        self.tx.flush(&mut self.paths, &mut self.socket);
        self.set_timer(cx);
    }

    fn restore(&mut self, _instance: LocalInstance, channel: ChannelId, value: f64, is_output: bool) {
        if is_output {
            OscTx::restore(channel, value, &mut self.paths);
        }
    }

    /// Applies other paths, ranges and options. Another address needs another socket.
    fn reconfigure(
        &mut self,
        plan: &dyn Plan,
        _change: &PlanChange,
        cx: &mut BackendContext<'_>,
    ) -> Reconfigured {
        let plan: &dyn Any = plan;
        let Some(plan) = plan.downcast_ref::<OscPlan>().filter(|plan| plan.shares_socket(self)) else {
            return Reconfigured::Reopen;
        };
        self.tx.flush(&mut self.paths, &mut self.socket);
        self.tx.apply(plan.sends_all, &mut self.paths);
        let old = std::mem::replace(&mut self.paths, plan.paths.clone());
        self.paths.inherit(old);
        self.rx.set_detect(plan.detect.clone());
        self.set_timer(cx);
        Reconfigured::Kept
    }

    fn status(&self, _instance: LocalInstance) -> BackendStatus {
        let unknown = self.lookup.as_ref().and_then(DestinationLookup::fault);
        let is_connecting = self.lookup.is_some() && self.socket.peer().is_none();
        BackendStatus {
            state: if is_connecting { BackendState::Connecting } else { BackendState::Running },
            conflated: self.tx.conflated(),
            note: unknown.map(str::to_owned).or_else(|| self.tx.note()),
            errors: self.rx.errors() + self.tx.errors() + self.receive_failures.total(),
            peers: self.socket.peer().map(|peer| peer.to_string()).into_iter().collect(),
            ..BackendStatus::default()
        }
    }

    fn close(&mut self, cx: &mut BackendContext<'_>) {
        self.tx.flush(&mut self.paths, &mut self.socket);
        self.set_timer(cx);
    }

    fn is_closed(&mut self) -> bool {
        !self.tx.is_busy()
    }
}

#[cfg(test)]
mod tests;
