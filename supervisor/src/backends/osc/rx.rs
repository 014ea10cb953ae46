//! Datagrams that came in: to events, and what is wrong with them to the log, which no flood can fill.

use super::codec::{OscDecodeError, IncomingMessage, describe_arguments, each_message};
use super::paths::{OscDelivery, OscPaths};
use super::range::OscArgument;
use crate::backends::{EventSink, LocalInstance};
use mm_shared::LogThrottle;
use std::fmt::Display;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// For what a peer may do all day long, and harms nobody.
const MINUTE: Duration = Duration::from_secs(60);

/// What an instance keeps between two datagrams.
#[derive(Debug)]
pub struct OscRx {
    name: String,
    detect: Option<DetectLog>,
    malformed: LogThrottle,
    ignored: LogThrottle,
    open_ends: Vec<usize>,
    arguments: Vec<OscArgument>,
}

#[derive(Debug)]
struct DetectLog {
    root: String,
    shown: LogThrottle,
}

impl OscRx {
    /// `detect` is the root that is taken off the addresses it shows, or `None` where it is off.
    pub fn new(name: String, detect: Option<String>) -> Self {
        let detect = detect.map(DetectLog::new);
        let (malformed, ignored) = (LogThrottle::new(1, SECOND), LogThrottle::new(5, MINUTE));
        Self { name, detect, malformed, ignored, open_ends: Vec::new(), arguments: Vec::new() }
    }

    /// Shows from now on what comes in below another root, or nothing.
    pub fn set_detect(&mut self, root: Option<String>) {
        self.detect = root.map(DetectLog::new);
    }

    /// Turns a datagram into events. Says whether at least one message of it is well-formed.
    pub fn datagram(
        &mut self,
        datagram: &[u8],
        sender: &dyn Display,
        paths: &OscPaths,
        sink: &mut EventSink<'_>,
    ) -> bool {
        let mut open_ends = std::mem::take(&mut self.open_ends);
        let mut sound = false;
        let mut fault = None;
        let whole = each_message(datagram, &mut open_ends, |bytes| match self.message(bytes, paths, sink) {
            Ok(()) => sound = true,
            Err(malformed) => fault = Some(malformed),
        });
        self.open_ends = open_ends;
        if let Some(reason) = whole.err().or(fault)
            && let Some(suppressed) = self.malformed.hit(Instant::now())
        {
            tracing::warn!(
                event = "osc_packet_malformed",
                instance = %self.name,
                suppressed,
                "malformed packet from {sender}: {reason}"
            );
        }
        sound
    }

    fn message(&mut self, bytes: &[u8], paths: &OscPaths, sink: &mut EventSink<'_>) -> Result<(), OscDecodeError> {
        let message = IncomingMessage::read(bytes)?;
        if let Some(detect) = &mut self.detect {
            detect.show(&self.name, bytes, &message);
        }
        let Some(path) = paths.find(message.address) else { return Ok(()) };
        message.read_arguments(&mut self.arguments)?;
        let delivery =
            path.deliver(&self.arguments, |channel, value| sink.push(LocalInstance(0), channel, value));
        if delivery != OscDelivery::Done
            && let Some(suppressed) = self.ignored.hit(Instant::now())
        {
            let (name, local, tags) = (&self.name, &path.local, message.tags());
            match delivery {
                OscDelivery::WrongParameterCount { expected } => tracing::warn!(
                    instance = %name,
                    suppressed,
                    "`{local}` came in with the types `{tags}`, its pattern has {expected} parameters: ignored"
                ),
                _ => tracing::warn!(
                    instance = %name,
                    suppressed,
                    "`{local}` came in with the types `{tags}`, a mapped one of which holds no number: ignored"
                ),
            }
        }
        Ok(())
    }

    /// Packets that were no messages, and messages that could not be used.
    pub fn errors(&self) -> u64 {
        self.malformed.total() + self.ignored.total()
    }

    /// When [`OscRx::tick`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        let detect = self.detect.as_ref().and_then(|detect| detect.shown.deadline());
        [self.malformed.deadline(), self.ignored.deadline(), detect].into_iter().flatten().min()
    }

    /// Says how many were left unsaid.
    pub fn tick(&mut self, now: Instant) {
        let name = &self.name;
        if let Some(count) = self.malformed.flush(now) {
            let total = self.malformed.total();
            tracing::warn!(
                event = "osc_packet_malformed",
                instance = %name,
                "{count} more malformed packets, {total} in all"
            );
        }
        if let Some(count) = self.ignored.flush(now) {
            let total = self.ignored.total();
            tracing::warn!(instance = %name, "{count} more messages ignored, wholly or in part, {total} in all");
        }
        if let Some(count) = self.detect.as_mut().and_then(|detect| detect.shown.flush(now)) {
            tracing::info!(instance = %name, "detect: {count} more messages not shown");
        }
    }
}

impl DetectLog {
    fn new(root: String) -> Self {
        Self { root, shown: LogThrottle::new(50, SECOND) }
    }

    /// Shows each parameter as a show names it, for pasting into `[map]`.
    fn show(&mut self, name: &str, bytes: &[u8], message: &IncomingMessage<'_>) {
        let local = message.address.strip_prefix(self.root.as_bytes());
        let Some(local) = local.filter(|local| local.starts_with(b"/")) else { return };
        let Some(suppressed) = self.shown.hit(Instant::now()) else { return };
        let local = String::from_utf8_lossy(local);
        let local = local.escape_debug();
        match describe_arguments(bytes, message) {
            Some(arguments) if arguments.is_empty() => {
                tracing::info!(instance = %name, suppressed, "detect: {name}.{local} without arguments");
            }
            Some(arguments) => {
                let each = |(n, argument): (usize, String)| format!("{name}.{local}:{n} = {argument}");
                let all: Vec<_> = arguments.into_iter().take(32).enumerate().map(each).collect();
                tracing::info!(instance = %name, suppressed, "detect: {}", all.join(", "));
            }
            None => {
                let tags = message.tags();
                tracing::info!(instance = %name, suppressed, "detect: {name}.{local} with the types `{tags}`");
            }
        }
    }
}

#[cfg(test)]
mod tests;
