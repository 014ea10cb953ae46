//! Brings the sockets in line with the binds, their groups and the interfaces.

use super::bind::{BindHost, BindIndex, BindSpec};
use super::bound::BoundBind;
use super::interfaces::InterfaceTable;
use super::lookup::BindLookup;
use super::receive::ReceiveSocket;
use super::sockets::{DmxSockets, PlaceName, RETRY_INTERVAL};
use crate::backends::udp::bind_error;
use crate::backends::{BackendContext, OpenError, SourceId};
use crate::poller::Interest;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

impl DmxSockets {
    /// Takes binds in place of those before, without their groups, and opens their ports.
    pub(super) fn set_binds(&mut self, specs: &[BindSpec], now: Instant) -> Result<(), OpenError> {
        for spec in specs {
            self.open_receiver(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, spec.port)).map_err(|error| {
                bind_error(&format!("`{}`", self.backend), &format!("`bind = {spec}`"), error)
            })?;
        }
        let mut before = std::mem::take(&mut self.binds);
        self.binds = specs.iter().cloned().map(BoundBind::new).collect();
        for bind in &mut self.binds {
            if let Some(known) = before.iter_mut().find(|known| known.spec.host == bind.spec.host) {
                bind.found = std::mem::take(&mut known.found);
            }
        }
        self.lookups.clear();
        for (index, bind) in self.binds.iter().enumerate() {
            if matches!(bind.spec.host, BindHost::Name(_)) {
                self.lookups.insert(BindIndex(index), BindLookup::new(now));
            }
        }
        self.drop_routes(now);
        for bind in &mut self.binds {
            bind.update(&self.table);
        }
        for bind in &self.binds {
            let was_there = before.iter().any(|known| known.spec == bind.spec && !known.is_present());
            if !bind.is_present() && !was_there {
                warn_of_absence(self.backend, &bind.spec);
            }
        }
        Ok(())
    }

    /// Looks where all binds are now. Returns whether any has changed.
    pub(super) fn update_binds(&mut self, now: Instant) -> bool {
        let mut is_changed = false;
        let (backend, table) = (self.backend, &self.table);
        for bind in &mut self.binds {
            let was_present = bind.is_present();
            if !bind.update(table) {
                continue;
            }
            is_changed = true;
            match (was_present, bind.address()) {
                (true, None) if !bind.is_any() => warn_of_absence(backend, &bind.spec),
                (false, Some((index, own))) => {
                    let name = table.by_index(index).map_or("", |interface| interface.name.as_str());
                    tracing::info!(
                        event = "interface_joined",
                        backend,
                        "`bind = {}` is the interface `{name}` with the address {} now",
                        bind.spec,
                        own.address
                    );
                }
                _ => {}
            }
        }
        if is_changed {
            self.drop_routes(now);
        }
        is_changed
    }

    /// Opens and closes sockets, and joins and leaves groups, until all are as they should be. What
    /// the system refuses is tried again later.
    pub(super) fn settle(&mut self, now: Instant, cx: &mut BackendContext<'_>) {
        let wanted = self.wanted();
        let locals: Vec<_> = self.receivers.keys().chain(&wanted).copied().collect();
        for local in locals.into_iter().collect::<BTreeSet<_>>() {
            self.settle_one(local, wanted.contains(&local), now, cx);
        }
    }

    /// The same for one group.
    pub(super) fn settle_group(&mut self, local: SocketAddrV4, now: Instant, cx: &mut BackendContext<'_>) {
        let mut of_port = self.binds.iter().filter(|bind| bind.spec.port == local.port());
        let is_wanted = of_port.any(|bind| bind.groups.contains(local.ip()));
        self.settle_one(local, is_wanted, now, cx);
    }

    fn settle_one(
        &mut self,
        local: SocketAddrV4,
        is_wanted: bool,
        now: Instant,
        cx: &mut BackendContext<'_>,
    ) {
        if !is_wanted {
            if let Some((source, _)) = self.receivers.remove(&local) {
                self.sources.remove(&source);
            }
            return;
        }
        let outcome = self.open_and_join(local, cx);
        let Err(error) = outcome else { return };
        self.retry = Some(self.retry.unwrap_or(now + RETRY_INTERVAL));
        if let Some(suppressed) = self.refusals.hit(now) {
            let backend = self.backend;
            tracing::warn!(
                event = "dmx_receive_refused",
                backend,
                suppressed,
                "cannot receive what is for {local}: {error}; trying again"
            );
        }
    }

    fn open_and_join(&mut self, local: SocketAddrV4, cx: &mut BackendContext<'_>) -> std::io::Result<()> {
        if !self.receivers.contains_key(&local) {
            self.open_receiver(local)?;
            if let Some((source, receiver)) = self.receivers.get(&local) {
                cx.watch(receiver.socket(), Interest::Read, *source)?;
            }
        }
        let joined = self.binds.iter().filter(|bind| bind.spec.port == local.port());
        let joined = joined.filter(|bind| bind.groups.contains(local.ip()));
        let interfaces = joined.flat_map(|bind| bind.joined_interfaces()).copied().collect();
        let Some((_, receiver)) = self.receivers.get_mut(&local) else { return Ok(()) };
        receiver.join(&interfaces)
    }

    /// Opens a socket unless it is open.
    fn open_receiver(&mut self, local: SocketAddrV4) -> std::io::Result<()> {
        if self.receivers.contains_key(&local) {
            return Ok(());
        }
        let receiver = ReceiveSocket::open(local)?;
        self.next_source += 1;
        let source = SourceId(self.next_source);
        self.receivers.insert(local, (source, receiver));
        self.sources.insert(source, local);
        Ok(())
    }

    /// The addresses of all sockets that should be open.
    fn wanted(&self) -> BTreeSet<SocketAddrV4> {
        let mut wanted = BTreeSet::new();
        for bind in &self.binds {
            let local = |address| SocketAddrV4::new(address, bind.spec.port);
            wanted.insert(local(Ipv4Addr::UNSPECIFIED));
            wanted.extend(bind.own_addresses().map(local));
            wanted.extend(bind.groups.iter().copied().map(local));
        }
        wanted
    }

    /// Closes the sockets to send with, which are opened again as needed.
    fn drop_routes(&mut self, now: Instant) {
        let Self { routes, faults, table, .. } = self;
        routes.clear(&mut |place, errno| faults.note(place, &PlaceName { place, table }, errno, now));
    }
}

fn warn_of_absence(backend: &'static str, spec: &BindSpec) {
    let missing = match &spec.host {
        BindHost::Name(name) => format!("there is no interface `{name}` that is up and has an address"),
        host => format!("no interface that is up has the address {host}"),
    };
    tracing::warn!(
        event = "interface_missing",
        backend,
        "`bind = {spec}` waits: {missing}; it is used when it comes"
    );
}

/// The interfaces at present, if the system says.
pub(super) fn read_table(backend: &'static str) -> Option<InterfaceTable> {
    let read = InterfaceTable::read();
    if let Err(error) = &read {
        tracing::warn!(
            event = "interface_table_failed",
            backend,
            "cannot list the network interfaces: {error}"
        );
    }
    read.ok()
}
