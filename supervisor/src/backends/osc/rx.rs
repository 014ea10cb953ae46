//! The receiving side: turns datagrams into events, and logs errors in them through throttles.

use super::codec::{IncomingMessage, OscDecodeError, describe_arguments, each_message};
use super::paths::{OscDelivery, OscPaths};
use super::pattern::unmappable;
use super::range::OscArgument;
use crate::backends::{EventSink, LocalInstance};
use mm_shared::LogThrottle;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often malformed packets are logged.
const MALFORMED_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// How often ignored messages are logged. A peer may send such messages permanently.
const IGNORED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The time in which at most [`DETECT_LIMIT`] messages are logged.
const DETECT_INTERVAL: Duration = Duration::from_secs(1);

const DETECT_LIMIT: u32 = 50;

/// The most arguments of a message that are logged.
const DETECTED_ARGUMENTS_LIMIT: usize = 32;

/// The receiving side of an instance.
#[derive(Debug)]
pub struct OscRx {
    name: String,
    detect: Option<DetectLog>,
    malformed: LogThrottle,
    ignored: LogThrottle,
    open_ends: Vec<usize>,
    arguments: Vec<OscArgument>,
}

/// Logs incoming messages.
#[derive(Debug)]
struct DetectLog {
    root: String,
    shown: LogThrottle,
}

impl OscRx {
    /// `detect` is the root that logged addresses are shown without; `None`: messages are not
    /// logged.
    pub fn new(name: String, detect: Option<String>) -> Self {
        let detect = detect.map(DetectLog::new);
        let (malformed, ignored) =
            (LogThrottle::new(1, MALFORMED_LOG_INTERVAL), LogThrottle::new(5, IGNORED_LOG_INTERVAL));
        Self { name, detect, malformed, ignored, open_ends: Vec::new(), arguments: Vec::new() }
    }

    /// From now on logs messages below this root; `None`: logs none.
    pub fn set_detect(&mut self, root: Option<String>) {
        self.detect = root.map(DetectLog::new);
    }

    /// Turns a datagram into events. Returns whether at least one message of it is well-formed and
    /// for a mapped path.
    pub fn datagram(
        &mut self,
        datagram: &[u8],
        sender: &dyn Display,
        paths: &mut OscPaths,
        sink: &mut EventSink<'_>,
    ) -> bool {
        let mut open_ends = std::mem::take(&mut self.open_ends);
        let mut is_mapped = false;
        let mut error = None;
        let whole = each_message(datagram, &mut open_ends, |bytes| match self.message(bytes, paths, sink) {
            Ok(mapped) => is_mapped |= mapped,
            Err(malformed) => error = Some(malformed),
        });
        self.open_ends = open_ends;
        if let Some(reason) = whole.err().or(error)
            && let Some(suppressed) = self.malformed.hit(Instant::now())
        {
            tracing::warn!(
                event = "osc_packet_malformed",
                instance = %self.name,
                suppressed,
                "malformed packet from {sender}: {reason}"
            );
        }
        is_mapped
    }

    fn message(
        &mut self,
        bytes: &[u8],
        paths: &mut OscPaths,
        sink: &mut EventSink<'_>,
    ) -> Result<bool, OscDecodeError> {
        let message = IncomingMessage::read(bytes)?;
        if let Some(detect) = &mut self.detect {
            detect.show(&self.name, bytes, &message);
        }
        let Some(path) = paths.find(message.address) else { return Ok(false) };
        message.read_arguments(&mut self.arguments)?;
        let delivery =
            path.deliver(&self.arguments, |channel, value| sink.push(LocalInstance(0), channel, value));
        if delivery != OscDelivery::Done
            && let Some(suppressed) = self.ignored.hit(Instant::now())
        {
            let (name, local, tags) = (&self.name, &path.local, message.tags());
            match delivery {
                _ if !message.has_tags() => tracing::warn!(
                    event = "osc_message_ignored",
                    instance = %name,
                    suppressed,
                    "`{local}` arrived without type tags, so its arguments cannot be read; ignoring it"
                ),
                OscDelivery::NoArgument => tracing::warn!(
                    event = "osc_message_ignored",
                    instance = %name,
                    suppressed,
                    "`{local}` arrived with the types `{tags}`; a mapped argument is missing"
                ),
                OscDelivery::WrongParameterCount { expected } => tracing::warn!(
                    event = "osc_message_ignored",
                    instance = %name,
                    suppressed,
                    "`{local}` arrived with the types `{tags}`, but its pattern has {expected} parameters; ignoring it"
                ),
                _ => tracing::warn!(
                    event = "osc_message_ignored",
                    instance = %name,
                    suppressed,
                    "`{local}` arrived with the types `{tags}`; ignoring a mapped argument that is not a number"
                ),
            }
        }
        Ok(true)
    }

    /// The number of malformed packets and of messages that were ignored, wholly or in part.
    pub fn errors(&self) -> u64 {
        self.malformed.total() + self.ignored.total()
    }

    /// When [`OscRx::tick`] has a count to log.
    pub fn deadline(&self) -> Option<Instant> {
        let detect = self.detect.as_ref().and_then(|detect| detect.shown.deadline());
        [self.malformed.deadline(), self.ignored.deadline(), detect].into_iter().flatten().min()
    }

    /// Logs how many lines the throttles have suppressed.
    pub fn tick(&mut self, now: Instant) {
        let name = &self.name;
        if let Some(count) = self.malformed.flush(now) {
            let total = self.malformed.total();
            tracing::warn!(
                event = "osc_packet_malformed",
                instance = %name,
                suppressed = count,
                "{count} more malformed packets, {total} in all"
            );
        }
        if let Some(count) = self.ignored.flush(now) {
            let total = self.ignored.total();
            tracing::warn!(
                event = "osc_message_ignored",
                instance = %name,
                suppressed = count,
                "{count} more messages ignored, wholly or in part, {total} in all"
            );
        }
        if let Some(count) = self.detect.as_mut().and_then(|detect| detect.shown.flush(now)) {
            tracing::info!(
                event = "osc_messages_suppressed",
                instance = %name,
                suppressed = count,
                "detect: {count} more messages not shown"
            );
        }
    }
}

impl DetectLog {
    fn new(root: String) -> Self {
        Self { root, shown: LogThrottle::new(DETECT_LIMIT, DETECT_INTERVAL) }
    }

    /// Logs each parameter by the name that it has in `[map]`.
    fn show(&mut self, name: &str, bytes: &[u8], message: &IncomingMessage<'_>) {
        let local = message.address.strip_prefix(self.root.as_bytes());
        let Some(local) = local.filter(|local| local.starts_with(b"/")) else { return };
        let Some(suppressed) = self.shown.hit(Instant::now()) else { return };
        let mistake = std::str::from_utf8(local).map_or(Some("it is not UTF-8".into()), unmappable);
        let local = String::from_utf8_lossy(local);
        let local = local.escape_debug();
        let text = match describe_arguments(bytes, message) {
            _ if let Some(reason) = mistake => {
                let tags = message.tags();
                // Pasted into `[map]`, it is a comment.
                format!("; {name}.{local} cannot be mapped, because {reason} (types `{tags}`)")
            }
            _ if !message.has_tags() => format!("{name}.{local} without type tags"),
            Some(arguments) if arguments.is_empty() => format!("{name}.{local} without arguments"),
            Some(arguments) => {
                let each = |(n, argument): (usize, String)| format!("{name}.{local}:{n} = {argument}");
                let shown = arguments.into_iter().take(DETECTED_ARGUMENTS_LIMIT);
                shown.enumerate().map(each).collect::<Vec<_>>().join(", ")
            }
            None => format!("{name}.{local} with the types `{}`", message.tags()),
        };
        tracing::info!(event = "osc_message_detected", instance = %name, suppressed, "detect: {text}");
    }
}

#[cfg(test)]
mod tests;
