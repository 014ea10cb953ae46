//! `loopback`: an event that goes in on a channel comes out on the same channel.
//!
//! It has no options (those a show sets are ignored), no port and nothing to encode, so this file
//! is all of it, and the example in ARCHITECTURE.md ("Adding a backend"). One object serves all
//! instances. A mapping can turn a loopback into a loop; bounding the work of one step is the
//! router's responsibility.

use super::{
    Backend, BackendContext, BackendKind, BackendStatus, LocalInstance, OpenError, Plan, PlanChange, PlanKey,
    Reconfigured, SourceId,
};
use crate::ids::InstanceId;
use crate::show::LiveInstance;
use mm_config::options::BackendSpec;
use mm_config::{Diagnostics, Section};
use mm_shared::ChannelId;
use std::io;

/// The backend as the show file knows it.
pub struct LoopbackKind;

const SPEC: BackendSpec = BackendSpec { name: "loopback", options: &[], ignores_options: true };

impl BackendKind for LoopbackKind {
    fn spec(&self) -> BackendSpec {
        SPEC
    }

    fn echoes(&self) -> bool {
        true
    }

    /// Any name is a channel, so there is nothing to check.
    fn plan(
        &self,
        _section: Option<&Section>,
        instances: &[LiveInstance<'_>],
        _diagnostics: &mut Diagnostics,
    ) -> Vec<Box<dyn Plan>> {
        if instances.is_empty() {
            return Vec::new();
        }
        vec![Box::new(LoopbackPlan { instances: instances.iter().map(|live| live.id).collect() })]
    }
}

/// All instances of the show.
struct LoopbackPlan {
    instances: Vec<InstanceId>,
}

impl Plan for LoopbackPlan {
    fn key(&self) -> PlanKey {
        PlanKey { backend: SPEC.name, name: String::new() }
    }

    fn instances(&self) -> Vec<InstanceId> {
        self.instances.clone()
    }

    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        Ok(Box::new(Loopback))
    }
}

/// It keeps nothing between two events, not even which instances there are.
struct Loopback;

impl Backend for Loopback {
    /// There is no descriptor to watch.
    fn start(&mut self, _cx: &mut BackendContext<'_>) -> io::Result<()> {
        Ok(())
    }

    fn on_ready(&mut self, _source: SourceId, _budget: usize, _cx: &mut BackendContext<'_>) {}

    fn handle(
        &mut self,
        instance: LocalInstance,
        channel: ChannelId,
        value: f64,
        cx: &mut BackendContext<'_>,
    ) {
        cx.sink.push(instance, channel, value);
    }

    /// Whatever instances come and go, nothing has to be opened again.
    fn reconfigure(
        &mut self,
        _plan: &dyn Plan,
        _change: &PlanChange,
        _cx: &mut BackendContext<'_>,
    ) -> Reconfigured {
        Reconfigured::Kept
    }

    fn status(&self, _instance: LocalInstance) -> BackendStatus {
        BackendStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::test_loop::TestLoop;
    use crate::backends::{Incoming, plan};
    use crate::test_shows::live_show;

    #[test]
    fn what_goes_in_on_a_channel_comes_out_on_the_same_channel_in_order() {
        let show = live_show("[osc other]\nbind = * 0\n[loopback one]\nany = thing\n[loopback two]\n");
        let plans = plan(&show, &mut Diagnostics::default());
        let loopback =
            plans.into_iter().find(|plan| plan.key().backend == "loopback").expect("it is planned");
        let mut test_loop =
            TestLoop::start(loopback.open().expect("there is nothing to open"), loopback.instances());
        for (instance, channel, value) in [(0, 0, 0.25), (1, 7, 1.0), (0, 0, 0.25)] {
            test_loop.handle(instance, channel, value);
        }
        test_loop.flush();
        let event = |instance, channel, value| Incoming {
            instance: InstanceId(instance),
            channel: ChannelId(channel),
            value,
        };
        assert_eq!(test_loop.drain(), [event(1, 0, 0.25), event(2, 7, 1.0), event(1, 0, 0.25)]);
        assert_eq!(test_loop.deadline(), None);
    }
}
