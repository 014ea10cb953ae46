//! The receiving side of an instance: packets of its universe become events.

use super::codec::ArtDmx;
use super::detect::DetectedLevels;
use super::merger::{ArtnetMergeMode, ArtnetMerger, ArtnetSourceKey, ArtnetTaken};
use super::options::ArtnetInstanceOptions;
use crate::backends::dmx::{InputPace, SlotMap, SourceInfo, SourceWatch, UniverseInput};
use crate::backends::{EventSink, LocalInstance};
use mm_shared::{ChannelId, LogThrottle};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How often an ignored source is logged.
const IGNORED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How many commands of ArtAddress are logged at once, and how often later: users send few of them, a
/// stranger may send any number.
const COMMAND_LOG_BURST: u32 = 4;
const COMMAND_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The receiving side of an instance.
#[derive(Debug)]
pub struct ArtnetRx {
    name: String,
    /// What log lines call the universe.
    universe: String,
    merger: ArtnetMerger,
    input: UniverseInput,
    watch: SourceWatch<ArtnetSourceKey>,
    detected: Option<DetectedLevels>,
    ignored: LogThrottle,
    commands: LogThrottle,
    /// Packets that others had overtaken, and those of a sender that AcCancelMerge has put out.
    refused: u64,
    pace: InputPace,
}

impl ArtnetRx {
    /// For the channels of `map`.
    pub fn new(
        name: &str,
        options: &ArtnetInstanceOptions,
        map: &SlotMap,
        detects: bool,
        now: Instant,
    ) -> Self {
        let universe = format!("universe {}", options.address);
        Self {
            name: name.to_owned(),
            merger: ArtnetMerger::new(options.source_timeout),
            input: UniverseInput::new(map),
            watch: SourceWatch::new(name, universe.clone(), options.loss, now),
            universe,
            detected: detects.then(DetectedLevels::default),
            ignored: LogThrottle::new(1, IGNORED_LOG_INTERVAL),
            commands: LogThrottle::new(COMMAND_LOG_BURST, COMMAND_LOG_INTERVAL),
            refused: 0,
            pace: InputPace::new(now),
        }
    }

    /// Applies other options and channels to the same universe.
    pub fn apply(&mut self, options: &ArtnetInstanceOptions, old: &SlotMap, map: &SlotMap, detects: bool) {
        self.merger.set_timeout(options.source_timeout);
        self.watch.set_loss(options.loss);
        self.input.change_map(old, map);
        if detects != self.detected.is_some() {
            self.detected = detects.then(DetectedLevels::default);
        }
    }

    /// Goes on with the channels' values of `old`, which received another universe. No source of this
    /// universe is known.
    pub fn inherit(&mut self, old: Self, old_map: &SlotMap, map: &SlotMap) {
        self.input = old.input;
        self.input.change_map(old_map, map);
    }

    /// The channel had this value in the last run.
    pub fn restore(&mut self, map: &SlotMap, channel: ChannelId, value: f64) {
        self.input.restore(map, channel, value);
    }

    /// Takes a packet of this universe. Returns whether a merge has begun or ended with it.
    pub fn receive(
        &mut self,
        from: Ipv4Addr,
        dmx: &ArtDmx<'_>,
        target: (&SlotMap, LocalInstance),
        sink: &mut EventSink<'_>,
        now: Instant,
    ) -> bool {
        let was_merging = self.merger.is_merging();
        let taken = self.merger.receive(from, dmx, now);
        match taken {
            ArtnetTaken::Now | ArtnetTaken::WithSync => {
                let key = ArtnetSourceKey { address: from, physical: dmx.physical };
                let info = SourceInfo { name: None, address: from, priority: None };
                self.watch.note_frame(key, &info, now);
                if let Some(detected) = &mut self.detected {
                    detected.show(&self.name, target.0, dmx.levels, now);
                }
            }
            ArtnetTaken::SourcesExceeded => self.warn_of_third(from, now),
            ArtnetTaken::Late | ArtnetTaken::Cancelled => self.refused += 1,
        }
        if taken == ArtnetTaken::Now && self.pace.allows(now) {
            self.report(target, sink);
        }
        was_merging != self.merger.is_merging()
    }

    fn warn_of_third(&mut self, from: Ipv4Addr, now: Instant) {
        if let Some(suppressed) = self.ignored.hit(now) {
            tracing::warn!(
                event = "artnet_source_ignored",
                instance = %self.name,
                suppressed,
                "{}: {from} is ignored, because two other sources are merged already; Art-Net permits no more",
                self.universe
            );
        }
    }

    fn report(&mut self, (map, instance): (&SlotMap, LocalInstance), sink: &mut EventSink<'_>) {
        self.input.apply(self.merger.levels(), map, instance, sink);
    }

    /// Whether an ArtSync of this sender counts.
    pub fn accepts_sync(&self, from: Ipv4Addr) -> bool {
        self.merger.accepts_sync(from)
    }

    /// An ArtSync has come.
    pub fn sync(
        &mut self,
        from: Ipv4Addr,
        target: (&SlotMap, LocalInstance),
        sink: &mut EventSink<'_>,
        now: Instant,
    ) {
        if self.merger.sync(from, now) {
            self.report(target, sink);
        }
    }

    /// AcCancelMerge has come.
    pub fn cancel_merge(&mut self, from: Ipv4Addr, now: Instant) {
        if let Some(suppressed) = self.commands.hit(now) {
            tracing::info!(
                event = "artnet_merge_cancelled",
                instance = %self.name,
                suppressed,
                "{}: {from} has cancelled merging; the next sender is the only one that counts",
                self.universe
            );
        }
        self.merger.cancel_merge();
    }

    /// ArtAddress has set how sources merge.
    pub fn set_mode(
        &mut self,
        mode: ArtnetMergeMode,
        from: Ipv4Addr,
        target: (&SlotMap, LocalInstance),
        sink: &mut EventSink<'_>,
        now: Instant,
    ) {
        if self.merger.mode() != mode
            && let Some(suppressed) = self.commands.hit(now)
        {
            let text = match mode {
                ArtnetMergeMode::Htp => "the highest level counts",
                ArtnetMergeMode::Ltp => "the level that changed last counts",
            };
            tracing::info!(
                event = "artnet_merge_mode_set",
                instance = %self.name,
                suppressed,
                "{}: {from} has set how two sources merge: {text}",
                self.universe
            );
        }
        if self.merger.set_mode(mode) {
            self.report(target, sink);
        }
    }

    /// Does what is due. Returns whether a merge has ended.
    pub fn tick(
        &mut self,
        target: (&SlotMap, LocalInstance),
        sink: &mut EventSink<'_>,
        now: Instant,
    ) -> bool {
        let was_merging = self.merger.is_merging();
        if self.merger.tick(now) | self.pace.is_due(now) {
            self.report(target, sink);
        }
        if self.watch.tick(now) {
            let loss = self.watch.loss();
            self.input.lose(loss, target.0, target.1, sink);
        }
        if let Some(count) = self.ignored.flush(now) {
            tracing::warn!(
                event = "artnet_source_ignored",
                instance = %self.name,
                suppressed = count,
                "{}: {count} more packets of sources beyond two ignored",
                self.universe
            );
        }
        if let Some(detected) = &mut self.detected {
            detected.tick(&self.name, now);
        }
        was_merging != self.merger.is_merging()
    }

    /// When [`ArtnetRx::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let detected = self.detected.as_ref().and_then(DetectedLevels::deadline);
        let logs = [self.ignored.deadline(), detected];
        let all =
            [self.merger.deadline(), self.watch.deadline(), self.pace.deadline()].into_iter().chain(logs);
        all.flatten().min()
    }

    /// Whether two sources merge.
    pub fn is_merging(&self) -> bool {
        self.merger.is_merging()
    }

    /// Whether sources would merge by LTP.
    pub fn is_ltp(&self) -> bool {
        self.merger.mode() == ArtnetMergeMode::Ltp
    }

    pub fn watch(&self) -> &SourceWatch<ArtnetSourceKey> {
        &self.watch
    }

    /// The sender that has taken over with AcCancelMerge.
    pub fn sole_sender(&self) -> Option<Ipv4Addr> {
        self.merger.sole_sender()
    }

    /// Packets of this universe that did not count: of sources beyond two, late ones, and those of a
    /// sender that AcCancelMerge has put out.
    pub fn errors(&self) -> u64 {
        self.ignored.total() + self.refused
    }
}

#[cfg(test)]
mod tests;
