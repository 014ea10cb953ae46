//! The clients that monitor, as the event loop sees them. Without any, an event costs one
//! comparison.

use super::event_stream::{EventSender, MonitorEvent, event_stream};
use super::name_index::NameIndex;
use super::pattern::ChannelPattern;
use super::protocol::EventDirection;
use super::request::{Responder, Response};
use crate::ids::InstanceId;
use mm_shared::ChannelId;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// All clients that monitor.
#[derive(Debug, Default)]
pub struct Monitors {
    monitors: Vec<Monitor>,
    /// The time of this turn's first event; the others of the turn share it.
    time_ms: Option<u64>,
}

#[derive(Debug)]
struct Monitor {
    sender: EventSender,
    pattern: Option<ChannelPattern>,
    /// By instance and number of the channel; grows as events pass.
    visibility: Vec<Vec<Visibility>>,
    /// Whether it has events of this turn.
    has_events: bool,
}

/// Whether a channel matches the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visibility {
    Unknown,
    Visible,
    Hidden,
}

impl Monitors {
    /// Whether no client monitors.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.monitors.is_empty()
    }

    /// Adds a client, or refuses a pattern that can never match.
    pub fn add(&mut self, pattern: Option<&str>, names: &NameIndex, responder: Responder) {
        self.monitors.retain(|monitor| !monitor.sender.is_disconnected());
        let pattern = match pattern.map(|text| names.pattern(text)).transpose() {
            Ok(pattern) => pattern,
            Err(error) => {
                responder.refuse(error);
                return;
            }
        };
        let (sender, receiver) = event_stream();
        if responder.respond(Response::Monitoring(receiver)) {
            self.monitors.push(Monitor { sender, pattern, visibility: Vec::new(), has_events: false });
        }
    }

    /// Notes an event that passes.
    #[inline]
    pub fn record(
        &mut self,
        names: &NameIndex,
        instance: InstanceId,
        channel: ChannelId,
        direction: EventDirection,
        value: f64,
    ) {
        if !self.monitors.is_empty() {
            self.push(names, MonitorEvent { instance, channel, direction, value, time_ms: 0 });
        }
    }

    #[cold]
    fn push(&mut self, names: &NameIndex, event: MonitorEvent) {
        let event = MonitorEvent { time_ms: *self.time_ms.get_or_insert_with(now), ..event };
        for monitor in &mut self.monitors {
            if monitor.is_visible(names, event.instance, event.channel) {
                monitor.has_events = true;
                monitor.sender.push(event);
            }
        }
    }

    /// Hands the events of this turn over to the clients, and forgets clients that are gone.
    #[inline]
    pub fn flush(&mut self, names: &Arc<NameIndex>) {
        if self.time_ms.take().is_some() {
            self.monitors.retain_mut(|monitor| {
                !std::mem::take(&mut monitor.has_events) || monitor.sender.flush(names)
            });
        }
    }

    /// Forgets which channels match; for new names.
    pub fn forget_names(&mut self) {
        for monitor in &mut self.monitors {
            monitor.visibility.clear();
        }
    }
}

impl Monitor {
    fn is_visible(&mut self, names: &NameIndex, instance: InstanceId, channel: ChannelId) -> bool {
        let known = self.visibility.get(instance.0).and_then(|channels| channels.get(channel.index()));
        match known {
            Some(Visibility::Visible) => true,
            Some(Visibility::Hidden) => false,
            Some(Visibility::Unknown) | None => self.look_up(names, instance, channel),
        }
    }

    fn look_up(&mut self, names: &NameIndex, instance: InstanceId, channel: ChannelId) -> bool {
        let Some(name) = names.channel(instance, channel) else { return false };
        let is_visible = self.pattern.as_ref().is_none_or(|pattern| pattern.matches(name));
        let channel = channel.index();
        if self.visibility.len() <= instance.0 {
            self.visibility.resize(instance.0 + 1, Vec::new());
        }
        let channels = &mut self.visibility[instance.0];
        if channels.len() <= channel {
            channels.resize(channel + 1, Visibility::Unknown);
        }
        channels[channel] = if is_visible { Visibility::Visible } else { Visibility::Hidden };
        is_visible
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::event_stream::{EventReceiver, StreamState};
    use crate::control::name_index::tests::names;
    use crate::control::protocol::ControlReply;
    use crate::control::request::response_channel;
    use std::time::Duration;

    struct TestLoop {
        names: Arc<NameIndex>,
        monitors: Monitors,
    }

    impl TestLoop {
        fn new() -> Self {
            let names = names("[loopback a]\n[loopback b]\n[map]\na.x > b.y\na.z > b.y\n");
            Self { names: Arc::new(names), monitors: Monitors::default() }
        }

        fn add(&mut self, pattern: Option<&str>) -> Result<EventReceiver, ControlReply> {
            let (responder, receiver) = response_channel();
            self.monitors.add(pattern, &self.names, responder);
            match receiver.receive(Duration::ZERO) {
                Some(Response::Monitoring(events)) => Ok(events),
                Some(Response::Reply(reply)) => Err(*reply),
                None => panic!("no response"),
            }
        }

        /// One turn with these events.
        fn turn(&mut self, events: &[(usize, u32)]) {
            for (instance, channel) in events {
                let instance = InstanceId(*instance);
                self.monitors.record(&self.names, instance, ChannelId(*channel), EventDirection::Out, 0.5);
            }
            self.monitors.flush(&self.names);
        }
    }

    fn received(receiver: &EventReceiver) -> Vec<String> {
        let batches = std::iter::from_fn(|| match receiver.receive(Duration::ZERO) {
            StreamState::Batch(batch) => Some(batch),
            _ => None,
        });
        let batches: Vec<_> = batches.collect();
        let events = batches.iter().flat_map(|batch| batch.replies());
        events.map(|event| format!("{}.{}", event.instance, event.channel)).collect()
    }

    #[test]
    fn each_client_sees_the_events_it_asked_for() {
        let mut test = TestLoop::new();
        let (all, some) = (test.add(None).unwrap(), test.add(Some("a.z")).unwrap());
        test.turn(&[(0, 0), (0, 1)]);
        test.turn(&[(1, 0), (0, 1), (7, 0)]);
        assert_eq!(received(&all), ["a.x", "a.z", "b.y", "a.z"]);
        assert_eq!(received(&some), ["a.z", "a.z"]);
    }

    #[test]
    fn a_pattern_for_nothing_is_refused() {
        let mut test = TestLoop::new();
        assert!(matches!(test.add(Some("c.*")), Err(ControlReply::Refused(_))));
        assert!(test.monitors.is_empty());
    }

    #[test]
    fn a_client_that_is_gone_is_forgotten_with_the_next_event_or_client() {
        let mut test = TestLoop::new();
        drop(test.add(None));
        test.turn(&[(0, 0)]);
        assert!(test.monitors.is_empty());
        drop(test.add(Some("b")));
        let _events = test.add(None);
        assert_eq!(test.monitors.monitors.len(), 1);
    }

    #[test]
    fn a_turn_without_events_for_a_client_does_not_wake_it() {
        let mut test = TestLoop::new();
        let events = test.add(Some("b")).unwrap();
        test.turn(&[(0, 0)]);
        assert!(matches!(events.receive(Duration::ZERO), StreamState::Idle));
        test.turn(&[(1, 0)]);
        assert!(matches!(events.receive(Duration::ZERO), StreamState::Batch(_)));
    }
}
