//! `osc`: Open Sound Control 1.0 over UDP.
//!
//! An instance is a socket, a table of paths and two sides that know nothing of each other: [`intake`] makes events
//! of datagrams, [`outlet`] makes datagrams of events. Instances are independent, each is a backend of its own.

mod options;
mod pattern;

mod codec;
mod range;

mod intake;
mod outlet;
mod paths;

mod port;

use super::{Backend, BackendKind, EventSink, OpenError, Plan, Watch};
use crate::ids::InstanceId;
use crate::show::LiveInstance;
use intake::Intake;
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use mm_shared::ChannelId;
use mm_shared::LogThrottle;
use options::{Address, Destination, Options};
use outlet::Outlet;
use paths::Paths;
use port::{Port, sender_address};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// How many batches one call receives at most, so that a flood leaves time for the others.
const ROUNDS: usize = 2;

/// The backend as the show file knows it.
pub struct OscKind;

impl BackendKind for OscKind {
    fn spec(&self) -> BackendSpec {
        options::SPEC
    }

    /// Checks what the show says of its `osc` instances: one plan for each.
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

/// An instance as the show has it.
#[derive(Debug, Clone)]
struct OscPlan {
    no: InstanceId,
    name: String,
    bind: Option<Address>,
    destination: Destination,
    paths: Paths,
    /// The root, where incoming messages are to be shown.
    detect: Option<String>,
}

impl OscPlan {
    fn new(live: LiveInstance<'_>, detect: bool, diagnostics: &mut Diagnostics) -> Self {
        let LiveInstance { id, instance, .. } = live;
        let options = Options::read(instance, diagnostics);
        let paths = Paths::new(instance, &options, diagnostics);
        let Options { bind, destination, root, .. } = options;
        Self { no: id, name: instance.name.clone(), bind, destination, paths, detect: detect.then_some(root) }
    }

    /// Whether both ask for the same port, as far as that can be said without looking up names.
    fn collides(&self, other: &Self) -> bool {
        let (Some(own), Some(other)) = (&self.bind, &other.bind) else { return false };
        let same_host =
            own.host == other.host || covers(&own.host, &other.host) || covers(&other.host, &own.host);
        own.port == other.port && own.port != 0 && same_host
    }

    fn open_socket(self) -> Result<Osc, OpenError> {
        let port = Port::open(&self.name, self.bind.as_ref(), &self.destination)?;
        if let Some(local) = port.local_address().filter(|_| self.bind.is_some()) {
            tracing::info!(instance = %self.name, "listens on {local}");
        }
        if let Some(peer) = port.peer() {
            tracing::info!(instance = %self.name, "sends to {peer}");
        }
        Ok(Osc {
            intake: Intake::new(self.no, self.name.clone(), self.detect),
            outlet: Outlet::new(self.name.clone(), self.destination),
            paths: self.paths,
            port,
            broken: LogThrottle::new(1, Duration::from_secs(10)),
            name: self.name,
        })
    }
}

/// Whether a wildcard takes an address in; names of hosts are left to the moment they are looked up.
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
    let error = diagnostics.error(second.span, message).label("in use already");
    error.also(first.span, "here").hint("an instance that only sends needs no `bind`");
}

impl Plan for OscPlan {
    fn instances(&self) -> Vec<InstanceId> {
        vec![self.no]
    }

    fn resolve(&mut self) -> Result<(), OpenError> {
        if let Some(bind) = self.bind.as_mut().filter(|bind| bind.host != "*") {
            bind.found = port::resolve(&self.name, "bind", bind)?;
        }
        if let Destination::Fixed(address) = &mut self.destination {
            address.found = port::resolve(&self.name, "destination", address)?;
        }
        Ok(())
    }

    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        Ok(Box::new(self.clone().open_socket()?))
    }
}

/// An instance at work.
#[derive(Debug)]
struct Osc {
    name: String,
    paths: Paths,
    port: Port,
    intake: Intake,
    outlet: Outlet,
    /// Failures of the socket itself.
    broken: LogThrottle,
}

/// Shown to people where the sender of a packet is.
struct Sender<'a>(&'a nix::sys::socket::SockaddrStorage);

impl fmt::Display for Sender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match sender_address(self.0) {
            Some(address) => address.fmt(f),
            None => f.write_str("nowhere"),
        }
    }
}

impl Backend for Osc {
    fn watches(&self) -> Vec<Watch<'_>> {
        vec![Watch { descriptor: self.port.descriptor(), token: 0 }]
    }

    fn receive(&mut self, _token: u32, sink: &mut EventSink) {
        let Self { paths, port, intake, outlet, .. } = self;
        for _ in 0..ROUNDS {
            let mut last_sender = None;
            let full = port.receive(|datagram, sender| {
                let sound = intake.datagram(datagram, &Sender(sender), paths, sink);
                if sound && outlet.learns() {
                    last_sender = sender_address(sender).or(last_sender);
                }
            });
            if let Some(sender) = last_sender {
                outlet.learn(sender, port);
            }
            match full {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    if let Some(suppressed) = self.broken.hit(Instant::now()) {
                        tracing::warn!(instance = %self.name, suppressed, "cannot receive: {error}");
                    }
                    break;
                }
            }
        }
    }

    fn handle(&mut self, _instance: InstanceId, channel: ChannelId, value: f64, _inlet: &mut EventSink) {
        self.outlet.set(channel, value, &mut self.paths, &self.port);
    }

    fn flush(&mut self) {
        self.outlet.flush(&mut self.paths, &mut self.port);
    }

    fn restore(&mut self, _instance: InstanceId, channel: ChannelId, value: f64) {
        Outlet::restore(channel, value, &mut self.paths);
    }

    fn errors(&self) -> u64 {
        self.intake.errors() + self.outlet.errors() + self.broken.total()
    }

    fn deadline(&self) -> Option<Instant> {
        let all = [self.intake.deadline(), self.outlet.deadline(), self.broken.deadline()];
        all.into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant, _inlet: &mut EventSink) {
        self.intake.tick(now);
        self.outlet.tick(now, &mut self.paths, &mut self.port);
        if let Some(count) = self.broken.flush(now) {
            tracing::warn!(instance = %self.name, "receiving failed {count} more times");
        }
    }
}

#[cfg(test)]
mod tests;
