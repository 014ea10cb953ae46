//! Failsafe: what an instance's output channels are set to while it does not run, and back again.
//!
//! The instance's own last values stay as they are, so that they can be sent again: when it runs
//! again, each channel that was set gets its last value back, unless the script has sent another
//! one by then. A channel on which the script has never sent has no value to get back: it stays as
//! it was set.

use crate::instances::options::{FailsafeRule, PythonOptions};
use crate::show::change::Renumbering;
use mm_config::Show;
use mm_shared::ChannelId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a script that runs again has to send values of its own before the last ones are sent
/// again.
pub const GIVE_BACK_DELAY: Duration = Duration::from_millis(20);

/// The failsafe of one instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Failsafe {
    /// Channels that are set, with their values.
    settings: Vec<(ChannelId, f64)>,
    after: Duration,
    state: FailsafeState,
}

#[derive(Debug, Clone, PartialEq)]
enum FailsafeState {
    /// The instance runs and sets its channels itself.
    Inactive,
    /// The instance does not run.
    Waiting(Instant),
    /// The channels are set.
    Set,
    /// The instance runs again; these channels have not been sent on yet.
    GivingBack(Instant, BTreeSet<ChannelId>),
}

impl Failsafe {
    /// The failsafe of instance number `instance`, which does not run yet.
    #[must_use]
    pub fn new(show: &Show, instance: usize, options: &PythonOptions) -> Self {
        let outputs: BTreeSet<usize> = show
            .mappings
            .iter()
            .filter(|mapping| mapping.from.instance == instance)
            .map(|mapping| mapping.from.channel)
            .collect();
        let channels = &show.instances[instance].channels;
        let value = |channel: usize| match options.failsafe_channels.get(&channels[channel].name) {
            Some(value) => Some(*value),
            None => (options.failsafe == FailsafeRule::Zero).then_some(0.0),
        };
        let settings = outputs
            .into_iter()
            .filter_map(|channel| Some((ChannelId(u32::try_from(channel).ok()?), value(channel)?)));
        Self { settings: settings.collect(), after: options.failsafe_after, state: FailsafeState::Inactive }
    }

    /// The show was read again: these settings count from now on, and its channel numbers.
    pub fn update(&mut self, new: Failsafe, renumbering: Renumbering<'_>) {
        if let FailsafeState::GivingBack(_, channels) = &mut self.state {
            *channels = channels.iter().filter_map(|channel| renumbering.channel(*channel)).collect();
        }
        self.settings = new.settings;
        self.after = new.after;
    }

    /// The instance has ceased to run.
    pub fn ceased(&mut self, now: Instant) {
        if self.settings.is_empty() {
            return;
        }
        match &self.state {
            FailsafeState::Inactive => self.state = FailsafeState::Waiting(now + self.after),
            // none has been given back, so all are as they were set
            FailsafeState::GivingBack(_, channels) if channels.len() == self.settings.len() => {
                self.state = FailsafeState::Set;
            }
            FailsafeState::GivingBack(..) => self.state = FailsafeState::Waiting(now + self.after),
            FailsafeState::Waiting(_) | FailsafeState::Set => {}
        }
    }

    /// The instance runs again.
    pub fn resumed(&mut self, now: Instant) {
        self.state = match self.state {
            FailsafeState::Set => {
                let channels = self.settings.iter().map(|(channel, _)| *channel).collect();
                FailsafeState::GivingBack(now + GIVE_BACK_DELAY, channels)
            }
            _ => FailsafeState::Inactive,
        };
    }

    /// The script has not begun to serve yet: the time in which it may send values of its own
    /// starts again.
    pub fn postpone(&mut self, now: Instant) {
        if let FailsafeState::GivingBack(at, _) = &mut self.state {
            *at = now + GIVE_BACK_DELAY;
        }
    }

    /// Whether [`Failsafe::sent`] has to be called.
    #[must_use]
    pub fn is_giving_back(&self) -> bool {
        matches!(self.state, FailsafeState::GivingBack(..))
    }

    /// The script has sent on a channel, so its last value is not sent again.
    pub fn sent(&mut self, channel: ChannelId) {
        if let FailsafeState::GivingBack(_, channels) = &mut self.state {
            channels.remove(&channel);
        }
    }

    /// The channels that are set, with what they are set to.
    pub fn set(&self) -> impl Iterator<Item = (ChannelId, f64)> {
        let is_set = |channel: &ChannelId| match &self.state {
            FailsafeState::Set => true,
            FailsafeState::GivingBack(_, channels) => channels.contains(channel),
            FailsafeState::Inactive | FailsafeState::Waiting(_) => false,
        };
        self.settings.iter().copied().filter(move |(channel, _)| is_set(channel))
    }

    /// When [`Failsafe::due`] has something.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            FailsafeState::Waiting(at) | FailsafeState::GivingBack(at, _) => Some(at),
            FailsafeState::Inactive | FailsafeState::Set => None,
        }
    }

    /// What is to be sent on the instance's channels now; `last` gives a channel's last value of
    /// its own, if it has one.
    pub fn due(&mut self, now: Instant, last: impl Fn(ChannelId) -> Option<f64>) -> Vec<(ChannelId, f64)> {
        if self.deadline().is_none_or(|at| now < at) {
            return Vec::new();
        }
        match std::mem::replace(&mut self.state, FailsafeState::Inactive) {
            FailsafeState::GivingBack(_, channels) => {
                channels.into_iter().filter_map(|channel| Some((channel, last(channel)?))).collect()
            }
            _ => {
                self.state = FailsafeState::Set;
                self.settings.clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failsafe() -> Failsafe {
        let after = Duration::from_secs(1);
        Failsafe {
            settings: vec![(ChannelId(0), 0.0), (ChannelId(3), 0.5)],
            after,
            state: FailsafeState::Inactive,
        }
    }

    /// One that was set after a second, and whose instance runs again after two.
    fn giving_back(start: Instant) -> Failsafe {
        let mut failsafe = failsafe();
        failsafe.ceased(start);
        assert_eq!(failsafe.due(start + Duration::from_secs(1), |_| Some(0.9)).len(), 2);
        failsafe.resumed(start + Duration::from_secs(2));
        failsafe
    }

    #[test]
    fn channels_are_set_when_the_instance_has_not_run_for_that_long() {
        let start = Instant::now();
        let mut failsafe = failsafe();
        failsafe.ceased(start);
        assert_eq!(failsafe.due(start + Duration::from_millis(999), |_| Some(0.9)), []);
        assert_eq!(
            failsafe.due(start + Duration::from_secs(1), |_| Some(0.9)),
            [(ChannelId(0), 0.0), (ChannelId(3), 0.5)]
        );
        assert_eq!(failsafe.deadline(), None);
    }

    #[test]
    fn channels_are_set_until_each_has_its_own_value_again() {
        let start = Instant::now();
        let mut failsafe = failsafe();
        assert_eq!(failsafe.set().count(), 0);
        failsafe.ceased(start);
        assert_eq!(failsafe.set().count(), 0);
        failsafe.due(start + Duration::from_secs(1), |_| Some(0.9));
        assert_eq!(failsafe.set().collect::<Vec<_>>(), [(ChannelId(0), 0.0), (ChannelId(3), 0.5)]);
        failsafe.resumed(start + Duration::from_secs(2));
        failsafe.sent(ChannelId(0));
        assert_eq!(failsafe.set().collect::<Vec<_>>(), [(ChannelId(3), 0.5)]);
        failsafe.due(start + Duration::from_secs(3), |_| Some(0.9));
        assert_eq!(failsafe.set().count(), 0);
    }

    #[test]
    fn a_short_break_sets_nothing() {
        let start = Instant::now();
        let mut failsafe = failsafe();
        failsafe.ceased(start);
        failsafe.resumed(start + Duration::from_millis(10));
        assert_eq!(failsafe.deadline(), None);
    }

    #[test]
    fn last_values_come_back_where_the_script_has_sent_no_others() {
        let start = Instant::now();
        let mut failsafe = giving_back(start);
        failsafe.sent(ChannelId(0));
        assert_eq!(failsafe.due(start + Duration::from_secs(3), |_| Some(0.9)), [(ChannelId(3), 0.9)]);
    }

    #[test]
    fn a_channel_that_the_script_has_never_set_stays_as_it_was_set() {
        let start = Instant::now();
        let mut failsafe = giving_back(start);
        let last = |channel| (channel == ChannelId(0)).then_some(0.9);
        assert_eq!(failsafe.due(start + Duration::from_secs(3), last), [(ChannelId(0), 0.9)]);
    }

    #[test]
    fn a_script_that_takes_its_time_to_begin_is_waited_for() {
        let start = Instant::now();
        let mut failsafe = giving_back(start);
        failsafe.postpone(start + Duration::from_secs(3));
        assert_eq!(failsafe.due(start + Duration::from_secs(3), |_| Some(0.9)), []);
        assert_eq!(
            failsafe.due(start + Duration::from_secs(4), |_| Some(0.9)),
            [(ChannelId(0), 0.9), (ChannelId(3), 0.9)]
        );
    }

    #[test]
    fn an_instance_that_dies_again_at_once_leaves_the_channels_set() {
        let start = Instant::now();
        let mut failsafe = giving_back(start);
        failsafe.ceased(start + Duration::from_secs(2));
        assert_eq!(failsafe.state, FailsafeState::Set);
    }

    #[test]
    fn an_instance_that_sends_and_dies_again_at_once_has_its_channels_set_again() {
        let start = Instant::now();
        let mut failsafe = giving_back(start);
        failsafe.sent(ChannelId(0));
        failsafe.ceased(start + Duration::from_secs(2));
        assert_eq!(
            failsafe.due(start + Duration::from_secs(3), |_| Some(0.9)),
            [(ChannelId(0), 0.0), (ChannelId(3), 0.5)]
        );
    }
}
