//! Universe discovery (E1.31-2018 section 12): tells the network every 10 s which universes the show
//! sends.

use super::codec::layout::PAGE_LIMIT;
use super::codec::{SacnCid, discovery_page};
use super::group::{DISCOVERY_UNIVERSE, group};
use super::options::PORT;
use crate::backends::dmx::net::{BindIndex, DmxSockets};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// `E131_UNIVERSE_DISCOVERY_INTERVAL`
const INTERVAL: Duration = Duration::from_secs(10);

/// How long after the first universe the first list is sent: the others begin in that time as well.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// When the next list is sent.
#[derive(Debug, Default)]
pub struct UniverseAnnouncer {
    next: Option<Instant>,
}

impl UniverseAnnouncer {
    /// Lists are sent while any universe is.
    pub fn set_started(&mut self, is_started: bool, now: Instant) {
        match is_started {
            true => drop(self.next.get_or_insert(now + FIRST_DELAY)),
            false => self.next = None,
        }
    }

    /// When [`UniverseAnnouncer::is_due`].
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether lists are to be sent now. The next ones follow after the interval.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let Some(next) = self.next.filter(|next| *next <= now) else { return false };
        // After a pause of this process no list is made up for.
        self.next = Some((next + INTERVAL).max(now));
        true
    }
}

/// Sends the lists of all binds. The universes are sorted.
pub fn announce(
    universes: &BTreeMap<BindIndex, Vec<u16>>,
    cid: SacnCid,
    name: &str,
    now: Instant,
    sockets: &mut DmxSockets,
) {
    let to = SocketAddrV4::new(group(DISCOVERY_UNIVERSE), PORT);
    for (bind, list) in universes {
        for page in pages(list, cid, name) {
            sockets.send(*bind, to, &page, now);
        }
    }
    sockets.flush(now);
}

/// All pages of a list: at least one, at most 125.
fn pages(universes: &[u16], cid: SacnCid, name: &str) -> Vec<Vec<u8>> {
    let last = universes.len().saturating_sub(1) / PAGE_LIMIT;
    let last = u8::try_from(last).unwrap_or(u8::MAX);
    let page = |number: u8| {
        let start = usize::from(number) * PAGE_LIMIT;
        let end = universes.len().min(start + PAGE_LIMIT);
        discovery_page(cid, name, (number, last), universes.get(start..end).unwrap_or_default())
    };
    (0..=last).map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::sacn::codec::{SacnPacket, decode};

    fn listed(universes: &[u16]) -> Vec<(u8, u8, Vec<u16>)> {
        let read = |packet: Vec<u8>| match decode(&packet) {
            Ok(SacnPacket::Discovery(page)) => (page.page, page.last_page, page.universes().collect()),
            other => panic!("{other:?}"),
        };
        pages(universes, SacnCid([1; 16]), "show").into_iter().map(read).collect()
    }

    #[test]
    fn a_page_has_at_most_512_universes() {
        let all: Vec<u16> = (1..=1024).collect();
        assert_eq!(listed(&all[..3]), [(0, 0, vec![1, 2, 3])]);
        assert_eq!(listed(&all[..512]), [(0, 0, all[..512].to_vec())], "one full page and no empty one");
        assert_eq!(listed(&all[..513]), [(0, 1, all[..512].to_vec()), (1, 1, vec![513])]);
        assert_eq!(listed(&all).len(), 2);
        let every: Vec<u16> = (1..=63999).collect();
        assert_eq!(listed(&every).len(), 125);
    }

    #[test]
    fn lists_are_sent_every_ten_seconds_while_a_universe_is() {
        let mut announcer = UniverseAnnouncer::default();
        let start = Instant::now();
        announcer.set_started(false, start);
        assert_eq!(announcer.deadline(), None);
        announcer.set_started(true, start);
        let first = announcer.deadline().expect("a universe is sent");
        announcer.set_started(true, first);
        assert!(announcer.is_due(first) && !announcer.is_due(first));
        assert_eq!(announcer.deadline(), Some(first + INTERVAL));
        let late = first + 5 * INTERVAL;
        assert!(announcer.is_due(late));
        assert!(announcer.is_due(late) && announcer.deadline() == Some(late + INTERVAL));
    }
}
