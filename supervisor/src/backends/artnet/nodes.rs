//! The nodes of the network that have a universe which the show sends with `destination = discover`.
//!
//! Nodes are asked with ArtPoll every 2.5 s. One that has not answered for [`NODE_TIMEOUT`] is
//! forgotten and costs nothing more. Only replies that list a universe which is sent are kept, so a
//! stranger cannot fill the memory with others.

use super::codec::{ArtPollReply, PortAddress};
use crate::backends::dmx::net::BindIndex;
use mm_shared::LogThrottle;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// The time between two ArtPolls: 2.5 to 3 s by the standard.
pub const POLL_INTERVAL: Duration = Duration::from_millis(2500);

/// The time without an answer after which a node is gone: three ArtPolls and the time to answer the
/// last one. One that was lost on the way must not put out a light.
const NODE_TIMEOUT: Duration = Duration::from_millis(8500);

/// The most pages of nodes that are known.
const PAGES_LIMIT: usize = 1024;

/// The most nodes that one universe is sent to.
const SUBSCRIBERS_LIMIT: usize = 64;

/// Lines about nodes in the log: those of a rack that is switched on, then fewer.
const LOG_BURST: u32 = 40;
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A page of a node: a bind index at an address, seen through a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PageKey {
    bind: BindIndex,
    address: Ipv4Addr,
    bind_index: u8,
}

#[derive(Debug)]
struct NodePage {
    to: SocketAddrV4,
    name: String,
    universes: BTreeSet<PortAddress>,
    last: Instant,
}

/// A universe as it is sent through one bind.
pub type SentUniverse = (BindIndex, PortAddress);

/// The nodes.
#[derive(Debug)]
pub struct ArtnetNodes {
    /// The universes to find nodes for.
    wanted: BTreeSet<SentUniverse>,
    pages: BTreeMap<PageKey, NodePage>,
    /// Where each universe is sent to.
    subscribers: BTreeMap<SentUniverse, Vec<SocketAddrV4>>,
    /// Whether pages have changed since the subscribers were collected.
    is_stale: bool,
    next_poll: Option<Instant>,
    log: LogThrottle,
    /// Replies that there was no room for.
    ignored: u64,
}

impl ArtnetNodes {
    pub fn new() -> Self {
        Self {
            wanted: BTreeSet::new(),
            pages: BTreeMap::new(),
            subscribers: BTreeMap::new(),
            is_stale: false,
            next_poll: None,
            log: LogThrottle::new(LOG_BURST, LOG_INTERVAL),
            ignored: 0,
        }
    }

    /// Finds nodes for these universes from now on. What is known of nodes for the same universes
    /// stays.
    pub fn want(&mut self, wanted: BTreeSet<SentUniverse>, now: Instant) {
        let is_new = !wanted.is_subset(&self.wanted);
        self.wanted = wanted;
        let Self { pages, wanted, .. } = self;
        pages.retain(|key, page| {
            page.universes.retain(|address| wanted.contains(&(key.bind, *address)));
            !page.universes.is_empty()
        });
        self.next_poll = match self.next_poll {
            _ if self.wanted.is_empty() => None,
            Some(next) if !is_new => Some(next),
            _ => Some(now),
        };
        self.collect();
    }

    /// The nodes that have a universe.
    pub fn subscribers(&self, universe: SentUniverse) -> &[SocketAddrV4] {
        self.subscribers.get(&universe).map_or(&[], Vec::as_slice)
    }

    /// Takes a reply; [`ArtnetNodes::settle`] follows.
    ///
    /// Frames go to where the reply came from, not to the address that it names: nodes name wrong
    /// ones, and a forged one would have others flooded.
    pub fn note_reply(&mut self, bind: BindIndex, from: SocketAddrV4, reply: &ArtPollReply, now: Instant) {
        let listed = reply.ports.iter().flat_map(|port| [port.output, port.input]).flatten();
        let universes: BTreeSet<_> =
            listed.filter(|address| self.wanted.contains(&(bind, *address))).collect();
        let key = PageKey { bind, address: *from.ip(), bind_index: reply.bind_index.max(1) };
        if universes.is_empty() {
            // It may have had one.
            self.is_stale |= self.pages.remove(&key).is_some();
            return;
        }
        if self.pages.len() >= PAGES_LIMIT && !self.pages.contains_key(&key) {
            self.ignored += 1;
            return;
        }
        let port = if reply.udp_port == 0 { from.port() } else { reply.udp_port };
        let to = SocketAddrV4::new(*from.ip(), port);
        let is_same = self.pages.get(&key).is_some_and(|page| page.universes == universes && page.to == to);
        let name = reply.short_name.chars().filter(|letter| !letter.is_control()).collect();
        self.pages.insert(key, NodePage { to, name, universes, last: now });
        self.is_stale |= !is_same;
    }

    /// Takes all replies since the last call into account, once per turn, because that costs more
    /// than one reply. Returns the universes that have a new node.
    pub fn settle(&mut self, now: Instant) -> Vec<SentUniverse> {
        match std::mem::take(&mut self.is_stale) {
            true => self.collect_and_log(now),
            false => Vec::new(),
        }
    }

    /// Forgets nodes that have not answered. Returns whether to ask again, which is due then.
    pub fn tick(&mut self, now: Instant) -> bool {
        if let Some(count) = self.log.flush(now) {
            tracing::info!(
                event = "artnet_node_changes_suppressed",
                suppressed = count,
                "{count} more changes of nodes not shown"
            );
        }
        let before = self.pages.len();
        self.pages.retain(|_, page| now < page.last + NODE_TIMEOUT);
        if self.pages.len() < before {
            self.collect_and_log(now);
        }
        let is_due = self.next_poll.is_some_and(|next| next <= now);
        if is_due {
            self.next_poll = Some(now + POLL_INTERVAL);
        }
        is_due
    }

    /// When [`ArtnetNodes::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let gone = self.pages.values().map(|page| page.last + NODE_TIMEOUT).min();
        [gone, self.next_poll, self.log.deadline()].into_iter().flatten().min()
    }

    /// Ports of binds to ask through.
    pub fn polled_binds(&self) -> BTreeSet<BindIndex> {
        self.wanted.iter().map(|(bind, _)| *bind).collect()
    }

    /// Replies that there was no room for.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Brings [`ArtnetNodes::subscribers`] in line with the pages.
    fn collect(&mut self) -> BTreeMap<SentUniverse, Vec<SocketAddrV4>> {
        let mut subscribers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, page) in &self.pages {
            for address in &page.universes {
                let of_universe = subscribers.entry((key.bind, *address)).or_default();
                if !of_universe.contains(&page.to) && of_universe.len() < SUBSCRIBERS_LIMIT {
                    of_universe.push(page.to);
                }
            }
        }
        std::mem::replace(&mut self.subscribers, subscribers)
    }

    /// The same, with a line for each node that a universe is sent to now or not any more. Returns the
    /// universes that have a new one.
    fn collect_and_log(&mut self, now: Instant) -> Vec<SentUniverse> {
        let before = self.collect();
        let mut with_new = Vec::new();
        for (universe, nodes) in &self.subscribers {
            let known = before.get(universe).map_or(&[][..], Vec::as_slice);
            for node in nodes.iter().filter(|node| !known.contains(node)) {
                with_new.push(*universe);
                let Some(suppressed) = self.log.hit(now) else { continue };
                let page = self.pages.values().find(|page| page.to == *node);
                let name = page.map_or("", |page| page.name.as_str());
                let universe = universe.1;
                tracing::info!(
                    event = "artnet_node_found",
                    suppressed,
                    "universe {universe}: sending to {node}, the node `{name}`"
                );
            }
        }
        for (universe, nodes) in &before {
            let known = self.subscribers.get(universe).map_or(&[][..], Vec::as_slice);
            for node in nodes.iter().filter(|node| !known.contains(node)) {
                let Some(suppressed) = self.log.hit(now) else { continue };
                let universe = universe.1;
                tracing::warn!(
                    event = "artnet_node_lost",
                    suppressed,
                    "universe {universe}: nothing is sent to {node} any more, which does not answer or does not list it"
                );
            }
        }
        with_new
    }
}

#[cfg(test)]
mod tests;
