//! What becomes of a datagram: levels go to the instances that have the universe, questions and
//! commands are noted, all else is counted.

use super::backend::ArtnetInstance;
use super::codec::{ArtAddress, ArtCommand, ArtDmx, ArtPollReply, ArtnetPacket, PortAddress};
use super::merger::ArtnetMergeMode;
use super::nodes::{ArtnetNodes, SentUniverse};
use super::options::ArtnetDetect;
use super::polls::{ArtnetPolls, PollAnswer, PollSender, ReplyPages};
use super::traffic::ArtnetTraffic;
use crate::backends::dmx::net::{BindIndex, DmxDatagram};
use crate::backends::{EventSink, LocalInstance};
use std::collections::HashMap;
use std::time::Instant;

/// What a turn of receiving asks of the sending side.
#[derive(Debug, Default)]
pub struct TurnOutcome {
    /// Instances that have received something, by their places, each once.
    pub touched: Vec<usize>,
    /// Pages to answer with at once, by bind index: those that ArtAddress was for.
    pub commanded: Vec<(PollSender, u8)>,
    /// Universes in which merging has begun or ended.
    pub merges: Vec<SentUniverse>,
}

impl TurnOutcome {
    fn touch(&mut self, place: usize, instance: &mut ArtnetInstance) {
        if !std::mem::replace(&mut instance.is_touched, true) {
            self.touched.push(place);
        }
    }
}

/// The parts of the backend that receive.
pub struct ArtnetReceiver<'a> {
    pub instances: &'a mut [ArtnetInstance],
    pub by_universe: &'a HashMap<SentUniverse, Vec<usize>>,
    pub pages: &'a [ReplyPages],
    pub nodes: &'a mut ArtnetNodes,
    pub polls: &'a mut ArtnetPolls,
    pub traffic: &'a mut ArtnetTraffic,
    /// What every ArtPollReply of this program has in it.
    pub tag: &'a str,
    pub detect: ArtnetDetect,
    pub outcome: TurnOutcome,
    pub now: Instant,
}

impl ArtnetReceiver<'_> {
    /// Takes a datagram that belongs to `bind`.
    pub fn datagram(&mut self, bind: BindIndex, datagram: &DmxDatagram<'_>, sink: &mut EventSink<'_>) {
        let DmxDatagram { bytes, from, local, interface, .. } = *datagram;
        let sender = PollSender { bind, to: from, local, interface };
        match ArtnetPacket::decode(bytes) {
            Ok(ArtnetPacket::Dmx(dmx)) => self.levels(sender, &dmx, sink),
            Ok(ArtnetPacket::Poll(poll)) => self.polls.note(PollAnswer { sender, poll }, self.now),
            Ok(ArtnetPacket::PollReply(reply)) => self.reply(sender, &reply),
            Ok(ArtnetPacket::Sync) => self.sync(sender, sink),
            Ok(ArtnetPacket::Address(command)) => self.command(sender, command, sink),
            Ok(ArtnetPacket::Other(_)) => self.traffic.note_other(bind),
            Err(error) => self.traffic.note_malformed(bind, from, error, self.now),
        }
    }

    fn levels(&mut self, sender: PollSender, dmx: &ArtDmx<'_>, sink: &mut EventSink<'_>) {
        let bind = sender.bind;
        if self.is_own(dmx) {
            return self.traffic.note_own(bind);
        }
        let universe = (bind, dmx.address);
        let Some(places) = self.by_universe.get(&universe) else {
            let detects = self.detect == ArtnetDetect::Verbose;
            return self.traffic.note_unused(bind, sender.to, dmx.address, detects, self.now);
        };
        for &place in places {
            let instance = self.instances.get_mut(place).filter(|instance| instance.receives);
            let Some(instance) = instance else { continue };
            self.outcome.touch(place, instance);
            let ArtnetInstance { rx, map, .. } = instance;
            let target = (&*map, LocalInstance(place));
            if rx.receive(*sender.to.ip(), dmx, target, sink, self.now) {
                self.outcome.merges.push(universe);
            }
        }
    }

    /// Whether one of the instances has just sent this packet: it has come back, by broadcast or
    /// because it was sent to this machine. Another program on this machine has the same address, so
    /// that cannot tell.
    fn is_own(&self, dmx: &ArtDmx<'_>) -> bool {
        let places =
            (0..self.pages.len()).filter_map(|bind| self.by_universe.get(&(BindIndex(bind), dmx.address)));
        places
            .flatten()
            .filter_map(|place| self.instances.get(*place))
            .any(|instance| instance.tx.is_own(dmx))
    }

    fn reply(&mut self, sender: PollSender, reply: &ArtPollReply) {
        if reply.report.contains(self.tag) {
            return self.traffic.note_own(sender.bind);
        }
        self.nodes.note_reply(sender.bind, sender.to, reply, self.now);
    }

    fn sync(&mut self, sender: PollSender, sink: &mut EventSink<'_>) {
        for (place, instance) in self.instances.iter_mut().enumerate() {
            let from = *sender.to.ip();
            if instance.options.bind != sender.bind || !instance.rx.accepts_sync(from) {
                continue;
            }
            self.outcome.touch(place, instance);
            let ArtnetInstance { rx, map, .. } = instance;
            rx.sync(from, (&*map, LocalInstance(place)), sink, self.now);
        }
    }

    fn command(&mut self, sender: PollSender, command: ArtAddress, sink: &mut EventSink<'_>) {
        let (from, bind) = (*sender.to.ip(), sender.bind);
        let Some(pages) = self.pages.get(bind.0) else { return };
        let universes = pages.page(command.bind_index);
        let of_port = |port: u8| universes.get(usize::from(port)).map_or(&[][..], std::slice::from_ref);
        match command.command {
            ArtCommand::CancelMerge => {
                let now = self.now;
                self.each_of(bind, universes, |_, instance| instance.rx.cancel_merge(from, now));
            }
            ArtCommand::MergeLtp(port) => self.set_mode(sender, of_port(port), ArtnetMergeMode::Ltp, sink),
            ArtCommand::MergeHtp(port) => self.set_mode(sender, of_port(port), ArtnetMergeMode::Htp, sink),
            ArtCommand::Other(_) => self.traffic.note_other(bind),
        }
        self.outcome.commanded.push((sender, command.bind_index.max(1)));
    }

    fn set_mode(
        &mut self,
        sender: PollSender,
        universes: &[PortAddress],
        mode: ArtnetMergeMode,
        sink: &mut EventSink<'_>,
    ) {
        let (from, now) = (*sender.to.ip(), self.now);
        self.each_of(sender.bind, universes, |place, ArtnetInstance { rx, map, .. }| {
            rx.set_mode(mode, from, (&*map, LocalInstance(place)), sink, now);
        });
    }

    /// Calls `act` with each instance that has one of these universes.
    fn each_of(
        &mut self,
        bind: BindIndex,
        universes: &[PortAddress],
        mut act: impl FnMut(usize, &mut ArtnetInstance),
    ) {
        for address in universes {
            for &place in self.by_universe.get(&(bind, *address)).into_iter().flatten() {
                if let Some(instance) = self.instances.get_mut(place) {
                    self.outcome.touch(place, instance);
                    act(place, instance);
                }
            }
        }
    }
}
