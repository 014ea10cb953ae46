//! `output()`: from any thread of the script into the up ring.
//!
//! Until the show starts, outputs are only recorded; each channel's last value is sent when it
//! starts. From then on an event is visible to the supervisor when `output()` returns. When the
//! ring is full, the caller waits without the interpreter lock, so the script's other threads go
//! on.

use super::activity;
use super::channels::{AddOutcome, Channels};
use super::gil_cell::GilCell;
use super::space::SpaceBell;
use super::values::ChannelValues;
use crate::exit::fail;
use crate::link::Outgoing;
use mm_shared::control::FromWorker;
use mm_shared::{Activity, ChannelId, Doorbell, Event, Full, Mapped, Producer};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The instance's outputs.
pub struct Output {
    ring: GilCell<OutputRing>,
    /// Wakes the supervisor.
    bell: Doorbell,
    /// Rung when the supervisor has taken events and a thread waits for space.
    space: SpaceBell,
    outgoing: Outgoing,
    told_full: AtomicBool,
}

struct OutputRing {
    producer: Producer<Mapped>,
    phase: Phase,
    /// How many threads wait for space.
    waiting: usize,
}

/// What an output does.
enum Phase {
    /// It is recorded, to be sent when the show starts.
    Loading(BTreeSet<ChannelId>),
    /// It is sent.
    Serving,
    /// It only changes the channel's last value: the instance is stopping.
    Stopping,
}

/// The outcome of pushing one event.
enum PushOutcome {
    Done,
    /// The ring is full; the supervisor rings `space` when that changes.
    Wait,
}

impl Output {
    /// Outputs through `producer`.
    pub fn new(producer: Producer<Mapped>, bell: Doorbell, space: SpaceBell, outgoing: Outgoing) -> Output {
        let ring = OutputRing { producer, phase: Phase::Loading(BTreeSet::new()), waiting: 0 };
        Output { ring: GilCell::new(ring), bell, space, outgoing, told_full: AtomicBool::new(false) }
    }

    /// Sends a value on the channel of that name, which is added when it is unknown.
    pub fn send(&self, channels: &Channels, name: &Bound<'_, PyString>, value: f64) -> PyResult<()> {
        let channel = match channels.find(name)? {
            Some(channel) => channel,
            None => match self.add(channels, name)? {
                Some(channel) => channel,
                None => return Ok(()),
            },
        };
        self.send_on(name.py(), channels, channel, value);
        Ok(())
    }

    /// Sends a value on a channel that is known.
    #[inline]
    pub fn send_on(&self, py: Python<'_>, channels: &Channels, channel: ChannelId, value: f64) {
        channels.values().set_output(channel, value);
        self.transmit(py, Event { channel, value });
    }

    /// Whether the script has set this channel while its modules were imported.
    pub fn is_set(&self, py: Python<'_>, channel: ChannelId) -> bool {
        let is_set =
            |ring: &mut OutputRing| matches!(&ring.phase, Phase::Loading(set) if set.contains(&channel));
        self.ring.with(py, is_set)
    }

    /// The show starts: sends the last value of each channel that was set while the modules were
    /// imported.
    pub fn start(&self, py: Python<'_>, values: &ChannelValues) {
        let loading = self.ring.with(py, |ring| std::mem::replace(&mut ring.phase, Phase::Serving));
        if let Phase::Loading(set) = loading {
            for channel in set {
                self.transmit(py, Event { channel, value: values.output(channel) });
            }
        }
    }

    /// The script has nothing more to do: rings if the supervisor naps until then.
    #[inline]
    pub fn run_out(&self, py: Python<'_>) {
        if self.ring.with(py, |ring| ring.producer.run_out()) {
            self.bell.ring();
        }
    }

    /// Publishes on which CPU the main thread runs.
    pub fn publish_cpu(&self, py: Python<'_>, cpu: u32) {
        self.ring.with(py, |ring| ring.producer.publish_cpu(cpu, false));
    }

    /// Sends nothing from now on. Waits up to half a second until no thread is in here: Python ends
    /// a thread that returns from here while the interpreter is finalized, in the middle of this
    /// code.
    pub fn stop(&self, py: Python<'_>) {
        self.ring.with(py, |ring| ring.phase = Phase::Stopping);
        for _ in 0..100 {
            if self.ring.with(py, |ring| ring.waiting) == 0 {
                return;
            }
            self.space.ring();
            py.detach(|| std::thread::sleep(Duration::from_millis(5)));
        }
    }

    /// Adds a name that was not known a moment ago, and returns its channel; `None` when there are
    /// too many.
    pub fn add(&self, channels: &Channels, name: &Bound<'_, PyString>) -> PyResult<Option<ChannelId>> {
        match channels.add(name)? {
            AddOutcome::Known(channel) => Ok(Some(channel)),
            AddOutcome::New { channel, name } => {
                self.outgoing.send(FromWorker::Channel { number: channel.0, name });
                Ok(Some(channel))
            }
            AddOutcome::Full => {
                if !self.told_full.swap(true, Ordering::Relaxed) {
                    let text =
                        format!("the script sends on too many names; `{name}` and others are not remembered");
                    self.outgoing.offer(FromWorker::Warning(text));
                }
                Ok(None)
            }
        }
    }

    #[inline]
    fn transmit(&self, py: Python<'_>, event: Event) {
        if let PushOutcome::Wait = self.ring.with(py, |ring| self.try_push(ring, event, false)) {
            self.push_when_there_is_space(py, event);
        }
    }

    /// `waited`: the caller is counted as waiting. When this returns `Done` it no longer is.
    #[inline]
    fn try_push(&self, ring: &mut OutputRing, event: Event, waited: bool) -> PushOutcome {
        ring.waiting -= usize::from(waited);
        match &mut ring.phase {
            Phase::Serving => {}
            Phase::Stopping => return PushOutcome::Done,
            Phase::Loading(set) => {
                set.insert(event.channel);
                return PushOutcome::Done;
            }
        }
        if ring.producer.push(event).is_err() && !ring.make_room(event, &self.space) {
            ring.waiting += 1;
            return PushOutcome::Wait;
        }
        if ring.producer.publish() {
            self.bell.ring();
        }
        PushOutcome::Done
    }

    #[cold]
    fn push_when_there_is_space(&self, py: Python<'_>, event: Event) {
        let before = activity::enter(Activity::Sending, event.channel.0);
        loop {
            py.detach(|| self.space.wait());
            if let PushOutcome::Done = self.ring.with(py, |ring| self.try_push(ring, event, true)) {
                break;
            }
        }
        activity::go_back(before);
    }
}

impl OutputRing {
    /// Finds a slot for the event, or else asks the supervisor to ring when there is one.
    #[cold]
    fn make_room(&mut self, event: Event, space: &SpaceBell) -> bool {
        loop {
            self.reclaim();
            if self.push(event).is_ok() {
                self.pass_on(space);
                return true;
            }
            // A new epoch each time: the supervisor rings once for each, and an earlier waiter may
            // have consumed that ring.
            self.producer.end_wait();
            space.clear();
            if self.producer.prepare_wait() {
                return false;
            }
        }
    }

    /// There was space. Other threads that wait for space look again: this one may have cleared the
    /// ring that was meant for them.
    fn pass_on(&mut self, space: &SpaceBell) {
        if self.waiting == 0 {
            self.producer.end_wait();
        } else {
            space.ring();
        }
    }

    fn push(&mut self, event: Event) -> Result<(), Full> {
        self.producer.push(event)
    }

    fn reclaim(&mut self) {
        if let Err(violation) = self.producer.reclaim() {
            fail(&format!("the event ring is damaged: {violation}"));
        }
    }
}
