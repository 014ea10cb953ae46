//! The mappings of a show as one array, from channel numbers to targets.
//!
//! The channels of all instances are numbered consecutively: instance by instance, each in the
//! order of the show file. The targets of a channel are one slice of one array, so routing an event
//! takes two look-ups, whatever the size of the show.

use crate::ids::InstanceId;
use crate::show::LiveShow;
use mm_config::Endpoint;
use mm_shared::ChannelId;
use std::ops::Range;

/// The number of a channel among all channels of the show. It holds until the next show is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIndex(pub u32);

impl SourceIndex {
    /// The index in tables of all channels of the show.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an event goes: a channel of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTarget {
    /// The instance that receives the event.
    pub instance: InstanceId,
    /// The channel within that instance.
    pub channel: ChannelId,
    /// The channel in the whole show.
    pub source: SourceIndex,
}

/// All mappings, ready for look-up.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// By id: the numbers of an instance's channels.
    numbers: Vec<Range<u32>>,
    /// The first number of each instance, in the order of the show file.
    bases: Vec<(u32, InstanceId)>,
    /// Where the targets of each channel begin, and one entry more at the end.
    starts: Vec<u32>,
    targets: Vec<RouteTarget>,
}

impl RouteTable {
    /// Builds the table of a show.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        let (mut numbers, mut bases) = (vec![0..0; show.id_limit()], Vec::new());
        let mut next = 0;
        for live in show.live_instances() {
            let range = next..next + count(live.instance.channels.len());
            next = range.end;
            bases.push((range.start, live.id));
            numbers[live.id.0] = range;
        }
        let target = |end: Endpoint| {
            let (instance, channel) = (show.id(end.instance), count(end.channel));
            let source = SourceIndex(numbers[instance.0].start + channel);
            RouteTarget { instance, channel: ChannelId(channel), source }
        };
        let mut edges: Vec<(SourceIndex, RouteTarget)> =
            show.mappings.iter().map(|mapping| (target(mapping.from).source, target(mapping.to))).collect();
        edges.sort_by_key(|(source, _)| *source);
        let mut starts = vec![0_u32; next as usize + 1];
        for (source, _) in &edges {
            starts[source.index() + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let targets = edges.into_iter().map(|(_, target)| target).collect();
        Self { numbers, bases, starts, targets }
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// One more than the highest id of an instance.
    #[must_use]
    pub fn id_limit(&self) -> usize {
        self.numbers.len()
    }

    /// A channel's number in the whole show; `None` if the show has no such channel.
    #[must_use]
    pub fn source(&self, instance: InstanceId, channel: ChannelId) -> Option<SourceIndex> {
        let range = self.numbers.get(instance.0)?;
        let number = range.start.checked_add(channel.0).filter(|number| *number < range.end);
        number.map(SourceIndex)
    }

    /// The targets of a channel, in the order of the show file.
    #[must_use]
    pub fn targets(&self, source: SourceIndex) -> &[RouteTarget] {
        let number = source.index();
        match (self.starts.get(number), self.starts.get(number + 1)) {
            (Some(start), Some(end)) => &self.targets[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// The instance and channel that a number stands for.
    #[must_use]
    pub fn origin(&self, source: SourceIndex) -> Option<RouteTarget> {
        // Instances without channels share their first number with the next one.
        let before = self.bases.partition_point(|(base, _)| *base <= source.0).checked_sub(1)?;
        let (base, instance) = self.bases[before];
        let here = self.numbers[instance.0].contains(&source.0);
        here.then_some(RouteTarget { instance, channel: ChannelId(source.0 - base), source })
    }
}

/// A count of channels in the 32 bits of an event record. The parser limits shows far below that.
fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
