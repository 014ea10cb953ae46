//! The open backend: sockets, instances, and when each of them has something to do.

use super::ArtnetPlan;
use super::codec::PortAddress;
use super::nodes::{ArtnetNodes, SentUniverse};
use super::options::{ArtnetBind, ArtnetDetect, ArtnetInstanceOptions};
use super::pages::new_tag;
use super::polls::{ArtnetPolls, ReplyPages};
use super::receiving::{ArtnetReceiver, TurnOutcome};
use super::rx::ArtnetRx;
use super::traffic::ArtnetTraffic;
use super::tx::{ArtnetTx, TxDestination};
use super::{PlannedInstance, reload, report};
use crate::backends::dmx::SlotMap;
use crate::backends::dmx::net::{BindIndex, DmxSockets};
use crate::backends::dmx::pause::PauseWatch;
use crate::backends::{
    Backend, BackendContext, BackendStatus, LocalInstance, Plan, PlanChange, Reconfigured, SourceId, TimerId,
};
use crate::resolver::ResolvedHost;
use mm_shared::ChannelId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::time::Instant;

/// The only timer.
const TIMER: TimerId = TimerId(0);

/// An instance, which is a universe.
#[derive(Debug)]
pub struct ArtnetInstance {
    pub name: String,
    pub options: ArtnetInstanceOptions,
    pub map: SlotMap,
    pub rx: ArtnetRx,
    pub tx: ArtnetTx,
    /// Whether it takes levels: a mapping uses them, `detect` shows them, or it has no `destination`.
    /// Else it is an output alone, and others are not told to send to it.
    pub receives: bool,
    /// When the sending or the receiving side has something to do.
    pub deadline: Option<Instant>,
    /// Whether it is in [`ArtnetBackend::changed`].
    pub is_changed: bool,
    /// Whether it is in [`TurnOutcome::touched`].
    pub is_touched: bool,
    /// Whether it is one of the backend's that more levels are expected for.
    is_incomplete: bool,
    /// Whether it was logged that its values go nowhere.
    pub has_warned: bool,
}

impl ArtnetInstance {
    pub fn new(planned: &PlannedInstance, detect: ArtnetDetect, now: Instant) -> Self {
        let PlannedInstance { name, options, map, .. } = planned;
        let detects = detect > ArtnetDetect::Off;
        Self {
            name: name.clone(),
            options: options.clone(),
            map: map.clone(),
            rx: ArtnetRx::new(name, options, map, detects, now),
            tx: ArtnetTx::new(name, options, now),
            receives: planned.receives || detects || options.destination.is_none(),
            deadline: None,
            is_changed: false,
            is_touched: false,
            is_incomplete: false,
            has_warned: false,
        }
    }

    pub fn universe(&self) -> SentUniverse {
        (self.options.bind, self.options.address)
    }
}

/// All binds and instances.
#[derive(Debug)]
pub struct ArtnetBackend {
    pub(super) binds: Vec<ArtnetBind>,
    pub(super) detect: ArtnetDetect,
    pub(super) sockets: DmxSockets,
    /// By local index.
    pub(super) instances: Vec<ArtnetInstance>,
    pub(super) by_universe: HashMap<SentUniverse, Vec<usize>>,
    /// By bind.
    pub(super) pages: Vec<ReplyPages>,
    pub(super) nodes: ArtnetNodes,
    pub(super) polls: ArtnetPolls,
    pub(super) traffic: ArtnetTraffic,
    /// In the report of every reply of this program.
    pub(super) tag: String,
    /// How many replies were sent, from 1 to 9999 and round again.
    pub(super) replies: u16,
    /// Instances that have something to send, or another deadline.
    pub(super) changed: Vec<usize>,
    /// Instances for which more levels are expected.
    incomplete: Vec<usize>,
    /// When the first value of the step came.
    step_began: Option<Instant>,
    /// Sources that have datagrams which were read and not handled.
    kept: HashSet<SourceId>,
    /// Scratch memory for a packet.
    pub(super) packet: Vec<u8>,
    pause: PauseWatch,
}

impl ArtnetBackend {
    pub(super) fn new(plan: &ArtnetPlan, sockets: DmxSockets, now: Instant) -> Self {
        let ArtnetPlan { common, instances, .. } = plan;
        let new = |planned: &PlannedInstance| ArtnetInstance::new(planned, common.detect, now);
        let mut this = Self {
            binds: common.binds.clone(),
            detect: common.detect,
            sockets,
            instances: instances.iter().map(new).collect(),
            by_universe: HashMap::new(),
            pages: Vec::new(),
            nodes: ArtnetNodes::new(),
            polls: ArtnetPolls::default(),
            traffic: ArtnetTraffic::new(common.binds.len()),
            tag: new_tag(),
            replies: 0,
            changed: Vec::new(),
            incomplete: Vec::new(),
            step_began: None,
            kept: HashSet::new(),
            packet: Vec::new(),
            pause: PauseWatch::default(),
        };
        this.index(now);
        this
    }

    /// Brings what is derived from binds and instances in line with them.
    pub(super) fn index(&mut self, now: Instant) {
        self.by_universe.clear();
        self.incomplete.clear();
        for (place, instance) in self.instances.iter_mut().enumerate() {
            instance.is_incomplete = false;
            self.by_universe.entry(instance.universe()).or_default().push(place);
        }
        let universes_of = |bind: usize| {
            let all = self.by_universe.keys().filter(move |(of, _)| of.0 == bind);
            all.map(|(_, address)| *address)
        };
        self.pages = (0..self.binds.len()).map(|bind| ReplyPages::new(universes_of(bind))).collect();
        let discovers =
            |instance: &&ArtnetInstance| matches!(instance.tx.destination(), TxDestination::Discover);
        let wanted = self.instances.iter().filter(discovers).map(ArtnetInstance::universe).collect();
        self.nodes.want(wanted, now);
        (0..self.instances.len()).for_each(|place| self.note_change(place));
    }

    /// The instance has something to send, or another deadline.
    pub(super) fn note_change(&mut self, place: usize) {
        if let Some(instance) = self.instances.get_mut(place)
            && !std::mem::replace(&mut instance.is_changed, true)
        {
            self.changed.push(place);
        }
    }

    /// Sends what is due of the instances that have changed. `is_last`: the show ends.
    pub(super) fn send_changed(&mut self, is_last: bool, now: Instant) {
        let Self { instances, sockets, nodes, packet, changed, pause, .. } = self;
        for place in changed.drain(..) {
            let Some(instance) = instances.get_mut(place) else { continue };
            instance.is_changed = false;
            let (bind, universe, tx) = (instance.options.bind, instance.universe(), &mut instance.tx);
            let host;
            let receivers = match tx.destination() {
                TxDestination::None => &[],
                TxDestination::Host(destination) => {
                    host = destination.address();
                    host.as_slice()
                }
                TxDestination::Discover => nodes.subscribers(universe),
            };
            if !receivers.is_empty() && tx.take(packet, is_last, now) {
                receivers.iter().for_each(|to| sockets.send(bind, *to, packet, now));
            }
            let look_up = match tx.destination() {
                TxDestination::Host(destination) => destination.deadline(),
                TxDestination::None | TxDestination::Discover => None,
            };
            // Without a receiver nothing is due.
            let send = if receivers.is_empty() { None } else { tx.deadline() };
            let receive = instance.rx.deadline().map(|at| pause.not_before(at));
            instance.deadline = [send, look_up, receive].into_iter().flatten().min();
        }
    }

    /// Everything that a call may have made due: sends it and sets the timer.
    pub(super) fn settle(&mut self, now: Instant, cx: &mut BackendContext<'_>) {
        for universe in self.nodes.settle(now) {
            self.refresh(universe, now);
        }
        self.send_changed(false, now);
        self.sockets.flush(now);
        let of_instances = self.instances.iter().filter_map(|instance| instance.deadline).min();
        let all = [
            of_instances,
            self.sockets.deadline(),
            self.nodes.deadline(),
            self.polls.deadline(),
            self.traffic.deadline(),
        ];
        let deadline = all.into_iter().flatten().min();
        self.pause.set_timer(deadline);
        cx.set_timer(TIMER, deadline);
    }

    /// A universe has a new receiver, which gets the levels at once.
    fn refresh(&mut self, universe: SentUniverse, now: Instant) {
        for place in self.by_universe.get(&universe).cloned().unwrap_or_default() {
            if let Some(instance) = self.instances.get_mut(place)
                && matches!(instance.tx.destination(), TxDestination::Discover)
            {
                instance.tx.refresh(now);
                self.note_change(place);
            }
        }
    }

    /// Asks for the hosts whose time has come.
    pub(super) fn look_up(&mut self, now: Instant, cx: &BackendContext<'_>) {
        for instance in &mut self.instances {
            if let TxDestination::Host(destination) = instance.tx.destination_mut()
                && let Some(host) = destination.due(now)
            {
                cx.look_up(host);
            }
        }
    }

    fn finish_turn(&mut self, outcome: TurnOutcome, now: Instant) {
        let TurnOutcome { touched, commanded, merges } = outcome;
        for place in touched {
            if let Some(instance) = self.instances.get_mut(place) {
                instance.is_touched = false;
            }
            self.note_change(place);
        }
        commanded.into_iter().for_each(|(sender, page)| self.answer_command(sender, page, now));
        for (bind, address) in merges.into_iter().collect::<BTreeSet<(BindIndex, PortAddress)>>() {
            self.tell_observers(bind, address, now);
        }
    }
}

impl Backend for ArtnetBackend {
    fn start(&mut self, cx: &mut BackendContext<'_>) -> io::Result<()> {
        let now = Instant::now();
        self.sockets.start(now, cx)?;
        reload::log_binds(&self.binds, &self.pages);
        self.look_up(now, cx);
        self.settle(now, cx);
        Ok(())
    }

    fn on_ready(&mut self, source: SourceId, budget: usize, cx: &mut BackendContext<'_>) {
        let now = Instant::now();
        if budget == 0 && self.kept.contains(&source) {
            return cx.call_again(source);
        }
        let full_at = cx.sink.len().saturating_add(budget);
        let Self { instances, by_universe, pages, nodes, polls, traffic, tag, detect, sockets, .. } = self;
        let outcome = TurnOutcome::default();
        let (tag, detect) = (tag.as_str(), *detect);
        let mut receiver = ArtnetReceiver {
            instances,
            by_universe,
            pages,
            nodes,
            polls,
            traffic,
            tag,
            detect,
            outcome,
            now,
        };
        let has_more = budget > 0
            && sockets.receive(source, now, |bind, datagram| {
                receiver.datagram(bind, datagram, &mut cx.sink);
                cx.sink.len() < full_at
            });
        let outcome = receiver.outcome;
        if has_more {
            self.kept.insert(source);
            cx.call_again(source);
        } else {
            self.kept.remove(&source);
        }
        self.finish_turn(outcome, now);
        self.settle(now, cx);
    }

    fn on_timer(&mut self, _timer: TimerId, now: Instant, cx: &mut BackendContext<'_>) {
        let may_lose = self.pause.timer_came(now);
        if self.sockets.tick(now, cx) {
            // There may be other nodes, and other receivers of a broadcast.
            (0..self.instances.len()).for_each(|place| self.note_change(place));
        }
        self.traffic.tick(now);
        self.answer_polls(now);
        if self.nodes.tick(now) {
            self.send_polls(now);
        }
        self.look_up(now, cx);
        let mut merges = Vec::new();
        for (place, instance) in self.instances.iter_mut().enumerate() {
            if instance.deadline.is_none_or(|due| due > now) {
                continue;
            }
            let ArtnetInstance { rx, map, .. } = instance;
            if may_lose && rx.tick((&*map, LocalInstance(place)), &mut cx.sink, now) {
                merges.push(instance.universe());
            }
            if !std::mem::replace(&mut instance.is_changed, true) {
                self.changed.push(place);
            }
        }
        merges.into_iter().for_each(|(bind, address)| self.tell_observers(bind, address, now));
        self.settle(now, cx);
    }

    fn on_resolved(&mut self, answer: &ResolvedHost, cx: &mut BackendContext<'_>) {
        let now = Instant::now();
        self.sockets.on_resolved(answer, now, cx);
        for place in 0..self.instances.len() {
            let Some(instance) = self.instances.get_mut(place) else { continue };
            let TxDestination::Host(destination) = instance.tx.destination_mut() else { continue };
            if destination.on_resolved(answer, now) {
                instance.tx.refresh(now);
            }
            self.note_change(place);
        }
        self.settle(now, cx);
    }

    fn handle(
        &mut self,
        instance: LocalInstance,
        channel: ChannelId,
        value: f64,
        _cx: &mut BackendContext<'_>,
    ) {
        let place = instance.0;
        let Some(instance) = self.instances.get_mut(place) else { return };
        let now = *self.step_began.get_or_insert_with(Instant::now);
        instance.tx.set(&instance.map, channel, value, now);
        if matches!(instance.tx.destination(), TxDestination::None)
            && !std::mem::replace(&mut instance.has_warned, true)
        {
            report::warn_of_silence(&instance.name);
        }
        self.note_change(place);
    }

    fn flush(&mut self, cx: &mut BackendContext<'_>) {
        self.step_began = None;
        for place in std::mem::take(&mut self.incomplete) {
            if let Some(instance) = self.instances.get_mut(place) {
                instance.is_incomplete = false;
                instance.tx.expect_no_more();
            }
            self.note_change(place);
        }
        self.settle(Instant::now(), cx);
    }

    fn flush_part(&mut self, cx: &mut BackendContext<'_>) {
        self.step_began = None;
        let now = Instant::now();
        let Self { instances, changed, incomplete, .. } = self;
        for place in changed {
            let Some(instance) = instances.get_mut(*place) else { continue };
            instance.tx.expect_more(now);
            if !std::mem::replace(&mut instance.is_incomplete, true) {
                incomplete.push(*place);
            }
        }
        self.settle(now, cx);
    }

    fn restore(&mut self, instance: LocalInstance, channel: ChannelId, value: f64, is_output: bool) {
        let Some(instance) = self.instances.get_mut(instance.0) else { return };
        match is_output {
            true => instance.tx.restore(&instance.map, channel, value),
            false => instance.rx.restore(&instance.map, channel, value),
        }
    }

    fn reconfigure(
        &mut self,
        plan: &dyn Plan,
        change: &PlanChange,
        cx: &mut BackendContext<'_>,
    ) -> Reconfigured {
        reload::apply(self, plan, change, cx)
    }

    fn status(&self, instance: LocalInstance) -> BackendStatus {
        report::status(self, instance, Instant::now())
    }

    fn close(&mut self, _cx: &mut BackendContext<'_>) {
        let now = Instant::now();
        (0..self.instances.len()).for_each(|place| self.note_change(place));
        self.send_changed(true, now);
        self.sockets.flush(now);
    }
}
