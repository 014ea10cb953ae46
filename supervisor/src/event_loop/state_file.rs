//! The state file from the loop's side: gathers the last values of all channels, and puts them back
//! at a start.

use super::EventLoop;
use super::restored_outputs::RestoredOutputs;
use crate::backends::echoes;
use crate::ids::InstanceId;
use crate::show::{LiveInstance, LiveShow};
use crate::state::{Saved, SavedChannel};
use mm_shared::ChannelId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The names of a show's channels, shared by all values that are saved.
#[derive(Debug, Default)]
pub struct SharedNames {
    instances: Vec<InstanceNames>,
}

#[derive(Debug)]
struct InstanceNames {
    id: InstanceId,
    instance: Arc<str>,
    channels: Vec<Arc<str>>,
}

impl SharedNames {
    /// The names of `show`.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        let names = |live: LiveInstance<'_>| InstanceNames {
            id: live.id,
            instance: Arc::from(live.instance.name.as_str()),
            channels: live.instance.channels.iter().map(|channel| Arc::from(channel.name.as_str())).collect(),
        };
        Self { instances: show.live_instances().map(names).collect() }
    }
}

impl EventLoop {
    /// Puts back the values of the last run. Those of outputs are sent when the show runs.
    pub(super) fn restore(&mut self, saved: &Saved) {
        let saved = saved.by_instance();
        let show = Arc::clone(&self.origin.show);
        let mut outputs = HashMap::new();
        for LiveInstance { id, instance, .. } in show.live_instances() {
            let Some(channels) = saved.get(instance.name.as_str()) else { continue };
            if self.instances.restore(id, channels) {
                continue;
            }
            let names = instance.channels.iter().map(|channel| channel.name.as_str());
            let numbers: HashMap<&str, ChannelId> = names.zip((0..).map(ChannelId)).collect();
            for saved in channels {
                if let Some(number) = numbers.get(&*saved.channel) {
                    if echoes(instance.backend) {
                        self.router.restore(id, *number, saved.output);
                    } else {
                        outputs.insert((id, *number), saved.output);
                    }
                    self.with_backends(|backends, access| {
                        backends.restore(id, *number, saved.output, access);
                    });
                }
            }
        }
        self.restored = RestoredOutputs::new(&show, outputs, Instant::now());
    }

    /// The last values of all channels.
    fn saved(&self) -> Saved {
        let mut saved = Vec::new();
        for InstanceNames { id, instance, channels } in &self.names.instances {
            let instance = || Arc::clone(instance);
            if let Some(values) = self.instances.values(*id) {
                for (index, (name, input, output)) in values.all().enumerate() {
                    let channel = channels.get(index).cloned().unwrap_or_else(|| Arc::from(name));
                    saved.push(SavedChannel { instance: instance(), channel, input, output });
                }
                continue;
            }
            for (channel, number) in channels.iter().zip((0..).map(ChannelId)) {
                let unsent = || self.restored.value(*id, number);
                if let Some(output) = self.router.last(*id, number).or_else(unsent) {
                    let channel = Arc::clone(channel);
                    saved.push(SavedChannel { instance: instance(), channel, input: 0.0, output });
                }
            }
        }
        Saved { channels: saved }
    }

    /// Hands the values over to the state file if it is time to.
    pub(super) fn save_values(&mut self, now: Instant) {
        if self.state_file.as_ref().is_some_and(|file| file.wants_values(now)) {
            let under_way = self.instances.update_values();
            let saved = self.saved();
            if let Some(file) = &mut self.state_file {
                file.try_put(saved, now);
                if under_way {
                    file.touch();
                }
            }
        }
    }

    /// Writes the values of the end of the show.
    pub(super) fn save_last_values(&mut self) {
        if self.state_file.is_some() {
            let saved = self.saved();
            if let Some(file) = self.state_file.take() {
                file.finish(saved);
            }
        }
    }
}
