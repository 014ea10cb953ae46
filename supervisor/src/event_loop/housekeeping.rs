//! What the loop does now and then for others than the show itself: the state file, and the service manager.

use super::{EventLoop, Phase};
use crate::ids::InstanceId;
use crate::show::{LiveInstance, LiveShow};
use crate::state::{Saved, SavedChannel};
use mm_config::Instance;
use std::sync::Arc;
use std::time::Instant;

/// The names of a show's channels, shared with every state that is saved.
#[derive(Debug, Default)]
pub struct SharedNames {
    instances: Vec<(InstanceId, Arc<str>, Vec<Arc<str>>)>,
}

impl SharedNames {
    /// The names of `show`.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        let channels = |instance: &Instance| {
            instance.channels.iter().map(|channel| Arc::from(channel.name.as_str())).collect()
        };
        let names = |live: LiveInstance<'_>| {
            (live.id, Arc::from(live.instance.name.as_str()), channels(live.instance))
        };
        Self { instances: show.live_instances().map(names).collect() }
    }
}

impl EventLoop {
    /// Puts back the values from before the show was started again.
    pub(super) fn restore(&mut self, saved: &Saved) {
        for SavedChannel { instance, channel, input, output } in &saved.channels {
            let Some(LiveInstance { id, instance, .. }) = self.origin.show.find(instance) else { continue };
            if self.fleet.restore(id, channel, *input, *output) {
                continue;
            }
            let number = instance.channels.iter().position(|known| *known.name == **channel);
            if let Some(number) = number.and_then(|number| u32::try_from(number).ok()) {
                self.router.restore(id, number, *output);
                self.hosts.restore(id, number, *output);
            }
        }
    }

    /// The last values of all channels.
    fn saved(&self) -> Saved {
        let mut channels = Vec::new();
        for (no, instance, names) in &self.names.instances {
            let no = *no;
            if let Some(values) = self.fleet.values(no) {
                for (index, (name, input, output)) in values.all().enumerate() {
                    let channel = names.get(index).cloned().unwrap_or_else(|| Arc::from(name));
                    channels.push(SavedChannel { instance: Arc::clone(instance), channel, input, output });
                }
                continue;
            }
            for (channel, number) in names.iter().zip(0..) {
                if let Some(output) = self.router.last(no, number) {
                    let (instance, channel) = (Arc::clone(instance), Arc::clone(channel));
                    channels.push(SavedChannel { instance, channel, input: 0.0, output });
                }
            }
        }
        Saved { channels }
    }

    /// Hands the values over to the state file's thread, if it is time to.
    pub(super) fn keep_state(&mut self, now: Instant) {
        if self.store.as_ref().is_some_and(|store| store.wants_state(now)) {
            let under_way = self.fleet.settle_values();
            let saved = self.saved();
            if let Some(store) = &mut self.store {
                store.save(saved, now);
                if under_way {
                    store.touch();
                }
            }
        }
    }

    /// The show has ended: keeps its last values.
    pub(super) fn keep_last_state(&mut self) {
        if self.store.is_some() {
            let saved = self.saved();
            if let Some(store) = self.store.take() {
                store.finish(saved);
            }
        }
    }

    /// Tells the service manager how the show is, and that the loop is alive.
    pub(super) fn tell_systemd(&mut self, now: Instant) {
        // while the show file is being read again, the service manager waits for the end of that
        if !self.rereading && std::mem::take(&mut self.systemd_status_is_old) {
            let text = self.summary();
            match self.phase {
                Phase::Starting => self.systemd.status(&text, now),
                Phase::Running => self.systemd.ready(&text, now),
                Phase::Ending => self.systemd.stopping(&text, now),
            }
        }
        self.systemd.feed(now);
    }

    fn summary(&self) -> String {
        let name = &self.origin.show.name;
        match (self.phase, self.fleet.serving()) {
            (Phase::Starting, (all, serving)) => {
                format!("starting `{name}`: {serving} of {all} instances run")
            }
            (Phase::Ending, _) => format!("ending `{name}`"),
            (Phase::Running, (all, serving)) if all == serving => {
                format!("`{name}`: all {all} instances run")
            }
            (Phase::Running, (all, serving)) => format!("`{name}`: {serving} of {all} instances run"),
        }
    }
}
