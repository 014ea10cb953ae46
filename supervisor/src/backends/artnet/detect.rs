//! `detect`: levels that change, as channels that can be pasted into `[map]`.

use crate::backends::dmx::{Levels, SLOTS, SlotMap};
use mm_shared::LogThrottle;
use std::time::{Duration, Instant};

/// The time in which at most [`DETECT_LIMIT`] lines are logged.
const DETECT_INTERVAL: Duration = Duration::from_secs(1);
const DETECT_LIMIT: u32 = 20;

/// The most channels in a line.
const CHANNELS_LIMIT: usize = 16;

/// The levels that a universe had when they were last shown.
#[derive(Debug)]
pub struct DetectedLevels {
    levels: Box<Levels>,
    shown: LogThrottle,
}

impl Default for DetectedLevels {
    fn default() -> Self {
        Self { levels: Box::new([0; SLOTS]), shown: LogThrottle::new(DETECT_LIMIT, DETECT_INTERVAL) }
    }
}

impl DetectedLevels {
    /// Logs the channels whose levels differ from those before: those of `map` by their names, also
    /// where two slots are one channel, others by their slot.
    pub fn show(&mut self, name: &str, map: &SlotMap, frame: &[u8], now: Instant) {
        let before = *self.levels;
        let changed: Vec<usize> = self
            .levels
            .iter_mut()
            .zip(frame)
            .enumerate()
            .filter_map(|(slot, (level, new))| (std::mem::replace(level, *new) != *new).then_some(slot))
            .collect();
        if changed.is_empty() {
            return;
        }
        let Some(suppressed) = self.shown.hit(now) else { return };
        let text = describe(name, map, (&before, &self.levels), &changed);
        tracing::info!(event = "artnet_levels_detected", instance = %name, suppressed, "detect: {text}");
    }

    /// When [`DetectedLevels::tick`] has a count to log.
    pub fn deadline(&self) -> Option<Instant> {
        self.shown.deadline()
    }

    pub fn tick(&mut self, name: &str, now: Instant) {
        if let Some(count) = self.shown.flush(now) {
            tracing::info!(
                event = "artnet_detect_suppressed",
                instance = %name,
                suppressed = count,
                "detect: {count} more changes not shown"
            );
        }
    }
}

fn describe(name: &str, map: &SlotMap, (before, levels): (&Levels, &Levels), changed: &[usize]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mapped = map.ordered().iter().filter(|(slots, _)| slots.read(before) != slots.read(levels));
    parts.extend(mapped.map(|(slots, _)| format!("{name}.{slots} = {:.3}", slots.value(slots.read(levels)))));
    let unmapped = changed.iter().filter(|slot| !map.has_slot(**slot));
    parts.extend(unmapped.map(|slot| {
        let level = levels.get(*slot).copied().unwrap_or(0);
        format!("{name}.{} = {:.3}", slot + 1, f64::from(level) / 255.0)
    }));
    // Two names of one channel are one.
    parts.dedup();
    let rest = parts.len().saturating_sub(CHANNELS_LIMIT);
    parts.truncate(CHANNELS_LIMIT);
    match rest {
        0 => parts.join(", "),
        _ => format!("{} and {rest} more", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_shows::show;
    use mm_config::Diagnostics;

    #[test]
    fn changed_levels_are_shown_as_channels() {
        let show = show("[loopback net]\n[loopback other]\n[map]\nother.x > net.{1+2,7,007}\n");
        let map = SlotMap::read(&show.instances[0], &mut Diagnostics::default());
        let (before, mut levels) = ([0; SLOTS], [0; SLOTS]);
        (levels[1], levels[6], levels[9]) = (255, 255, 51);
        let text = describe("net", &map, (&before, &levels), &[1, 6, 9]);
        assert_eq!(text, "net.1+2 = 0.004, net.7 = 1.000, net.10 = 0.200");
        let text =
            describe("net", &SlotMap::default(), (&before, &[9; SLOTS]), &(0..SLOTS).collect::<Vec<_>>());
        assert!(text.ends_with("net.16 = 0.035 and 496 more"), "{text}");
    }
}
