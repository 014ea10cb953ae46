//! The router: which channels an event goes on to. It does no I/O and knows neither backends nor
//! workers.
//!
//! Events wait in a queue of their source, and the sources take turns ([`fair_queue`]): no source
//! delays or conflates the events of another. A step takes out a bounded number of them, so that
//! neither a flood nor a loop of mappings keeps the show from its other work.

pub mod activity;
mod components;
pub mod conflation_monitor;
pub mod cycles;
pub mod fair_queue;
pub mod table;

use crate::backends::Incoming;
use crate::ids::InstanceId;
use crate::show::change::ShowChange;
use activity::{ChannelActivity, LastPassage};
use fair_queue::{EventShare, FairQueue, QueuedEvent};
use mm_shared::ChannelId;
use std::time::Instant;
use table::{RouteTable, RouteTarget, SourceIndex};

/// Events of one source that may wait before they are conflated. It has room for all that a worker
/// may leave behind in its ring and for the largest datagram, so only a loop of mappings that
/// multiplies its events and a flood of MIDI messages reach it.
const QUEUE_LIMIT: usize = 65_536;

/// Events that an instance was handed and has handed on since the show started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Events that were handed to it.
    pub delivered: u64,
    /// Events that came from it.
    pub arrived: u64,
}

/// Routes events by channel number.
#[derive(Debug)]
pub struct Router {
    table: RouteTable,
    waiting: FairQueue,
    /// By instance.
    traffic: Vec<Traffic>,
    activity: ChannelActivity,
}

/// An event with its targets, or with some of them: those that its source may be routed to in this
/// turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Routed<'a> {
    /// The channel that it arrived on.
    pub source: SourceIndex,
    /// Its value.
    pub value: f64,
    /// Its targets, in the order of the show file.
    pub targets: &'a [RouteTarget],
    /// Whether no target is left after these.
    pub is_last: bool,
}

impl Router {
    /// A router for the mappings of `table`.
    #[must_use]
    pub fn new(table: RouteTable) -> Self {
        let traffic = vec![Traffic::default(); table.id_limit()];
        let activity = ChannelActivity::new(table.channels());
        let waiting = FairQueue::new(table.id_limit(), QUEUE_LIMIT);
        Self { table, waiting, traffic, activity }
    }

    /// Queues an event. Events of unknown channels are dropped; the sources check their events
    /// before.
    pub fn accept(&mut self, incoming: Incoming) {
        if let Some(source) = self.table.source(incoming.instance, incoming.channel) {
            self.waiting.push(incoming.instance, QueuedEvent { source, value: incoming.value });
            self.traffic[incoming.instance.0].arrived += 1;
            self.activity.note_arrival(source, incoming.value);
        }
    }

    /// How many events of an instance wait to be routed.
    #[must_use]
    pub fn waiting(&self, instance: InstanceId) -> usize {
        self.waiting.waiting(instance)
    }

    /// How many events of an instance were replaced by a later one of their channel before they
    /// were routed.
    #[must_use]
    pub fn conflated(&self, instance: InstanceId) -> u64 {
        self.waiting.conflated(instance)
    }

    /// The same of all instances.
    #[must_use]
    pub fn all_conflated(&self) -> u64 {
        self.waiting.all_conflated()
    }

    /// Notes an event that is handed to an instance although no mapping has led it there.
    pub fn note_delivery(&mut self, instance: InstanceId, channel: ChannelId, value: f64) {
        if let Some(traffic) = self.traffic.get_mut(instance.0) {
            traffic.delivered += 1;
        }
        if let Some(source) = self.table.source(instance, channel) {
            self.activity.note_delivery(source, value);
        }
    }

    /// The traffic of an instance.
    #[must_use]
    pub fn traffic(&self, instance: InstanceId) -> Traffic {
        self.traffic.get(instance.0).copied().unwrap_or_default()
    }

    /// The value that was last routed to a channel.
    #[must_use]
    pub fn last(&self, instance: InstanceId, channel: ChannelId) -> Option<f64> {
        let source = self.table.source(instance, channel)?;
        self.activity.delivery(source).map(|last| last.value)
    }

    /// What came last from a channel, and what it was handed last.
    #[must_use]
    pub fn passages(
        &self,
        instance: InstanceId,
        channel: ChannelId,
    ) -> (Option<LastPassage>, Option<LastPassage>) {
        match self.table.source(instance, channel) {
            Some(source) => (self.activity.arrival(source), self.activity.delivery(source)),
            None => (None, None),
        }
    }

    /// The time of what happens from here on.
    pub fn set_time(&mut self, now: Instant) {
        self.activity.set_time(now);
    }

    /// Where the mappings lead from a channel.
    #[must_use]
    pub fn targets(&self, instance: InstanceId, channel: ChannelId) -> &[RouteTarget] {
        self.table.source(instance, channel).map_or(&[], |source| self.table.targets(source))
    }

    /// Sets the value that a channel had before the supervisor was restarted.
    pub fn restore(&mut self, instance: InstanceId, channel: ChannelId, value: f64) {
        if let Some(source) = self.table.source(instance, channel) {
            self.activity.restore_delivery(source, value);
        }
    }

    /// The same for the value that had come from a channel.
    pub fn restore_arrival(&mut self, instance: InstanceId, channel: ChannelId, value: f64) {
        if let Some(source) = self.table.source(instance, channel) {
            self.activity.restore_arrival(source, value);
        }
    }

    /// The instance and channel that a number stands for.
    #[must_use]
    pub fn origin(&self, source: SourceIndex) -> Option<RouteTarget> {
        self.table.origin(source)
    }

    /// Takes out the next event, or a part of it; `None` when no event waits.
    #[inline]
    pub fn next_event(&mut self) -> Option<Routed<'_>> {
        let share = self.waiting.next(|source| self.table.targets(source).len())?;
        Some(self.routed(share))
    }

    /// Takes out the rest of an event that was routed in part; `None` when there is none. It has to
    /// go where the mappings led when it was begun.
    pub fn next_begun(&mut self) -> Option<Routed<'_>> {
        let share = self.waiting.next_begun(|source| self.table.targets(source).len())?;
        Some(self.routed(share))
    }

    #[inline]
    fn routed(&mut self, EventShare { event, targets, is_last }: EventShare) -> Routed<'_> {
        let QueuedEvent { source, value } = event;
        let targets = self.table.targets(source).get(targets).unwrap_or_default();
        for target in targets {
            self.traffic[target.instance.0].delivered += 1;
            self.activity.note_delivery(target.source, value);
        }
        Routed { source, value, targets, is_last }
    }

    /// Applies the mappings of a new show. Events that wait are kept if their channels still exist;
    /// what is left of events that were begun has to be taken out before. From here on, events have
    /// the numbers of the new show.
    /// Returns the old ones, which a large show takes milliseconds to drop.
    pub fn apply(&mut self, table: RouteTable, change: &ShowChange) -> RouteTable {
        let old = std::mem::replace(&mut self.table, table);
        let table = &self.table;
        let now = |source: SourceIndex| {
            let origin = old.origin(source)?;
            table.source(origin.instance, change.channel(origin.instance, origin.channel)?)
        };
        self.activity = self.activity.renumbered(table.channels(), now);
        self.traffic.resize(table.id_limit(), Traffic::default());
        self.waiting.resize(table.id_limit());
        self.waiting.change_all(|event| Some(QueuedEvent { source: now(event.source)?, ..event }));
        old
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_shows::live_show as show;

    fn routed(router: &mut Router) -> Vec<(f64, Vec<(usize, u32)>)> {
        let mut all = Vec::new();
        while let Some(Routed { value, targets, .. }) = router.next_event() {
            all.push((value, targets.iter().map(|target| (target.instance.0, target.channel.0)).collect()));
        }
        all
    }

    #[test]
    fn an_event_goes_to_every_target_in_the_order_of_the_show_file() {
        let show = show("[loopback a]\n[loopback b]\n[map]\na.x > b.one\na.x > b.two\na.y > b.one\n");
        let mut router = Router::new(RouteTable::new(&show));
        router.accept(Incoming { instance: InstanceId(0), channel: ChannelId(1), value: 0.25 });
        router.accept(Incoming { instance: InstanceId(0), channel: ChannelId(0), value: 0.5 });
        assert_eq!(routed(&mut router), [(0.25, vec![(1, 0)]), (0.5, vec![(1, 0), (1, 1)])]);
    }

    #[test]
    fn channels_without_mapping_and_unknown_channels_go_nowhere() {
        let show = show("[loopback a]\n[loopback b]\n[map]\na.x > b.y\n");
        let mut router = Router::new(RouteTable::new(&show));
        router.accept(Incoming { instance: InstanceId(1), channel: ChannelId(0), value: 1.0 });
        router.accept(Incoming { instance: InstanceId(1), channel: ChannelId(9), value: 1.0 });
        router.accept(Incoming { instance: InstanceId(7), channel: ChannelId(0), value: 1.0 });
        assert_eq!(routed(&mut router), [(1.0, vec![])]);
    }

    #[test]
    fn a_number_leads_back_to_its_channel() {
        let show = show("[loopback a]\n[loopback empty]\n[loopback b]\n[map]\na.x > b.y\na.z > b.y\n");
        let table = RouteTable::new(&show);
        for (instance, channel) in [(0, 0), (0, 1), (2, 0)] {
            let source = table.source(InstanceId(instance), ChannelId(channel)).unwrap();
            let origin = table.origin(source).unwrap();
            assert_eq!((origin.instance.0, origin.channel.0), (instance, channel));
        }
        assert_eq!(table.origin(SourceIndex(3)), None);
    }
}
