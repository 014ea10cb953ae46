//! The mappings of a show as one array: from a channel's number to where its events go.
//!
//! Channels of all instances are numbered through: instance after instance, each in the order of the show file. A
//! channel's targets are one slice of one array, so routing an event is two look-ups, whatever the show's size.

use super::cycles;
use crate::ids::InstanceId;
use mm_config::Show;

/// Where an event goes: a channel of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The instance that takes it.
    pub instance: InstanceId,
    /// The index of the channel within that instance.
    pub channel: u32,
    /// The channel's number in the whole show.
    pub number: u32,
}

/// All mappings, ready for look-up.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// Number of the first channel of each instance; one entry more than there are instances.
    bases: Vec<u32>,
    /// Where the targets of each channel begin; one entry more than there are channels.
    starts: Vec<u32>,
    targets: Vec<Target>,
    /// The queue of each instance's events: 0 for those that are in no loop.
    lanes: Vec<usize>,
}

impl RouteTable {
    /// Builds the table of a show.
    #[must_use]
    pub fn new(show: &Show) -> Self {
        let mut bases = vec![0_u32];
        for instance in &show.instances {
            let next = bases.last().copied().unwrap_or(0) + count(instance.channels.len());
            bases.push(next);
        }
        let channels = bases.last().copied().unwrap_or(0) as usize;
        let mut edges: Vec<(u32, Target)> = show
            .mappings
            .iter()
            .map(|mapping| {
                let source = bases[mapping.from.instance] + count(mapping.from.channel);
                let (instance, channel) = (InstanceId(mapping.to.instance), count(mapping.to.channel));
                let number = bases[mapping.to.instance] + channel;
                (source, Target { instance, channel, number })
            })
            .collect();
        edges.sort_by_key(|(source, _)| *source);
        let mut starts = vec![0_u32; channels + 1];
        for (source, _) in &edges {
            starts[*source as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut lanes = vec![0; show.instances.len()];
        for (members, lane) in cycles::sets(show).iter().zip(1..) {
            members.iter().for_each(|member| lanes[*member] = lane);
        }
        Self { bases, starts, targets: edges.into_iter().map(|(_, target)| target).collect(), lanes }
    }

    /// How many queues there are.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes.iter().max().map_or(1, |lane| lane + 1)
    }

    /// The queue of an instance's events.
    #[must_use]
    pub fn lane(&self, instance: InstanceId) -> usize {
        self.lanes.get(instance.0).copied().unwrap_or(0)
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// How many instances there are.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.bases.len().saturating_sub(1)
    }

    /// The number that a channel has in the whole show; `None` for a channel that the show does not have.
    #[must_use]
    pub fn number(&self, instance: InstanceId, channel: u32) -> Option<u32> {
        let base = *self.bases.get(instance.0)?;
        let end = *self.bases.get(instance.0 + 1)?;
        base.checked_add(channel).filter(|number| *number < end)
    }

    /// Where the events of a channel go, by the channel's number, in the order of the show file.
    #[must_use]
    pub fn targets(&self, number: u32) -> &[Target] {
        let number = number as usize;
        match (self.starts.get(number), self.starts.get(number + 1)) {
            (Some(start), Some(end)) => &self.targets[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// The instance and channel that a number stands for.
    #[must_use]
    pub fn origin(&self, number: u32) -> Option<Target> {
        let instance = self.bases.partition_point(|base| *base <= number).checked_sub(1)?;
        let channel = number - self.bases[instance];
        let here = instance + 1 < self.bases.len();
        here.then_some(Target { instance: InstanceId(instance), channel, number })
    }
}

/// A count of channels as the 32 bits that a record has for it; the show's parser keeps shows far below.
fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
