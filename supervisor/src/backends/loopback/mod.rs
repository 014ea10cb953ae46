//! `loopback`: an event that goes in on a channel comes out on the same channel.
//!
//! It has no options (those a show sets are ignored), no port and nothing to encode, so this file is all of it.
//! A mapping can turn a loopback into a loop; bounding the work of one step is the router's affair.

use super::{Backend, BackendKind, EventSink, OpenError, Plan, Watch};
use crate::ids::InstanceId;
use crate::show::LiveInstance;
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use mm_shared::ChannelId;
use std::time::Instant;

/// The backend as the show file knows it.
pub struct LoopbackKind;

impl BackendKind for LoopbackKind {
    fn spec(&self) -> BackendSpec {
        BackendSpec { name: "loopback", options: &[], ignores_options: true }
    }

    fn echoes(&self) -> bool {
        true
    }

    fn plan(
        &self,
        _section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        _diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        instances.iter().map(|live| Box::new(Loopback { no: live.id }) as Box<dyn Plan>).collect()
    }
}

/// An instance, which is its own plan: there is nothing to open.
#[derive(Debug, Clone, Copy)]
struct Loopback {
    no: InstanceId,
}

impl Plan for Loopback {
    fn instances(&self) -> Vec<InstanceId> {
        vec![self.no]
    }

    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        Ok(Box::new(*self))
    }
}

impl Backend for Loopback {
    fn watches(&self) -> Vec<Watch<'_>> {
        Vec::new()
    }

    fn receive(&mut self, _token: u32, _inlet: &mut EventSink) {}

    fn handle(&mut self, instance: InstanceId, channel: ChannelId, value: f64, sink: &mut EventSink) {
        sink.push(instance, channel, value);
    }

    fn flush(&mut self) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn tick(&mut self, _now: Instant, _inlet: &mut EventSink) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::Incoming;
    use mm_config::{FileId, Instance, Setting, Span, Spanned};
    use std::path::PathBuf;

    fn instance() -> Instance {
        let span = Span { file: FileId(0), start: 0, end: 0 };
        let spanned = |text: &str| Spanned { value: text.to_string(), span };
        let ignored = Setting { key: spanned("any"), value: spanned("thing"), directory: PathBuf::new() };
        let (settings, channels) = (vec![ignored], Vec::new());
        Instance { name: "loop".into(), backend: "loopback", settings, channels, span }
    }

    #[test]
    fn what_goes_in_on_a_channel_comes_out_on_the_same_channel_in_order() {
        let no = InstanceId(4);
        let instance = instance();
        let live = LiveInstance { id: no, place: 0, instance: &instance };
        let mut plans = LoopbackKind.plan(None, &[live], &mut Diagnostics::default());
        assert_eq!(plans.len(), 1);
        let plan = plans.remove(0);
        assert_eq!(plan.instances(), [no]);
        let mut backend = plan.open().expect("there is nothing to open");
        let mut sink = EventSink::default();

        for (channel, value) in [(0, 0.25), (7, 1.0), (0, 0.25)] {
            backend.handle(no, ChannelId(channel), value, &mut sink);
        }
        backend.flush();

        let out: Vec<_> = sink.drain().collect();
        let event = |channel, value| Incoming { instance: no, channel: ChannelId(channel), value };
        assert_eq!(out, [event(0, 0.25), event(7, 1.0), event(0, 0.25)]);
        assert!(backend.watches().is_empty() && backend.deadline().is_none());
    }
}
