//! `midi`: devices and programs that speak MIDI, through the ALSA sequencer or JACK.
//!
//! A MIDI system has threads and waits of its own, so an instance has three threads around it. The
//! loop waits for none of them, not even when it closes the instance:
//!
//! ```text
//! MIDI system ─► rx_queue ─► loop: rx ─► events             connector: opens ports, connects devices
//!                events ─► loop: tx ─► tx_queue ─► tx_thread ─► port
//! ```
//!
//! Pure parts: [`channel`] (names), [`channel_map`], [`parser`] (bytes to messages),
//! [`parameters`], [`codec`] (messages to values and back), [`rate_limiter`] and
//! [`device_selector`]. Only [`port`] knows the MIDI system.

mod channel;
mod channel_map;
mod options;

mod codec;
mod parameters;
mod parser;

mod rx;
mod rx_queue;

mod rate_limiter;
mod tx;
mod tx_queue;
mod tx_thread;

mod connector;
mod device_selector;
mod link_state;
mod port_leases;

mod port;

use super::{
    Backend, BackendContext, BackendKind, BackendStatus, LocalInstance, OpenCause, OpenError, Plan, PlanKey,
    SourceId, TimerId,
};
use crate::ids::InstanceId;
use crate::poller::Interest;
use crate::show::LiveInstance;
use channel_map::ChannelMap;
use connector::{Connector, ConnectorConfig, ConnectorHandle, OpenFn, OutageFlag};
use device_selector::DeviceSelector;
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use mm_shared::ChannelId;
use options::{MidiBackendOptions, MidiInstanceOptions};
use port::PortNames;
use port_leases::{PORT_LEASES, PortLeases};
use rx::MidiRx;
use rx_queue::{MidiRxQueue, RxHandle};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tx::{MidiTx, TxConfig};
use tx_queue::TxValue;

/// The kind of backend: its options and its plans.
pub struct MidiKind;

impl BackendKind for MidiKind {
    fn spec(&self) -> BackendSpec {
        options::SPEC
    }

    /// Its threads know the channels as they were when they were started.
    fn reopens_for_channels(&self) -> bool {
        true
    }

    /// One plan per instance, so that a reload can replace one.
    fn plan(
        &self,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        let common = MidiBackendOptions::read(section);
        let outage = OutageFlag::default();
        let plans = instances.iter().map(|&LiveInstance { id, instance, .. }| MidiPlan {
            id,
            name: instance.name.clone(),
            common: common.clone(),
            options: MidiInstanceOptions::read(instance),
            channels: ChannelMap::new(instance, diagnostics),
            outage: Arc::clone(&outage),
        });
        plans.map(|plan| Box::new(plan) as Box<dyn Plan>).collect()
    }
}

/// Waits until the ports of all closed instances are closed, for at most `timeout`. Returns whether
/// they are.
pub fn wait_until_closed(timeout: Duration) -> bool {
    PORT_LEASES.wait_until_free(timeout)
}

/// An instance as the show describes it.
#[derive(Debug, Clone)]
struct MidiPlan {
    id: InstanceId,
    name: String,
    common: MidiBackendOptions,
    options: MidiInstanceOptions,
    channels: ChannelMap,
    outage: OutageFlag,
}

impl Plan for MidiPlan {
    fn key(&self) -> PlanKey {
        PlanKey { backend: options::SPEC.name, name: self.name.clone() }
    }

    fn instances(&self) -> Vec<InstanceId> {
        vec![self.id]
    }

    /// Starts the threads. They open the ports, since that may take time.
    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        let names = PortNames { client: self.common.name.clone(), port: self.name.clone() };
        let lease_name = names.lease_name();
        let open = move |rx: RxHandle| -> OpenFn { Box::new(move || port::open(&names, rx.stream())) };
        match self.start(lease_name, &PORT_LEASES, open) {
            Ok(midi) => Ok(Box::new(midi)),
            Err(error) => {
                let message = format!("instance `{}` cannot be started: {error}", self.name);
                Err(OpenError { message, hint: None, cause: OpenCause::Lasting })
            }
        }
    }
}

impl MidiPlan {
    fn start(
        &self,
        lease_name: String,
        leases: &'static PortLeases,
        open: impl FnOnce(RxHandle) -> OpenFn,
    ) -> io::Result<Midi> {
        let rx_queue = MidiRxQueue::new()?;
        let open = open(rx_queue.handle());
        let rx = MidiRx::new(self.name.clone(), self.common.detect, rx_queue);
        let (tx, remote) = MidiTx::start(TxConfig {
            name: self.name.clone(),
            addresses: self.channels.addresses.clone(),
            deselect: self.options.deselect,
            rate: self.options.rate,
        })?;
        let devices = [&self.options.read, &self.options.write];
        let config = ConnectorConfig {
            name: self.name.clone(),
            lease_name,
            leases,
            open,
            selectors: devices.map(|text| text.as_deref().map(DeviceSelector::new)),
            outage: Arc::clone(&self.outage),
        };
        let connector = Connector::start(config, remote)?;
        Ok(Midi { channels: self.channels.clone(), rx, tx, connector })
    }
}

/// An open instance. Dropping it only signals its threads (see [`MidiTx`] and [`ConnectorHandle`]).
#[derive(Debug)]
struct Midi {
    channels: ChannelMap,
    rx: MidiRx,
    tx: MidiTx,
    connector: ConnectorHandle,
}

/// The queue of received messages.
const RX_QUEUE: SourceId = SourceId(0);
/// The one timer: for values that wait to be sent, and for counts that go to the log.
const TIMER: TimerId = TimerId(0);

impl Midi {
    fn set_timer(&self, cx: &mut BackendContext<'_>) {
        let deadline = [self.rx.deadline(), self.tx.deadline()].into_iter().flatten().min();
        cx.set_timer(TIMER, deadline);
    }

    fn note(&self) -> Option<String> {
        let ports = Some(self.connector.status()).filter(|text| !text.is_empty());
        let parts: Vec<_> = ports.into_iter().chain(self.rx.status()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Dropping it only signals its threads, so there is no step in between for [`Backend::close`].
impl Backend for Midi {
    fn start(&mut self, cx: &mut BackendContext<'_>) -> io::Result<()> {
        cx.watch(self.rx.queue().descriptor(), Interest::Read, RX_QUEUE)
    }

    fn on_ready(&mut self, _source: SourceId, _budget: usize, cx: &mut BackendContext<'_>) {
        self.rx.receive(&self.channels, &mut cx.sink);
        self.set_timer(cx);
    }

    fn on_timer(&mut self, _timer: TimerId, now: Instant, cx: &mut BackendContext<'_>) {
        self.rx.tick(now);
        self.tx.tick(now);
        self.set_timer(cx);
    }

    fn handle(
        &mut self,
        _instance: LocalInstance,
        channel: ChannelId,
        value: f64,
        _cx: &mut BackendContext<'_>,
    ) {
        if let Some((slot, address)) = self.channels.of_channel(channel) {
            self.tx.push(TxValue { slot, raw: address.kind.raw(value) });
        }
    }

    fn flush(&mut self, cx: &mut BackendContext<'_>) {
        self.tx.flush();
        self.set_timer(cx);
    }

    fn status(&self, _instance: LocalInstance) -> BackendStatus {
        BackendStatus {
            errors: self.rx.errors() + self.tx.dropped(),
            conflated: self.tx.conflated(),
            note: self.note(),
            ..BackendStatus::default()
        }
    }
}

#[cfg(test)]
mod tests;
