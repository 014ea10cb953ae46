//! The sockets of a backend: all binds, what they receive, and what is sent from them.

use super::attribution::each_recipient;
use super::bind::{BindHost, BindIndex, BindSpec};
use super::bound::{BoundBind, SendPath};
use super::faults::{FaultPlace, SendFaults};
use super::interfaces::InterfaceTable;
use super::lookup::BindLookup;
use super::receive::{DmxDatagram, ReceiveBuffer, ReceiveSocket};
pub(super) use super::report::PlaceName;
use super::routes::{RouteKey, Routes};
use super::settling::read_table;
use super::watch::InterfaceWatch;
use crate::backends::udp::each_report;
use crate::backends::{BackendContext, OpenError, SourceId};
use crate::poller::Interest;
use crate::resolver::ResolvedHost;
use mm_shared::LogThrottle;
use nix::errno::Errno;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// The source of changes of interfaces.
const WATCH: SourceId = SourceId(0);
/// The most datagrams of a socket that one call hands out, so that a flood of one leaves time for
/// the others.
const TURN_LIMIT: usize = 256;
/// The time after which what the system refused is tried again.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(2);
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The binds of a backend with their sockets. The backend calls [`DmxSockets::start`] from its own
/// `start`, [`DmxSockets::receive`] from `on_ready`, [`DmxSockets::tick`] from `on_timer`,
/// [`DmxSockets::on_resolved`], and has a timer at [`DmxSockets::deadline`] after each of them.
#[derive(Debug)]
pub struct DmxSockets {
    pub(super) backend: &'static str,
    pub(super) binds: Vec<BoundBind>,
    pub(super) lookups: BTreeMap<BindIndex, BindLookup>,
    pub(super) table: InterfaceTable,
    pub(super) watch: InterfaceWatch,
    pub(super) receivers: BTreeMap<SocketAddrV4, (SourceId, ReceiveSocket)>,
    pub(super) sources: HashMap<SourceId, SocketAddrV4>,
    pub(super) next_source: u32,
    pub(super) buffer: ReceiveBuffer,
    pub(super) routes: Routes,
    pub(super) faults: SendFaults,
    /// When to try again what the system refused.
    pub(super) retry: Option<Instant>,
    pub(super) refusals: LogThrottle,
    pub(super) receive_failures: LogThrottle,
    /// Datagrams that were too long for any packet.
    pub(super) oversized: u64,
}

impl DmxSockets {
    /// Opens the wildcard sockets of all `binds`. An interface that is missing is not an error.
    /// `backend` is the name of the backend, for the log.
    ///
    /// # Errors
    ///
    /// A program that does not share has the port, or the system refuses a socket.
    pub fn open(backend: &'static str, binds: &[BindSpec], now: Instant) -> Result<Self, OpenError> {
        let mut this = Self {
            backend,
            binds: Vec::new(),
            lookups: BTreeMap::new(),
            table: read_table(backend).unwrap_or_default(),
            watch: InterfaceWatch::open(now),
            receivers: BTreeMap::new(),
            sources: HashMap::new(),
            next_source: WATCH.0,
            buffer: ReceiveBuffer::default(),
            routes: Routes::default(),
            faults: SendFaults::new(backend),
            retry: None,
            refusals: LogThrottle::new(5, LOG_INTERVAL),
            receive_failures: LogThrottle::new(1, LOG_INTERVAL),
            oversized: 0,
        };
        this.set_binds(binds, now)?;
        Ok(this)
    }

    /// Watches all sockets, and those of groups that were joined before.
    ///
    /// # Errors
    ///
    /// A descriptor cannot be watched.
    pub fn start(&mut self, now: Instant, cx: &mut BackendContext<'_>) -> std::io::Result<()> {
        if let Some(descriptor) = self.watch.descriptor() {
            cx.watch(descriptor, Interest::Read, WATCH)?;
        }
        for (source, receiver) in self.receivers.values() {
            cx.watch(receiver.socket(), Interest::Read, *source)?;
        }
        self.look_up(now, cx);
        self.settle(now, cx);
        Ok(())
    }

    /// Goes on with other binds and groups. Sockets of what stays are kept; groups are those of
    /// `groups` only.
    ///
    /// # Errors
    ///
    /// As of [`DmxSockets::open`]; the binds are as before then.
    pub fn reconfigure(
        &mut self,
        binds: &[BindSpec],
        groups: impl IntoIterator<Item = (BindIndex, Ipv4Addr)>,
        now: Instant,
        cx: &mut BackendContext<'_>,
    ) -> Result<(), OpenError> {
        self.set_binds(binds, now)?;
        for (bind, group) in groups {
            if let Some(bind) = self.binds.get_mut(bind.0) {
                bind.groups.insert(group);
            }
        }
        self.look_up(now, cx);
        self.settle(now, cx);
        Ok(())
    }

    /// How many binds there are.
    #[must_use]
    pub fn bind_count(&self) -> usize {
        self.binds.len()
    }

    /// Has a bind receive a group from now on, also when its interface comes later.
    pub fn join(&mut self, bind: BindIndex, group: Ipv4Addr, now: Instant, cx: &mut BackendContext<'_>) {
        let Some(bound) = self.binds.get_mut(bind.0) else { return };
        let local = SocketAddrV4::new(group, bound.spec.port);
        if bound.groups.insert(group) {
            self.settle_group(local, now, cx);
        }
    }

    /// Ends [`DmxSockets::join`].
    pub fn leave(&mut self, bind: BindIndex, group: Ipv4Addr, now: Instant, cx: &mut BackendContext<'_>) {
        let Some(bound) = self.binds.get_mut(bind.0) else { return };
        let local = SocketAddrV4::new(group, bound.spec.port);
        if bound.groups.remove(&group) {
            self.settle_group(local, now, cx);
        }
    }

    /// A source is ready: calls `each` with each datagram, once for each bind that it belongs to,
    /// until it returns false or enough was read for one turn. Returns whether to call again
    /// without waiting for the source ([`BackendContext::call_again`]).
    pub fn receive(
        &mut self,
        source: SourceId,
        now: Instant,
        mut each: impl FnMut(BindIndex, &DmxDatagram<'_>) -> bool,
    ) -> bool {
        if source == WATCH {
            self.watch.drain(now);
            return false;
        }
        let Self { binds, table, receivers, sources, buffer, .. } = self;
        let Some(local) = sources.get(&source) else { return false };
        let Some((_, receiver)) = receivers.get_mut(local) else { return false };
        let mut left = TURN_LIMIT;
        let mut stopped = false;
        while left > 0 && !stopped {
            let outcome = receiver.receive(buffer, left, |datagram| {
                each_recipient(binds, table, local.port(), datagram, |bind| {
                    stopped |= !each(bind, datagram);
                });
                !stopped
            });
            match outcome {
                Ok(batch) => {
                    self.oversized += batch.oversized;
                    if batch.datagrams == 0 && left == TURN_LIMIT {
                        // What woke the loop may be a report about a node.
                        let descriptor = receiver.descriptor();
                        self.take_reports(descriptor, now);
                        return false;
                    }
                    left = left.saturating_sub(batch.datagrams);
                    if !batch.has_more {
                        break;
                    }
                }
                Err(error) => {
                    let descriptor = receiver.descriptor();
                    self.note_receive_error(&error, descriptor, now);
                    return false;
                }
            }
        }
        receiver.has_kept()
    }

    /// Queues a datagram to a node, a broadcast address or a group. To a group and to
    /// 255.255.255.255 it goes through the interface of the bind, of `*` through all. What cannot
    /// be sent is counted.
    pub fn send(&mut self, bind: BindIndex, to: SocketAddrV4, datagram: &[u8], now: Instant) {
        let Self { binds, routes, faults, table, .. } = self;
        let Some(bound) = binds.get(bind.0) else { return };
        let mut failed = |place, errno| faults.note(place, &PlaceName { place, table }, errno, now);
        let (port, host) = (bound.spec.port, *to.ip());
        if host.is_multicast() || host.is_broadcast() {
            for (index, own) in bound.senders() {
                let key = RouteKey { bind, place: FaultPlace::Interface(*index) };
                let path = SendPath { interface: *index, source: own.address };
                routes.push(key, (path, port), (to, datagram), now, &mut failed);
            }
            return;
        }
        if let Some(path) = bound.path_to(host) {
            let key = RouteKey { bind, place: FaultPlace::Node(host) };
            routes.push(key, (path, port), (to, datagram), now, &mut failed);
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self, now: Instant) {
        let Self { routes, faults, table, .. } = self;
        routes.flush(&mut |place, errno| faults.note(place, &PlaceName { place, table }, errno, now));
    }

    /// Reads the interfaces again, and does what is due. Returns whether a bind has another
    /// interface or address now.
    pub fn tick(&mut self, now: Instant, cx: &mut BackendContext<'_>) -> bool {
        let mut is_changed = false;
        if self.watch.is_due(now)
            && let Some(table) = read_table(self.backend)
            && table != self.table
        {
            self.table = table;
            is_changed = self.update_binds(now);
        }
        let wants_retry = self.retry.is_some_and(|retry| retry <= now);
        if wants_retry {
            self.retry = None;
        }
        if is_changed || wants_retry {
            self.settle(now, cx);
        }
        self.look_up(now, cx);
        let table = &self.table;
        self.faults.tick(now, |place| PlaceName { place, table }.to_string());
        is_changed
    }

    /// A host was looked up. Returns whether a bind has another interface now.
    pub fn on_resolved(&mut self, answer: &ResolvedHost, now: Instant, cx: &mut BackendContext<'_>) -> bool {
        let addresses = answer.addresses.iter().filter_map(|address| match address.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        });
        let found: Vec<_> = addresses.collect();
        let is_named = |bind: &&mut BoundBind| bind.spec.host == BindHost::Name(answer.host.clone());
        let mut is_answered = false;
        for bind in self.binds.iter_mut().filter(is_named) {
            // The name server may be away; the last addresses stay in use.
            if !found.is_empty() {
                bind.found.clone_from(&found);
            }
            is_answered = true;
        }
        let is_changed = is_answered && self.update_binds(now);
        if is_changed {
            self.settle(now, cx);
        }
        is_changed
    }

    /// When [`DmxSockets::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let lookups = self.lookups.values().map(BindLookup::deadline);
        let others = [self.watch.deadline(), self.retry, self.faults.deadline()];
        lookups.chain(others.into_iter().flatten()).min()
    }

    /// Asks for the hosts whose time has come. That of an interface's name is not a host.
    fn look_up(&mut self, now: Instant, cx: &mut BackendContext<'_>) {
        for (index, lookup) in &mut self.lookups {
            let Some(bind) = self.binds.get(index.0) else { continue };
            let BindHost::Name(name) = &bind.spec.host else { continue };
            let is_interface = self.table.by_name(name).is_some();
            if lookup.is_due(bind.is_present(), now) && !is_interface {
                cx.look_up(name);
            }
        }
    }

    /// Takes what the kernel reports about datagrams that were sent to nodes.
    fn take_reports(&mut self, descriptor: RawFd, now: Instant) {
        let Self { routes, faults, table, .. } = self;
        each_report(descriptor, |to, reason| {
            let (Some(SocketAddr::V4(to)), Some(errno)) = (to, reason) else { return };
            let place = FaultPlace::Node(*to.ip());
            if routes.has_node(*to.ip()) {
                faults.note(place, &PlaceName { place, table }, errno, now);
            }
        });
    }

    fn note_receive_error(&mut self, error: &std::io::Error, descriptor: RawFd, now: Instant) {
        // A report about a node also fails one call.
        let of_node = [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::EHOSTDOWN];
        self.take_reports(descriptor, now);
        let is_report = error.raw_os_error().is_some_and(|code| of_node.contains(&Errno::from_raw(code)));
        if is_report {
            return;
        }
        if let Some(suppressed) = self.receive_failures.hit(now) {
            let backend = self.backend;
            tracing::warn!(event = "dmx_receive_failed", backend, suppressed, "cannot receive: {error}");
        }
    }
}
