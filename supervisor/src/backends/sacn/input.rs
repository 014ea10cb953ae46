//! One instance that receives: its sources, what they make together, and what of it was reported.

use super::codec::{START_CODE_LEVELS, SacnCid, SacnData, SacnPacket};
use super::merger::{SacnChanges, SacnMerger, SacnMergerOptions, SacnRefusal};
use super::plan::SacnInstance;
use crate::backends::dmx::net::BindIndex;
use crate::backends::dmx::{InputLoss, InputPace, SlotMap, SourceInfo, SourceWatch, UniverseInput};
use crate::backends::{EventSink, LocalInstance};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

/// Where a packet came from, and the universe of the group that it was sent to.
#[derive(Debug, Clone, Copy)]
pub struct PacketArrival {
    pub from: SocketAddrV4,
    pub group: Option<u16>,
}

/// One instance that receives.
#[derive(Debug)]
pub struct SacnInput {
    pub bind: BindIndex,
    pub is_unicast: bool,
    pub merger: SacnMerger,
    pub levels: UniverseInput,
    pub watch: SourceWatch<SacnCid>,
    pace: InputPace,
    pub deadline: Option<Instant>,
    /// Packets that no rule lets pass, such as those of a universe on another one's group.
    pub refused: u64,
}

/// Where events of an input go.
pub struct InputTarget<'a, 'b> {
    pub instance: LocalInstance,
    pub slots: &'a SlotMap,
    pub sink: &'a mut EventSink<'b>,
}

impl SacnInput {
    pub fn new(plan: &SacnInstance, now: Instant) -> Self {
        let SacnInstance { name, options, slots, .. } = plan;
        let universe = format!("universe {}", options.universe);
        let mut this = Self {
            bind: options.interface,
            is_unicast: options.is_unicast,
            merger: SacnMerger::new(now, merger_options(plan)),
            levels: UniverseInput::new(slots),
            watch: SourceWatch::new(name, universe, options.loss, now),
            pace: InputPace::new(now),
            deadline: None,
            refused: 0,
        };
        this.set_deadline();
        this
    }

    fn set_deadline(&mut self) {
        let all = [self.merger.deadline(), self.watch.deadline(), self.pace.deadline()];
        self.deadline = all.into_iter().flatten().min();
    }

    /// Goes on with other options and channels.
    pub fn apply_plan(&mut self, old: &SlotMap, plan: &SacnInstance, target: &mut InputTarget<'_, '_>) {
        self.bind = plan.options.interface;
        self.is_unicast = plan.options.is_unicast;
        self.watch.set_loss(plan.options.loss);
        self.levels.change_map(old, &plan.slots);
        let mut changes = SacnChanges::default();
        let options = merger_options(plan);
        if *self.merger.options() != options {
            self.merger.set_options(options, &mut changes);
        }
        self.apply(target);
        self.set_deadline();
    }

    /// Reports what the merged levels have changed.
    fn apply(&mut self, target: &mut InputTarget<'_, '_>) {
        self.levels.apply(self.merger.merged().carried(), target.slots, target.instance, target.sink);
    }

    fn lose(&mut self, target: &mut InputTarget<'_, '_>) {
        self.levels.lose(self.watch.loss(), target.slots, target.instance, target.sink);
    }

    pub fn on_packet(
        &mut self,
        now: Instant,
        arrival: PacketArrival,
        packet: &SacnPacket<'_>,
        target: &mut InputTarget<'_, '_>,
    ) -> (Result<(), SacnRefusal>, SacnChanges) {
        let mut changes = SacnChanges::default();
        let outcome = self.merger.on_packet(now, arrival.from, arrival.group, packet, &mut changes);
        if changes.levels && self.pace.allows(now) {
            self.apply(target);
        }
        if let (Ok(()), SacnPacket::Data(data)) = (outcome, packet) {
            self.note(now, data, *arrival.from.ip(), target);
        }
        self.set_deadline();
        (outcome, changes)
    }

    /// Notes who has sent a packet that was used.
    fn note(
        &mut self,
        now: Instant,
        data: &SacnData<'_>,
        address: Ipv4Addr,
        target: &mut InputTarget<'_, '_>,
    ) {
        if data.is_terminated {
            if self.watch.end_source(data.cid, now) {
                self.lose(target);
            }
            return;
        }
        if data.start_code == START_CODE_LEVELS {
            let name = String::from_utf8_lossy(data.source_name);
            let name = Some(&*name).filter(|name| !name.is_empty());
            let info = SourceInfo { name, address, priority: Some(data.priority) };
            self.watch.note_frame(data.cid, &info, now);
        }
    }

    pub fn tick(&mut self, now: Instant, target: &mut InputTarget<'_, '_>) -> SacnChanges {
        let mut changes = SacnChanges::default();
        self.merger.on_timer(now, &mut changes);
        if changes.levels | self.pace.is_due(now) {
            self.apply(target);
        }
        if self.watch.tick(now) {
            self.lose(target);
        }
        self.set_deadline();
        changes
    }
}

fn merger_options(plan: &SacnInstance) -> SacnMergerOptions {
    let options = &plan.options;
    SacnMergerOptions {
        universe: options.universe,
        from: options.from,
        settle: options.settle,
        holds: options.loss == InputLoss::Hold,
    }
}
