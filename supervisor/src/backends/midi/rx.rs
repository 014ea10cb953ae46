//! Messages that came in: to events of the channels that the show has, and with `detect` to the log.

use super::channel::ChannelAddress;
use super::channel_map::ChannelMap;
use super::codec::{AddressedValue, decode, is_parameter_controller};
use super::parameters::ParameterDecoder;
use super::rx_queue::{MidiRxQueue, ReceivedMessage, RxCounts};
use crate::backends::EventSink;
use crate::backends::log_throttle::LogThrottle;
use crate::ids::InstanceId;
use std::time::{Duration, Instant};

/// Messages that one call takes in, so that a flood leaves time for the others.
const BATCH: usize = 1024;

/// How often losses are looked for while messages come in.
const SECOND: Duration = Duration::from_secs(1);

/// The receiving side of an instance.
#[derive(Debug)]
pub struct MidiRx {
    no: InstanceId,
    name: String,
    queue: MidiRxQueue,
    parameters: ParameterDecoder,
    detect: Option<LogThrottle>,
    /// When the latest message arrived.
    latest: Option<Instant>,
    /// What was said of these counts, and when to look at them again.
    said: RxCounts,
    look: Option<Instant>,
}

impl MidiRx {
    pub fn new(no: InstanceId, name: String, detect: bool, queue: MidiRxQueue) -> Self {
        let detect = detect.then(|| LogThrottle::new(50, SECOND));
        let (parameters, said) = (ParameterDecoder::default(), RxCounts::default());
        Self { no, name, queue, parameters, detect, latest: None, said, look: None }
    }

    pub fn queue(&self) -> &MidiRxQueue {
        &self.queue
    }

    /// Turns what waits into events.
    pub fn receive(&mut self, channels: &ChannelMap, sink: &mut EventSink) {
        let Self { no, name, queue, parameters, detect, latest, look, .. } = self;
        queue.take(BATCH, |ReceivedMessage { at, message }| {
            *latest = Some(at);
            look.get_or_insert(at + SECOND);
            for AddressedValue { address, raw } in decode(message, parameters) {
                if let Some(shown) = detect.as_mut().filter(|_| !is_parameter_controller(address)) {
                    show(shown, name, address, raw, at);
                }
                let value = address.kind.value(raw);
                channels.listeners(address).iter().for_each(|channel| sink.push(*no, *channel, value));
            }
        });
    }

    /// Messages that were lost for want of space, and bytes that were no messages.
    pub fn errors(&self) -> u64 {
        let RxCounts { lost, stray, .. } = self.queue.counts();
        lost + stray
    }

    pub fn deadline(&self) -> Option<Instant> {
        let detect = self.detect.as_ref().and_then(LogThrottle::deadline);
        [self.look, detect].into_iter().flatten().min()
    }

    /// Says what was lost.
    pub fn tick(&mut self, now: Instant) {
        let name = &self.name;
        if let Some(count) = self.detect.as_mut().and_then(|detect| detect.settle(now)) {
            tracing::info!(instance = %name, "detect: {count} more messages not shown");
        }
        if self.look.is_none_or(|look| now < look) {
            return;
        }
        self.look = None;
        let counts = self.queue.counts();
        let more = |now: u64, before: u64| Some(now - before).filter(|count| *count > 0);
        if let Some(lost) = more(counts.lost, self.said.lost) {
            tracing::warn!(instance = %name, "at least {lost} messages came in faster than they could be taken in, and are lost");
        }
        if let Some(stray) = more(counts.stray, self.said.stray) {
            tracing::warn!(instance = %name, "{stray} bytes came in that belong to no message");
        }
        if let Some(exclusive) = more(counts.exclusive, self.said.exclusive) {
            tracing::debug!(instance = %name, "{exclusive} system-exclusive messages ignored");
        }
        self.said = counts;
    }

    /// What came in so far, for people.
    pub fn state(&self) -> Option<String> {
        let latest = self.latest.map(|at| format!("latest message {:.1} s ago", at.elapsed().as_secs_f64()));
        let exclusive = Some(self.queue.counts().exclusive).filter(|count| *count > 0);
        let exclusive = exclusive.map(|count| format!("{count} system-exclusive messages ignored"));
        let parts: Vec<_> = latest.into_iter().chain(exclusive).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Shows a reading as a show names it, for pasting into `[map]`.
fn show(shown: &mut LogThrottle, name: &str, address: ChannelAddress, raw: u16, at: Instant) {
    if shown.add(at) {
        let value = address.kind.value(raw);
        tracing::info!(instance = %name, "detect: {name}.{address} = {value:.4} ({raw} of {})", address.kind.top_value());
    }
}
