//! Traces of packets and what they make of the levels.

use super::*;
use crate::backends::artnet::codec::PortAddress;

const MAIN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const BACKUP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const THIRD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

/// A universe, and a clock in milliseconds.
struct Trace {
    merger: ArtnetMerger,
    start: Instant,
}

impl Trace {
    fn new() -> Self {
        Self { merger: ArtnetMerger::new(SOURCE_TIMEOUT), start: Instant::now() }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// A packet without a number.
    fn send(&mut self, millis: u64, from: Ipv4Addr, levels: &[u8]) -> ArtnetTaken {
        self.send_from(millis, from, 0, 0, levels)
    }

    fn send_from(
        &mut self,
        millis: u64,
        from: Ipv4Addr,
        physical: u8,
        sequence: u8,
        levels: &[u8],
    ) -> ArtnetTaken {
        let dmx = ArtDmx { sequence, physical, address: PortAddress::FIRST, levels };
        self.merger.receive(from, &dmx, self.at(millis))
    }

    /// Keeps sources alive with the same levels each second.
    fn keep_alive(&mut self, seconds: std::ops::Range<u64>, sources: &[(Ipv4Addr, &[u8])]) {
        for second in seconds {
            for (from, levels) in sources {
                self.send(second * 1000, *from, levels);
            }
        }
    }

    /// Lets the time pass, as far as a deadline asks for it.
    fn pass(&mut self, millis: u64) -> bool {
        let now = self.at(millis);
        let mut has_changed = false;
        while self.merger.deadline().is_some_and(|due| due <= now) {
            has_changed |= self.merger.tick(now);
        }
        has_changed
    }

    fn levels(&self) -> &[u8] {
        self.merger.levels()
    }
}

#[test]
fn one_source_counts_as_it_sends() {
    let mut trace = Trace::new();
    assert_eq!(trace.levels(), [0; 0]);
    assert_eq!(trace.send(0, MAIN, &[1, 200]), ArtnetTaken::Now);
    assert_eq!(trace.levels(), [1, 200]);
    trace.send(20, MAIN, &[0, 100, 7, 8]);
    trace.send(40, MAIN, &[5, 6]);
    assert_eq!(trace.levels(), [5, 6, 7, 8], "slots of a longer frame stay");
    assert_eq!(trace.merger.deadline(), None);
}

#[test]
fn two_addresses_merge_to_the_highest() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[10, 200]);
    assert!(!trace.merger.is_merging());
    trace.send(10, BACKUP, &[20, 100, 3, 4]);
    assert!(trace.merger.is_merging());
    assert_eq!(trace.levels(), [20, 200, 3, 4]);
    trace.send(20, MAIN, &[0, 0]);
    assert_eq!(trace.levels(), [20, 100, 3, 4]);
}

#[test]
fn two_physical_ports_of_one_address_merge() {
    let mut trace = Trace::new();
    trace.send_from(0, MAIN, 0, 0, &[10, 200]);
    trace.send_from(10, MAIN, 1, 0, &[20, 100]);
    assert_eq!(trace.levels(), [20, 200]);
    assert!(trace.merger.is_merging());
}

#[test]
fn a_third_source_is_not_taken_until_one_of_two_has_gone() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[10, 10]);
    trace.send(10, BACKUP, &[20, 20]);
    assert_eq!(trace.send(20, THIRD, &[255, 255]), ArtnetTaken::SourcesExceeded);
    assert_eq!(trace.levels(), [20, 20]);
    trace.keep_alive(1..10, &[(MAIN, &[10, 10])]);
    assert_eq!(trace.send(9_900, THIRD, &[255, 255]), ArtnetTaken::SourcesExceeded);
    assert_eq!(trace.send(10_100, THIRD, &[255, 255]), ArtnetTaken::Now);
    assert_eq!(trace.levels(), [255, 255]);
}

#[test]
fn a_source_that_stops_stays_in_the_merge_for_10_s() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[200, 0]);
    trace.keep_alive(0..10, &[(BACKUP, &[100, 50])]);
    assert!(!trace.pass(9_999));
    assert_eq!(trace.levels(), [200, 50]);
    assert!(trace.pass(11_000), "however late it is looked at");
    assert_eq!(trace.levels(), [100, 50]);
    assert!(!trace.merger.is_merging());
}

#[test]
fn a_source_that_returns_within_10_s_goes_on_merging() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[200, 0]);
    trace.keep_alive(0..9, &[(BACKUP, &[100, 50])]);
    trace.send(9_000, MAIN, &[150, 0]);
    trace.keep_alive(9..18, &[(BACKUP, &[100, 50])]);
    assert!(!trace.pass(18_000));
    assert_eq!(trace.levels(), [150, 50]);
}

#[test]
fn if_both_stop_the_last_result_stays() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[200, 0]);
    trace.send(1_000, BACKUP, &[100, 50]);
    assert!(!trace.pass(60_000));
    assert_eq!(trace.levels(), [200, 50]);
    trace.send(60_000, BACKUP, &[100, 50]);
    assert_eq!(trace.levels(), [100, 50], "one has returned, the other has been away for 10 s");
    trace.send(120_000, THIRD, &[1, 2]);
    assert_eq!(trace.levels(), [1, 2]);
}

#[test]
fn a_shorter_source_timeout_ends_a_merge_earlier() {
    let mut trace = Trace::new();
    trace.merger.set_timeout(Duration::from_millis(2_500));
    trace.send(0, MAIN, &[200, 0]);
    trace.keep_alive(0..3, &[(BACKUP, &[100, 50])]);
    assert!(trace.pass(2_500));
    assert_eq!(trace.levels(), [100, 50]);
}

#[test]
fn with_ltp_the_last_change_of_each_slot_counts() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[200, 10, 30, 0]);
    assert!(!trace.merger.set_mode(ArtnetMergeMode::Ltp), "there is one source");
    trace.send(10, BACKUP, &[0, 20, 0, 0]);
    assert_eq!(trace.levels(), [200, 20, 30, 0]);
    trace.send(20, MAIN, &[200, 10, 5, 0]);
    assert_eq!(trace.levels(), [200, 20, 5, 0], "what is only repeated does not take over");
    trace.send(30, BACKUP, &[100, 20, 0, 0]);
    assert_eq!(trace.levels(), [100, 20, 5, 0]);
    assert!(trace.merger.set_mode(ArtnetMergeMode::Htp));
    assert_eq!(trace.levels(), [200, 20, 5, 0]);
}

#[test]
fn with_ltp_slots_of_a_source_that_has_gone_are_those_of_the_other() {
    let mut trace = Trace::new();
    trace.merger.set_mode(ArtnetMergeMode::Ltp);
    trace.send(0, MAIN, &[1, 2]);
    trace.send(0, BACKUP, &[3, 0]);
    trace.keep_alive(1..10, &[(MAIN, &[1, 2])]);
    assert_eq!(trace.levels(), [3, 2]);
    assert!(trace.pass(10_000));
    assert_eq!(trace.levels(), [1, 2]);
}

#[test]
fn after_cancel_merge_the_next_sender_is_the_only_one() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[200, 200]);
    trace.send(10, BACKUP, &[100, 100]);
    trace.merger.cancel_merge();
    assert_eq!(trace.levels(), [200, 200], "until the next packet");
    assert_eq!(trace.send(20, BACKUP, &[100, 100]), ArtnetTaken::Now);
    assert_eq!((trace.levels(), trace.merger.is_merging()), (&[100, 100][..], false));
    assert_eq!(trace.send(30, MAIN, &[200, 200]), ArtnetTaken::Cancelled);
    assert_eq!(trace.levels(), [100, 100]);
    // Another port of the same address is not another address.
    assert_eq!(trace.send_from(40, BACKUP, 1, 0, &[150, 0]), ArtnetTaken::Now);
    assert_eq!(trace.levels(), [150, 100]);
}

#[test]
fn a_backup_takes_over_with_cancel_merge_before_its_first_packet() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[200, 200]);
    trace.merger.cancel_merge();
    assert_eq!(trace.send(3_000, BACKUP, &[100, 100]), ArtnetTaken::Now);
    assert_eq!((trace.levels(), trace.merger.is_merging()), (&[100, 100][..], false));
}

#[test]
fn cancel_merge_without_a_merge_changes_nothing() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[200, 0]);
    trace.merger.cancel_merge();
    trace.send(10, MAIN, &[200, 0]);
    assert_eq!(trace.send(20, BACKUP, &[0, 100]), ArtnetTaken::Now);
    assert_eq!(trace.levels(), [200, 100]);
}

#[test]
fn the_sole_sender_is_so_until_it_stops_or_a_merge_is_asked_for() {
    let took_over = || {
        let mut trace = Trace::new();
        trace.send(0, MAIN, &[200, 200]);
        trace.send(0, BACKUP, &[100, 100]);
        trace.merger.cancel_merge();
        trace.send(0, BACKUP, &[100, 100]);
        trace
    };
    let mut trace = took_over();
    assert_eq!(trace.send(9_999, MAIN, &[200, 200]), ArtnetTaken::Cancelled);
    assert_eq!(trace.send(10_000, MAIN, &[200, 200]), ArtnetTaken::Now);
    assert_eq!(trace.levels(), [200, 200]);
    let mut trace = took_over();
    trace.merger.set_mode(ArtnetMergeMode::Htp);
    assert_eq!(trace.send(10, MAIN, &[200, 0]), ArtnetTaken::Now);
    assert_eq!(trace.levels(), [200, 100]);
    let mut trace = took_over();
    trace.merger.cancel_merge();
    assert_eq!(trace.send(10, MAIN, &[200, 0]), ArtnetTaken::Now);
    assert_eq!(trace.send(20, BACKUP, &[100, 100]), ArtnetTaken::Cancelled);
}

#[test]
fn cancel_merge_ends_the_merge_of_two_ports_of_one_address() {
    let mut trace = Trace::new();
    trace.send_from(0, MAIN, 0, 0, &[200, 200]);
    trace.send_from(0, MAIN, 1, 0, &[100, 100]);
    trace.merger.cancel_merge();
    trace.send_from(10, MAIN, 1, 0, &[100, 100]);
    assert_eq!(trace.send_from(20, MAIN, 0, 0, &[200, 200]), ArtnetTaken::Cancelled);
    assert_eq!(trace.levels(), [100, 100]);
}

#[test]
fn late_packets_are_dropped_for_each_source() {
    let mut trace = Trace::new();
    let mut sent = |millis, sequence| trace.send_from(millis, MAIN, 0, sequence, &[sequence, 0]);
    assert_eq!(sent(0, 30), ArtnetTaken::Now);
    assert_eq!(sent(1, 29), ArtnetTaken::Late);
    assert_eq!(sent(2, 11), ArtnetTaken::Late, "19 behind");
    assert_eq!(sent(3, 30), ArtnetTaken::Now, "the same again");
    assert_eq!(sent(4, 32), ArtnetTaken::Now, "one was lost");
    assert_eq!(sent(5, 12), ArtnetTaken::Now, "20 behind: the sender was started again");
    assert_eq!(sent(6, 0), ArtnetTaken::Now, "without a number");
    assert_eq!(sent(7, 200), ArtnetTaken::Now);
    assert_eq!(trace.send_from(8, BACKUP, 0, 199, &[1, 0]), ArtnetTaken::Now, "another source");
}

#[test]
fn numbers_go_round_from_255_to_1() {
    let mut trace = Trace::new();
    let mut sent = |millis, sequence| trace.send_from(millis, MAIN, 0, sequence, &[0, 0]);
    assert_eq!(sent(0, 254), ArtnetTaken::Now);
    assert_eq!(sent(20, 255), ArtnetTaken::Now);
    assert_eq!(sent(40, 1), ArtnetTaken::Now);
    assert_eq!(sent(41, 255), ArtnetTaken::Late);
    assert_eq!(sent(42, 254), ArtnetTaken::Late);
    assert_eq!(sent(60, 2), ArtnetTaken::Now);
    let round = (3..=255).chain(1..=255);
    assert!(round.enumerate().all(|(n, sequence)| sent(80 + n as u64 * 20, sequence) == ArtnetTaken::Now));
}

#[test]
fn a_sender_that_was_started_again_or_counts_otherwise_is_received() {
    let mut trace = Trace::new();
    assert_eq!(trace.send_from(0, MAIN, 0, 10, &[1, 0]), ArtnetTaken::Now);
    assert_eq!(trace.send_from(900, MAIN, 0, 1, &[2, 0]), ArtnetTaken::Now, "after a pause");
    let counts_down = (0..40).map(|n| trace.send_from(1_000 + n * 20, MAIN, 0, 250 - n as u8, &[3, 0]));
    let taken = counts_down.filter(|taken| *taken == ArtnetTaken::Now).count();
    assert!(taken >= 10, "{taken} of 40");
}

#[test]
fn after_a_sync_levels_wait_for_the_next_one() {
    let mut trace = Trace::new();
    assert!(!trace.merger.sync(MAIN, trace.at(0)), "no levels have come");
    assert_eq!(trace.send(10, MAIN, &[1, 1]), ArtnetTaken::Now);
    assert!(!trace.merger.sync(MAIN, trace.at(20)), "none wait");
    assert_eq!(trace.send(30, MAIN, &[2, 2]), ArtnetTaken::WithSync);
    assert_eq!(trace.send(40, MAIN, &[3, 3]), ArtnetTaken::WithSync);
    assert_eq!(trace.levels(), [1, 1]);
    assert!(trace.merger.sync(MAIN, trace.at(50)));
    assert_eq!(trace.levels(), [3, 3]);
}

#[test]
fn without_a_sync_for_4_s_levels_count_at_once_again() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[1, 1]);
    trace.merger.sync(MAIN, trace.at(0));
    trace.send(3_000, MAIN, &[2, 2]);
    assert!(!trace.pass(3_999));
    assert_eq!(trace.levels(), [1, 1]);
    assert!(trace.pass(4_000));
    assert_eq!(trace.levels(), [2, 2]);
    assert_eq!(trace.send(4_010, MAIN, &[3, 3]), ArtnetTaken::Now);
}

#[test]
fn a_sync_of_another_sender_or_during_a_merge_is_ignored() {
    let mut trace = Trace::new();
    trace.send(0, MAIN, &[1, 1]);
    assert!(!trace.merger.sync(BACKUP, trace.at(10)));
    assert_eq!(trace.send(20, MAIN, &[2, 2]), ArtnetTaken::Now);
    trace.merger.sync(MAIN, trace.at(30));
    assert_eq!(trace.send(40, MAIN, &[3, 3]), ArtnetTaken::WithSync);
    assert_eq!(trace.send(50, BACKUP, &[0, 9]), ArtnetTaken::Now, "a merge begins");
    assert_eq!(trace.levels(), [3, 9]);
    assert!(!trace.merger.sync(BACKUP, trace.at(60)));
    assert_eq!(trace.send(70, MAIN, &[4, 4]), ArtnetTaken::Now);
}

/// Any sequence of packets leaves at most two sources, and levels that one of the sources has sent.
#[test]
fn random_traffic_keeps_the_rules() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..50 {
        let mut trace = Trace::new();
        let mut millis = 0;
        for _ in 0..300 {
            let longest = if random.u8(..) == 0 { 12_000 } else { 400 };
            millis += random.u64(0..longest);
            let from = [MAIN, BACKUP, THIRD][random.usize(0..3)];
            match random.u8(0..20) {
                0 => trace.merger.cancel_merge(),
                1 => drop(trace.merger.set_mode(ArtnetMergeMode::Ltp)),
                2 => drop(trace.merger.set_mode(ArtnetMergeMode::Htp)),
                3 => drop(trace.merger.sync(from, trace.at(millis))),
                4 => drop(trace.pass(millis)),
                _ => {
                    let (physical, sequence) = (random.u8(0..2), random.u8(..));
                    let levels = vec![random.u8(..); random.usize(1..=LEVELS_LIMIT)];
                    trace.send_from(millis, from, physical, sequence, &levels);
                }
            }
            assert!(trace.merger.sources.len() <= SOURCES_LIMIT);
            let is_sent = |(slot, level): (usize, &u8)| {
                trace.merger.sync.is_pending
                    || trace.merger.sources.iter().any(|source| source.levels[slot] == *level)
            };
            assert!(trace.levels().iter().enumerate().take(8).all(is_sent));
        }
    }
}
