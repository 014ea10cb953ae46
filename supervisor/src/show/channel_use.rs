//! How the mappings of a show use channels, from which a backend knows what it is to receive and
//! to send.

use super::LiveInstance;
use mm_config::{Channel, Show};
use mm_shared::ChannelId;

/// How mappings use one channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelUse {
    /// A mapping takes its events: `CHANNEL > …`.
    pub is_source: bool,
    /// A mapping sends events to it: `… > CHANNEL`.
    pub is_target: bool,
}

/// By place of the instance, then by channel.
pub(super) fn channel_uses(show: &Show) -> Vec<Box<[ChannelUse]>> {
    let unused = |count| vec![ChannelUse::default(); count].into_boxed_slice();
    let mut uses: Vec<_> = show.instances.iter().map(|instance| unused(instance.channels.len())).collect();
    for mapping in &show.mappings {
        uses[mapping.from.instance][mapping.from.channel].is_source = true;
        uses[mapping.to.instance][mapping.to.channel].is_target = true;
    }
    uses
}

impl<'a> LiveInstance<'a> {
    /// The channels whose events mappings take: of a backend, those that it receives.
    pub fn sources(&self) -> impl Iterator<Item = (ChannelId, &'a Channel)> + use<'a> {
        self.used(|usage| usage.is_source)
    }

    /// The channels to which mappings send events: of a backend, those that it sends.
    pub fn targets(&self) -> impl Iterator<Item = (ChannelId, &'a Channel)> + use<'a> {
        self.used(|usage| usage.is_target)
    }

    fn used(
        &self,
        is_used: fn(&ChannelUse) -> bool,
    ) -> impl Iterator<Item = (ChannelId, &'a Channel)> + use<'a> {
        let channels = (0..).map(ChannelId).zip(&self.instance.channels).zip(self.uses);
        channels.filter(move |(_, usage)| is_used(usage)).map(|(channel, _)| channel)
    }
}
