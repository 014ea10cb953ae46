//! `detect`: logs what arrives, so that a user sees what can be mapped.

use super::codec::layout::SLOTS_LIMIT;
use super::codec::{SacnCid, SacnData, SacnDiscovery};
use super::options::SacnDetect;
use super::plan::SacnInstance;
use crate::ids::InstanceId;
use mm_shared::LogThrottle;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// How many levels are logged in a second: the rest of a fade is only counted.
const LEVELS_PER_SECOND: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

/// The most sources whose universes are remembered.
const SOURCES_LIMIT: usize = 256;

/// What was logged so far.
#[derive(Debug)]
pub struct SacnDetector {
    detect: SacnDetect,
    levels: HashMap<InstanceId, Box<[u8; SLOTS_LIMIT]>>,
    universes: HashMap<(SacnCid, u8), Vec<u16>>,
    level_lines: LogThrottle,
    unused_lines: LogThrottle,
}

impl SacnDetector {
    pub fn new(detect: SacnDetect) -> Self {
        Self {
            detect,
            levels: HashMap::new(),
            universes: HashMap::new(),
            level_lines: LogThrottle::new(LEVELS_PER_SECOND, SECOND),
            unused_lines: LogThrottle::new(5, SECOND),
        }
    }

    /// Whether universe discovery is logged.
    pub fn wants_discovery(&self) -> bool {
        self.detect >= SacnDetect::On
    }

    /// Logs the levels of an instance that differ from those before, as channels.
    pub fn levels(&mut self, now: Instant, instance: &SacnInstance, data: &SacnData<'_>, levels: &[u8]) {
        if self.detect == SacnDetect::Off {
            return;
        }
        let before = self.levels.entry(instance.id).or_insert_with(|| Box::new([0; SLOTS_LIMIT]));
        for (slot, (before, level)) in (1..).zip(before.iter_mut().zip(levels)) {
            if std::mem::replace(before, *level) == *level {
                continue;
            }
            if let Some(suppressed) = self.level_lines.hit(now) {
                let value = f64::from(*level) / 255.0;
                tracing::info!(
                    event = "sacn_level_detected",
                    instance = %instance.name,
                    suppressed,
                    "`{}.{slot}` = {value:.3} ({level}), universe {} from `{}`",
                    instance.name,
                    data.universe,
                    SourceName(data.source_name)
                );
            }
        }
    }

    /// Logs which universes a source sends, when they are others than before.
    pub fn discovery(&mut self, now: Instant, from: SocketAddrV4, discovery: &SacnDiscovery<'_>) {
        if !self.wants_discovery() {
            return;
        }
        let key = (discovery.cid, discovery.page);
        let list: Vec<u16> = discovery.universes().collect();
        let is_known = self.universes.contains_key(&key);
        if self.universes.get(&key) == Some(&list) || (!is_known && self.universes.len() >= SOURCES_LIMIT) {
            return;
        }
        if let Some(suppressed) = self.level_lines.hit(now) {
            tracing::info!(
                event = "sacn_source_detected",
                suppressed,
                "source `{}` ({}, CID {}) sends universes {}",
                SourceName(discovery.source_name),
                from.ip(),
                discovery.cid,
                Ranges(&list)
            );
        }
        self.universes.insert(key, list);
    }

    /// Logs a packet that is not used, and why.
    pub fn unused(&mut self, now: Instant, from: SocketAddrV4, data: &SacnData<'_>, reason: &dyn Display) {
        if self.detect < SacnDetect::Verbose {
            return;
        }
        if let Some(suppressed) = self.unused_lines.hit(now) {
            tracing::info!(
                event = "sacn_packet_unused",
                suppressed,
                "not used: universe {} from `{}` ({}, priority {}): {reason}",
                data.universe,
                SourceName(data.source_name),
                from.ip(),
                data.priority
            );
        }
    }

    /// Logs how much was not logged.
    pub fn tick(&mut self, now: Instant) {
        if let Some(count) = self.level_lines.flush(now) {
            tracing::info!(event = "sacn_level_detected", suppressed = count, "{count} more levels");
        }
        if let Some(count) = self.unused_lines.flush(now) {
            tracing::info!(event = "sacn_packet_unused", suppressed = count, "{count} more packets not used");
        }
    }

    /// When [`SacnDetector::tick`] has something to log.
    pub fn deadline(&self) -> Option<Instant> {
        [self.level_lines.deadline(), self.unused_lines.deadline()].into_iter().flatten().min()
    }
}

/// The name of a source, as text for the log.
struct SourceName<'a>(&'a [u8]);

impl Display for SourceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.0).escape_debug().fmt(f)
    }
}

/// Numbers in ascending order, those that follow each other as a range.
struct Ranges<'a>(&'a [u16]);

impl Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|first, second| first.checked_add(1) == Some(*second));
        for (index, run) in runs.enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match run {
                [first, .., last] => write!(f, "{first} to {last}")?,
                _ => write!(f, "{}", run.first().copied().unwrap_or_default())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn universes_are_shown_as_ranges() {
        assert_eq!(Ranges(&[1, 2, 3, 7, 9, 10]).to_string(), "1 to 3, 7, 9 to 10");
        assert_eq!(Ranges(&[65535, 1]).to_string(), "65535, 1");
        assert_eq!(Ranges(&[]).to_string(), "");
    }
}
