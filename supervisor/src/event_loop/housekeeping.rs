//! What the loop does now and then for others than the show itself: the state file, and the service manager.

use super::{EventLoop, Phase};
use crate::ids::InstanceId;
use crate::state::{Saved, SavedChannel};
use mm_config::{Instance, Show};
use std::sync::Arc;
use std::time::Instant;

/// The names of a show's channels, shared with every state that is saved.
#[derive(Debug, Default)]
pub struct SharedNames {
    instances: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

impl SharedNames {
    /// The names of `show`.
    #[must_use]
    pub fn new(show: &Show) -> Self {
        let channels = |instance: &Instance| {
            instance.channels.iter().map(|channel| Arc::from(channel.name.as_str())).collect()
        };
        let names = |instance: &Instance| (Arc::from(instance.name.as_str()), channels(instance));
        Self { instances: show.instances.iter().map(names).collect() }
    }
}

impl EventLoop {
    /// Puts back the values from before the show was started again.
    pub(super) fn restore(&mut self, saved: &Saved) {
        for SavedChannel { instance, channel, input, output } in &saved.channels {
            let found = self.origin.show.instances.iter().position(|known| *known.name == **instance);
            let Some(no) = found else { continue };
            if self.fleet.restore(InstanceId(no), channel, *input, *output) {
                continue;
            }
            let channels = &self.origin.show.instances[no].channels;
            let number = channels.iter().position(|known| *known.name == **channel);
            if let Some(number) = number.and_then(|number| u32::try_from(number).ok()) {
                self.router.restore(InstanceId(no), number, *output);
                self.hosts.restore(InstanceId(no), number, *output);
            }
        }
    }

    /// The last values of all channels.
    fn saved(&self) -> Saved {
        let mut channels = Vec::new();
        for (no, (instance, names)) in self.names.instances.iter().enumerate() {
            let no = InstanceId(no);
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
                Phase::ExitReason => self.systemd.stopping(&text, now),
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
            (Phase::ExitReason, _) => format!("ending `{name}`"),
            (Phase::Running, (all, serving)) if all == serving => {
                format!("`{name}`: all {all} instances run")
            }
            (Phase::Running, (all, serving)) => format!("`{name}`: {serving} of {all} instances run"),
        }
    }
}
