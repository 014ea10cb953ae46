//! The clients that monitor, as the event loop sees them. Without any, an event costs one comparison.

use super::name_index::Names;
use super::pattern::Pattern;
use super::protocol::{Direction, Reply};
use super::request::{Answer, Passing};
use crate::ids::InstanceId;
use std::time::{SystemTime, UNIX_EPOCH};

/// All clients that monitor.
#[derive(Debug, Default)]
pub struct Watchers {
    watchers: Vec<Watcher>,
}

#[derive(Debug)]
struct Watcher {
    answer: Answer,
    pattern: Option<Pattern>,
    /// What is known of each channel, by instance and number; grows as events pass.
    known: Vec<Vec<Known>>,
    /// Whether it was given something since it was woken last.
    fresh: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Shown,
    Hidden,
}

impl Watchers {
    /// Whether nobody monitors.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Takes in a client, or refuses what it asks for.
    pub fn add(&mut self, pattern: Option<&str>, names: &Names, answer: Answer) {
        self.watchers.retain(|watcher| !watcher.answer.is_forsaken());
        let pattern = match pattern.map(|text| names.pattern(text)).transpose() {
            Ok(pattern) => pattern,
            Err(refusal) => {
                answer.refuse(refusal);
                return;
            }
        };
        if answer.give(Reply::Monitoring {}) {
            self.watchers.push(Watcher { answer, pattern, known: Vec::new(), fresh: false });
        }
    }

    /// An event passes.
    #[inline]
    pub fn pass(&mut self, names: &Names, instance: InstanceId, channel: u32, way: Direction, value: f64) {
        if !self.watchers.is_empty() {
            self.show(names, instance, channel, way, value);
        }
    }

    #[cold]
    fn show(&mut self, names: &Names, instance: InstanceId, channel: u32, way: Direction, value: f64) {
        let Some(name) = names.channel(instance, channel) else { return };
        let mut time_ms = None;
        self.watchers.retain_mut(|watcher| {
            let known = watcher.known(instance, channel);
            if *known == Known::Nothing {
                let shown = watcher.pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
                *watcher.known(instance, channel) = if shown { Known::Shown } else { Known::Hidden };
            }
            if *watcher.known(instance, channel) == Known::Hidden {
                return true;
            }
            let time_ms = *time_ms.get_or_insert_with(now);
            watcher.fresh = true;
            watcher.answer.pass(Passing { name: name.clone(), way, value, time_ms })
        });
    }

    /// Wakes the clients for what they were given; once a turn of the loop is enough.
    #[inline]
    pub fn wake(&mut self) {
        for watcher in self.watchers.iter_mut().filter(|watcher| watcher.fresh) {
            watcher.fresh = false;
            watcher.answer.wake();
        }
    }

    /// The show's names have changed.
    pub fn forget_names(&mut self) {
        for watcher in &mut self.watchers {
            watcher.known.clear();
        }
    }
}

impl Watcher {
    fn known(&mut self, instance: InstanceId, channel: u32) -> &mut Known {
        let channel = channel as usize;
        if self.known.len() <= instance.0 {
            self.known.resize(instance.0 + 1, Vec::new());
        }
        let channels = &mut self.known[instance.0];
        if channels.len() <= channel {
            channels.resize(channel + 1, Known::Nothing);
        }
        &mut channels[channel]
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::name_index::tests::names;
    use crate::control::request::{Ask, Heard, Lane, lane};
    use mm_shared::Doorbell;
    use std::sync::Arc;

    struct Stage {
        names: Names,
        watchers: Watchers,
        bell: Arc<Doorbell>,
    }

    impl Stage {
        fn new() -> Self {
            let names = names("[loopback a]\n[loopback b]\n[map]\na.x > b.y\na.z > b.y\n");
            Self { names, watchers: Watchers::default(), bell: Arc::new(Doorbell::new().unwrap()) }
        }

        fn add(&mut self, pattern: Option<&str>) -> Lane {
            let (answer, lane) = lane(&Ask::Monitor { pattern: None }, &self.bell);
            self.watchers.add(pattern, &self.names, answer);
            lane
        }

        fn pass(&mut self, instance: usize, channel: u32) {
            self.watchers.pass(&self.names, InstanceId(instance), channel, Direction::Out, 0.5);
        }
    }

    fn heard(lane: &Lane) -> Vec<String> {
        std::iter::from_fn(|| match lane.hear() {
            Heard::Reply(Reply::Event(event)) => Some(format!("{}.{}", event.instance, event.channel)),
            Heard::Reply(other) => Some(format!("{other:?}")),
            Heard::Nothing | Heard::Ended => None,
        })
        .collect()
    }

    #[test]
    fn each_client_sees_the_events_it_asked_for() {
        let mut stage = Stage::new();
        let (all, some) = (stage.add(None), stage.add(Some("a.z")));
        for (instance, channel) in [(0, 0), (0, 1), (1, 0), (0, 1), (7, 0)] {
            stage.pass(instance, channel);
        }
        assert_eq!(heard(&all), ["Monitoring", "a.x", "a.z", "b.y", "a.z"]);
        assert_eq!(heard(&some), ["Monitoring", "a.z", "a.z"]);
    }

    #[test]
    fn a_pattern_for_nothing_is_refused() {
        let mut stage = Stage::new();
        let lane = stage.add(Some("c.*"));
        assert!(matches!(lane.hear(), Heard::Reply(Reply::Refused(_))));
        assert!(stage.watchers.is_empty());
    }

    #[test]
    fn a_client_that_is_gone_is_forgotten_with_the_next_event_or_client() {
        let mut stage = Stage::new();
        drop(stage.add(None));
        stage.pass(0, 0);
        assert!(stage.watchers.is_empty());
        drop(stage.add(Some("b")));
        let _lane = stage.add(None);
        assert_eq!(stage.watchers.watchers.len(), 1);
    }

    #[test]
    fn a_turn_without_events_for_a_client_does_not_wake_it() {
        let mut stage = Stage::new();
        let _lane = stage.add(Some("b"));
        stage.bell.clear();
        stage.pass(0, 0);
        stage.watchers.wake();
        assert!(!stage.bell.clear());
        stage.pass(1, 0);
        stage.watchers.wake();
        assert!(stage.bell.clear());
    }
}
