//! The sources of one universe, and the levels that they make together. Time is an argument and
//! there is no I/O, so that traces of packets can be replayed.
//!
//! The rules, with the sections of ANSI E1.31-2018:
//!
//! - Packets out of sequence are dropped, for each source (6.7.2), also those that end a stream.
//! - Preview data, start codes other than 0 and 0xDD, and a universe that arrives on the group of
//!   another one are never levels (6.2.6, 7.7, 9.3).
//! - The highest priority wins, among equals the highest level of each slot (6.2.3); priorities of
//!   single slots (start code 0xDD) as ETC's rules say. See [`merge`].
//! - A source goes at once when it ends its stream (6.2.6), else 2.5 s after its last levels
//!   (6.7.1), but not before the others are known to be alive. See [`loss`].
//! - Synchronised levels wait for their synchronisation packet (section 11). See [`sync`].
//! - At most [`SOURCES_LIMIT`] sources are tracked for each universe. Further ones are ignored until
//!   one of them goes ("sources exceeded", 6.2.3).

mod loss;
mod merge;
mod source;
mod sync;

pub use merge::MergedLevels;

use super::codec::{START_CODE_LEVELS, START_CODE_PRIORITIES, SacnCid, SacnData, SacnPacket, SacnSync};
use source::{SacnSlots, SourcePhase, TrackedSource};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sync::SyncAddress;

/// How long a source is silent until it is lost: `E131_NETWORK_DATA_LOSS_TIMEOUT`.
pub const LOSS_TIMEOUT: Duration = Duration::from_millis(2500);

/// The most sources of one universe. Each takes up to 2.5 KiB.
pub const SOURCES_LIMIT: usize = 32;

/// How the sources of a universe are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SacnMergerOptions {
    pub universe: u16,
    /// The only sender that counts.
    pub from: Option<SacnCid>,
    /// How long the levels of a new source wait for priorities of its slots. It is also how long
    /// sources are collected after the start until any is used.
    pub settle: Duration,
    /// Whether slots that no source controls any more keep their level; else they go to 0.
    pub holds: bool,
}

/// Why a packet was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SacnRefusal {
    #[error("it is of another universe")]
    OtherUniverse,
    #[error("it arrived on the multicast group of another universe")]
    WrongGroup,
    #[error("it is not of the sender that `from` names")]
    OtherSender,
    #[error("it is older than another one, or the same again")]
    OutOfSequence,
    #[error("it is for visualisation only (preview data)")]
    Preview,
    #[error("its start code is {0:#04x}")]
    StartCode(u8),
    #[error("there are {SOURCES_LIMIT} sources already")]
    SourcesExceeded,
    #[error("it ends a stream that is not known")]
    NoStream,
    /// It is a synchronisation packet that no source waits for, or universe discovery.
    #[error("no source waits for it")]
    NotUsed,
}

/// What a packet or a deadline has changed.
#[derive(Debug, Default)]
pub struct SacnChanges {
    /// Whether a level of [`SacnMerger::levels`] differs from before.
    pub levels: bool,
    /// Whether [`SacnMerger::sync_addresses`] differs from before.
    pub sync_addresses: bool,
    /// Sources that came or went, in this order.
    pub sources: Vec<SacnSourceChange>,
}

/// A source that came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SacnSourceChange {
    pub kind: SacnSourceChangeKind,
    pub source: SacnSource,
}

/// What became of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SacnSourceChangeKind {
    /// Its levels are used from now on.
    Appeared,
    /// It was silent for too long.
    Lost,
    /// It has ended its stream.
    Terminated,
}

/// A source as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SacnSource {
    pub cid: SacnCid,
    pub name: Arc<str>,
    pub address: SocketAddrV4,
    pub priority: u8,
    /// Whether it sends priorities of single slots.
    pub has_slot_priorities: bool,
}

impl From<&TrackedSource> for SacnSource {
    fn from(source: &TrackedSource) -> Self {
        Self {
            cid: source.cid,
            name: Arc::clone(&source.name),
            address: source.address,
            priority: source.priority,
            has_slot_priorities: source.slot_priorities.is_some(),
        }
    }
}

/// The sources of one universe.
#[derive(Debug)]
pub struct SacnMerger {
    options: SacnMergerOptions,
    sources: Vec<TrackedSource>,
    syncs: Vec<SyncAddress>,
    merged: MergedLevels,
    /// Until then sources are collected and nothing is merged.
    sampling_until: Option<Instant>,
}

impl SacnMerger {
    /// A universe that no packet has come for.
    #[must_use]
    pub fn new(now: Instant, options: SacnMergerOptions) -> Self {
        Self {
            options,
            sources: Vec::new(),
            syncs: Vec::new(),
            merged: MergedLevels::default(),
            sampling_until: (!options.settle.is_zero()).then(|| now + options.settle),
        }
    }

    /// The merged levels of the universe, and the priority that won in each slot.
    #[must_use]
    pub fn merged(&self) -> &MergedLevels {
        &self.merged
    }

    /// The merged levels of the universe: all 512.
    #[must_use]
    pub fn levels(&self) -> &[u8] {
        &self.merged.levels
    }

    /// How the sources are merged.
    #[must_use]
    pub fn options(&self) -> &SacnMergerOptions {
        &self.options
    }

    /// The sources whose levels count.
    pub fn sources(&self) -> impl Iterator<Item = SacnSource> + '_ {
        self.sources.iter().filter(|source| source.contributes()).map(SacnSource::from)
    }

    /// The addresses whose synchronisation packets are needed. At most [`SOURCES_LIMIT`].
    pub fn sync_addresses(&self) -> impl Iterator<Item = u16> + '_ {
        self.syncs.iter().map(|sync| sync.address)
    }

    /// When [`Self::on_timer`] has something to do, if no packet comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [loss::next_deadline(&self.sources), self.sampling_until].into_iter().flatten().min()
    }

    /// Goes on with other options, for the same universe.
    pub fn set_options(&mut self, options: SacnMergerOptions, changes: &mut SacnChanges) {
        if let Some(cid) = options.from {
            self.sources.retain(|source| source.cid == cid);
        }
        self.options = options;
        self.sampling_until = None;
        self.merge(changes);
        self.prune_syncs(changes);
    }

    /// Takes a packet that `from` sent. `group` is the universe of the multicast group that it was
    /// sent to, if it was.
    ///
    /// # Errors
    ///
    /// It is not used; nothing but its source's sequence and time may have changed.
    pub fn on_packet(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        group: Option<u16>,
        packet: &SacnPacket<'_>,
        changes: &mut SacnChanges,
    ) -> Result<(), SacnRefusal> {
        if self.sampling_until.is_some_and(|until| until <= now) {
            self.end_sampling(changes);
        }
        match packet {
            SacnPacket::Data(data) => self.on_data(now, from, group, data, changes),
            SacnPacket::Sync(sync) => self.on_sync(now, group, sync, changes),
            SacnPacket::Discovery(_) => Err(SacnRefusal::NotUsed),
        }
    }

    /// Does what is due.
    pub fn on_timer(&mut self, now: Instant, changes: &mut SacnChanges) {
        if self.sampling_until.is_some_and(|until| until <= now) {
            self.end_sampling(changes);
        }
        loss::mark_lost(now, &mut self.sources);
        self.remove_gone(now, changes);
    }

    fn end_sampling(&mut self, changes: &mut SacnChanges) {
        self.sampling_until = None;
        self.merge(changes);
    }

    fn remove_gone(&mut self, now: Instant, changes: &mut SacnChanges) {
        let before = self.sources.len();
        loss::remove_gone(now, &mut self.sources, |source| {
            if source.contributes() {
                let kind = SacnSourceChangeKind::Lost;
                changes.sources.push(SacnSourceChange { kind, source: (&source).into() });
            }
        });
        if self.sources.len() != before {
            self.merge(changes);
            self.prune_syncs(changes);
        }
    }

    /// A source was received, or has ended its stream: those that were lost before may go now. Only
    /// [`Self::on_timer`] finds out who is lost, since after a pause of this process the packets of
    /// the others may still wait in the socket.
    fn on_news_of_source(&mut self, now: Instant, changes: &mut SacnChanges) {
        if loss::has_lost(&self.sources) {
            self.remove_gone(now, changes);
        }
    }

    fn on_data(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        group: Option<u16>,
        data: &SacnData<'_>,
        changes: &mut SacnChanges,
    ) -> Result<(), SacnRefusal> {
        if data.universe != self.options.universe {
            return Err(SacnRefusal::OtherUniverse);
        }
        if group.is_some_and(|group| group != data.universe) {
            return Err(SacnRefusal::WrongGroup);
        }
        if self.options.from.is_some_and(|from| from != data.cid) {
            return Err(SacnRefusal::OtherSender);
        }
        let index = match self.sources.iter().position(|source| source.cid == data.cid) {
            Some(index) => {
                let source = &mut self.sources[index];
                if is_out_of_sequence(data.sequence, source.sequence) {
                    return Err(SacnRefusal::OutOfSequence);
                }
                source.sequence = data.sequence;
                index
            }
            None => self.add_source(now, from, data)?,
        };
        if data.is_terminated {
            self.terminate(index, changes);
            self.on_news_of_source(now, changes);
            return Ok(());
        }
        match data.start_code {
            START_CODE_LEVELS => self.on_levels(now, from, index, data, changes),
            START_CODE_PRIORITIES if data.is_preview => Err(SacnRefusal::Preview),
            START_CODE_PRIORITIES => {
                self.on_slot_priorities(now, index, data, changes);
                Ok(())
            }
            other => Err(SacnRefusal::StartCode(other)),
        }
    }

    /// Tracks a new source. Returns its index.
    fn add_source(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        data: &SacnData<'_>,
    ) -> Result<usize, SacnRefusal> {
        if data.is_terminated {
            return Err(SacnRefusal::NoStream);
        }
        if data.is_preview {
            return Err(SacnRefusal::Preview);
        }
        let phase = match data.start_code {
            START_CODE_PRIORITIES => SourcePhase::PrioritiesOnly,
            START_CODE_LEVELS if self.options.settle.is_zero() || self.sampling_until.is_some() => {
                SourcePhase::Live
            }
            START_CODE_LEVELS => SourcePhase::Settling { until: now + self.options.settle },
            other => return Err(SacnRefusal::StartCode(other)),
        };
        if self.sources.len() >= SOURCES_LIMIT {
            return Err(SacnRefusal::SourcesExceeded);
        }
        let mut source = TrackedSource::new(now, from, data, phase);
        // Its first packet is in sequence.
        source.sequence = data.sequence;
        self.sources.push(source);
        Ok(self.sources.len() - 1)
    }

    fn terminate(&mut self, index: usize, changes: &mut SacnChanges) {
        let source = self.sources.remove(index);
        if source.contributes() {
            let kind = SacnSourceChangeKind::Terminated;
            changes.sources.push(SacnSourceChange { kind, source: (&source).into() });
            self.merge(changes);
        }
        self.prune_syncs(changes);
    }

    fn on_levels(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        index: usize,
        data: &SacnData<'_>,
        changes: &mut SacnChanges,
    ) -> Result<(), SacnRefusal> {
        let source = &mut self.sources[index];
        source.last_levels = now;
        match source.phase {
            SourcePhase::Settling { until } if now < until => return Ok(()),
            _ => source.phase = SourcePhase::Live,
        }
        let mut is_changed = false;
        if source.slot_priorities.is_some() && now >= source.last_slot_priorities + LOSS_TIMEOUT {
            source.slot_priorities = None;
            source.held.slot_priorities = None;
            is_changed = true;
        }
        if data.is_preview {
            if is_changed {
                self.merge(changes);
            }
            self.on_news_of_source(now, changes);
            return Err(SacnRefusal::Preview);
        }
        source.identify(from, data);
        self.set_sync_address(index, data.sync_address, changes);
        let holds = self.holds(now, data);
        let source = &mut self.sources[index];
        if holds {
            source.held.levels = Some((SacnSlots::new(data.slots), data.priority));
        } else {
            source.held.levels = None;
            is_changed |= source.apply_levels(data.slots, data.priority);
        }
        if !source.has_appeared {
            source.has_appeared = true;
            is_changed = true;
            let kind = SacnSourceChangeKind::Appeared;
            changes.sources.push(SacnSourceChange { kind, source: (&*source).into() });
        }
        if is_changed {
            self.merge(changes);
        }
        self.on_news_of_source(now, changes);
        Ok(())
    }

    fn on_slot_priorities(
        &mut self,
        now: Instant,
        index: usize,
        data: &SacnData<'_>,
        changes: &mut SacnChanges,
    ) {
        let source = &mut self.sources[index];
        source.last_slot_priorities = now;
        if let SourcePhase::Settling { .. } = source.phase {
            source.phase = SourcePhase::Live;
        }
        let holds = data.sync_address == source.sync_address && self.holds(now, data);
        let source = &mut self.sources[index];
        if holds {
            source.held.slot_priorities = Some(SacnSlots::new(data.slots));
        } else if source.apply_slot_priorities(data.slots) {
            self.merge(changes);
        }
    }

    fn on_sync(
        &mut self,
        now: Instant,
        group: Option<u16>,
        packet: &SacnSync,
        changes: &mut SacnChanges,
    ) -> Result<(), SacnRefusal> {
        if group.is_some_and(|group| group != packet.sync_address) {
            return Err(SacnRefusal::WrongGroup);
        }
        let sync = self.syncs.iter_mut().find(|sync| sync.address == packet.sync_address);
        let sync = sync.ok_or(SacnRefusal::NotUsed)?;
        if !sync.accept(now, packet) {
            return Err(SacnRefusal::OutOfSequence);
        }
        let sources = self.sources.iter_mut().filter(|source| source.sync_address == packet.sync_address);
        let mut is_changed = false;
        sources.for_each(|source| is_changed |= source.release());
        if is_changed {
            self.merge(changes);
        }
        Ok(())
    }

    /// Whether what a packet brings waits for synchronisation.
    fn holds(&self, now: Instant, data: &SacnData<'_>) -> bool {
        let sync = self.syncs.iter().find(|sync| sync.address == data.sync_address);
        sync.is_some_and(|sync| sync.holds(now, data.forces_sync))
    }

    fn set_sync_address(&mut self, index: usize, address: u16, changes: &mut SacnChanges) {
        let source = &mut self.sources[index];
        if source.sync_address == address {
            return;
        }
        source.sync_address = address;
        if address != 0 && !self.syncs.iter().any(|sync| sync.address == address) {
            self.syncs.push(SyncAddress::new(address));
            changes.sync_addresses = true;
        }
        self.prune_syncs(changes);
    }

    /// Forgets the synchronisation addresses that no source names any more.
    fn prune_syncs(&mut self, changes: &mut SacnChanges) {
        let before = self.syncs.len();
        let Self { syncs, sources, .. } = self;
        syncs.retain(|sync| sources.iter().any(|source| source.sync_address == sync.address));
        changes.sync_addresses |= syncs.len() != before;
    }

    fn merge(&mut self, changes: &mut SacnChanges) {
        if self.sampling_until.is_some() {
            return;
        }
        let sources = self.sources.iter().filter(|source| source.contributes());
        let contributions = sources.map(TrackedSource::contribution);
        changes.levels |= self.merged.update(contributions, self.options.holds);
    }
}

/// Whether a packet is older than the last one, or the same (6.7.2, in signed 8-bit arithmetic).
pub(super) fn is_out_of_sequence(new: u8, last: u8) -> bool {
    (-19..=0).contains(&(new.wrapping_sub(last).cast_signed()))
}

#[cfg(test)]
mod tests;
