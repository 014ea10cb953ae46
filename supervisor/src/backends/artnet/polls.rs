//! Answers to ArtPoll: what this machine is and which universes it has, as pages of ArtPollReply.
//!
//! A page has one port, as the standard has it since Art-Net 4, and its number is the bind index. A
//! bind index has 8 bits, so where a bind has more universes than that, a page has up to four ports of
//! one net and sub-net, as in Art-Net 3.

use super::codec::{ArtPoll, PortAddress};
use crate::backends::dmx::net::BindIndex;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// The longest time until an answer; a random time below it is waited, so that not all nodes answer at
/// once ("ArtPollReply", up to 1 s). The rest of the second is for the way.
const ANSWER_DELAY_MILLIS: u64 = 900;

/// The most answers that wait. Polls beyond are counted and not answered: their senders ask again.
const ANSWERS_LIMIT: usize = 32;

/// The most senders that are told when something changes.
const OBSERVERS_LIMIT: usize = 8;

/// How long a sender is told, since it last asked.
const OBSERVER_TIMEOUT: Duration = Duration::from_secs(10);

/// The most pages of a bind.
const PAGES_LIMIT: usize = 255;
/// The most ports of a page.
const PORTS_LIMIT: usize = 4;

/// Who asked, and how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollSender {
    pub bind: BindIndex,
    pub to: SocketAddrV4,
    /// The address of this machine to answer from.
    pub local: Ipv4Addr,
    /// The number of the interface on which it was heard.
    pub interface: u32,
}

/// An answer to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollAnswer {
    pub sender: PollSender,
    pub poll: ArtPoll,
}

/// Who has asked.
#[derive(Debug, Default)]
pub struct ArtnetPolls {
    waiting: Vec<(Instant, PollAnswer)>,
    observers: Vec<(Instant, PollSender)>,
    dropped: u64,
}

impl ArtnetPolls {
    /// A poll has come. A second one from the same sender before the answer changes nothing, except
    /// what the answer is about.
    pub fn note(&mut self, answer: PollAnswer, now: Instant) {
        let PollAnswer { sender, poll } = answer;
        let is_same = |other: &PollSender| other.bind == sender.bind && other.to == sender.to;
        if poll.wants_changes {
            self.observers.retain(|(until, other)| *until > now && !is_same(other));
            if self.observers.len() < OBSERVERS_LIMIT {
                self.observers.push((now + OBSERVER_TIMEOUT, sender));
            }
        } else {
            self.observers.retain(|(_, other)| !is_same(other));
        }
        if let Some((_, known)) = self.waiting.iter_mut().find(|(_, known)| is_same(&known.sender)) {
            if known.poll.target != poll.target {
                known.poll.target = None;
            }
            return;
        }
        if self.waiting.len() >= ANSWERS_LIMIT {
            self.dropped += 1;
            return;
        }
        let delay = Duration::from_millis(fastrand::u64(0..ANSWER_DELAY_MILLIS));
        self.waiting.push((now + delay, answer));
    }

    /// The answers that are due.
    pub fn due(&mut self, now: Instant) -> Vec<PollAnswer> {
        let due = self.waiting.extract_if(.., |(at, _)| *at <= now);
        due.map(|(_, answer)| answer).collect()
    }

    /// When the next answer is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|(at, _)| *at).min()
    }

    /// Who is to be told of a change on a bind.
    pub fn observers(&self, bind: BindIndex, now: Instant) -> impl Iterator<Item = PollSender> {
        let live = self.observers.iter().filter(move |(until, sender)| *until > now && sender.bind == bind);
        live.map(|(_, sender)| *sender)
    }

    /// Binds have changed: answers through them would be wrong.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.observers.clear();
    }

    /// Polls that were not answered.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The pages of one bind: of each its universes, at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyPages {
    pages: Vec<Vec<PortAddress>>,
}

impl ReplyPages {
    /// Distributes universes over pages, in order. Those beyond 255 pages are left out.
    pub fn new(universes: impl IntoIterator<Item = PortAddress>) -> Self {
        let mut sorted: Vec<_> = universes.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut pages: Vec<Vec<_>> = Vec::new();
        if sorted.len() <= PAGES_LIMIT {
            pages.extend(sorted.into_iter().map(|address| vec![address]));
        } else {
            let mut of_sub_net: BTreeMap<_, Vec<_>> = BTreeMap::new();
            for address in sorted {
                of_sub_net.entry((address.net(), address.sub_net())).or_default().push(address);
            }
            for universes in of_sub_net.values() {
                pages.extend(universes.chunks(PORTS_LIMIT).map(<[_]>::to_vec));
            }
            pages.truncate(PAGES_LIMIT);
        }
        Self { pages }
    }

    /// The bind index and the universes of each page.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[PortAddress])> {
        (1..=u8::MAX).zip(self.pages.iter().map(Vec::as_slice))
    }

    /// The universes of a page. 0 is the first page, as 1 is.
    pub fn page(&self, bind_index: u8) -> &[PortAddress] {
        let place = usize::from(bind_index.max(1)) - 1;
        self.pages.get(place).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(last: u8) -> PollSender {
        let to = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), 6454);
        PollSender { bind: BindIndex(0), to, local: Ipv4Addr::new(10, 0, 0, 250), interface: 2 }
    }

    fn poll(wants_changes: bool) -> ArtPoll {
        ArtPoll { wants_changes, target: None }
    }

    fn universe(number: u16) -> PortAddress {
        PortAddress::from_wire(number.to_be_bytes())
    }

    #[test]
    fn each_poll_is_answered_once_within_a_second_at_a_random_time() {
        let now = Instant::now();
        let mut polls = ArtnetPolls::default();
        let mut delays = Vec::new();
        for _ in 0..20 {
            let answer = PollAnswer { sender: sender(1), poll: poll(false) };
            polls.note(answer, now);
            polls.note(answer, now);
            let due = polls.deadline().expect("it is answered");
            assert!(due < now + Duration::from_secs(1));
            assert_eq!(polls.due(due), [answer]);
            assert_eq!(polls.deadline(), None);
            delays.push(due - now);
        }
        delays.dedup();
        assert!(delays.len() > 1, "{delays:?}");
    }

    #[test]
    fn a_flood_of_polls_is_bounded() {
        let now = Instant::now();
        let mut polls = ArtnetPolls::default();
        for last in 0..=255 {
            polls.note(PollAnswer { sender: sender(last), poll: poll(true) }, now);
        }
        assert_eq!((polls.waiting.len(), polls.observers.len()), (ANSWERS_LIMIT, OBSERVERS_LIMIT));
        assert_eq!(polls.dropped(), 256 - ANSWERS_LIMIT as u64);
    }

    #[test]
    fn only_senders_that_want_it_and_still_ask_are_told_of_changes() {
        let now = Instant::now();
        let mut polls = ArtnetPolls::default();
        polls.note(PollAnswer { sender: sender(1), poll: poll(true) }, now);
        polls.note(PollAnswer { sender: sender(2), poll: poll(false) }, now);
        assert_eq!(polls.observers(BindIndex(0), now).collect::<Vec<_>>(), [sender(1)]);
        assert_eq!(polls.observers(BindIndex(1), now).count(), 0);
        assert_eq!(polls.observers(BindIndex(0), now + OBSERVER_TIMEOUT).count(), 0);
        polls.note(PollAnswer { sender: sender(1), poll: poll(false) }, now);
        assert_eq!(polls.observers(BindIndex(0), now).count(), 0);
    }

    #[test]
    fn a_page_has_one_universe_and_four_where_there_are_many() {
        let pages = ReplyPages::new([universe(5), universe(0), universe(5)]);
        let all: Vec<_> = pages.iter().collect();
        assert_eq!(all, [(1, &[universe(0)][..]), (2, &[universe(5)])]);
        assert_eq!((pages.page(0), pages.page(2), pages.page(3)), (all[0].1, all[1].1, &[][..]));
        let pages = ReplyPages::new((0..255).map(universe));
        assert_eq!(pages.iter().count(), 255);
        let pages = ReplyPages::new((0..300).map(universe));
        let found: usize = pages.iter().map(|(_, universes)| universes.len()).sum();
        assert_eq!((pages.iter().count(), found), (75, 300));
        let is_together =
            |universes: &[PortAddress]| universes.iter().all(|one| one.sub_net() == universes[0].sub_net());
        assert!(pages.iter().all(|(_, universes)| is_together(universes)));
    }
}
