//! The receiving side: datagrams to packets, packets to merged levels, levels to events.
//!
//! Each group has a socket of its own, so a synchronisation packet may be read before the levels that
//! it is for. It waits for the next turn of the event loop, by which all that arrived before it is
//! read.

use super::codec::{SacnCid, SacnData, SacnDecodeError, SacnPacket, SacnSync, decode};
use super::detect::SacnDetector;
use super::group::universe_of;
use super::input::{InputTarget, PacketArrival, SacnInput};
use super::merger::SacnRefusal;
use super::options::SPEC;
use super::plan::{SacnInstance, SacnPlan};
use crate::backends::dmx::SlotMap;
use crate::backends::dmx::net::{BindIndex, DmxDatagram};
use crate::backends::{EventSink, LocalInstance};
use mm_shared::{ChannelId, LogThrottle};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// How often a packet that is not used is logged.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The most groups of synchronisation addresses that are joined.
pub const SYNC_GROUPS_LIMIT: usize = 64;

/// The most synchronisation packets that wait; further ones are dropped.
const WAITING_SYNCS_LIMIT: usize = 256;

/// All inputs.
#[derive(Debug)]
pub struct SacnRx {
    cid: SacnCid,
    /// By local instance.
    inputs: Vec<Option<SacnInput>>,
    by_universe: HashMap<(BindIndex, u16), Vec<usize>>,
    /// Whether synchronisation addresses have changed since [`SacnRx::groups`] was asked.
    has_other_groups: bool,
    /// By bind: packets that could not be read.
    malformed: Vec<u64>,
    refusals: LogThrottle,
    /// Since when synchronisation packets wait, and these.
    syncs: (Option<Instant>, Vec<(BindIndex, PacketArrival, SacnSync)>),
    /// Where a packet with our own CID came from.
    own: Option<SocketAddrV4>,
}

/// What an input has received, for `status`.
#[derive(Debug, Default)]
pub struct SacnInputStatus {
    pub sources: Vec<crate::status::SourceStatus>,
    pub is_lost: bool,
    pub frames: u64,
    pub last_frame: Option<Instant>,
}

impl SacnRx {
    pub fn new(plan: &SacnPlan, now: Instant) -> Self {
        let input = |instance: &SacnInstance| instance.receives.then(|| SacnInput::new(instance, now));
        let mut this = Self {
            cid: plan.cid.cid,
            inputs: plan.instances.iter().map(input).collect(),
            by_universe: HashMap::new(),
            has_other_groups: true,
            malformed: vec![0; plan.binds.len()],
            refusals: LogThrottle::new(5, REFUSAL_LOG_INTERVAL),
            syncs: (None, Vec::new()),
            own: None,
        };
        this.index(plan);
        this
    }

    fn index(&mut self, plan: &SacnPlan) {
        self.by_universe.clear();
        for (index, instance) in plan.instances.iter().enumerate().filter(|(_, instance)| instance.receives) {
            let key = (instance.options.interface, instance.options.universe);
            self.by_universe.entry(key).or_default().push(index);
        }
    }

    /// Goes on under a new plan. `before` gives the index that an instance had in the old one.
    /// Sources and levels of an input stay if it is the same universe of the same bind.
    pub fn reconfigure(
        &mut self,
        old: &SacnPlan,
        new: &SacnPlan,
        before: impl Fn(LocalInstance) -> Option<LocalInstance>,
        now: Instant,
        sink: &mut EventSink<'_>,
    ) {
        let mut inputs = std::mem::take(&mut self.inputs);
        for (index, instance) in new.instances.iter().enumerate() {
            let old_index = before(LocalInstance(index)).map(|before| before.0);
            let kept = old_index.and_then(|index| Some((old.instances.get(index)?, inputs.get_mut(index)?)));
            let kept = kept.filter(|(old_instance, _)| {
                instance.receives
                    && old_instance.options.universe == instance.options.universe
                    && old_instance.bind(old) == instance.bind(new)
            });
            let input = match kept.and_then(|(old_instance, input)| Some((old_instance, input.take()?))) {
                Some((old_instance, mut input)) => {
                    let instance_index = LocalInstance(index);
                    let mut target = InputTarget { instance: instance_index, slots: &instance.slots, sink };
                    input.apply_plan(&old_instance.slots, instance, &mut target);
                    Some(input)
                }
                None => instance.receives.then(|| SacnInput::new(instance, now)),
            };
            self.inputs.push(input);
        }
        self.cid = new.cid.cid;
        self.malformed = vec![0; new.binds.len()];
        self.has_other_groups = true;
        // Their binds may have other numbers now.
        self.syncs = (None, Vec::new());
        self.index(new);
    }

    /// A channel had this value in the last run.
    pub fn restore(&mut self, instance: LocalInstance, slots: &SlotMap, channel: ChannelId, value: f64) {
        if let Some(input) = self.inputs.get_mut(instance.0).and_then(Option::as_mut) {
            input.levels.restore(slots, channel, value);
        }
    }

    /// Takes a datagram that belongs to `bind`.
    pub fn on_datagram(
        &mut self,
        now: Instant,
        bind: BindIndex,
        datagram: &DmxDatagram<'_>,
        plan: &SacnPlan,
        detector: &mut SacnDetector,
        sink: &mut EventSink<'_>,
    ) {
        let packet = match decode(datagram.bytes) {
            Ok(packet) => packet,
            Err(error) => return self.note_malformed(now, bind, datagram, error),
        };
        if packet.cid() == self.cid {
            self.own = Some(datagram.from);
            return;
        }
        let arrival = PacketArrival { from: datagram.from, group: universe_of(datagram.to) };
        match &packet {
            SacnPacket::Data(data) => self.on_data(now, (bind, arrival), data, plan, detector, sink),
            SacnPacket::Sync(sync) => {
                let (since, waiting) = &mut self.syncs;
                if waiting.len() < WAITING_SYNCS_LIMIT {
                    since.get_or_insert(now);
                    waiting.push((bind, arrival, *sync));
                }
            }
            SacnPacket::Discovery(discovery) => detector.discovery(now, datagram.from, discovery),
        }
    }

    fn on_data(
        &mut self,
        now: Instant,
        (bind, arrival): (BindIndex, PacketArrival),
        data: &SacnData<'_>,
        plan: &SacnPlan,
        detector: &mut SacnDetector,
        sink: &mut EventSink<'_>,
    ) {
        let Self { inputs, by_universe, .. } = self;
        let Some(indices) = by_universe.get(&(bind, data.universe)) else {
            return detector.unused(now, arrival.from, data, &"no instance has this universe");
        };
        let mut refused = None;
        for &index in indices {
            let (Some(Some(input)), Some(instance)) = (inputs.get_mut(index), plan.instances.get(index))
            else {
                continue;
            };
            let mut target =
                InputTarget { instance: LocalInstance(index), slots: &instance.slots, sink: &mut *sink };
            let (outcome, changes) = input.on_packet(now, arrival, &SacnPacket::Data(*data), &mut target);
            self.has_other_groups |= changes.sync_addresses;
            match outcome {
                Ok(()) => detector.levels(now, instance, data, input.merger.levels()),
                Err(refusal) => refused = Some((index, refusal)),
            }
        }
        if let Some((index, refusal)) = refused {
            detector.unused(now, arrival.from, data, &refusal);
            self.note_refusal(now, index, plan, arrival.from, refusal);
        }
    }

    /// Applies the synchronisation packets that have waited for this turn.
    pub fn apply_syncs(&mut self, now: Instant, plan: &SacnPlan, sink: &mut EventSink<'_>) {
        let (_, waiting) = std::mem::take(&mut self.syncs);
        for (bind, arrival, sync) in waiting {
            for (index, input) in self.inputs.iter_mut().enumerate() {
                let (Some(input), Some(instance)) = (input.as_mut(), plan.instances.get(index)) else {
                    continue;
                };
                if input.bind == bind && input.merger.sync_addresses().any(|to| to == sync.sync_address) {
                    let mut target = InputTarget {
                        instance: LocalInstance(index),
                        slots: &instance.slots,
                        sink: &mut *sink,
                    };
                    let _ = input.on_packet(now, arrival, &SacnPacket::Sync(sync), &mut target);
                }
            }
        }
    }

    /// When [`SacnRx::apply_syncs`] has something to do.
    pub fn sync_deadline(&self) -> Option<Instant> {
        self.syncs.0
    }

    fn note_malformed(
        &mut self,
        now: Instant,
        bind: BindIndex,
        datagram: &DmxDatagram<'_>,
        error: SacnDecodeError,
    ) {
        if let Some(count) = self.malformed.get_mut(bind.0) {
            *count += 1;
        }
        if let Some(suppressed) = self.refusals.hit(now) {
            let from = datagram.from;
            tracing::warn!(
                event = "sacn_packet_malformed",
                backend = SPEC.name,
                %from,
                suppressed,
                "cannot read a packet: {error}"
            );
        }
    }

    fn note_refusal(
        &mut self,
        now: Instant,
        index: usize,
        plan: &SacnPlan,
        from: SocketAddrV4,
        refusal: SacnRefusal,
    ) {
        if !matches!(refusal, SacnRefusal::WrongGroup | SacnRefusal::SourcesExceeded) {
            return;
        }
        let (Some(Some(input)), Some(instance)) = (self.inputs.get_mut(index), plan.instances.get(index))
        else {
            return;
        };
        input.refused += 1;
        if let Some(suppressed) = self.refusals.hit(now) {
            let universe = instance.options.universe;
            tracing::warn!(
                event = "sacn_packet_refused",
                instance = %instance.name,
                %from,
                suppressed,
                "a packet of universe {universe} from {from} is not used: {refusal}"
            );
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant, plan: &SacnPlan, sink: &mut EventSink<'_>) {
        for (index, instance) in plan.instances.iter().enumerate() {
            let Some(Some(input)) = self.inputs.get_mut(index) else { continue };
            if input.deadline.is_some_and(|deadline| deadline <= now) {
                let mut target = InputTarget { instance: LocalInstance(index), slots: &instance.slots, sink };
                self.has_other_groups |= input.tick(now, &mut target).sync_addresses;
            }
        }
    }

    /// Logs how many packets that are not used were not logged.
    pub fn flush_log(&mut self, now: Instant) {
        if let Some(count) = self.refusals.flush(now) {
            tracing::warn!(
                event = "sacn_packet_malformed",
                suppressed = count,
                "{count} more packets that are not used"
            );
        }
    }

    /// When [`SacnRx::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.inputs.iter().flatten().filter_map(|input| input.deadline).min()
    }

    /// When [`SacnRx::flush_log`] has something to do.
    pub fn log_deadline(&self) -> Option<Instant> {
        self.refusals.deadline()
    }

    /// Where the last packet with our own CID came from, since this was last asked.
    pub fn take_own(&mut self) -> Option<SocketAddrV4> {
        self.own.take()
    }

    /// Whether [`SacnRx::groups`] may be others than when this was last asked.
    pub fn take_other_groups(&mut self) -> bool {
        std::mem::take(&mut self.has_other_groups)
    }

    /// The universes whose groups are needed: those of the inputs, and at most
    /// [`SYNC_GROUPS_LIMIT`] of synchronisation addresses.
    pub fn groups(&self) -> BTreeSet<(BindIndex, u16)> {
        let multicast = || self.inputs.iter().flatten().filter(|input| !input.is_unicast);
        let of_data = multicast().map(|input| (input.bind, input.merger.options().universe));
        let groups: BTreeSet<_> = of_data.collect();
        let addresses = |input: &SacnInput| {
            let bind = input.bind;
            input.merger.sync_addresses().map(move |address| (bind, address)).collect::<Vec<_>>()
        };
        let of_sync: BTreeSet<_> =
            multicast().flat_map(addresses).filter(|to| !groups.contains(to)).collect();
        groups.into_iter().chain(of_sync.into_iter().take(SYNC_GROUPS_LIMIT)).collect()
    }

    /// What an instance has received.
    pub fn status(&self, instance: LocalInstance, now: Instant) -> SacnInputStatus {
        let Some(Some(input)) = self.inputs.get(instance.0) else { return SacnInputStatus::default() };
        SacnInputStatus {
            sources: input.watch.sources(now),
            is_lost: input.watch.is_lost(),
            frames: input.watch.frames(),
            last_frame: input.watch.last_frame(),
        }
    }

    /// Packets for an instance that were not used because something is wrong with them or with its
    /// sources.
    pub fn errors(&self, instance: LocalInstance) -> u64 {
        let Some(Some(input)) = self.inputs.get(instance.0) else { return 0 };
        input.refused + self.malformed.get(input.bind.0).copied().unwrap_or(0)
    }
}
