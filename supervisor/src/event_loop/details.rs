//! What clients ask about single instances and channels: last values, and where they come from and
//! go to.

use super::EventLoop;
use crate::control::protocol::{
    ChannelDetail, ChannelValues, ErrorReply, InstanceDetail, LastValue, split_channel,
};
use crate::ids::InstanceId;
use crate::router::activity::LastPassage;
use mm_config::Endpoint;
use mm_shared::ChannelId;
use std::sync::Arc;
use std::time::Instant;

/// How many channels of an instance are described, and how many sources and destinations of each. A
/// show may have a hundred thousand, and the loop has other work.
const DETAIL_LIMIT: usize = 200;

impl EventLoop {
    /// The last values of these channels.
    pub(super) fn values(&self, names: &[String]) -> Result<Vec<ChannelValues>, ErrorReply> {
        let values = names.iter().map(|name| {
            let (instance, channel) = split_channel(name)?;
            let (id, number) = self.control.names().find_channel(instance, channel)?;
            Ok(self.channel_values(id, number))
        });
        values.collect()
    }

    /// One instance in detail.
    pub(super) fn detail(&mut self, name: &str, now: Instant) -> Result<InstanceDetail, ErrorReply> {
        let id = self.control.names().find_instance(name)?;
        let show = Arc::clone(&self.origin.show);
        let Some(live) = show.find(name) else {
            return Err(ErrorReply::new(format!("the show has no instance `{name}`")));
        };
        let (instance, channels) = (self.status_of(live, now), live.instance.channels.len());
        let shown = u32::try_from(channels.min(DETAIL_LIMIT)).unwrap_or(u32::MAX);
        let mut details: Vec<ChannelDetail> =
            (0..shown).map(|number| self.channel_detail(id, ChannelId(number))).collect();
        self.add_sources(id, &mut details);
        Ok(InstanceDetail {
            instance,
            channels: details,
            channels_left_out: channels.saturating_sub(DETAIL_LIMIT),
            log: Vec::new(),
        })
    }

    fn channel_detail(&self, instance: InstanceId, channel: ChannelId) -> ChannelDetail {
        let targets = self.router.targets(instance, channel).iter().take(DETAIL_LIMIT);
        ChannelDetail {
            values: self.channel_values(instance, channel),
            from: Vec::new(),
            to: targets.map(|target| self.full_name(target.instance, target.channel)).collect(),
        }
    }

    /// Adds the channels that are mapped to those of an instance.
    fn add_sources(&self, instance: InstanceId, details: &mut [ChannelDetail]) {
        let show = &self.origin.show;
        for mapping in show.mappings.iter().filter(|mapping| show.id(mapping.to.instance) == instance) {
            if let Some(detail) = details.get_mut(mapping.to.channel)
                && detail.from.len() < DETAIL_LIMIT
            {
                let Endpoint { instance, channel } = mapping.from;
                let channel = u32::try_from(channel).unwrap_or(u32::MAX);
                detail.from.push(self.full_name(show.id(instance), ChannelId(channel)));
            }
        }
    }

    fn channel_values(&self, instance: InstanceId, channel: ChannelId) -> ChannelValues {
        let (arrival, delivery) = self.router.passages(instance, channel);
        let is_script = self.control.names().is_script(instance);
        let (coming_in, going_out) = if is_script { (delivery, arrival) } else { (arrival, delivery) };
        ChannelValues {
            channel: self.full_name(instance, channel),
            coming_in: coming_in.map(last_value),
            going_out: going_out.map(last_value),
        }
    }

    fn full_name(&self, instance: InstanceId, channel: ChannelId) -> String {
        let name = self.control.names().channel(instance, channel);
        name.map_or_else(String::new, |name| format!("{}.{}", name.instance, name.channel))
    }
}

fn last_value(passage: LastPassage) -> LastValue {
    let age = passage.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    LastValue { value: passage.value, count: passage.count, ago_ms: age }
}
