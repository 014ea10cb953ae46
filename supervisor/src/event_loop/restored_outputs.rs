//! Output values of the last run: after a power cut, devices show again what they showed before.
//!
//! A channel of a backend gets the value that it had last, once, unless the show sends another one
//! before. So what is sent first is the script's, where the script sends at its import: a value
//! waits for the Python instances that are mapped to its channel, until they serve or have failed
//! to start. An instance that echoes (`loopback`) gets none: it would be an event that nothing has
//! caused.

use super::EventLoop;
use crate::backends::{PYTHON, echoes, repeats_outputs};
use crate::ids::InstanceId;
use crate::show::LiveShow;
use crate::show::change::ShowChange;
use mm_shared::ChannelId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked at whether instances have started.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// The most values that are sent per turn of the loop.
const TURN_LIMIT: usize = 256;

type Output = (InstanceId, ChannelId);

/// The values that have not been sent yet.
#[derive(Debug, Default)]
pub struct RestoredOutputs {
    values: HashMap<Output, f64>,
    /// The outputs by the instances that they wait for.
    groups: BTreeMap<BTreeSet<InstanceId>, Vec<Output>>,
    next_look: Option<Instant>,
}

impl RestoredOutputs {
    /// The outputs of `show` among these values; all are due at `now` as far as nothing is waited
    /// for.
    #[must_use]
    pub fn new(show: &LiveShow, mut values: HashMap<Output, f64>, now: Instant) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let all: BTreeSet<InstanceId> = show.instances_of(PYTHON).iter().map(|live| live.id).collect();
        let mut sources: HashMap<Output, BTreeSet<InstanceId>> = HashMap::new();
        for mapping in &show.mappings {
            let Ok(channel) = u32::try_from(mapping.to.channel) else { continue };
            let output = (show.id(mapping.to.instance), ChannelId(channel));
            if !values.contains_key(&output) {
                continue;
            }
            let backend = show.instances[mapping.from.instance].backend;
            let waits_for = sources.entry(output).or_default();
            if backend == PYTHON {
                waits_for.insert(show.id(mapping.from.instance));
            } else if echoes(backend) {
                // What is behind it may be any of them.
                waits_for.extend(&all);
            }
        }
        // A channel that no mapping leads to any more is not an output.
        values.retain(|output, _| sources.contains_key(output));
        let mut groups: BTreeMap<BTreeSet<InstanceId>, Vec<Output>> = BTreeMap::new();
        for (output, instances) in sources {
            groups.entry(instances).or_default().push(output);
        }
        groups.values_mut().for_each(|outputs| outputs.sort_unstable_by(|one, two| two.cmp(one)));
        Self { values, groups, next_look: Some(now) }
    }

    /// A new show is applied: channels that no mapping uses any more are no outputs.
    pub fn renumber(&mut self, change: &ShowChange) {
        let now = |(instance, channel): Output| Some((instance, change.channel(instance, channel)?));
        let values = std::mem::take(&mut self.values);
        self.values = values.into_iter().filter_map(|(output, value)| Some((now(output)?, value))).collect();
        for outputs in self.groups.values_mut() {
            *outputs = outputs.drain(..).filter_map(now).collect();
        }
    }

    /// When [`RestoredOutputs::take`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next_look
    }

    /// All values that have not been sent yet.
    pub fn values(&self) -> impl Iterator<Item = (Output, f64)> {
        self.values.iter().map(|(output, value)| (*output, *value))
    }

    /// The value of an output that has not been sent yet.
    #[must_use]
    pub fn value(&self, instance: InstanceId, channel: ChannelId) -> Option<f64> {
        self.values.get(&(instance, channel)).copied()
    }

    /// Takes out some of the outputs whose instances have started.
    pub fn take(
        &mut self,
        now: Instant,
        mut has_started: impl FnMut(InstanceId) -> bool,
    ) -> Vec<(Output, f64)> {
        let mut due: Vec<Output> = Vec::new();
        if self.next_look.is_none_or(|at| now < at) {
            return Vec::new();
        }
        let mut is_limited = false;
        for (instances, outputs) in &mut self.groups {
            if instances.iter().all(|instance| has_started(*instance)) {
                let first = outputs.len().saturating_sub(TURN_LIMIT - due.len());
                due.extend(outputs.drain(first..).rev());
                is_limited |= !outputs.is_empty();
            }
        }
        self.groups.retain(|_, outputs| !outputs.is_empty());
        self.next_look =
            (!self.groups.is_empty()).then(|| if is_limited { now } else { now + LOOK_INTERVAL });
        due.into_iter().filter_map(|output| Some((output, self.values.remove(&output)?))).collect()
    }
}

impl EventLoop {
    /// Sends values of the last run on outputs that have not got another one.
    pub(super) fn send_restored(&mut self, now: Instant) {
        let Self { restored, instances, .. } = self;
        for ((instance, channel), value) in restored.take(now, |id| instances.has_settled(id, now)) {
            if self.router.last(instance, channel).is_some() {
                continue;
            }
            self.router.note_delivery(instance, channel, value);
            self.control.monitor_delivery(instance, channel, value);
            self.with_backends(|backends, access| backends.handle(instance, channel, value, access));
        }
    }

    /// Hands the last values of their outputs to backends that were opened again and need them.
    pub(super) fn repeat_outputs(&mut self) {
        for id in self.backends.take_reopened() {
            let show = Arc::clone(&self.origin.show);
            let Some(instance) = show.instance(id).filter(|instance| repeats_outputs(instance.backend))
            else {
                continue;
            };
            for (channel, _) in (0..).map(ChannelId).zip(&instance.channels) {
                if let Some(value) = self.router.last(id, channel) {
                    self.with_backends(|backends, access| backends.handle(id, channel, value, access));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_shows::live_show;

    const SHOW: &str = "[loopback l]\n[osc o]\nbind = * 1\ndest = h 1\n/* = f 0 1\n[python p]\nmodule = m\n\
        [python q]\nmodule = m\n[map]\nl.x > o./l\np.x > o./p\nq.x > o./q\nq.y > o./p\no./i > o./o\n";

    /// The channels of `o` in the order in which they are due, when those of these instances have
    /// started.
    fn due(restored: &mut RestoredOutputs, started: &[usize], now: Instant) -> Vec<u32> {
        let taken = restored.take(now, |id| started.contains(&id.0));
        taken.into_iter().map(|((_, channel), _)| channel.0).collect()
    }

    #[test]
    fn an_output_waits_for_the_instances_that_may_send_on_it() {
        let show = live_show(SHOW);
        let now = Instant::now();
        let o = show.find("o").expect("an instance").id;
        // `/l`, `/p`, `/q`, `/i`, `/o` in the order of their first mention
        let values = (0..5).map(|channel| ((o, ChannelId(channel)), 0.5));
        let mut restored = RestoredOutputs::new(&show, values.collect(), now);
        assert_eq!(restored.value(o, ChannelId(3)), None, "nothing leads to `/i`");
        assert_eq!(restored.value(o, ChannelId(1)), Some(0.5));
        assert_eq!(due(&mut restored, &[], now), [4]);
        let next = restored.deadline().expect("something waits");
        assert_eq!(due(&mut restored, &[3], now), [0; 0]);
        assert_eq!(due(&mut restored, &[3], next), [2]);
        assert_eq!(due(&mut restored, &[2, 3], next + LOOK_INTERVAL), [0, 1]);
        assert_eq!(restored.deadline(), None);
        assert_eq!(restored.value(o, ChannelId(1)), None);
    }

    #[test]
    fn many_outputs_are_sent_in_several_turns() {
        let many = "[osc o]\nbind = * 1\ndest = h 1\n/* = f 0 1\n[map]\no./i > o./o{1..1000}\n";
        let show = live_show(many);
        let now = Instant::now();
        let values = (1..=1000).map(|channel| ((InstanceId(0), ChannelId(channel)), 0.5)).collect();
        let mut restored = RestoredOutputs::new(&show, values, now);
        let mut turns = Vec::new();
        while restored.deadline() == Some(now) {
            turns.extend(due(&mut restored, &[2, 3], now));
        }
        assert_eq!(turns, (1..=1000).collect::<Vec<u32>>());
    }
}
