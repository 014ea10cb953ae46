//! The open backend: sockets, inputs and outputs of all instances.

use super::detect::SacnDetector;
use super::discovery::{UniverseAnnouncer, announce};
use super::group::{DISCOVERY_UNIVERSE, group};
use super::options::SPEC;
use super::plan::SacnPlan;
use super::rx::SacnRx;
use super::tx::SacnTx;
use crate::backends::dmx::net::{BindIndex, DmxSockets};
use crate::backends::dmx::pause::PauseWatch;
use crate::backends::{
    Backend, BackendContext, BackendState, BackendStatus, LocalInstance, OpenError, Plan, PlanChange,
    Reconfigured, SourceId, TimerId,
};
use crate::resolver::ResolvedHost;
use crate::status::UniverseStatus;
use mm_shared::{ChannelId, LogThrottle};
use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// The only timer.
const TIMER: TimerId = TimerId(0);

const TWIN_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// All instances of the show.
#[derive(Debug)]
pub struct SacnBackend {
    plan: SacnPlan,
    sockets: DmxSockets,
    rx: SacnRx,
    tx: SacnTx,
    announcer: UniverseAnnouncer,
    detector: SacnDetector,
    /// The groups that are joined, by universe.
    groups: BTreeSet<(BindIndex, u16)>,
    pause: PauseWatch,
    twins: LogThrottle,
}

impl SacnBackend {
    pub fn open(plan: SacnPlan, now: Instant) -> Result<Self, OpenError> {
        let sockets = DmxSockets::open(SPEC.name, &plan.binds, now)?;
        Ok(Self {
            rx: SacnRx::new(&plan, now),
            tx: SacnTx::new(&plan, now),
            announcer: UniverseAnnouncer::default(),
            detector: SacnDetector::new(plan.detect),
            groups: BTreeSet::new(),
            pause: PauseWatch::default(),
            twins: LogThrottle::new(1, TWIN_LOG_INTERVAL),
            sockets,
            plan,
        })
    }

    /// The groups that are needed.
    fn wanted_groups(&self) -> BTreeSet<(BindIndex, u16)> {
        let mut groups = self.rx.groups();
        if self.detector.wants_discovery() {
            groups.extend((0..self.plan.binds.len()).map(|bind| (BindIndex(bind), DISCOVERY_UNIVERSE)));
        }
        groups
    }

    fn change_groups(&mut self, now: Instant, cx: &mut BackendContext<'_>) {
        if !self.rx.take_other_groups() {
            return;
        }
        let wanted = self.wanted_groups();
        for (bind, universe) in self.groups.difference(&wanted) {
            self.sockets.leave(*bind, group(*universe), now, cx);
        }
        for (bind, universe) in wanted.difference(&self.groups) {
            self.sockets.join(*bind, group(*universe), now, cx);
        }
        self.groups = wanted;
    }

    /// Sends what is due, and sets the timer.
    fn settle(&mut self, now: Instant, cx: &mut BackendContext<'_>) {
        self.announcer.set_started(self.tx.is_started(), now);
        self.tx.look_up(now, |host| cx.look_up(host));
        let rx = self.rx.deadline().map(|deadline| self.pause.not_before(deadline));
        let all = [
            rx,
            self.rx.sync_deadline(),
            self.rx.log_deadline(),
            self.tx.deadline(),
            self.tx.look_up_deadline(),
            self.announcer.deadline(),
            self.detector.deadline(),
            self.sockets.deadline(),
        ];
        let deadline = all.into_iter().flatten().min();
        if self.pause.set_timer(deadline) {
            cx.set_timer(TIMER, deadline);
        }
    }

    /// Warns of another machine that sends with our CID: receivers take both for one source.
    fn look_for_twin(&mut self, now: Instant) {
        let Some(from) = self.rx.take_own().filter(|from| !self.sockets.is_own_address(*from.ip())) else {
            return;
        };
        if let Some(suppressed) = self.twins.hit(now) {
            tracing::warn!(
                event = "sacn_cid_in_use",
                %from,
                suppressed,
                "{} sends with the CID of this show, {}; receivers take both for one source; \
                 hint: give one of them another `cid` in `[backend sacn]`",
                from.ip(),
                self.plan.cid.cid
            );
        }
    }

    fn universe_status(&self, instance: LocalInstance, now: Instant) -> Option<UniverseStatus> {
        let options = &self.plan.instances.get(instance.0)?.options;
        let input = self.rx.status(instance, now);
        let output = self.tx.status(instance);
        let ago = |then: Instant| now.saturating_duration_since(then).as_millis() as u64;
        let destination = output.as_ref().and_then(|output| output.destination);
        Some(UniverseStatus {
            universe: u32::from(options.universe),
            net: None,
            interface: Some(self.sockets.bind_name(options.interface)),
            destination: destination.map(|to| to.to_string()),
            sources: input.sources,
            is_lost: input.is_lost,
            frames_in: input.frames,
            last_in_ms: input.last_frame.map(ago),
            frames_out: output.as_ref().map_or(0, |output| output.frames),
            last_out_ms: output.and_then(|output| output.last_frame).map(ago),
        })
    }
}

impl Backend for SacnBackend {
    fn start(&mut self, cx: &mut BackendContext<'_>) -> io::Result<()> {
        let now = Instant::now();
        self.sockets.start(now, cx)?;
        self.change_groups(now, cx);
        self.settle(now, cx);
        Ok(())
    }

    fn on_ready(&mut self, source: SourceId, budget: usize, cx: &mut BackendContext<'_>) {
        if budget == 0 {
            cx.call_again(source);
            return;
        }
        let now = Instant::now();
        let full_at = cx.sink.len().saturating_add(budget);
        let Self { plan, sockets, rx, detector, .. } = self;
        let has_more = sockets.receive(source, now, |bind, datagram| {
            rx.on_datagram(now, bind, datagram, plan, detector, &mut cx.sink);
            cx.sink.len() < full_at
        });
        if has_more {
            cx.call_again(source);
        }
        self.look_for_twin(now);
        self.change_groups(now, cx);
        self.settle(now, cx);
    }

    fn on_timer(&mut self, _timer: TimerId, now: Instant, cx: &mut BackendContext<'_>) {
        let may_lose = self.pause.timer_came(now);
        if self.sockets.tick(now, cx) {
            self.tx.refresh(now);
        }
        self.tx.tick(now, &mut self.sockets);
        self.rx.apply_syncs(now, &self.plan, &mut cx.sink);
        if may_lose {
            self.rx.tick(now, &self.plan, &mut cx.sink);
        }
        self.rx.flush_log(now);
        self.detector.tick(now);
        if self.announcer.is_due(now) {
            let universes = self.tx.universes();
            announce(&universes, self.plan.cid.cid, &self.plan.name, now, &mut self.sockets);
        }
        self.change_groups(now, cx);
        self.settle(now, cx);
    }

    fn on_resolved(&mut self, answer: &ResolvedHost, cx: &mut BackendContext<'_>) {
        let now = Instant::now();
        if self.sockets.on_resolved(answer, now, cx) {
            self.tx.refresh(now);
        }
        self.tx.on_resolved(answer, now);
        self.settle(now, cx);
    }

    fn handle(
        &mut self,
        instance: LocalInstance,
        channel: ChannelId,
        value: f64,
        _cx: &mut BackendContext<'_>,
    ) {
        let found = self.plan.instances.get(instance.0);
        if let Some(slots) = found.and_then(|instance| instance.slots.of_channel(channel)) {
            self.tx.set(instance, slots, value, Instant::now());
        }
    }

    fn flush(&mut self, cx: &mut BackendContext<'_>) {
        let now = Instant::now();
        self.tx.flush(false, now, &mut self.sockets);
        self.settle(now, cx);
    }

    fn flush_part(&mut self, cx: &mut BackendContext<'_>) {
        let now = Instant::now();
        self.tx.flush(true, now, &mut self.sockets);
        self.settle(now, cx);
    }

    fn restore(&mut self, instance: LocalInstance, channel: ChannelId, value: f64, is_output: bool) {
        let Some(found) = self.plan.instances.get(instance.0) else { return };
        if is_output {
            if let Some(slots) = found.slots.of_channel(channel) {
                self.tx.restore(instance, slots, value);
            }
        } else {
            self.rx.restore(instance, &found.slots, channel, value);
        }
    }

    /// Keeps the sockets of binds, the sources, the levels and the sequences that stay.
    fn reconfigure(
        &mut self,
        plan: &dyn Plan,
        change: &PlanChange,
        cx: &mut BackendContext<'_>,
    ) -> Reconfigured {
        let plan: &dyn Any = plan;
        let Some(plan) = plan.downcast_ref::<SacnPlan>() else { return Reconfigured::Reopen };
        let now = Instant::now();
        let mut plan = plan.clone();
        if !plan.cid.is_configured && !self.plan.cid.is_configured {
            // What the network knows the show by stays while the show runs.
            plan.cid = self.plan.cid.clone();
        }
        let before = |instance| change.before(instance);
        self.tx.reconfigure(&self.plan, &plan, before, now, &mut self.sockets);
        self.rx.reconfigure(&self.plan, &plan, before, now, &mut cx.sink);
        if plan.detect != self.plan.detect {
            self.detector = SacnDetector::new(plan.detect);
        }
        self.plan = plan;
        self.rx.take_other_groups();
        let groups = self.wanted_groups();
        let joined = groups.iter().map(|(bind, universe)| (*bind, group(*universe)));
        if let Err(error) = self.sockets.reconfigure(&self.plan.binds, joined, now, cx) {
            tracing::warn!(event = "sacn_bind_failed", "{error}; opening all binds again");
            return Reconfigured::Reopen;
        }
        self.groups = groups;
        self.tx.tick(now, &mut self.sockets);
        self.settle(now, cx);
        Reconfigured::Kept
    }

    fn status(&self, instance: LocalInstance) -> BackendStatus {
        let now = Instant::now();
        let Some(options) = self.plan.instances.get(instance.0).map(|instance| &instance.options) else {
            return BackendStatus::default();
        };
        let output = self.tx.status(instance);
        let to = output.as_ref().and_then(|output| output.destination);
        let fault = output.as_ref().and_then(|output| output.fault.clone());
        let of_bind = || self.sockets.note(options.interface, to.map(|to| *to.ip()));
        BackendStatus {
            state: if fault.is_some() { BackendState::Connecting } else { BackendState::Running },
            errors: self.rx.errors(instance),
            conflated: output.as_ref().map_or(0, |output| output.conflated),
            peers: to.iter().map(SocketAddrV4::to_string).collect(),
            note: fault.or_else(of_bind),
            universes: self.universe_status(instance, now).into_iter().collect(),
        }
    }

    fn close(&mut self, cx: &mut BackendContext<'_>) {
        let now = Instant::now();
        self.tx.close(now, &mut self.sockets);
        self.settle(now, cx);
    }

    fn is_closed(&mut self) -> bool {
        !self.tx.is_ending()
    }
}
