//! The state file from the loop's side: copies the last values of all channels, and puts them back
//! at a start.
//!
//! The names that scripts have added are left out where the file would become too large with them:
//! without a bound, a few scripts could keep the values of the whole show from being written.

use super::EventLoop;
use super::restored_outputs::RestoredOutputs;
use crate::backends::echoes;
use crate::ids::InstanceId;
use crate::instances::data_plane::values::Snapshot;
use crate::show::{LiveInstance, LiveShow};
use crate::state::{Saved, SavedChannel};
use mm_shared::ChannelId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The output value of a channel that has none, as in the file.
const NO_OUTPUT: f64 = -0.0;

/// The names of a show's channels, shared by all values that are saved.
#[derive(Debug, Default)]
pub struct SharedNames {
    instances: Vec<InstanceNames>,
}

#[derive(Debug)]
struct InstanceNames {
    id: InstanceId,
    instance: Arc<str>,
    /// Those of an instance that is not a script.
    channels: Arc<[Arc<str>]>,
}

/// The last values of one instance.
#[derive(Debug)]
enum LastValues {
    Script(Snapshot),
    /// Of each channel, the last values that have come in and that were routed there.
    Other(Arc<[Arc<str>]>, Vec<(Option<f64>, Option<f64>)>),
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

/// The values of all channels; without `added`, only those of channels that mappings use.
fn put_together(all: &[(Arc<str>, LastValues)], added: bool) -> Saved {
    let mut saved = Vec::new();
    for (instance, values) in all {
        match values {
            LastValues::Script(values) => {
                let most = if added { usize::MAX } else { values.mapped() as usize };
                saved.extend(values.saved(instance).take(most));
            }
            LastValues::Other(channels, last) => {
                let known = channels.iter().zip(last).filter(|(_, last)| **last != (None, None));
                saved.extend(known.map(|(channel, (input, output))| SavedChannel {
                    instance: Arc::clone(instance),
                    channel: Arc::clone(channel),
                    input: input.unwrap_or(0.0),
                    output: output.unwrap_or(NO_OUTPUT),
                }));
            }
        }
    }
    Saved { channels: saved }
}

impl EventLoop {
    /// Puts back the values of the last run. Those of outputs are sent when the show runs.
    pub(super) fn restore(&mut self, saved: &Saved) {
        let saved = saved.by_instance();
        let show = Arc::clone(&self.origin.show);
        let (mut outputs, mut inputs) = (HashMap::new(), Vec::new());
        for LiveInstance { id, instance, .. } in show.live_instances() {
            let Some(channels) = saved.get(instance.name.as_str()) else { continue };
            if self.instances.restore(id, channels) {
                continue;
            }
            let names = instance.channels.iter().map(|channel| channel.name.as_str());
            let numbers: HashMap<&str, ChannelId> = names.zip((0..).map(ChannelId)).collect();
            for SavedChannel { channel, input, output, .. } in channels.iter().copied() {
                let Some(number) = numbers.get(&**channel) else { continue };
                if *input > 0.0 {
                    inputs.push((id, *number, *input));
                }
                if output.is_sign_negative() {
                    continue;
                }
                if echoes(instance.backend) {
                    self.router.restore(id, *number, *output);
                } else {
                    outputs.insert((id, *number), *output);
                }
            }
        }
        self.restored = RestoredOutputs::new(&show, outputs, Instant::now());
        let outputs = self.restored.values().map(|((id, number), value)| (id, number, value, true));
        let all = outputs.collect::<Vec<_>>().into_iter();
        for (id, number, value, is_output) in
            all.chain(inputs.into_iter().map(|(id, number, value)| (id, number, value, false)))
        {
            if !is_output {
                self.router.restore_arrival(id, number, value);
            }
            self.with_backends(|backends, access| backends.restore(id, number, value, is_output, access));
        }
    }

    /// Copies the last values of all channels. What it returns puts them together.
    fn saved(&self) -> impl FnOnce() -> Saved + Send + 'static {
        let mut all = Vec::new();
        let without_failsafe = self.values_without_failsafe();
        for InstanceNames { id, instance, channels } in &self.names.instances {
            let values = match self.instances.values(*id) {
                Some(values) => LastValues::Script(values.snapshot()),
                None => {
                    let numbers = (0..).map(ChannelId).take(channels.len());
                    let unsent = |number| self.restored.value(*id, number);
                    let own = |number| without_failsafe.get(&(*id, number)).copied();
                    let routed = |number| own(number).or_else(|| self.router.last(*id, number));
                    let last = |number| routed(number).or_else(|| unsent(number));
                    let input = |number| Some(self.router.passages(*id, number).0?.value);
                    let both = numbers.map(|number| (input(number), last(number))).collect();
                    LastValues::Other(Arc::clone(channels), both)
                }
            };
            all.push((Arc::clone(instance), values));
        }
        move || {
            let saved = put_together(&all, true);
            if saved.fits() { saved } else { put_together(&all, false) }
        }
    }

    /// What outputs that failsafe has set would show if their instances ran. A value of failsafe is
    /// not one to go back to at the next start, when the instance runs.
    fn values_without_failsafe(&self) -> HashMap<(InstanceId, ChannelId), f64> {
        let mut values = HashMap::new();
        for (instance, channel, set_to, own) in self.instances.failsafe_values() {
            for target in self.router.targets(instance, channel) {
                // Another source may have sent something since.
                if self.router.last(target.instance, target.channel) == Some(set_to) {
                    values.insert((target.instance, target.channel), own);
                }
            }
        }
        values
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
