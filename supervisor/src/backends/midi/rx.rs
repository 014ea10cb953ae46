//! Turns received messages into events of the show's channels, and with `detect` into log lines.

use super::channel::ChannelAddress;
use super::channel_map::ChannelMap;
use super::codec::{AddressedValue, decode, is_parameter_controller};
use super::parameters::ParameterDecoder;
use super::rx_queue::{MidiRxQueue, ReceivedMessage, RxCounts};
use crate::backends::{EventSink, LocalInstance};
use mm_shared::LogThrottle;
use std::time::{Duration, Instant};

/// Messages per call, so that a flood leaves time for other sources.
const BATCH_LIMIT: usize = 1024;

/// How often losses are reported while messages arrive.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Messages per second that `detect` logs.
const DETECT_LIMIT: u32 = 50;

/// The receiving side of an instance.
#[derive(Debug)]
pub struct MidiRx {
    name: String,
    queue: MidiRxQueue,
    parameters: ParameterDecoder,
    detect: Option<LogThrottle>,
    /// When the latest message arrived.
    latest: Option<Instant>,
    /// The counts that were last reported.
    reported: RxCounts,
    next_report: Option<Instant>,
}

impl MidiRx {
    pub fn new(name: String, detect: bool, queue: MidiRxQueue) -> Self {
        let detect = detect.then(|| LogThrottle::new(DETECT_LIMIT, Duration::from_secs(1)));
        let (parameters, reported) = (ParameterDecoder::default(), RxCounts::default());
        Self { name, queue, parameters, detect, latest: None, reported, next_report: None }
    }

    pub fn queue(&self) -> &MidiRxQueue {
        &self.queue
    }

    /// Turns messages that wait into events. The MIDI system does not wait, and what its queue has
    /// no room for is lost, so they are taken even where the router conflates them.
    pub fn receive(&mut self, channels: &ChannelMap, sink: &mut EventSink<'_>) {
        let Self { name, queue, parameters, detect, latest, next_report, .. } = self;
        queue.take(BATCH_LIMIT, |ReceivedMessage { at, message }| {
            *latest = Some(at);
            next_report.get_or_insert(at + REPORT_INTERVAL);
            for AddressedValue { address, raw } in decode(message, parameters) {
                if let Some(throttle) = detect.as_mut().filter(|_| !is_parameter_controller(address)) {
                    log_detected(throttle, name, address, raw, at);
                }
                let value = address.kind.value(raw);
                channels
                    .listeners(address)
                    .iter()
                    .for_each(|channel| sink.push(LocalInstance(0), *channel, value));
            }
        });
    }

    /// Messages that were dropped, and bytes outside any message.
    pub fn errors(&self) -> u64 {
        let RxCounts { dropped, stray, .. } = self.queue.counts();
        dropped + stray
    }

    pub fn deadline(&self) -> Option<Instant> {
        let detect = self.detect.as_ref().and_then(LogThrottle::deadline);
        [self.next_report, detect].into_iter().flatten().min()
    }

    /// Logs what was dropped or ignored since the last report.
    pub fn tick(&mut self, now: Instant) {
        let name = &self.name;
        if let Some(count) = self.detect.as_mut().and_then(|detect| detect.flush(now)) {
            tracing::info!(
                event = "midi_messages_suppressed",
                instance = %name,
                    "detect: {count} more messages not shown"
            );
        }
        if self.next_report.is_none_or(|time| now < time) {
            return;
        }
        self.next_report = None;
        let counts = self.queue.counts();
        let before = std::mem::replace(&mut self.reported, counts);
        log_skipped(name, before, counts);
    }

    /// A summary for `status`.
    pub fn status(&self) -> Option<String> {
        let latest = self.latest.map(|at| format!("latest message {:.1} s ago", at.elapsed().as_secs_f64()));
        let exclusive = Some(self.queue.counts().exclusive).filter(|count| *count > 0);
        let exclusive = exclusive.map(|count| format!("{count} system-exclusive messages ignored"));
        let parts: Vec<_> = latest.into_iter().chain(exclusive).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Logs a value under the name that `[map]` takes.
fn log_detected(throttle: &mut LogThrottle, name: &str, address: ChannelAddress, raw: u16, at: Instant) {
    if let Some(suppressed) = throttle.hit(at) {
        let (value, top) = (address.kind.value(raw), address.kind.top_value());
        tracing::info!(
            event = "midi_message_detected",
            instance = %name,
            suppressed,
            "detect: {name}.{address} = {value:.4} ({raw} of {top})"
        );
    }
}

fn log_skipped(name: &str, before: RxCounts, now: RxCounts) {
    let more = |now: u64, before: u64| Some(now - before).filter(|count| *count > 0);
    if let Some(count) = more(now.dropped, before.dropped) {
        tracing::warn!(
            event = "midi_input_dropped",
            instance = %name,
            "input arrives faster than it can be processed; at least {count} messages dropped"
        );
    }
    if let Some(count) = more(now.stray, before.stray) {
        tracing::warn!(
            event = "midi_bytes_ignored",
            instance = %name,
            "ignored {count} bytes outside any message"
        );
    }
    if let Some(count) = more(now.exclusive, before.exclusive) {
        tracing::debug!(
            event = "midi_sysex_ignored",
            instance = %name,
            "ignored {count} system-exclusive messages"
        );
    }
}
