//! The pages of ArtPollReply that say what this machine is, and ArtPolls of its own.

use super::backend::ArtnetBackend;
use super::codec::{ArtPoll, ArtPollReply, PortAddress, ReplyPort};
use super::options::SPEC;
use super::polls::PollSender;
use super::tx::TxDestination;
use crate::backends::dmx::InputLoss;
use crate::backends::dmx::net::{BindIndex, DmxInterface, InterfaceAddress};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

impl ArtnetBackend {
    /// Answers ArtPolls whose time has come.
    pub(super) fn answer_polls(&mut self, now: Instant) {
        for answer in self.polls.due(now) {
            let Some(pages) = self.pages.get(answer.sender.bind.0).cloned() else { continue };
            let asked = |universes: &[PortAddress]| universes.iter().any(|one| answer.poll.asks_about(*one));
            for (bind_index, universes) in pages.iter().filter(|(_, universes)| asked(universes)) {
                self.send_page(answer.sender, bind_index, universes, now);
            }
        }
    }

    /// Answers ArtAddress with the page that it was for.
    pub(super) fn answer_command(&mut self, sender: PollSender, bind_index: u8, now: Instant) {
        let Some(pages) = self.pages.get(sender.bind.0).cloned() else { return };
        let universes = pages.page(bind_index);
        if !universes.is_empty() {
            self.send_page(sender, bind_index, universes, now);
        }
    }

    /// Merging has begun or ended in a universe: its page goes to all who asked to be told.
    pub(super) fn tell_observers(&mut self, bind: BindIndex, address: PortAddress, now: Instant) {
        let observers: Vec<_> = self.polls.observers(bind, now).collect();
        let Some(pages) = self.pages.get(bind.0).cloned().filter(|_| !observers.is_empty()) else { return };
        let Some((bind_index, universes)) = pages.iter().find(|(_, page)| page.contains(&address)) else {
            return;
        };
        for sender in observers {
            self.send_page(sender, bind_index, universes, now);
        }
    }

    fn send_page(&mut self, sender: PollSender, bind_index: u8, universes: &[PortAddress], now: Instant) {
        self.replies = self.replies % 9999 + 1;
        let page = self.page(sender, bind_index, universes);
        let mut packet = std::mem::take(&mut self.packet);
        page.encode(&mut packet);
        self.sockets.send(sender.bind, sender.to, &packet, now);
        self.packet = packet;
    }

    fn page(&self, sender: PollSender, bind_index: u8, universes: &[PortAddress]) -> ArtPollReply {
        let bind = self.binds.get(sender.bind.0);
        let of_universe = |address: &PortAddress| {
            let places = self.by_universe.get(&(sender.bind, *address)).into_iter().flatten();
            places.filter_map(|place| self.instances.get(*place))
        };
        let first = universes.iter().flat_map(of_universe).next();
        let name = first.map_or("", |instance| instance.name.as_str());
        let traffic = self.traffic.of(sender.bind);
        let instances = || universes.iter().flat_map(of_universe);
        let frames_in: u64 = instances().map(|instance| instance.rx.watch().frames()).sum();
        let frames_out: u64 = instances().map(|instance| instance.tx.sent()).sum();
        let (count, tag, malformed) = (self.replies, &self.tag, traffic.malformed);
        // `#0001` is RcPowerOk: nothing to report.
        let report = format!("#0001 [{count:04}] {tag} in {frames_in} out {frames_out} bad {malformed}");
        let port = |address: &PortAddress| {
            let all = || of_universe(address);
            let sends = all().any(|instance| !matches!(instance.tx.destination(), TxDestination::None));
            ReplyPort {
                output: all().any(|instance| instance.receives).then_some(*address),
                input: sends.then_some(*address),
                is_receiving: all()
                    .any(|one| one.rx.watch().last_frame().is_some() && !one.rx.watch().is_lost()),
                is_merging: all().any(|instance| instance.rx.is_merging()),
                is_ltp: all().any(|instance| instance.rx.is_ltp()),
                is_sending: all().any(|instance| instance.tx.is_started()),
            }
        };
        ArtPollReply {
            ip: bind.and_then(|bind| bind.announce).unwrap_or(sender.local),
            udp_port: bind.map_or(0, |bind| bind.spec.port),
            version: VERSION,
            short_name: name.to_owned(),
            long_name: format!("mm-supervisor: {name}"),
            report,
            mac: self.sockets.interface(sender.interface).and_then(|it| it.mac).unwrap_or_default(),
            bind_index,
            fails_to_zero: instances().any(|instance| instance.options.loss == InputLoss::Zero),
            ports: universes.iter().map(port).collect(),
        }
    }

    /// Asks the networks of all binds with a discovered destination who is there.
    pub(super) fn send_polls(&mut self, now: Instant) {
        ArtPoll { wants_changes: true, target: None }.encode(&mut self.packet);
        for bind in self.nodes.polled_binds() {
            let port = self.binds.get(bind.0).map_or(0, |bind| bind.spec.port);
            let everyone: Vec<Ipv4Addr> = self.sockets.interfaces(bind).flat_map(broadcasts).collect();
            for address in everyone {
                self.sockets.send(bind, SocketAddrV4::new(address, port), &self.packet, now);
            }
        }
    }
}

/// The version of this program, as the number that a page has room for.
const VERSION: u16 = {
    const fn number(text: &str) -> u16 {
        let (bytes, mut at, mut number) = (text.as_bytes(), 0, 0);
        while at < bytes.len() {
            number = number * 10 + (bytes[at] - b'0') as u16;
            at += 1;
        }
        number
    }
    number(env!("CARGO_PKG_VERSION_MAJOR")) << 8 | number(env!("CARGO_PKG_VERSION_MINOR")) & 0xFF
};

/// The directed broadcast addresses of an interface. The loopback network has one too, although the
/// kernel does not list it.
fn broadcasts(interface: &DmxInterface) -> impl Iterator<Item = Ipv4Addr> {
    let is_loopback = interface.is_loopback;
    interface.addresses.iter().filter_map(move |own: &InterfaceAddress| {
        own.broadcast.or(is_loopback.then_some(own.address | !own.netmask))
    })
}

/// The beginning of every report of this process, by which it knows its own replies.
pub fn new_tag() -> String {
    format!("{} {:08x}", SPEC.name, fastrand::u32(..))
}
