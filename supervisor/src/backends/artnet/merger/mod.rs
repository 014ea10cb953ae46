//! The sources of one universe, and the levels that they make together. Time is an argument, and
//! there is no I/O.
//!
//! The rules, with the parts of the standard "Art-Net 4" that they come from:
//!
//! - A source is an IP address and a Physical port. At most two merge; further ones are ignored
//!   ("ArtDmx, Data Merging").
//! - Merging is HTP (the highest level of each slot) or LTP (the level that changed last), as
//!   ArtAddress says ("ArtAddress, Command").
//! - If one of two sources stops, its levels stay in the merge for the source timeout, by the
//!   standard 10 s. If both stop, the last result stays.
//! - After AcCancelMerge, the sender of the next ArtDmx is the only one that counts. The standard
//!   names no end of that. Here it ends when that sender has stopped for the source timeout, with
//!   another AcCancelMerge, or when ArtAddress sets a way of merging.
//! - A packet that is less than [`LATE_LIMIT`](source::LATE_LIMIT) numbers behind the last one of its source is late and
//!   dropped, unless the numbers begin again: see [`MergedSource::is_late`].
//! - After an ArtSync, levels wait for the next one, for at most [`SYNC_TIMEOUT`]. It has to come
//!   from the sender of the last ArtDmx, and does not count while two addresses merge ("ArtSync,
//!   Multiple controllers").

mod source;

use super::codec::{ArtDmx, LEVELS_LIMIT};
use source::MergedSource;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The source timeout of the standard.
pub const SOURCE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long levels wait for an ArtSync before they count without it.
pub const SYNC_TIMEOUT: Duration = Duration::from_secs(4);

/// The most sources that merge.
const SOURCES_LIMIT: usize = 2;

/// A source of a universe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtnetSourceKey {
    pub address: Ipv4Addr,
    /// The sender's input port.
    pub physical: u8,
}

/// How two sources merge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ArtnetMergeMode {
    /// The highest level of each slot.
    #[default]
    Htp,
    /// The level of each slot that changed last. Levels that a new source begins with have changed
    /// where they are not 0, so that one which is switched on with all faders down takes nothing.
    Ltp,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtnetTaken {
    /// It counts, and [`ArtnetMerger::levels`] may have changed.
    Now,
    /// It counts with the next ArtSync.
    WithSync,
    /// It is older than another one.
    Late,
    /// Two other sources merge.
    SourcesExceeded,
    /// Another source has taken over with AcCancelMerge.
    Cancelled,
}

/// The sources of one universe.
#[derive(Debug)]
pub struct ArtnetMerger {
    timeout: Duration,
    mode: ArtnetMergeMode,
    sources: Vec<MergedSource>,
    /// By slot: which source's level counts with LTP.
    latest: Box<[Option<ArtnetSourceKey>; LEVELS_LIMIT]>,
    merged: Box<[u8; LEVELS_LIMIT]>,
    /// How many slots have been received so far.
    carried: usize,
    cancel: MergeCancel,
    sync: SyncState,
}

/// How far AcCancelMerge has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MergeCancel {
    None,
    /// The next packet decides.
    Armed,
    /// Only this sender counts.
    Done(SoleSender),
}

/// The sender that took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SoleSender {
    key: ArtnetSourceKey,
    /// Whether other ports of the same address are refused too: it was with one of them that it
    /// merged.
    is_port: bool,
}

impl SoleSender {
    fn is(self, key: ArtnetSourceKey) -> bool {
        self.key.address == key.address && (!self.is_port || self.key.physical == key.physical)
    }
}

/// Whether levels wait for an ArtSync.
#[derive(Debug, Clone, Copy, Default)]
struct SyncState {
    /// Until when they do; `None`: they do not.
    until: Option<Instant>,
    /// Whether any wait now.
    is_pending: bool,
    /// The sender of the last ArtDmx.
    last_sender: Option<Ipv4Addr>,
}

impl ArtnetMerger {
    /// A universe without a source.
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            mode: ArtnetMergeMode::default(),
            sources: Vec::with_capacity(SOURCES_LIMIT),
            latest: Box::new([None; LEVELS_LIMIT]),
            merged: Box::new([0; LEVELS_LIMIT]),
            carried: 0,
            cancel: MergeCancel::None,
            sync: SyncState::default(),
        }
    }

    /// Applies another source timeout.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Takes a packet of this universe.
    pub fn receive(&mut self, from: Ipv4Addr, dmx: &ArtDmx<'_>, now: Instant) -> ArtnetTaken {
        let key = ArtnetSourceKey { address: from, physical: dmx.physical };
        self.drop_stale(key, now);
        if let MergeCancel::Done(sole) = self.cancel
            && !sole.is(key)
        {
            return ArtnetTaken::Cancelled;
        }
        let place = self.sources.iter().position(|source| source.key == key);
        if let Some(source) = place.and_then(|place| self.sources.get_mut(place))
            && source.is_late(dmx.sequence, now)
        {
            return ArtnetTaken::Late;
        }
        if self.cancel == MergeCancel::Armed {
            self.take_over(key);
        }
        if place.is_none() && self.sources.len() >= SOURCES_LIMIT {
            return ArtnetTaken::SourcesExceeded;
        }
        self.store(key, dmx, now);
        self.sync.last_sender = Some(from);
        if self.has_two_addresses() {
            // From a merge on, levels are not synchronised.
            self.sync = SyncState { last_sender: self.sync.last_sender, ..SyncState::default() };
        }
        if self.sync.until.is_some_and(|until| now < until) {
            self.sync.is_pending = true;
            return ArtnetTaken::WithSync;
        }
        self.sync.until = None;
        self.merge();
        ArtnetTaken::Now
    }

    /// Stores the levels of a source, which is added if it is new.
    fn store(&mut self, key: ArtnetSourceKey, dmx: &ArtDmx<'_>, now: Instant) {
        if !self.sources.iter().any(|source| source.key == key) {
            self.sources.push(MergedSource::new(key, now));
        }
        let Some(source) = self.sources.iter_mut().find(|source| source.key == key) else { return };
        source.note(dmx.sequence, now);
        for ((level, latest), new) in source.levels.iter_mut().zip(self.latest.iter_mut()).zip(dmx.levels) {
            if *level != *new {
                *level = *new;
                *latest = Some(key);
            }
        }
        self.carried = self.carried.max(dmx.levels.len().min(LEVELS_LIMIT));
    }

    /// The packet of this sender decides an AcCancelMerge. Without a merge, and where none begins with
    /// it, there is nothing to end.
    fn take_over(&mut self, key: ArtnetSourceKey) {
        let others = || self.sources.iter().filter(|source| source.key != key);
        let is_port = others().any(|source| source.key.address == key.address);
        self.cancel = match others().count() {
            0 => MergeCancel::None,
            _ => MergeCancel::Done(SoleSender { key, is_port }),
        };
        self.sources.retain(|source| source.key == key);
    }

    /// Drops sources that have stopped for the timeout while another one, that of `sender` included,
    /// has not.
    fn drop_stale(&mut self, sender: ArtnetSourceKey, now: Instant) {
        let timeout = self.timeout;
        if let MergeCancel::Done(sole) = self.cancel
            && !self.sources.iter().any(|source| sole.is(source.key) && !source.is_stale(timeout, now))
            && !sole.is(sender)
        {
            self.cancel = MergeCancel::None;
        }
        let before = self.sources.len();
        self.sources.retain(|source| source.key == sender || !source.is_stale(timeout, now));
        if self.sources.len() < before {
            self.merge();
        }
    }

    fn merge(&mut self) {
        self.sync.is_pending = false;
        match &*self.sources {
            [] => {}
            [only] => self.merged.copy_from_slice(&*only.levels),
            [first, rest @ ..] => {
                for (slot, merged) in self.merged.iter_mut().enumerate() {
                    let level = |source: &MergedSource| source.levels.get(slot).copied().unwrap_or(0);
                    let latest = self.latest.get(slot).copied().flatten();
                    let owner = || self.sources.iter().find(|source| Some(source.key) == latest);
                    *merged = match self.mode {
                        ArtnetMergeMode::Htp => rest.iter().map(level).fold(level(first), u8::max),
                        // The owner of a slot may have gone.
                        ArtnetMergeMode::Ltp => level(owner().unwrap_or(first)),
                    };
                }
            }
        }
    }

    /// Whether an ArtSync of this sender counts.
    pub fn accepts_sync(&self, from: Ipv4Addr) -> bool {
        self.sync.last_sender == Some(from) && !self.has_two_addresses()
    }

    /// An ArtSync has come. Returns whether levels have waited for it.
    pub fn sync(&mut self, from: Ipv4Addr, now: Instant) -> bool {
        if !self.accepts_sync(from) {
            return false;
        }
        self.sync.until = Some(now + SYNC_TIMEOUT);
        let is_pending = self.sync.is_pending;
        if is_pending {
            self.merge();
        }
        is_pending
    }

    /// AcCancelMerge has come.
    pub fn cancel_merge(&mut self) {
        self.cancel = MergeCancel::Armed;
    }

    /// ArtAddress has set how sources merge. Returns whether levels may have changed.
    pub fn set_mode(&mut self, mode: ArtnetMergeMode) -> bool {
        self.mode = mode;
        self.cancel = MergeCancel::None;
        let is_merging = self.is_merging();
        if is_merging {
            self.merge();
        }
        is_merging
    }

    /// Looks for levels that waited long enough for an ArtSync, and for a source that has stopped
    /// while the other goes on. Returns whether levels may have changed.
    pub fn tick(&mut self, now: Instant) -> bool {
        let mut has_changed = false;
        if self.sync.until.is_some_and(|until| until <= now) {
            self.sync.until = None;
            has_changed = self.sync.is_pending;
        }
        let is_gone = |source: &MergedSource| self.is_outlasted(source) && source.is_stale(self.timeout, now);
        if let Some(place) = self.sources.iter().position(is_gone) {
            self.sources.remove(place);
            has_changed = true;
        }
        if has_changed {
            self.merge();
        }
        has_changed
    }

    /// Whether a source has stopped and another one has not: when its timeout is over, that one has
    /// been silent for less than half of it. Else both have stopped, as with a cable that was pulled,
    /// and neither must put out the levels of the other.
    fn is_outlasted(&self, source: &MergedSource) -> bool {
        let newest = self.sources.iter().map(|source| source.last).max();
        newest.is_some_and(|newest| newest.saturating_duration_since(source.last) > self.timeout / 2)
    }

    /// When [`ArtnetMerger::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let outlasted = self.sources.iter().filter(|source| self.is_outlasted(source));
        let stale = outlasted.map(|source| source.last + self.timeout).min();
        [stale, self.sync.until].into_iter().flatten().min()
    }

    /// The merged levels of the slots that have been received.
    pub fn levels(&self) -> &[u8] {
        self.merged.get(..self.carried).unwrap_or_default()
    }

    /// Whether two sources merge.
    pub fn is_merging(&self) -> bool {
        self.sources.len() > 1
    }

    /// The sender that has taken over with AcCancelMerge.
    pub fn sole_sender(&self) -> Option<Ipv4Addr> {
        match self.cancel {
            MergeCancel::Done(sole) => Some(sole.key.address),
            MergeCancel::None | MergeCancel::Armed => None,
        }
    }

    pub fn mode(&self) -> ArtnetMergeMode {
        self.mode
    }

    fn has_two_addresses(&self) -> bool {
        let mut addresses = self.sources.iter().map(|source| source.key.address);
        addresses.next().is_some_and(|first| addresses.any(|other| other != first))
    }
}

#[cfg(test)]
mod tests;
