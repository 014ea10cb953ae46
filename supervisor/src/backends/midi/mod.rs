//! `midi`: devices and programs that speak MIDI, through the ALSA sequencer or JACK.
//!
//! An instance has three threads around it, and the loop never waits for any of them:
//!
//! ```text
//! midir's callback ─► arrivals ─► loop: intake ─► events        keeper: opens ports, connects devices
//!                     events ─► loop: outbox ─► sender ─► midir's port
//! ```
//!
//! The pure parts are [`channel`] (names), [`bytes`] (a stream to messages), [`parameters`], [`codec`] (messages to values
//! and back), [`pace`] and [`devices`]; [`port`] is all that knows the MIDI system.

mod channel;
mod options;

mod bytes;
mod parameters;

mod codec;

mod arrivals;
mod intake;

mod outbox;
mod pace;
mod sender;

mod devices;
mod keeper;

mod port;

use super::{Backend, EventSink, Numbered, OpenError, Plan, Watch};
use crate::ids::InstanceId;
use arrivals::Arrivals;
use crossbeam_queue::ArrayQueue;
use devices::Wanted;
use intake::Intake;
use keeper::{Keeper, Outage};
use mm_config::{Diagnostics, Section};
use mm_shared::Doorbell;
use options::{Common, Options, Slots};
use outbox::{CAPACITY, Outbox, Value};
use port::Names;
use sender::{FAREWELL, Sender, Word};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender as Mailbox, channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Instant;

/// Checks what the show says of its `midi` instances: one plan for each, so that a reload can replace a single one.
pub fn plan(
    section: Option<&Section>,
    instances: &[Numbered<'_>],
    diagnostics: &mut Diagnostics,
) -> Vec<Box<dyn Plan>> {
    let common = Common::read(section);
    let outage = Outage::default();
    let plans = instances.iter().map(|Numbered { no, instance }| MidiPlan {
        no: *no,
        name: instance.name.clone(),
        common: common.clone(),
        options: Options::read(instance),
        slots: Slots::new(instance, diagnostics),
        outage: Arc::clone(&outage),
    });
    plans.map(|plan| Box::new(plan) as Box<dyn Plan>).collect()
}

/// An instance as the show has it.
#[derive(Debug, Clone)]
struct MidiPlan {
    no: InstanceId,
    name: String,
    common: Common,
    options: Options,
    slots: Slots,
    outage: Outage,
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
        let arrivals = Arrivals::new()?;
        let (words, heard) = channel();
        let (outgoing, outbox, done) = self.start_sender(heard)?;
        let keeping = Arc::new(keeper::Shared {
            ending: false.into(),
            bell: Doorbell::new()?,
            state: String::new().into(),
        });
        let closed = self.start_keeper(&arrivals, words, outbox.sender(), Arc::clone(&keeping))?;
        let (name, slots) = (self.name.clone(), self.slots.clone());
        let intake = Intake::new(self.no, name, self.common.detect, arrivals);
        Ok(Midi { slots, intake, outbox, outgoing, keeping, done, closed })
    }

    fn start_sender(&self, words: Receiver<Word>) -> io::Result<(Arc<sender::Shared>, Outbox, Receiver<()>)> {
        let queue = Arc::new(ArrayQueue::new(CAPACITY));
        let shared = Arc::new(sender::Shared::default());
        let (done, is_done) = channel();
        let sender = Sender {
            name: self.name.clone(),
            addresses: self.slots.addresses.clone(),
            deselect: self.options.deselect,
            rate: self.options.rate,
            queue: Arc::clone(&queue),
            words,
            shared: Arc::clone(&shared),
            done,
        };
        let thread = thread::Builder::new().name("midi-out".into()).spawn(move || sender.run())?;
        let outbox = Outbox::new(queue, self.slots.addresses.len(), thread.thread().clone());
        Ok((shared, outbox, is_done))
    }

    fn start_keeper(
        &self,
        arrivals: &Arrivals,
        words: Mailbox<Word>,
        sender: &thread::Thread,
        shared: Arc<keeper::Shared>,
    ) -> io::Result<Receiver<()>> {
        let names = Names { client: self.common.name.clone(), port: self.name.clone() };
        let (closed, is_closed) = channel();
        let poster = arrivals.poster();
        let wanted = [&self.options.read, &self.options.write];
        let keeper = Keeper {
            name: self.name.clone(),
            open: Box::new(move || port::open(&names, poster.post())),
            wanted: wanted.map(|text| text.as_deref().map(Wanted::new)),
            words,
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
    slots: Slots,
    intake: Intake,
    outbox: Outbox,
    outgoing: Arc<sender::Shared>,
    keeping: Arc<keeper::Shared>,
    /// Tells when all is sent at the end.
    done: Receiver<()>,
    /// Tells when the ports are closed.
    closed: Receiver<()>,
}

impl Backend for Midi {
    fn watches(&self) -> Vec<Watch<'_>> {
        vec![Watch { descriptor: self.intake.arrivals().descriptor(), token: 0 }]
    }

    fn receive(&mut self, _token: u32, sink: &mut EventSink) {
        self.intake.receive(&self.slots, sink);
    }

    fn handle(&mut self, _instance: InstanceId, channel: u32, value: f64, _inlet: &mut EventSink) {
        if let Some((slot, address)) = self.slots.of_channel(channel) {
            self.outbox.set(Value { slot, raw: address.kind.raw(value) });
        }
    }

    fn flush(&mut self) {
        self.outbox.flush();
    }

    fn renumber(&mut self, number: &dyn Fn(InstanceId) -> InstanceId) {
        self.intake.renumber(number);
    }

    fn errors(&self) -> u64 {
        self.intake.errors() + self.outgoing.lost.load(Ordering::Relaxed)
    }

    fn conflated(&self) -> u64 {
        self.outbox.conflated()
    }

    fn note(&self, _instance: InstanceId) -> Option<String> {
        let ports = self.keeping.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let parts: Vec<_> =
            Some(ports).filter(|text| !text.is_empty()).into_iter().chain(self.intake.state()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn deadline(&self) -> Option<Instant> {
        [self.intake.deadline(), self.outbox.deadline()].into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant, _inlet: &mut EventSink) {
        self.intake.tick(now);
        if self.outbox.deadline().is_some_and(|deadline| deadline <= now) {
            self.outbox.flush();
        }
    }
}

impl Drop for Midi {
    /// Lets go out what was sent last, then closes the ports.
    fn drop(&mut self) {
        self.outgoing.ending.store(true, Ordering::SeqCst);
        self.outbox.flush();
        // a sender that takes longer ends by itself
        let _ = self.done.recv_timeout(FAREWELL);
        self.keeping.ending.store(true, Ordering::SeqCst);
        self.keeping.bell.ring();
        let _ = self.closed.recv_timeout(FAREWELL);
    }
}
