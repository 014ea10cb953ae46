//! `midi`: devices and programs that speak MIDI, through the ALSA sequencer or JACK.
//!
//! An instance has three threads around it, and the loop never waits for any of them:
//!
//! ```text
//! midir's callback ─► rx_queue ─► loop: rx ─► events        keeper: opens ports, connects devices
//!                     events ─► loop: tx_queue ─► sender ─► midir's port
//! ```
//!
//! The pure parts are [`channel`] (names), [`bytes`] (a stream to messages), [`parameters`], [`codec`] (messages to values
//! and back), [`pace`] and [`devices`]; [`port`] is all that knows the MIDI system.

mod channel;
mod channel_map;
mod options;

mod parameters;
mod parser;

mod codec;

mod rx;
mod rx_queue;

mod rate_limiter;
mod tx_queue;
mod tx_thread;

mod connector;
mod device_selector;

mod port;

use super::{Backend, BackendKind, EventSink, OpenError, Plan, Watch};
use crate::ids::InstanceId;
use crate::show::LiveInstance;
use channel_map::ChannelMap;
use connector::{Connector, OutageFlag};
use crossbeam_queue::ArrayQueue;
use device_selector::DeviceSelector;
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use mm_shared::Doorbell;
use options::{MidiBackendOptions, MidiInstanceOptions};
use port::PortNames;
use rx::MidiRx;
use rx_queue::MidiRxQueue;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Instant;
use tx_queue::{CAPACITY, MidiTxQueue, TxValue};
use tx_thread::{SHUTDOWN_TIMEOUT, TxCommand, TxThread};

/// The backend as the show file knows it.
pub struct MidiKind;

impl BackendKind for MidiKind {
    fn spec(&self) -> BackendSpec {
        options::SPEC
    }

    /// Checks what the show says of its `midi` instances: one plan for each, so that a reload can replace a single one.
    fn plan(
        &self,
        section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        let common = MidiBackendOptions::read(section);
        let outage = OutageFlag::default();
        let plans = instances.iter().map(|&LiveInstance { id, instance, .. }| MidiPlan {
            no: id,
            name: instance.name.clone(),
            common: common.clone(),
            options: MidiInstanceOptions::read(instance),
            channels: ChannelMap::new(instance, diagnostics),
            outage: Arc::clone(&outage),
        });
        plans.map(|plan| Box::new(plan) as Box<dyn Plan>).collect()
    }
}

/// An instance as the show has it.
#[derive(Debug, Clone)]
struct MidiPlan {
    no: InstanceId,
    name: String,
    common: MidiBackendOptions,
    options: MidiInstanceOptions,
    channels: ChannelMap,
    outage: OutageFlag,
}

impl Plan for MidiPlan {
    fn instances(&self) -> Vec<InstanceId> {
        vec![self.no]
    }

    /// Starts the threads. Ports are their business, since opening one may take its time.
    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        match self.start() {
            Ok(midi) => Ok(Box::new(midi)),
            Err(error) => {
                let message = format!("instance `{}` cannot be started: {error}", self.name);
                Err(OpenError { message, hint: None })
            }
        }
    }
}

impl MidiPlan {
    fn start(&self) -> io::Result<Midi> {
        let rx_queue = MidiRxQueue::new()?;
        let (commands, received) = channel();
        let (tx_shared, tx_queue, done) = self.start_tx_thread(received)?;
        let connector = Arc::new(connector::ConnectorShared {
            ending: false.into(),
            bell: Doorbell::new()?,
            state: String::new().into(),
        });
        let closed = self.start_connector(&rx_queue, commands, tx_queue.sender(), Arc::clone(&connector))?;
        let (name, channels) = (self.name.clone(), self.channels.clone());
        let rx = MidiRx::new(self.no, name, self.common.detect, rx_queue);
        Ok(Midi { channels, rx, tx_queue, tx_shared, connector, done, closed })
    }

    fn start_tx_thread(
        &self,
        commands: Receiver<TxCommand>,
    ) -> io::Result<(Arc<tx_thread::TxShared>, MidiTxQueue, Receiver<()>)> {
        let queue = Arc::new(ArrayQueue::new(CAPACITY));
        let shared = Arc::new(tx_thread::TxShared::default());
        let (done, is_done) = channel();
        let sender = TxThread {
            name: self.name.clone(),
            addresses: self.channels.addresses.clone(),
            deselect: self.options.deselect,
            rate: self.options.rate,
            queue: Arc::clone(&queue),
            commands,
            shared: Arc::clone(&shared),
            done,
        };
        let thread = thread::Builder::new().name("midi-out".into()).spawn(move || sender.run())?;
        let tx_queue = MidiTxQueue::new(queue, self.channels.addresses.len(), thread.thread().clone());
        Ok((shared, tx_queue, is_done))
    }

    fn start_connector(
        &self,
        rx_queue: &MidiRxQueue,
        commands: Sender<TxCommand>,
        sender: &thread::Thread,
        shared: Arc<connector::ConnectorShared>,
    ) -> io::Result<Receiver<()>> {
        let names = PortNames { client: self.common.name.clone(), port: self.name.clone() };
        let (closed, is_closed) = channel();
        let rx_handle = rx_queue.handle();
        let wanted = [&self.options.read, &self.options.write];
        let keeper = Connector {
            name: self.name.clone(),
            open: Box::new(move || port::open(&names, rx_handle.stream())),
            wanted: wanted.map(|text| text.as_deref().map(DeviceSelector::new)),
            commands,
            sender: sender.clone(),
            shared,
            outage: Arc::clone(&self.outage),
            closed,
        };
        thread::Builder::new().name("midi-ports".into()).spawn(move || keeper.run())?;
        Ok(is_closed)
    }
}

/// An instance at work.
#[derive(Debug)]
struct Midi {
    channels: ChannelMap,
    rx: MidiRx,
    tx_queue: MidiTxQueue,
    tx_shared: Arc<tx_thread::TxShared>,
    connector: Arc<connector::ConnectorShared>,
    /// Tells when all is sent at the end.
    done: Receiver<()>,
    /// Tells when the ports are closed.
    closed: Receiver<()>,
}

impl Backend for Midi {
    fn watches(&self) -> Vec<Watch<'_>> {
        vec![Watch { descriptor: self.rx.queue().descriptor(), token: 0 }]
    }

    fn receive(&mut self, _token: u32, sink: &mut EventSink) {
        self.rx.receive(&self.channels, sink);
    }

    fn handle(&mut self, _instance: InstanceId, channel: u32, value: f64, _inlet: &mut EventSink) {
        if let Some((slot, address)) = self.channels.of_channel(channel) {
            self.tx_queue.set(TxValue { slot, raw: address.kind.raw(value) });
        }
    }

    fn flush(&mut self) {
        self.tx_queue.flush();
    }

    fn errors(&self) -> u64 {
        self.rx.errors() + self.tx_shared.lost.load(Ordering::Relaxed)
    }

    fn conflated(&self) -> u64 {
        self.tx_queue.conflated()
    }

    fn note(&self, _instance: InstanceId) -> Option<String> {
        let ports = self.connector.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let parts: Vec<_> =
            Some(ports).filter(|text| !text.is_empty()).into_iter().chain(self.rx.state()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn deadline(&self) -> Option<Instant> {
        [self.rx.deadline(), self.tx_queue.deadline()].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant, _inlet: &mut EventSink) {
        self.rx.tick(now);
        if self.tx_queue.deadline().is_some_and(|deadline| deadline <= now) {
            self.tx_queue.flush();
        }
    }
}

impl Drop for Midi {
    /// Lets go out what was sent last, then closes the ports.
    fn drop(&mut self) {
        self.tx_shared.ending.store(true, Ordering::SeqCst);
        self.tx_queue.flush();
        // a sender that takes longer ends by itself
        let _ = self.done.recv_timeout(SHUTDOWN_TIMEOUT);
        self.connector.ending.store(true, Ordering::SeqCst);
        self.connector.bell.ring();
        let _ = self.closed.recv_timeout(SHUTDOWN_TIMEOUT);
    }
}
